#include "image/internal/cleanup.h"

#include <algorithm>
#include <array>
#include <set>
#include <span>

#include "image/internal/job.h"
#include "image/internal/origins.h"
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

References references(const std::vector<Image>& images) {
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

// Files of refs/ that write_file_atomic() left behind, records that say nothing, names whose image is gone.
Status sweep_records(BorrowedFd store, const std::vector<Image>& images) {
  std::set<std::string, std::less<>> ids;
  for (const Image& image : images) ids.insert(image.id.str());
  const Records records(store);
  for (const char* path : {kRefsDir, kNamesDir, kImagesDir}) {
    ASSIGN_OR_RETURN(const UniqueFd dir, sys::openat(store, path, O_RDONLY | O_DIRECTORY));
    ASSIGN_OR_RETURN(const auto files, sys::list_directory(dir));
    for (const std::string& file : files) {
      bool dead = file.starts_with('.');
      if (!dead && path == kImagesDir) {
        dead = Digest::parse(file).ok() && !ids.contains(file);
      } else if (!dead && path == kNamesDir) {
        ASSIGN_OR_RETURN(const auto id, records.name(name_of_record(file)));
        dead = !id || !ids.contains(id->str());
      }
      if (dead) RETURN_IF_ERROR(sys::unlinkat(dir, file));
    }
  }
  return sweep_origins(store);
}

// Those that go, moved to the end of `images`; how many stay.
Result<std::size_t> choose(BorrowedFd store, const GcOptions& options, std::vector<Image>& images) {
  std::vector<std::pair<std::int64_t, std::string>> chosen;
  for (const Image& image : images) {
    if (!options.named && (!image.names.empty() || !image.digest_names.empty())) continue;
    if (options.used_before_unix_ms &&
        std::max(image.loaded_unix_ms, Trees(store).last_used_unix_ms(image.chain)) >= *options.used_before_unix_ms)
      continue;
    if (options.loaded_before_unix_ms && image.loaded_unix_ms >= *options.loaded_before_unix_ms) continue;
    ASSIGN_OR_RETURN(const auto users, Trees(store).all_users(image.chain));
    if (users.empty()) chosen.emplace_back(-image.loaded_unix_ms, image.id.str());
  }
  std::ranges::sort(chosen);
  std::set<std::string, std::less<>> going;
  for (std::size_t i = options.keep; i < chosen.size(); ++i) going.insert(std::move(chosen[i].second));
  const auto gone =
      std::ranges::stable_partition(images, [&](const Image& image) { return !going.contains(image.id.str()); });
  return static_cast<std::size_t>(gone.begin() - images.begin());
}

// Their records and names only. A name goes first: without it the record is that of a nameless image.
Status remove_records(BorrowedFd store, std::span<const Image> images) {
  Records records(store);
  for (const Image& image : images) {
    for (const std::string& name : image.names) RETURN_IF_ERROR(records.drop_name(name));
    RETURN_IF_ERROR(records.remove_image(image.id));
  }
  // Before the bytes go: no power cut brings back a record without them.
  return images.empty() ? ok_status() : records.flush();
}

// What remove_everything_else() would free.
Result<std::uint64_t> measure_everything_else(BorrowedFd store, const References& live) {
  ASSIGN_OR_RETURN(const auto blobs, all_blobs(store));
  std::uint64_t bytes = 0;
  for (const Digest& digest : blobs) {
    if (!live.blobs.contains(digest)) bytes += disk_usage(store, blob_path(digest));
  }
  const Trees trees(store);
  ASSIGN_OR_RETURN(const auto names, trees.list());
  for (const std::string& tree : names) {
    if (live.chains.contains(chain_of_tree(tree)) && !trees.is_orphan(tree)) continue;
    ASSIGN_OR_RETURN(const auto users, trees.users(tree));
    if (users.empty()) bytes += disk_usage(store, tree_path(tree));
  }
  return bytes;
}

Result<std::uint64_t> remove_dead(BorrowedFd store, const References& live, const std::vector<Digest>& blobs,
                                  const std::vector<std::string>& trees) {
  std::uint64_t freed = 0;
  for (const Digest& digest : blobs) {
    if (live.blobs.contains(digest)) continue;
    ASSIGN_OR_RETURN(const std::uint64_t bytes, remove_blob(store, digest));
    freed += bytes;
  }
  const Trees all(store);
  for (const std::string& tree : trees) {
    // An erofs image has superseded some of those that an image has.
    if (live.chains.contains(chain_of_tree(tree)) && !all.is_orphan(tree)) continue;
    ASSIGN_OR_RETURN(const std::uint64_t bytes, all.remove_or_orphan(tree));
    freed += bytes;
  }
  return freed;
}

Result<std::uint64_t> remove_everything_else(BorrowedFd store, const References& live) {
  ASSIGN_OR_RETURN(const auto blobs, all_blobs(store));
  ASSIGN_OR_RETURN(const auto trees, Trees(store).list());
  return remove_dead(store, live, blobs, trees);
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
  ASSIGN_OR_RETURN(const auto images, Records(store).images());
  return remove_dead(store, references(images), blobs, trees);
}

Result<Store::Collected> sweep(BorrowedFd store, const GcOptions& options) {
  ASSIGN_OR_RETURN(auto images, Records(store).images());
  if (!options.dry_run) RETURN_IF_ERROR(sweep_records(store, images));
  ASSIGN_OR_RETURN(const std::size_t stay, choose(store, options, images));
  Store::Collected out;
  for (std::size_t i = stay; i < images.size(); ++i) {
    out.deleted.push_back(images[i].id);
    out.untagged.insert(out.untagged.end(), images[i].names.begin(), images[i].names.end());
  }
  if (!options.dry_run) RETURN_IF_ERROR(remove_records(store, std::span(images).subspan(stay)));
  images.erase(images.begin() + static_cast<std::ptrdiff_t>(stay), images.end());
  const References live = references(images);
  ASSIGN_OR_RETURN(out.freed_bytes,
                   options.dry_run ? measure_everything_else(store, live) : remove_everything_else(store, live));
  return out;
}

}  // namespace cooper::image
