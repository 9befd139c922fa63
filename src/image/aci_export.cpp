#include "image/internal/aci_export.h"

#include "base/strings.h"
#include "codec/tar_writer.h"
#include "image/internal/aci.h"
#include "image/internal/job.h"
#include "image/internal/load.h"
#include "image/internal/paths.h"
#include "image/internal/plan.h"
#include "image/internal/tree_writer.h"
#include "io/file.h"
#include "io/full_disk.h"
#include "log/log.h"
#include "spec/appc/print.h"
#include "spec/oci_image/parse.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

// Counts what is written, and asks at every piece whether to go on.
class CountedSink final : public codec::ByteSink {
 public:
  CountedSink(codec::ByteSink& sink, ReadStep step) : sink_(sink), step_(std::move(step)) {}
  Status write(std::string_view bytes) override {
    RETURN_IF_ERROR(step_(bytes.size()));
    written_ += bytes.size();
    return sink_.write(bytes);
  }
  std::uint64_t written() const { return written_; }

 private:
  codec::ByteSink& sink_;
  ReadStep step_;
  std::uint64_t written_ = 0;
};

Result<std::uint64_t> copy_archive(BorrowedFd store, const Image& image, codec::ByteSink& sink,
                                   const SaveSteps& steps) {
  auto info = sys::fstatat(store, blob_path(image.id));
  if (!info.ok()) return std::move(info).error().with("archive");
  const auto size = static_cast<std::uint64_t>(info->st_size);
  const PinnedBlob archive{image.id, size, "archive"};
  ASSIGN_OR_RETURN(CheckedBlob blob, open_stored(store, archive, steps.counted(archive)));
  RETURN_IF_ERROR(codec::copy_exactly(blob, size, sink, "archive"));
  return size;
}

// Other programs that read ACIs do not find these; cooper does, in its notes.
void warn_of_losses(const oci_image::ImageConfig& config, const std::string& name) {
  std::vector<std::string> lost;
  for (const std::string& port : config.exposed_ports) {
    if (!read_ports(port)) lost.push_back("port " + port);
  }
  if (!lost.empty()) log::warning("image " + quoted(name) + ": an ACI has no words for " + join(lost, ", "));
}

Status write_manifest(const appc::ImageManifest& manifest, codec::tar::Writer& writer) {
  const std::string text = appc::print(manifest);
  codec::MemorySource source(text);
  return writer.file("manifest", text.size(), source);
}

}  // namespace

Result<appc::ImageManifest> aci_manifest_of_stored(BorrowedFd store, const Image& image, const std::string& name,
                                                   BorrowedFd rootfs) {
  ASSIGN_OR_RETURN(const std::string config_bytes, read_stored_document(store, image.config_digest(), "configuration"));
  ASSIGN_OR_RETURN(const auto config, oci_image::parse_config(config_bytes, "configuration"));
  ASSIGN_OR_RETURN(std::string manifest_bytes, read_stored_document(store, image.manifest_digest, "manifest"));
  ASSIGN_OR_RETURN(const auto stored, oci_image::parse_manifest(std::move(manifest_bytes), "manifest"));
  ASSIGN_OR_RETURN(const ResolvedUser user, resolve_user(rootfs, config.user));
  appc::ImageManifest manifest = aci_manifest_of(image, config, name, user);
  add_notes(config_bytes, stored.annotations, manifest);
  warn_of_losses(config, name.empty() ? image.id.str() : name);
  return manifest;
}

Result<std::uint64_t> write_aci(BorrowedFd store, const PinnedImage& pinned, codec::ByteSink& sink,
                                const SaveSteps& steps) {
  const Image& image = pinned.image;
  if (image.aci) {
    auto copied = copy_archive(store, image, sink, steps);
    if (!copied.ok()) return reload_hint(std::move(copied).error(), image);
    return copied;
  }
  // Not the shared tree: nobody may take that away meanwhile, or wait for us.
  ASSIGN_OR_RETURN(const Job job, Job::create(store));
  RETURN_IF_ERROR(sys::mkdirat(job.fd(), "rootfs", 0755));
  ASSIGN_OR_RETURN(const UniqueFd rootfs, sys::openat(job.fd(), "rootfs", O_RDONLY | O_DIRECTORY));
  if (Status unpacked = unpack_stored_image(store, image, rootfs, steps.progress); !unpacked.ok()) {
    return io::explain_full_disk(std::move(unpacked).error(), "the image store",
                                 "the files are unpacked there before they are packed: cooper image gc and image rm "
                                 "make room");
  }
  const std::string name = image.given_names.empty() ? std::string() : image.given_names.front();
  ASSIGN_OR_RETURN(const auto manifest, aci_manifest_of_stored(store, image, name, rootfs));
  CountedSink counted(sink, [&](std::uint64_t) {
    if (steps.progress) steps.progress("packing", counted.written(), image.size_bytes);
    return steps.only(0);
  });
  codec::tar::Writer writer(counted);
  RETURN_IF_ERROR(write_manifest(manifest, writer));
  RETURN_IF_ERROR(write_tree(rootfs, {.prefix = "rootfs"}, writer));
  RETURN_IF_ERROR(writer.finish());
  return counted.written();
}

}  // namespace cooper::image
