#include "cli/cooper/list_filter.h"

#include <algorithm>
#include <array>

#include "base/strings.h"

namespace cooper::cli {
namespace {

bool label_matches(const Row& row, std::string_view wanted) {
  const auto pair = split_once(wanted, '=');
  const auto found = row.pod->labels.find(std::string(pair ? pair->first : wanted));
  return found != row.pod->labels.end() && (!pair || found->second == pair->second);
}

// "busybox" is an image of that name with any registry and tag.
bool image_matches(const pod::AppInfo& app, std::string_view wanted) {
  if (app.image == wanted) return true;
  const std::string_view id = std::string_view(app.image_id).substr(app.image_id.find(':') + 1);
  const std::string_view wanted_id = wanted.starts_with("sha256:") ? wanted.substr(7) : wanted;
  if (wanted_id.size() >= 4 && id.starts_with(wanted_id)) return true;
  std::string_view name = app.image;
  if (const std::size_t at = name.find('@'); at != std::string_view::npos) name = name.substr(0, at);
  if (wanted.rfind(':') == std::string_view::npos || wanted.rfind(':') < wanted.rfind('/') + 1) {
    const std::size_t colon = name.rfind(':');
    if (colon != std::string_view::npos && name.find('/', colon) == std::string_view::npos)
      name = name.substr(0, colon);
  }
  return name == wanted ||
         (name.size() > wanted.size() && name.ends_with(wanted) && name[name.size() - wanted.size() - 1] == '/');
}

bool one_matches(const Row& row, std::string_view key, std::string_view value) {
  if (key == "id") return row.pod->uuid.str().starts_with(value);
  if (key == "name") return row.name().find(value) != std::string::npos;
  if (key == "pod") return row.pod->name == value || row.pod->uuid.str().starts_with(value);
  if (key == "status") return row.app->state == value;
  if (key == "label") return label_matches(row, value);
  if (key == "ancestor") return image_matches(*row.app, value);
  return row.app->exit && !row.app->exit->unknown && std::to_string(row.app->exit->exit_code) == value;  // exited
}

}  // namespace

Result<ListFilter> ListFilter::parse(const std::vector<std::string>& texts) {
  constexpr std::array<std::string_view, 7> kKeys = {"id", "name", "pod", "status", "label", "ancestor", "exited"};
  ListFilter filter;
  for (const std::string& text : texts) {
    const auto pair = split_once(text, '=');
    if (!pair) return Error(Errc::kInvalidArgument, "filter " + quoted(text) + " is not of the form KEY=VALUE");
    if (std::ranges::find(kKeys, pair->first) == kKeys.end()) {
      return Error(Errc::kInvalidArgument, "unknown filter " + quoted(pair->first))
          .with_hint("use id, name, pod, status, label, ancestor or exited");
    }
    constexpr std::array<std::string_view, 4> kStates = {"created", "running", "paused", "exited"};
    if (pair->first == "status" && std::ranges::find(kStates, pair->second) == kStates.end()) {
      return Error(Errc::kInvalidArgument, "unknown status " + quoted(pair->second))
          .with_hint("use created, running, paused or exited");
    }
    if (pair->first == "exited" && !parse_number<std::uint8_t>(pair->second))
      return Error(Errc::kInvalidArgument, "filter " + quoted(text) + ": an exit status is a number from 0 to 255");
    filter.wanted_[std::string(pair->first)].emplace_back(pair->second);
  }
  return filter;
}

bool ListFilter::matches(const Row& row) const {
  return std::ranges::all_of(wanted_, [&](const auto& wish) {
    return std::ranges::any_of(wish.second,
                               [&](const std::string& value) { return one_matches(row, wish.first, value); });
  });
}

}  // namespace cooper::cli
