#include "cli/cooper/image_place.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "cli/cooper/transport_words.h"
#include "image/save.h"
#include "spec/oci_image/reference.h"
#include "sys/file.h"

namespace cooper::cli {
namespace {

bool is_there(const std::string& path) {
  return !path.empty() && sys::fstatat(sys::kCwd, path).ok();
}

struct Kind {
  image::Transport transport;
  std::string rest;
};

std::optional<Kind> kind_of(const std::string& text) {
  const auto behind = [&](const TransportWord& word) {
    return text.size() > word.word.size() && text.starts_with(word.word) && text[word.word.size()] == ':';
  };
  const auto cut = [&](const TransportWord& word) { return Kind{word.transport, text.substr(word.word.size() + 1)}; };
  const auto found = std::ranges::find_if(kTransportWords, behind);
  return found == kTransportWords.end() ? std::nullopt : std::optional(cut(*found));
}

ImagePlace split(image::Transport transport, const std::string& text) {
  ImagePlace place{.transport = transport, .path = text};
  if (is_there(text)) return place;
  for (std::size_t colon = text.find(':'); colon != std::string::npos; colon = text.find(':', colon + 1)) {
    const std::string path = text.substr(0, colon);
    if (is_there(path)) return {.transport = transport, .path = path, .only = text.substr(colon + 1)};
  }
  return place;
}

// Behind a kind a path that is not there ends before its first colon.
ImagePlace split(const Kind& kind) {
  ImagePlace place = split(kind.transport, kind.rest);
  const std::size_t colon = place.path.find(':');
  if (colon == std::string::npos || is_there(place.path)) return place;
  return {.transport = kind.transport, .path = kind.rest.substr(0, colon), .only = kind.rest.substr(colon + 1)};
}

}  // namespace

ImagePlace image_place(const std::string& text) {
  if (text.find(':') == std::string::npos || is_there(text)) return {.path = text};
  if (const auto kind = kind_of(text)) return split(*kind);
  return split(image::Transport::kAuto, text);
}

std::optional<ImagePlace> place_to_write(const std::string& text) {
  if (is_there(text)) return std::nullopt;
  const auto kind = kind_of(text);
  if (!kind) return std::nullopt;
  return split(*kind);
}

std::optional<ImagePlace> place_not_name(const std::string& text) {
  const auto kind = kind_of(text);
  if (!kind) return std::nullopt;
  ImagePlace place = split(*kind);
  const bool looks_like_path = kind->rest.starts_with('/') || kind->rest.starts_with('.');
  const bool archive = !image::is_directory(kind->transport) && kind->transport != image::Transport::kAci;
  if (archive || looks_like_path || is_there(place.path) || !oci_image::parse_reference(text).ok()) return place;
  return std::nullopt;
}

bool is_foreign_place(std::string_view text) {
  return text.starts_with("docker-daemon:") || text.starts_with("containers-storage:");
}

Status check_readable_place(std::string_view text) {
  if (!is_foreign_place(text)) return {};
  const bool docker = text.starts_with("docker-daemon:");
  return Error(Errc::kInvalidArgument, quoted(text) + " is in another program's store")
      .with_hint(std::string("that program gives it by a pipe: ") + (docker ? "docker" : "podman") +
                 " save IMAGE | cooper image load");
}

}  // namespace cooper::cli
