// CONTRACT. The image manifest of the App Container specification 0.8.11 as plain values. parse.h reads and validates
// it, print.h writes it; no I/O here.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cooper::spec::appc {

// {"name":..., "value":...}: labels, annotations, variables of the environment. In the order of the document.
struct NameValue {
  std::string name;
  std::string value;
  bool operator==(const NameValue&) const = default;
};

struct Dependency {
  std::string image_name;
  std::string image_id;           // hexadecimal digits of "sha512-...", perhaps only the first 64; empty: not given
  std::vector<NameValue> labels;  // all of them must be the image's
  std::optional<std::uint64_t> size_bytes;
};

struct EventHandler {
  std::string name;  // "pre-start", "post-stop"
  std::vector<std::string> exec;
};

struct MountPoint {
  std::string name;
  std::string path;  // absolute
  bool read_only = false;
};

struct Port {
  std::string name;
  std::string protocol;  // "tcp", "udp"
  std::uint16_t port = 0;
  std::uint16_t count = 1;
  bool socket_activated = false;
};

struct Isolator {
  std::string name;
  std::string value_json;  // as the document has it, compact; isolators.h reads the known ones
};

struct App {
  std::vector<std::string> exec;
  std::string user;   // number, name, or an absolute path inside the image whose owner is meant
  std::string group;  // the same
  std::vector<std::uint32_t> supplementary_gids;
  std::vector<EventHandler> event_handlers;
  std::string working_directory;  // absolute; empty: not given
  std::vector<NameValue> environment;
  std::vector<MountPoint> mount_points;
  std::vector<Port> ports;
  std::vector<Isolator> isolators;
  std::map<std::string, std::string> user_annotations;
  std::map<std::string, std::string> user_labels;
};

struct ImageManifest {
  std::string ac_version;
  std::string name;
  std::vector<NameValue> labels;
  std::optional<App> app;
  std::vector<Dependency> dependencies;
  std::vector<std::string> path_whitelist;  // absolute, without "." and ".."; a slash at the end stays
  std::vector<NameValue> annotations;
};

}  // namespace cooper::spec::appc

namespace cooper {
namespace appc = spec::appc;
}
