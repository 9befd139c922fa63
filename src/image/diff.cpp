#include <algorithm>
#include <map>
#include <vector>

#include "codec/stream.h"
#include "image/internal/compare.h"
#include "image/internal/load.h"
#include "image/internal/pinned.h"
#include "image/internal/verify.h"

namespace cooper::image {
namespace {

Status add_layer(const Pinned& pinned, const PinnedLayer& layer, const ReadStep& step, FileModel& model) {
  ASSIGN_OR_RETURN(CheckedBlob stored, pinned.open(layer.blob, step));
  ASSIGN_OR_RETURN(const auto plain, PlainLayer::open(std::move(stored), layer.diff_id));
  codec::BufferedBlocks blocks(*plain);
  if (Status applied = model.apply(blocks); !applied.ok()) {
    // A damaged blob has said which layer it is.
    if (applied.error().message().find(layer.blob.what) != std::string::npos) return applied;
    return std::move(applied).error().with(layer.blob.what);
  }
  // To the end, where its digests are checked.
  RETURN_IF_ERROR(plain->measure());
  return {};
}

}  // namespace

Result<std::vector<PathChange>> diff_images(BorrowedFd store, const Image& before, const Image& after,
                                            const ReadWatch& watch) {
  const std::vector<std::string> references = {before.id.str(), after.id.str()};
  ASSIGN_OR_RETURN(const Pinned pinned, Pinned::take(store, references));
  const std::vector<PinnedLayer>& old = pinned.images().front().layers;
  const std::vector<PinnedLayer>& now = pinned.images().back().layers;
  std::map<const Image*, std::uint64_t> done;
  std::map<const Image*, std::uint64_t> total;
  const Image* reading = &before;
  const ReadStep step = [&](std::uint64_t bytes) -> Status {
    done[reading] += bytes;
    if (watch.cancelled && watch.cancelled()) return Error(Errc::kCancelled, "reading was cancelled", ECANCELED);
    if (watch.progress)
      watch.progress(reading->names.empty() ? reading->id.str() : reading->names.front(), done[reading],
                     total[reading]);
    return {};
  };
  const auto add = [&](const Image& image, const PinnedLayer& layer, FileModel& model) -> Status {
    reading = &image;
    Status added = add_layer(pinned, layer, step, model);
    return added.ok() ? std::move(added) : Status(reload_hint(std::move(added).error(), image));
  };
  // What both begin with is read once.
  std::size_t shared = 0;
  while (shared < std::min(old.size(), now.size()) && old[shared].diff_id == now[shared].diff_id) ++shared;
  if (shared == old.size() && shared == now.size()) return std::vector<PathChange>();
  for (const PinnedLayer& layer : old) total[&before] += layer.blob.size_bytes;
  for (std::size_t i = shared; i < now.size(); ++i) total[&after] += now[i].blob.size_bytes;
  FileModel base(FileModel::Of::kLayers);
  for (std::size_t i = 0; i < shared; ++i) RETURN_IF_ERROR(add(before, old[i], base));
  FileModel other = base;
  for (std::size_t i = shared; i < old.size(); ++i) RETURN_IF_ERROR(add(before, old[i], base));
  for (std::size_t i = shared; i < now.size(); ++i) RETURN_IF_ERROR(add(after, now[i], other));
  return compare_models(base, other);
}

}  // namespace cooper::image
