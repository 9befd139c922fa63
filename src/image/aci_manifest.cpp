// The configuration of an OCI image as the manifest of an ACI.
#include <algorithm>
#include <ranges>
#include <set>
#include <unordered_map>

#include "base/chars.h"
#include "base/strings.h"
#include "codec/json.h"
#include "image/internal/aci.h"
#include "image/internal/aci_export.h"
#include "spec/appc/names.h"
#include "spec/oci_image/platform.h"
#include "spec/oci_image/reference.h"

namespace cooper::image {
namespace {

constexpr std::string_view kVersion = "0.8.11";
constexpr std::string_view kNamelessPrefix = "image-";
constexpr std::size_t kShortId = 12;

// The nearest text of letters, digits and single separators.
std::string sanitized(std::string_view text, std::string_view separators) {
  std::string out;
  for (const char c : to_lower(text)) {
    if (is_lower_alnum(c)) {
      out += c;
    } else if (!out.empty() && is_lower_alnum(out.back())) {
      out += separators.find(c) == std::string_view::npos ? '-' : c;
    }
  }
  while (!out.empty() && !is_lower_alnum(out.back())) out.pop_back();
  return out;
}

// A name nobody has yet.
// Gives names that nothing else has, in time that does not grow with how many were asked for the same.
class Names {
 public:
  std::string unique(const std::string& wanted) {
    std::string name = wanted;
    for (int& number = last_[wanted]; !taken_.insert(name).second;) name = wanted + "-" + std::to_string(++number + 1);
    return name;
  }

 private:
  std::set<std::string> taken_;
  std::unordered_map<std::string, int> last_;
};

std::string json_of(const std::vector<std::string>& words) {
  codec::json::Writer writer;
  writer.begin_array();
  for (const std::string& word : words) writer.string(word);
  writer.end_array();
  return writer.take();
}

// The last of several values counts; words without "=" are no variables.
std::vector<appc::NameValue> environment_of(const std::vector<std::string>& env) {
  std::vector<appc::NameValue> out;
  std::set<std::string_view> seen;
  for (const std::string& word : env | std::views::reverse) {
    const auto parts = split_once(word, '=');
    if (!parts || parts->first.empty() || !seen.insert(parts->first).second) continue;
    out.push_back({std::string(parts->first), std::string(parts->second)});
  }
  std::ranges::reverse(out);
  return out;
}

std::string absolute(const std::string& path) {
  return path.empty() || path.starts_with('/') ? path : "/" + path;
}

bool climbs(const std::string& path) {
  const auto parts = split(path, '/');
  return std::ranges::find(parts, "..") != parts.end();
}

void add_slots(const oci_image::ImageConfig& config, appc::App& app) {
  Names volumes;
  for (const std::string& volume : config.volumes) {
    const std::string path = absolute(volume);
    if (path.empty() || climbs(path)) continue;
    const std::string word = sanitized(path, "");
    app.mount_points.push_back({volumes.unique(word.empty() ? "volume" : "volume-" + word), path, false});
  }
  Names ports;
  for (const std::string& text : config.exposed_ports) {
    const auto range = read_ports(text);
    if (!range) continue;
    app.ports.push_back({.name = ports.unique(std::to_string(range->first) + "-" + range->protocol),
                         .protocol = range->protocol,
                         .port = range->first,
                         .count = range->count,
                         .socket_activated = false});
  }
}

appc::App app_of(const oci_image::ImageConfig& config, const ResolvedUser& user) {
  appc::App app;
  app.exec = config.entrypoint;
  app.exec.insert(app.exec.end(), config.cmd.begin(), config.cmd.end());
  if (!app.exec.empty() && app.exec.front().empty()) app.exec.clear();
  // The name, if it has one, for what looks it up; the group is that of the image's own files.
  const auto parts = split_once(config.user, ':');
  app.user = parts ? parts->first : config.user;
  if (app.user.empty()) app.user = "0";
  app.group = std::to_string(user.gid);
  for (const std::uint32_t gid : user.additional_gids) {
    if (gid != user.gid) app.supplementary_gids.push_back(gid);
  }
  const std::string directory = absolute(config.working_dir);
  if (!climbs(directory)) app.working_directory = directory;
  app.environment = environment_of(config.env);
  add_slots(config, app);
  app.user_labels = config.labels;
  return app;
}

void add_labels(const oci_image::ImageConfig& config, const std::string& tag, appc::ImageManifest& out) {
  if (!tag.empty()) out.labels.push_back({"version", tag});
  const oci_image::Platform platform = oci_image::normalize(config.platform);
  const auto arch = appc::arch_of({platform.architecture, platform.variant});
  if (platform.os != "linux" || !arch) return;
  out.labels.push_back({"os", platform.os});
  out.labels.push_back({"arch", *arch});
}

}  // namespace

std::string aci_name_of(const oci_image::Reference& reference) {
  return sanitized(reference.registry + "/" + reference.repository, "-._/");
}

appc::ImageManifest aci_manifest_of(const Image& image, const oci_image::ImageConfig& config, const std::string& name,
                                    const ResolvedUser& user) {
  appc::ImageManifest out;
  out.ac_version = kVersion;
  const auto reference = oci_image::parse_reference(name);
  if (reference.ok()) out.name = aci_name_of(*reference);
  if (out.name.empty()) out.name = std::string(kNamelessPrefix) + std::string(image.id.hex().substr(0, kShortId));
  add_labels(config, reference.ok() ? reference->tag : "", out);
  out.app = app_of(config, user);
  const auto note = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) out.annotations.push_back({std::string(key), value});
  };
  if (appc::is_time(config.created)) note("created", config.created);
  note("authors", config.author);
  if (reference.ok()) {
    note("appc.io/docker/registryurl", reference->registry);
    note("appc.io/docker/repository", reference->repository);
    note(kOriginalNameNote, name);
    note("appc.io/docker/tag", reference->tag);
  }
  note("appc.io/docker/imageid", image.config_digest().str());
  note("appc.io/docker/manifesthash", image.manifest_digest.str());
  if (!config.entrypoint.empty()) note(kEntrypointNote, json_of(config.entrypoint));
  if (!config.cmd.empty()) note(kCommandNote, json_of(config.cmd));
  note(kStopSignalNote, config.stop_signal);
  return out;
}

}  // namespace cooper::image
