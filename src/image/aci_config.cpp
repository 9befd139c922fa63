// What a manifest of the App Container specification says, in the words of the store.
#include <algorithm>

#include "base/chars.h"
#include "base/strings.h"
#include "codec/json.h"
#include "image/internal/aci.h"
#include "image/internal/plan.h"
#include "spec/appc/names.h"
#include "spec/oci_image/reference.h"

namespace cooper::image {
namespace {

constexpr std::size_t kMaxTagBytes = 128;

bool is_tag_letter(char c) {
  return is_alnum(c) || c == '_' || c == '.' || c == '-';
}

std::string tag_of(std::string version) {
  if (version.empty()) return std::string(oci_image::kDefaultTag);
  version.resize(std::min(version.size(), kMaxTagBytes));
  std::ranges::replace_if(
      version, [](char c) { return !is_tag_letter(c); }, '_');
  if (version.front() == '.' || version.front() == '-') version.front() = '_';
  return version;
}

std::string version_of(const appc::ImageManifest& manifest) {
  return appc::find_value(manifest.labels, "version").value_or("");
}

// Empty: there is none that fits.
std::string original_name(const appc::ImageManifest& manifest) {
  const auto note = appc::find_value(manifest.annotations, kOriginalNameNote);
  if (!note) return {};
  const auto reference = oci_image::parse_reference(*note);
  if (!reference.ok() || reference->registry.empty() || reference->digest) return {};
  if (aci_name_of(*reference) != manifest.name || reference->tag != version_of(manifest)) return {};
  return full_name(*note, "").value_or("");
}

// The words of a note that is a JSON array of texts; none without it.
std::vector<std::string> noted_words(const appc::ImageManifest& manifest, std::string_view name) {
  const auto note = appc::find_value(manifest.annotations, name);
  if (!note) return {};
  const auto document = codec::json::Document::parse(*note, name);
  if (!document.ok()) return {};
  return codec::json::Cursor(document->root(), name).strings().value_or({});
}

// How many words of exec are the entrypoint: all, without notes that fit.
std::size_t entrypoint_words(const appc::ImageManifest& manifest) {
  std::vector<std::string> words = noted_words(manifest, kEntrypointNote);
  const std::size_t count = words.size();
  const std::vector<std::string> command = noted_words(manifest, kCommandNote);
  words.insert(words.end(), command.begin(), command.end());
  return words == manifest.app->exec ? count : manifest.app->exec.size();
}

void add_app(const appc::ImageManifest& manifest, oci_image::ImageConfig& config) {
  const appc::App& app = *manifest.app;
  const auto words = static_cast<std::ptrdiff_t>(entrypoint_words(manifest));
  config.entrypoint.assign(app.exec.begin(), app.exec.begin() + words);
  config.cmd.assign(app.exec.begin() + words, app.exec.end());
  config.working_dir = app.working_directory;
  for (const appc::NameValue& variable : app.environment) config.env.push_back(variable.name + "=" + variable.value);
  for (const appc::Port& port : app.ports) {
    for (unsigned i = 0; i < port.count; ++i)
      config.exposed_ports.push_back(std::to_string(port.port + i) + "/" + port.protocol);
  }
  for (const appc::MountPoint& point : app.mount_points) config.volumes.push_back(point.path);
  config.labels = app.user_labels;
}

}  // namespace

Result<std::string> reference_of(const appc::ImageManifest& manifest) {
  if (std::string original = original_name(manifest); !original.empty()) return original;
  std::string repository = manifest.name;
  std::ranges::replace(repository, '~', '_');
  const std::string tag = tag_of(version_of(manifest));
  auto name = full_name(repository + ":" + tag, oci_image::kLocalRegistry);
  // What looks like a host and is none.
  if (!name.ok()) name = full_name(std::string(oci_image::kLocalRegistry) + "/" + repository + ":" + tag, "");
  if (!name.ok()) return std::move(name).error().with("name " + quoted(manifest.name));
  return name;
}

oci_image::Platform platform_of(const std::vector<appc::NameValue>& labels) {
  oci_image::Platform platform;
  platform.os = appc::find_value(labels, "os").value_or("");
  platform.architecture = appc::find_value(labels, "arch").value_or("");
  if (platform.os.empty() && !platform.architecture.empty()) platform.os = "linux";
  const auto machine = appc::machine_of(platform.architecture);
  if (!machine || platform.os != "linux") return platform;
  platform.architecture = machine->architecture;
  platform.variant = machine->variant;
  return platform;
}

oci_image::ImageConfig config_of(const appc::ImageManifest& manifest, const std::string& user) {
  oci_image::ImageConfig config;
  config.created = appc::find_value(manifest.annotations, "created").value_or("");
  config.author = appc::find_value(manifest.annotations, "authors").value_or("");
  config.platform = platform_of(manifest.labels);
  config.user = user;
  config.stop_signal = appc::find_value(manifest.annotations, kStopSignalNote).value_or("");
  if (manifest.app) add_app(manifest, config);
  return config;
}

Result<std::optional<Image>> find_aci(const Records& records, std::string_view name,
                                      const std::vector<appc::NameValue>& labels,
                                      const std::optional<oci_image::Platform>& platform) {
  ASSIGN_OR_RETURN(std::vector<Image> images, records.images());
  std::optional<Image> best;
  const auto rank = [&](const Image& image) {
    const bool fits = !platform || platform_of(image.aci->labels) == *platform;
    return std::pair(fits, image.loaded_unix_ms);
  };
  for (Image& image : images) {
    if (!image.aci || image.aci->name != name || !appc::has_labels(image.aci->labels, labels)) continue;
    if (!best || rank(*best) < rank(image)) best = std::move(image);
  }
  return best;
}

}  // namespace cooper::image
