// CONTRACT. The image store: blobs by digest, names, and one unpacked tree per distinct layer chain.
//
//   <dir>/oci-layout                     {"imageLayoutVersion":"1.0.0"}: the directory is a readable OCI layout of
//   blobs <dir>/blobs/<alg>/<hex>              0444; appears by rename after its digest was checked <dir>/refs/...
//   names and image records (format is the store's own, versioned) <dir>/trees/<chain>/{rootfs,tree.json} one unpacked
//   layer chain, shared read-only by every container; <chain> = hex of the chain id <dir>/trees/<chain>/users/<user>
//   empty file: `user` (a pod uuid) needs the tree, also while it does not run <dir>/trees/<chain>.erofs/ the same tree
//   as an erofs image, with users of its own <dir>/tmp/ work in progress; what no
//   live process has locked is removed by gc <dir>/partial/ what interrupted pulls have got of blobs <dir>/locks/
//
// Many processes may read and write at once. A crash or a full disk at any instant leaves the old or the new state:
// never a name that points to missing or wrong bytes, never a tree that is not complete. Needs root to unpack trees
// with owners, device nodes and xattrs; root of a user namespace makes what it can (internal/tree_builder.h). A store
// has one owner (owner.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/ids.h"
#include "fetch/client.h"
#include "image/download.h"
#include "image/progress.h"
#include "io/filesystem_image.h"
#include "spec/appc/names.h"
#include "spec/appc/types.h"
#include "spec/oci_image/reference.h"
#include "spec/oci_image/types.h"

namespace cooper::image {

// What an image of the App Container specification is besides. Its id is the SHA-512 of the archive, uncompressed,
// which is kept as the blob of that name; its layers are those of its dependencies, at the time it was loaded, and its
// own.
struct Aci {
  std::string name;                     // "example.com/app"
  std::vector<appc::NameValue> labels;  // version, os, arch ...
  Digest manifest;                      // blob
  std::vector<Digest> dependencies;     // ids
};

// What the user wrote: [registry/]name[:tag][@digest], or an id or an unambiguous prefix of one ("sha256:" optional).
// Whole or with its algorithm, an id is no name. "busybox" means "busybox:latest" and also matches a stored
// "localhost/busybox:latest" or "docker.io/library/busybox:latest" (short names, local only). An ACI is found by its
// own name as well: name[:version][,label=value]..., the newest that has these labels; its id may begin with "sha512-".
struct Image {
  Digest id;                            // config digest: what docker and podman call the image id; or see Aci
  Digest manifest_digest;               // as stored
  std::vector<std::string> names = {};  // full names with tag, sorted
  std::string created = {};             // RFC 3339, of the image
  std::uint64_t size_bytes = 0;         // of its layers, uncompressed: the same however it came here
  std::int64_t loaded_unix_ms = 0;
  std::vector<Digest> layers = {};  // compressed digests, base first
  // Of each layer, uncompressed; empty in records of before this was kept (Store::layer_sizes() finds it out then).
  std::vector<std::uint64_t> layer_bytes = {};
  std::string chain = {};                   // name of its unpacked tree
  std::optional<Digest> index_digest = {};  // of the multi-platform index it was chosen from
  // "registry/repository@digest": what it was pulled as when no tag was given, sorted. gc() leaves it alone.
  std::vector<std::string> digest_names = {};
  std::optional<Digest> config = {};  // blob of the configuration; none: it is the id
  std::optional<Aci> aci = {};
  const Digest& config_digest() const { return config ? *config : id; }
  // Of an image that load() or import() returned: those of its names that this call gave it. Not stored.
  std::vector<std::string> given_names = {};
  // When a container was made of its content or removed, or a verb read all of it, or it came here. Only what
  // Store::find_last_uses() has looked up; not stored.
  std::int64_t last_used_unix_ms = 0;
};

// kSkopeoDirectory: the files of one image as skopeo keeps them for "dir:".
enum class Transport { kAuto, kOciDirectory, kOciArchive, kDockerArchive, kRootfsTar, kAci, kSkopeoDirectory };

struct LoadOptions {
  std::string path;  // directory or file; "-" = standard input (archives only)
  // What is there, open already, from its beginning; `path` is then only what errors call it.
  BorrowedFd file = BorrowedFd(-1);
  Transport transport = Transport::kAuto;
  // The one image of several: its name there, its tag, or @N, its place in the list of images, from @0. Empty: all.
  std::string only = {};
  // Several images, of which `only` takes none, are refused.
  bool single = false;
  std::string name;                             // beside the name that a single image brings
  std::optional<oci_image::Platform> platform;  // default: this host's
  bool all_platforms_ok = false;                // reserved for index handling by the store; false: pick one platform
  // Asked before anything is read of the images, with the transport that was found out (kRootfsTar: import()); an error
  // ends the work. Empty: everything may come.
  std::function<Status(Transport transport)> admit = {};
  // Readable when the work shall end: Errc::kCancelled, and nothing is left of it. Not valid: nobody asks.
  BorrowedFd cancel = BorrowedFd(-1);
  Progress progress = {};  // in bytes of the input
  // Of an ACI: asked for a dependency that the store lacks; true: it is there now. Who loads it passes on the images
  // that need it, outermost first, so that a circle is found.
  std::function<Result<bool>(const appc::Dependency& dependency, const std::vector<appc::ImageName>& needed_by)>
      supply = {};
  std::vector<appc::ImageName> needed_by = {};
  // Asked about the manifest of an ACI, before anything else of it is looked at; an error ends the work.
  std::function<Status(const appc::ImageManifest& manifest)> admit_aci = {};
};
// Image configuration for plain root file system tars (`image import`).
struct ImportOptions {
  LoadOptions source;                // transport is forced to kRootfsTar
  std::vector<std::string> changes;  // docker's: "CMD [\"sh\"]", "ENV A=b", "ENTRYPOINT ...", "WORKDIR", "USER",
                                     // "LABEL", "STOPSIGNAL", "EXPOSE", "VOLUME"
  std::string message;
};

struct PullOptions {
  oci_image::Reference reference;               // with its registry
  std::optional<oci_image::Platform> platform;  // default: this host's
  // Brings back what is missing of an image that is there, named by the digest of its manifest: it keeps the names that
  // it has by then, and may be for any platform. What of it is here and right is not asked for.
  bool mend = false;
  // Asked about the manifest before anything else of the image is read, also of one that is there already; an error
  // ends the pull. Empty: everything may come.
  std::function<Status(std::string_view manifest, const Digest& digest, fetch::Client& client)> admit = {};
};
struct PullResult {
  Image image;
  bool was_there = false;  // with all its bytes, before
  std::size_t fetched_layers = 0;
  std::uint64_t fetched_bytes = 0;  // of layers
};
struct PushOptions {
  Image image;
  oci_image::Reference destination;  // with its registry; a digest must be the image's
};
struct PushResult {
  Digest manifest_digest;
  bool was_there = false;  // under that name, with all its bytes, before
  std::size_t sent_blobs = 0;
  std::uint64_t sent_bytes = 0;  // of blobs
};
// Makes the connection to the registry of a pull or a push, when it is known that one is needed: for a pull with its
// mirrors at first, and once more without them when one of them has sent wrong bytes.
enum class FetchFrom { kMirrorsToo, kRegistryAlone };
using StartFetch = std::function<Result<std::unique_ptr<fetch::Client>>(FetchFrom)>;

// Which of the images that no container uses gc() removes.
struct GcOptions {
  bool named = false;  // those with a name, too
  // Only those that came here before.
  std::optional<std::int64_t> loaded_before_unix_ms = {};
  std::optional<std::int64_t> used_before_unix_ms = {};  // and only those that were last used before
  std::size_t keep = 0;                                  // but not so many of them, those that came last
  // Removes nothing, and tells what it would.
  bool dry_run = false;
};
struct BuildOptions;  // image/build.h
struct SaveOptions;   // image/save.h
struct SaveResult;
struct StoreUsage;  // image/usage.h
struct LayerSize;
struct VerifyOptions;  // image/verify.h
struct VerifiedImage;
struct ReadWatch;
struct PathChange;  // image/compare.h

struct RemoveResult {
  std::vector<std::string> untagged;
  std::vector<Digest> deleted;
};

// An image that came from an address of the web, and what its server said of it then.
struct Origin {
  std::string address;
  Digest image;
  std::string etag = {};                       // empty: none
  std::int64_t until_unix_ms = 0;              // so long the server need not be asked again
  std::vector<std::string> fingerprints = {};  // of keys by which it was signed; none: nobody asked for a signature
  bool over_tls = false;  // it was the server, as far as certificates tell: who asks for that believes no other
};

class Store {
 public:
  // Creates the directories when missing (0711; blobs and trees 0700).
  static Result<Store> open(const std::string& dir);
  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();

  // Errc::kNotFound with a hint naming near matches; Errc::kInvalidArgument for an ambiguous id prefix.
  Result<Image> find(std::string_view reference) const;
  // And its full name, when that is how it was found.
  Result<std::pair<Image, std::optional<std::string>>> find_named(std::string_view reference) const;
  // What find() refuses before it looks, and what load() and tag() refuse as a new name.
  static Status check_reference(std::string_view reference);
  static Status check_new_name(std::string_view name);
  // What means an id and no name of a registry: digits with their algorithm, or as many of them as are printed.
  static bool names_an_id(std::string_view reference);
  // Stored names that may have been meant by one that is not there, best first; none when the names cannot be read.
  std::vector<std::string> similar_names(std::string_view reference) const;
  // kNames: nobody asks for layers and their sizes, which may be missing.
  enum class Detail { kAll, kNames };
  Result<std::vector<Image>> list(Detail detail = Detail::kAll) const;
  // About how much memory list() and what is made of it take, as far as that is known without reading; 0: not much.
  std::size_t list_memory_bytes() const;
  // Fills in `last_used_unix_ms`: two looks at the disk for each image.
  void find_last_uses(std::span<Image> images) const;
  // Several images when an archive holds several. Already present blobs and trees are not written again.
  Result<std::vector<Image>> load(const LoadOptions& options);
  Result<Image> import(const ImportOptions& options);
  // Of a directory's files. Equal files with equal options give the same image, digests and all.
  Result<Image> build(const BuildOptions& options);
  // From a registry. What the store has is not fetched again; an image that is named by its digest and is there is not
  // asked about at all, and of a tag only what it names; an interrupted pull is gone on with. Blobs of the store count
  // as right until they are read: then a damaged one is fetched. Layers are unpacked while they arrive. What
  // cooper-fetch hands over is taken for hostile: sizes and digests are checked on this side.
  Result<PullResult> pull(const PullOptions& options, const StartFetch& start);
  // What came from an address, as long as the image is here whole. The last word of an address counts.
  Result<std::optional<Origin>> origin(const std::string& address) const;
  Status remember(const Origin& origin);
  // A file that something of the web is fetched into, with what an interrupted fetch has left.
  Result<Download> download(const std::string& key, std::uint64_t max_bytes, bool of_this_boot) const;
  // To a registry: what it lacks of the image's blobs, and then the manifest as it is stored. A blob whose digest is
  // wrong is not sent, and no manifest after it. Blobs that are removed meanwhile are sent all the same.
  Result<PushResult> push(const PushOptions& options, const StartFetch& start) const;
  // Writes images out. They are held meanwhile: a removal takes nothing from what is written. Every blob is checked
  // while it is copied, and a file or a directory appears whole or not at all.
  Result<SaveResult> save(const SaveOptions& options) const;
  // What import() and build() refuse before they read anything: changes and the name.
  static Status check(const ImportOptions& options);
  static Status check(const BuildOptions& options);
  Status tag(std::string_view reference, std::span<const std::string> names);
  // Takes these names away, or all when none is given, and leaves the image. Errc::kNotFound for a name that is not
  // its own; then none is taken. What was taken away.
  Result<std::vector<std::string>> untag(std::string_view reference, std::span<const std::string> names);
  // A name is untagged; the image goes with its last name, an id removes all its names (several names need force). What
  // containers use goes only with force; they keep its tree. What is not there is no error then.
  Result<RemoveResult> remove(std::string_view reference, bool force);
  // The same of several, each once, in their order, in time that grows with the sum of them and the images, not with
  // the product: one that cannot go keeps no other. An error of all means that what they had may lie there still, for
  // gc().
  Result<std::vector<Result<RemoveResult>>> remove_all(std::span<const std::string> references, bool force);

  Result<oci_image::Manifest> manifest(const Image& image) const;
  Result<oci_image::ImageConfig> config(const Image& image) const;
  // The exact stored bytes (digest re-checked). Of an ACI its own manifest, and that of its layers.
  Result<std::string> aci_manifest_bytes(const Image& image) const;
  // Of any image: the one that it would have as an ACI. `rootfs` is where its files are, among which its user is.
  Result<std::string> aci_manifest_bytes(const Image& image, const std::string& rootfs) const;
  Result<std::string> manifest_bytes(const Image& image) const;
  Result<std::string> config_bytes(const Image& image) const;

  // Layers, base first. Reads those whose uncompressed size no record tells.
  Result<std::vector<LayerSize>> layer_sizes(const Image& image) const;
  // Looks at every file of the store.
  Result<StoreUsage> usage() const;
  // Reads every blob of the images, and holds their unpacked trees against what the layers say. What is wrong is in the
  // answer; an error is what kept it from looking. Others may use, add and remove images meanwhile.
  Result<std::vector<VerifiedImage>> verify(const VerifyOptions& options);
  // What the layers of the second make different.
  Result<std::vector<PathChange>> diff(const Image& before, const Image& after, const ReadWatch& watch) const;

  // The unpacked root file system, unpacked now if it is missing, and registered for `user`. The warm path (tree
  // present) is a few system calls: it runs at every container start. Read-only by contract: nobody writes below
  // rootfs.
  struct Tree {
    std::string chain;   // name of the tree
    std::string rootfs;  // absolute path; empty: it is in `erofs`
    std::optional<io::FilesystemImage> erofs;
  };
  Result<Tree> acquire_tree(const Image& image, std::string_view user);
  // Told of what acquire_tree(), acquire_erofs() and extract() unpack and make; with an empty name when that has ended.
  void watch_unpacking(Progress progress);
  // The same as an erofs image, made now if it is missing; then the unpacked tree goes as soon as nobody uses it. Made
  // by mkfs.erofs. Errc::kUnsupported: there is none, or no erofs in the kernel.
  Result<Tree> acquire_erofs(const Image& image, std::string_view user);
  // Missing ones are fine.
  Status release_tree(std::string_view chain, std::string_view user);
  Result<std::vector<std::pair<std::string, std::string>>> tree_users() const;  // (chain, user)

  // Unpacks the image into a new or empty directory. Errc::kCancelled when `cancel` is readable. A failure leaves the
  // directory as it was.
  Status extract(const Image& image, const std::string& directory, BorrowedFd cancel = BorrowedFd(-1));
  struct Collected {
    std::vector<std::string> untagged;
    std::vector<Digest> deleted;
    std::uint64_t freed_bytes = 0;
  };
  // Removes images whose tree nobody uses, unreferenced blobs and trees, stale temporary files, and what interrupted
  // pulls have left when it is older than a day, or than images have to be. Takes time in
  // proportion to the number of images, blobs and trees.
  Result<Collected> gc(const GcOptions& options);

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Resolved user of a container, from the image's "user[:group]" and its own /etc/passwd and /etc/group.
struct ResolvedUser {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> additional_gids;
  std::string home;  // "/" when unknown
};
// rootfs is an O_PATH descriptor of the tree; files are read through RootDir. Numbers are never names, and need no
// entry; unknown names are Errc::kNotFound. Empty text is root.
Result<ResolvedUser> resolve_user(BorrowedFd rootfs, std::string_view user);

}  // namespace cooper::image
