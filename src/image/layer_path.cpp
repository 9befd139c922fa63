#include "image/internal/layer_path.h"

#include <algorithm>

#include "base/strings.h"

namespace cooper::image {

Result<std::string> clean_path(std::string_view raw) {
  if (raw.find('\0') != std::string_view::npos)
    return Error(Errc::kCorrupt, "name " + quoted(raw) + " holds a NUL byte");
  std::string out;
  out.reserve(raw.size());
  std::size_t depth = 0;
  while (!raw.empty()) {
    const std::size_t slash = std::min(raw.find('/'), raw.size());
    const std::string_view part = raw.substr(0, slash);
    raw.remove_prefix(std::min(slash + 1, raw.size()));
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (depth == 0) return Error(Errc::kPermission, "name leads out of the root");
      const std::size_t last = out.rfind('/');
      out.resize(last == std::string::npos ? 0 : last);
      --depth;
      continue;
    }
    if (++depth > kMaxPathDepth)
      return Error(Errc::kLimit, "path is deeper than " + std::to_string(kMaxPathDepth) + " directories");
    if (!out.empty()) out += '/';
    out += part;
  }
  return out;
}

std::pair<std::string_view, std::string_view> split_parent(std::string_view clean) {
  const std::size_t slash = clean.rfind('/');
  if (slash == std::string_view::npos) return {{}, clean};
  return {clean.substr(0, slash), clean.substr(slash + 1)};
}

std::string join_path(std::string_view parent, std::string_view name) {
  std::string out(parent);
  if (!out.empty()) out += '/';
  out += name;
  return out;
}

}  // namespace cooper::image
