#include "image/save.h"

#include <set>

#include "base/strings.h"
#include "image/internal/aci_export.h"
#include "image/internal/job.h"
#include "image/internal/save.h"
#include "io/full_disk.h"
#include "io/new_file.h"

namespace cooper::image {
namespace {

// Blobs that several images have are read once.
std::uint64_t total_bytes(const Pinned& pinned) {
  std::uint64_t total = 0;
  std::set<Digest> seen;
  const auto count = [&](const PinnedBlob& blob) {
    if (seen.insert(blob.digest).second) total += blob.size_bytes;
  };
  for (const PinnedImage& image : pinned.images()) {
    count(image.config);
    for (const PinnedLayer& layer : image.layers) count(layer.blob);
  }
  return total;
}

class Saver {
 public:
  Saver(BorrowedFd store, const SaveOptions& options) : store_(store), options_(options) {}

  Result<SaveResult> run() {
    // What killed saves and loads left behind; not to find it is no reason to fail.
    (void)!remove_stale_jobs(store_).ok();
    ASSIGN_OR_RETURN(const Pinned pinned, Pinned::take(store_, options_.references));
    if (options_.transport == Transport::kAci && pinned.images().size() != 1)
      return Error(Errc::kInvalidArgument, "an ACI holds one image, not " + std::to_string(pinned.images().size()));
    total_ = total_bytes(pinned);
    const PinnedImage& first = pinned.images().front();
    shown_ = first.image.given_names.empty() ? first.image.id.str() : first.image.given_names.front();
    ASSIGN_OR_RETURN(const std::uint64_t written, write(pinned));
    SaveResult result{.images = {}, .size_bytes = written};
    for (const PinnedImage& image : pinned.images()) result.images.push_back(image.image);
    return result;
  }

 private:
  Result<std::uint64_t> write(const Pinned& pinned) {
    if (options_.stream != nullptr) {
      auto written = write_archive(pinned, *options_.stream);
      if (written.ok()) return written;
      return io::explain_full_disk(std::move(written).error(), "the output", "free some of it");
    }
    if (options_.transport == Transport::kOciDirectory) {
      ASSIGN_OR_RETURN(io::NewDirectory directory, io::NewDirectory::create(options_.path));
      DirectoryPackage package(directory.fd());
      Status written = write_oci_layout(pinned, package, steps());
      // Who finds the index finds what it names.
      if (written.ok()) written = directory.publish("index.json", [this] { return step(0); });
      return whole(std::move(written), package.written());
    }
    ASSIGN_OR_RETURN(io::NewFile file, io::NewFile::create(options_.path));
    codec::FdSink sink(file.fd());
    auto written = write_archive(pinned, sink);
    if (!written.ok()) return whole(std::move(written).error(), 0);
    return whole(file.publish([this] { return step(0); }), *written);
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

  SaveSteps steps() {
    return {.counted = [this](std::uint64_t bytes) { return step(bytes); },
            .only = [this](std::uint64_t) { return step(0); }};
  }

  Status step(std::uint64_t bytes) {
    done_ += bytes;
    if (options_.progress) options_.progress(shown_, done_, total_);
    if (options_.cancelled && options_.cancelled()) return Error(Errc::kCancelled, "saving was cancelled", ECANCELED);
    return {};
  }

  BorrowedFd store_;
  const SaveOptions& options_;
  std::string shown_;
  std::uint64_t done_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace

Result<SaveResult> save_images(BorrowedFd store, const SaveOptions& options) {
  if (options.references.empty()) return Error(Errc::kInvalidArgument, "no image is named");
  return Saver(store, options).run();
}

}  // namespace cooper::image
