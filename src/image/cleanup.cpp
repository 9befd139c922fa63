#include "image/internal/cleanup.h"

#include <algorithm>
#include <array>
#include <set>

#include "image/internal/job.h"
#include "image/internal/paths.h"
#include "image/internal/records.h"
#include "image/internal/trees.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

struct References {
  std::set<Digest> blobs;
  std::set<std::string, std::less<>> chains;
};

Result<References> references(BorrowedFd store) {
  ASSIGN_OR_RETURN(const auto images, Records(store).images());
  References out;
  for (const Image& image : images) {
    out.chains.insert(image.chain);
    for (Digest& digest : blobs_of(image)) out.blobs.insert(std::move(digest));
  }
  return out;
}

Result<std::uint64_t> remove_blob(BorrowedFd store, const Digest& digest) {
  const std::string path = blob_path(digest);
  const std::uint64_t bytes = disk_usage(store, path);
  Status removed = sys::unlinkat(store, path);
  if (!removed.ok()) {
    if (removed.error().errno_value() == ENOENT) return std::uint64_t{0};
    return std::move(removed).error();
  }
  return bytes;
}

// False only when it is certainly not there: what cannot be looked at is not taken for gone.
Result<bool> is_there(BorrowedFd store, const std::string& path) {
  auto info = sys::fstatat(store, path);
  if (info.ok()) return true;
  if (info.error().errno_value() == ENOENT) return false;
  return std::move(info).error();
}

// Files of refs/ that write_file_atomic() left behind, records that say nothing, names whose image is gone.
Status sweep_records(BorrowedFd store) {
  const Records records(store);
  for (const char* path : {kNamesDir, kImagesDir}) {
    ASSIGN_OR_RETURN(const UniqueFd dir, sys::openat(store, path, O_RDONLY | O_DIRECTORY));
    ASSIGN_OR_RETURN(const auto files, sys::list_directory(dir));
    for (const std::string& file : files) {
      bool dead = file.starts_with('.');
      if (!dead && path == kImagesDir) {
        const auto id = Digest::parse(file);
        if (id.ok()) {
          ASSIGN_OR_RETURN(const auto image, records.image(*id));
          dead = !image.has_value();
        }
      } else if (!dead) {
        ASSIGN_OR_RETURN(const auto id, records.name(name_of_record(file)));
        dead = !id;
        if (id) {
          ASSIGN_OR_RETURN(const bool known, is_there(store, image_record_path(*id)));
          dead = !known;
        }
      }
      if (dead) RETURN_IF_ERROR(sys::unlinkat(dir, file));
    }
  }
  return {};
}

// Their records only.
Result<std::vector<Digest>> remove_nameless(BorrowedFd store) {
  Records records(store);
  ASSIGN_OR_RETURN(const auto images, records.images());
  std::vector<Digest> removed;
  for (const Image& image : images) {
    if (!image.names.empty() || !image.digest_names.empty()) continue;
    ASSIGN_OR_RETURN(const auto users, Trees(store).all_users(image.chain));
    if (!users.empty()) continue;
    RETURN_IF_ERROR(records.remove_image(image.id));
    removed.push_back(image.id);
  }
  if (!removed.empty()) RETURN_IF_ERROR(records.flush());
  return removed;
}

}  // namespace

Result<std::vector<Digest>> all_blobs(BorrowedFd store) {
  std::vector<Digest> out;
  for (const std::string_view algorithm : std::array<std::string_view, 2>{"sha256", "sha512"}) {
    ASSIGN_OR_RETURN(const UniqueFd dir, sys::openat(store, blob_dir(algorithm), O_RDONLY | O_DIRECTORY));
    ASSIGN_OR_RETURN(const auto names, sys::list_directory(dir));
    for (const std::string& name : names) {
      auto digest = Digest::parse(std::string(algorithm) + ":" + name);
      if (digest.ok()) {
        out.push_back(std::move(*digest));
      }
    }
  }
  return out;
}

std::vector<Digest> blobs_of(const Image& image) {
  std::vector<Digest> out = image.layers;
  out.push_back(image.id);
  out.push_back(image.config_digest());
  out.push_back(image.manifest_digest);
  if (image.aci) out.push_back(image.aci->manifest);
  return out;
}

Result<std::uint64_t> remove_unreferenced(BorrowedFd store, const std::vector<Digest>& blobs,
                                          const std::vector<std::string>& trees) {
  ASSIGN_OR_RETURN(const References live, references(store));
  std::uint64_t freed = 0;
  for (const Digest& digest : blobs) {
    if (live.blobs.contains(digest)) continue;
    ASSIGN_OR_RETURN(const std::uint64_t bytes, remove_blob(store, digest));
    freed += bytes;
  }
  for (const std::string& tree : trees) {
    if (live.chains.contains(chain_of_tree(tree))) continue;
    ASSIGN_OR_RETURN(const std::uint64_t bytes, Trees(store).remove_or_orphan(tree));
    freed += bytes;
  }
  return freed;
}

Result<Store::Collected> sweep(BorrowedFd store) {
  RETURN_IF_ERROR(sweep_records(store));
  Store::Collected out;
  ASSIGN_OR_RETURN(out.deleted, remove_nameless(store));
  ASSIGN_OR_RETURN(const auto blobs, all_blobs(store));
  ASSIGN_OR_RETURN(const auto trees, Trees(store).list());
  ASSIGN_OR_RETURN(out.freed_bytes, remove_unreferenced(store, blobs, trees));
  return out;
}

}  // namespace cooper::image
