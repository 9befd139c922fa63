#include "image/internal/listing.h"

#include <time.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/strings.h"
#include "image/internal/paths.h"
#include "image/internal/records.h"
#include "io/file.h"
#include "log/steps.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

constexpr std::string_view kMagic = "cooper image listing 2\n";
constexpr std::size_t kWorthwhile = 256;
constexpr std::size_t kMaxBytes = std::size_t{1} << 30;
// Times of change are as coarse as a second on some file systems; ticks of the clock are far shorter.
constexpr std::int64_t kSettledSeconds = 2;

struct State {
  std::string text;
  std::int64_t changed_s = 0;
};

Result<State> state_of(BorrowedFd store) {
  State state;
  for (const char* path : {kImagesDir, kNamesDir}) {
    ASSIGN_OR_RETURN(const struct stat info, sys::fstatat(store, path));
    state.changed_s = std::max({state.changed_s, std::int64_t{info.st_mtim.tv_sec}, std::int64_t{info.st_ctim.tv_sec}});
    for (const auto part :
         {static_cast<std::uint64_t>(info.st_dev), static_cast<std::uint64_t>(info.st_ino),
          static_cast<std::uint64_t>(info.st_mtim.tv_sec), static_cast<std::uint64_t>(info.st_mtim.tv_nsec),
          static_cast<std::uint64_t>(info.st_ctim.tv_sec), static_cast<std::uint64_t>(info.st_ctim.tv_nsec)})
      state.text += std::to_string(part) + " ";
  }
  return state;
}

std::int64_t now_s() {
  struct timespec now = {};
  (void)::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec;
}

// Of the eight bytes at a time; every step is one to one, so that no single change goes unseen. It is against
// accidents: who can write here can write the records, too.
std::uint64_t checksum_of(std::string_view bytes) {
  std::uint64_t sum = 0xcbf29ce484222325U ^ bytes.size();
  std::uint64_t word = 0;
  const auto add = [&] {
    sum = (sum ^ word) * 0x100000001b3U;
    sum ^= sum >> 32U;
  };
  for (; bytes.size() >= sizeof word; bytes.remove_prefix(sizeof word)) {
    std::memcpy(&word, bytes.data(), sizeof word);
    add();
  }
  word = 0;
  std::memcpy(&word, bytes.data(), bytes.size());
  if (!bytes.empty()) add();
  return sum;
}

// Numbers of eight bytes in the order of this machine; texts behind their lengths.
class Packer {
 public:
  void number(std::uint64_t n) {
    char bytes[sizeof n];
    std::memcpy(bytes, &n, sizeof n);
    out_.append(bytes, sizeof n);
  }
  void text(std::string_view text) {
    number(text.size());
    out_ += text;
  }
  template <typename T, typename F>
  void list(const std::vector<T>& list, F put) {
    number(list.size());
    for (const T& element : list) put(element);
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : rest_(bytes) {}

  std::uint64_t number() {
    std::uint64_t n = 0;
    if (rest_.size() < sizeof n) return fail();
    std::memcpy(&n, rest_.data(), sizeof n);
    rest_.remove_prefix(sizeof n);
    return n;
  }
  std::string_view text() {
    const std::uint64_t size = number();
    if (size > rest_.size()) {
      fail();
      return {};
    }
    const std::string_view out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }
  std::optional<Digest> digest() {
    auto digest = Digest::parse(text());
    if (digest.ok()) return std::move(*digest);
    fail();
    return std::nullopt;
  }
  // Of a list, whose elements take at least that many bytes each.
  std::size_t count(std::size_t least_bytes) {
    const std::uint64_t count = number();
    return count > rest_.size() / least_bytes ? fail() : count;
  }
  // Each element has a number or a length of its own.
  template <typename F>
  void list(F get) {
    const std::size_t n = count(sizeof(std::uint64_t));
    for (std::size_t i = 0; i < n && good_; ++i) get();
  }
  bool good() const { return good_; }
  bool at_end() const { return rest_.empty(); }

 private:
  std::uint64_t fail() {
    good_ = false;
    rest_ = {};
    return 0;
  }
  std::string_view rest_;
  bool good_ = true;
};

void pack(Packer& out, const Image& image) {
  const auto text = [&](const auto& value) { out.text(value); };
  const auto digest = [&](const Digest& value) { out.text(value.str()); };
  digest(image.id);
  digest(image.manifest_digest);
  out.list(image.names, text);
  out.text(image.created);
  out.number(image.size_bytes);
  out.number(static_cast<std::uint64_t>(image.loaded_unix_ms));
  out.list(image.layers, digest);
  out.list(image.layer_bytes, [&](std::uint64_t bytes) { out.number(bytes); });
  out.text(image.chain);
  out.text(image.index_digest ? image.index_digest->str() : "");
  out.list(image.digest_names, text);
  // Few are ACIs: their records say the rest.
  out.text(image.config || image.aci ? print_record(image) : std::string());
}

std::optional<Image> unpack(Unpacker& in, Store::Detail detail) {
  auto id = in.digest();
  auto manifest = in.digest();
  if (!id || !manifest) return std::nullopt;
  Image image{.id = std::move(*id), .manifest_digest = std::move(*manifest)};
  in.list([&] { image.names.emplace_back(in.text()); });
  image.created = in.text();
  image.size_bytes = in.number();
  image.loaded_unix_ms = static_cast<std::int64_t>(in.number());
  const bool layers = detail == Store::Detail::kAll;
  in.list([&] {
    if (!layers) {
      (void)in.text();
    } else if (auto layer = in.digest()) {
      image.layers.push_back(std::move(*layer));
    }
  });
  in.list([&] {
    const std::uint64_t bytes = in.number();
    if (layers) image.layer_bytes.push_back(bytes);
  });
  image.chain = in.text();
  if (const std::string_view index = in.text(); !index.empty()) {
    auto digest = Digest::parse(index);
    if (!digest.ok()) return std::nullopt;
    image.index_digest = std::move(*digest);
  }
  in.list([&] { image.digest_names.emplace_back(in.text()); });
  if (const std::string_view record = in.text(); !record.empty()) {
    auto whole = parse_record(std::string(record));
    if (!whole.ok()) return std::nullopt;
    image.config = std::move(whole->config);
    image.aci = std::move(whole->aci);
  }
  if (!in.good() || !check_chain(image.chain).ok()) return std::nullopt;
  return image;
}

// The file may be gone, or be being replaced: then there is none.
std::optional<std::vector<Image>> read_listing(BorrowedFd store, const State& state, Store::Detail detail) {
  const auto file = sys::openat(store, kListingFile, O_RDONLY | O_NOFOLLOW);
  if (!file.ok()) return std::nullopt;
  const auto info = sys::fstat(*file);
  if (!info.ok() || info->st_size <= 0 || static_cast<std::uint64_t>(info->st_size) > kMaxBytes) return std::nullopt;
  // Megabytes that nobody has to clear first.
  const auto size = static_cast<std::size_t>(info->st_size);
  const auto text = std::make_unique_for_overwrite<char[]>(size);
  std::size_t done = 0;
  while (done < size) {
    const auto n = sys::read(*file, std::span(text.get() + done, size - done));
    if (!n.ok() || *n == 0) return std::nullopt;
    done += *n;
  }
  return parse_listing({text.get(), size}, state.text, detail);
}

}  // namespace

void seal_listing(std::string& text) {
  const std::uint64_t sum = checksum_of(text);
  char bytes[sizeof sum];
  std::memcpy(bytes, &sum, sizeof sum);
  text.append(bytes, sizeof sum);
}

std::string print_listing(std::string_view state, const std::vector<Image>& images) {
  Packer out;
  out.text(state);
  out.list(images, [&](const Image& image) { pack(out, image); });
  std::string text = std::string(kMagic) + out.take();
  seal_listing(text);
  return text;
}

std::optional<std::vector<Image>> parse_listing(std::string_view text, std::string_view state, Store::Detail detail) {
  if (!text.starts_with(kMagic) || text.size() < kMagic.size() + sizeof(std::uint64_t)) return std::nullopt;
  Unpacker sum(text.substr(text.size() - sizeof(std::uint64_t)));
  text.remove_suffix(sizeof(std::uint64_t));
  Unpacker in(text.substr(kMagic.size()));
  if (in.text() != state || checksum_of(text) != sum.number()) return std::nullopt;
  constexpr std::size_t kLeastImageBytes = 200;  // two digests, and the lengths of the rest
  const std::size_t count = in.count(kLeastImageBytes);
  std::vector<Image> images;
  images.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    auto image = unpack(in, detail);
    if (!image) return std::nullopt;
    images.push_back(std::move(*image));
  }
  if (!in.good() || !in.at_end()) return std::nullopt;
  return images;
}

Result<std::vector<Image>> list_images(BorrowedFd store, Store::Detail detail) {
  const std::int64_t began_s = now_s();
  const auto before = state_of(store);
  if (before.ok()) {
    if (auto images = read_listing(store, *before, detail)) {
      log::step("listing", [&] { return log::Fields{{"images", std::to_string(images->size())}}; });
      return std::move(*images);
    }
  }
  ASSIGN_OR_RETURN(auto images, Records(store).images());
  if (images.size() < kWorthwhile || !before.ok() || began_s - before->changed_s < kSettledSeconds) return images;
  const auto after = state_of(store);
  if (!after.ok() || after->text != before->text) return images;
  // Where it cannot be written (a full disk, a store that is mounted read-only) the next one does this again.
  (void)!io::write_file_atomic(store, kListingFile, print_listing(before->text, images), 0600).ok();
  return images;
}

}  // namespace cooper::image
