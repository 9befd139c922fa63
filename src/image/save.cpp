#include "image/save.h"

#include <optional>
#include <set>

#include "base/strings.h"
#include "image/internal/aci_export.h"
#include "image/internal/job.h"
#include "image/internal/layout_update.h"
#include "image/internal/plan.h"
#include "image/internal/save.h"
#include "io/full_disk.h"
#include "io/new_file.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

std::string shown(const PinnedBlob& blob) {
  constexpr std::size_t kShownDigits = 12;
  return std::string(blob.digest.hex().substr(0, kShownDigits));
}

class Saver {
 public:
  Saver(BorrowedFd store, const SaveOptions& options) : store_(store), options_(options) {}

  Result<SaveResult> run() {
    // What killed saves and loads left behind; not to find it is no reason to fail.
    (void)!remove_stale_jobs(store_).ok();
    ASSIGN_OR_RETURN(Pinned pinned, Pinned::take(store_, options_.references));
    RETURN_IF_ERROR(check_count(pinned.images().size()));
    if (!options_.as.empty()) pinned.call_it(options_.as);
    if (options_.transport != Transport::kAci) announce(pinned);
    ASSIGN_OR_RETURN(const std::uint64_t written, write(pinned));
    SaveResult result{.images = {}, .size_bytes = written};
    for (const PinnedImage& image : pinned.images()) result.images.push_back(image.image);
    return result;
  }

 private:
  Status check_count(std::size_t images) const {
    if (images == 1) return {};
    const std::string many = "one image, not " + std::to_string(images);
    if (options_.transport == Transport::kAci) return Error(Errc::kInvalidArgument, "an ACI holds " + many);
    if (options_.transport == Transport::kSkopeoDirectory)
      return Error(Errc::kInvalidArgument, "a directory of skopeo's holds " + many)
          .with_hint("use oci-dir for several");
    if (options_.as.empty()) return {};
    return Error(Errc::kInvalidArgument, "the name " + quoted(options_.as) + " is for " + many);
  }

  Result<std::uint64_t> write_new_directory(const Pinned& pinned) {
    const bool layout = options_.transport == Transport::kOciDirectory;
    ASSIGN_OR_RETURN(io::NewDirectory directory, io::NewDirectory::create(options_.path));
    DirectoryPackage package(directory.fd());
    RETURN_IF_ERROR(layout ? write_oci_layout(pinned, package, steps())
                           : write_skopeo_directory(pinned, package, steps()));
    // Who finds the last document finds what it names.
    const std::string last = layout ? "index.json" : std::string(kSkopeoManifest);
    RETURN_IF_ERROR(directory.publish(last, [this] { return go_on(); }));
    return package.written();
  }

  // Nothing, when there is no layout to add to.
  Result<std::optional<std::uint64_t>> write_into_layout(const Pinned& pinned, BorrowedFd there) {
    ASSIGN_OR_RETURN(const bool layout, holds_layout(there));
    if (!layout) return std::optional<std::uint64_t>();
    LayoutUpdate update(there, [this] { return go_on(); });
    RETURN_IF_ERROR(write_oci_layout(pinned, update, steps()));
    RETURN_IF_ERROR(update.publish());
    return std::optional(update.written());
  }

  Result<std::uint64_t> write_directory(const Pinned& pinned) {
    if (options_.transport != Transport::kOciDirectory || !options_.add) return write_new_directory(pinned);
    for (bool again = false;; again = true) {
      ASSIGN_OR_RETURN(const UniqueFd there, lock_directory(options_.path, [this] { return go_on(); }));
      if (there) {
        ASSIGN_OR_RETURN(const auto written, write_into_layout(pinned, there));
        if (written) return *written;
      }
      auto written = write_new_directory(pinned);
      // Somebody else has made it meanwhile.
      const bool made = !written.ok() && written.error().code() == Errc::kAlreadyExists && !there;
      if (!made || again) return written;
    }
  }

  Result<std::uint64_t> write(const Pinned& pinned) {
    if (options_.stream != nullptr) {
      auto written = write_archive(pinned, *options_.stream);
      if (written.ok()) return written;
      return io::explain_full_disk(std::move(written).error(), "the output", "free some of it");
    }
    if (is_directory(options_.transport)) {
      auto written = write_directory(pinned);
      return written.ok() ? *written : whole(explain_directory(std::move(written).error()), 0);
    }
    ASSIGN_OR_RETURN(io::NewFile file, io::NewFile::create(options_.path));
    codec::FdSink sink(file.fd());
    auto written = write_archive(pinned, sink);
    if (!written.ok()) return whole(std::move(written).error(), 0);
    return whole(file.publish([this] { return go_on(); }), *written);
  }

  // What to try where a directory is there and has something in it.
  Error explain_directory(Error error) const {
    if (error.code() != Errc::kAlreadyExists || !error.hint().empty()) return error;
    if (options_.transport != Transport::kOciDirectory) {
      return std::move(error).with_hint(
          "such a directory holds one image: name a new or an empty one, or remove what is there; "
          "oci:DIR:NAME puts several beside each other");
    }
    const auto there = sys::openat(sys::kCwd, options_.path, O_RDONLY | O_DIRECTORY);
    const auto layout = there.ok() ? holds_layout(*there) : Result<bool>(false);
    if (layout.ok() && *layout)
      return std::move(error).with_hint("a layout is there: oci:" + options_.path +
                                        ":NAME puts the image beside those that it has");
    return std::move(error).with_hint("name a new or an empty directory");
  }

  Result<std::uint64_t> whole(Status written, std::uint64_t size) const {
    if (written.ok()) return size;
    return io::explain_full_disk(std::move(written).error(), quoted(options_.path),
                                 "free some of it, or save to another disk")
        .with("save to " + quoted(options_.path));
  }

  Result<std::uint64_t> write_archive(const Pinned& pinned, codec::ByteSink& sink) {
    if (options_.transport == Transport::kAci) return write_aci(store_, pinned.images().front(), sink, steps());
    ArchivePackage package(sink);
    RETURN_IF_ERROR(options_.transport == Transport::kOciArchive ? write_oci_layout(pinned, package, steps())
                                                                 : write_docker_archive(pinned, package, steps()));
    return package.written();
  }

  // Blobs that several images have are read once.
  void announce(const Pinned& pinned) {
    if (!options_.progress) return;
    std::set<Digest> seen;
    for (const PinnedImage& image : pinned.images()) {
      for (const PinnedLayer& layer : image.layers) {
        if (seen.insert(layer.blob.digest).second) options_.progress(shown(layer.blob), 0, layer.blob.size_bytes);
      }
    }
  }

  SaveSteps steps() {
    return {.counted =
                [this](const PinnedBlob& blob) {
                  return [this, what = shown(blob), done = std::uint64_t{0},
                          total = blob.size_bytes](std::uint64_t bytes) mutable {
                    done += bytes;
                    if (options_.progress) options_.progress(what, done, total);
                    return go_on();
                  };
                },
            .only = [this](std::uint64_t) { return go_on(); },
            .progress = options_.progress};
  }

  Status go_on() const {
    if (options_.cancelled && options_.cancelled()) return Error(Errc::kCancelled, "saving was cancelled", ECANCELED);
    return {};
  }

  BorrowedFd store_;
  const SaveOptions& options_;
};

}  // namespace

Result<SaveResult> save_images(BorrowedFd store, const SaveOptions& options) {
  if (options.references.empty()) return Error(Errc::kInvalidArgument, "no image is named");
  return Saver(store, options).run();
}

}  // namespace cooper::image
