// ACIs, the archives of the App Container specification: reading them, and turning their files into layers.
//
// An ACI is a tar with a file `manifest` and a directory `rootfs/`, and nothing else. Its files become one layer of the
// store, as they are, without the prefix; those of its dependencies are the layers below. A pathWhitelist leaves out of
// all of them what it does not name, so that the layers alone are the image: no reader of layers knows of whitelists.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/ids.h"
#include "codec/stream.h"
#include "codec/tar.h"
#include "image/internal/records.h"
#include "image/internal/staging.h"
#include "image/store.h"
#include "spec/appc/types.h"
#include "spec/oci_image/reference.h"
#include "spec/oci_image/types.h"

namespace cooper::image {

// Notes of docker2aci on what an image was before: what of exec is its entrypoint, and what its command; its name. And
// ours, for what an app section has no word for.
inline constexpr std::string_view kEntrypointNote = "appc.io/docker/entrypoint";
inline constexpr std::string_view kCommandNote = "appc.io/docker/cmd";
inline constexpr std::string_view kOriginalNameNote = "appc.io/docker/originalname";
inline constexpr std::string_view kStopSignalNote = "cooper.io/stop-signal";
// The whole configuration, without its layers, and the annotations of the manifest, both as JSON objects.
inline constexpr std::string_view kConfigNote = "cooper.io/image-config";
inline constexpr std::string_view kAnnotationsNote = "cooper.io/manifest-annotations";

// A fresh start at an uncompressed tar.
using OpenTar = std::function<Result<std::unique_ptr<codec::BlockSource>>()>;
// Of a file that outlives it.
OpenTar open_tar_file(BorrowedFd file, std::uint64_t size_bytes);

// Looks at every header and returns the manifest's text. Errc::kCorrupt and Errc::kPermission for what is no ACI or a
// hostile one: `manifest` is missing, there twice or no plain file, there is no rootfs, anything lies elsewhere, a hard
// link leads out; Errc::kLimit for a huge manifest; Errc::kUnsupported for names no layer can hold.
Result<std::string> read_aci_manifest(const OpenTar& tar);

// Which paths of a root file system stay.
class PathFilter {
 public:
  PathFilter() = default;  // all
  explicit PathFilter(const std::vector<std::string>& whitelist);
  bool keeps_all() const { return all_; }
  // `path` is clean; directories above what stays stay as well.
  bool keeps(const std::string& path, codec::tar::EntryType type) const;

 private:
  bool all_ = true;
  std::set<std::string, std::less<>> paths_;
  std::set<std::string, std::less<>> parents_;
};

enum class TarKind { kAci, kLayer };
// Writes what the filter keeps of a tar as the tar of a layer. A hard link that stays where its target does not becomes
// the file.
Status write_layer(const OpenTar& tar, TarKind kind, const PathFilter& filter, codec::ByteSink& sink);

// Owner of what lies at `path` (clean) in the topmost of these layers that has it (base first); nullopt: none has.
struct Owner {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};
Result<std::optional<Owner>> owner_in(const std::vector<OpenTar>& layers, const std::string& path);

// What an image of that name is called as an ACI, without its tag: "localhost-5000/app".
std::string aci_name_of(const oci_image::Reference& reference);
// The image's full name in the store: the one it had before it was an ACI, if this is the name that follows from that
// one (who signs for a name signs for no other); else a version is the tag, and letters a reference cannot hold are
// "_".
Result<std::string> reference_of(const appc::ImageManifest& manifest);
oci_image::Platform platform_of(const std::vector<appc::NameValue>& labels);
// The app section as the configuration of a container. User and group are those given; the layers are missing.
oci_image::ImageConfig config_of(const appc::ImageManifest& manifest, const std::string& user);

// "80", "80/udp", "8000-8010/tcp"; none for what an ACI cannot say.
struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t count = 1;
  std::string protocol = {};
};
std::optional<PortRange> read_ports(std::string_view text);

// Notes of what an OCI image was: for what a manifest of the App Container specification has no words.
void add_notes(const std::string& config_bytes, const std::map<std::string, std::string>& annotations,
               appc::ImageManifest& out);
struct Noted {
  std::string config_bytes = {};  // empty: there is no note, or none that can be read
  oci_image::ImageConfig config = {};
  std::map<std::string, std::string> annotations = {};
};
Noted read_notes(const appc::ImageManifest& manifest);
// What the notes say more exactly than the manifest, as far as they do not contradict it: ports, the platform's
// variant, the history, whose layers have become one.
void apply_notes(const Noted& noted, const appc::ImageManifest& manifest, oci_image::ImageConfig& config);

// The newest image that has this name and all these labels; of several machines those are preferred which `platform`
// (if any) asks for.
Result<std::optional<Image>> find_aci(const Records& records, std::string_view name,
                                      const std::vector<appc::NameValue>& labels,
                                      const std::optional<oci_image::Platform>& platform);

// Takes an ACI in: `tar` is its uncompressed bytes. The image is there after staging.commit().
Result<Image> load_aci(BorrowedFd store, Staging& staging, BorrowedFd tar, std::uint64_t size_bytes,
                       const LoadOptions& options);

}  // namespace cooper::image
