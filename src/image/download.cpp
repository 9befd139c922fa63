#include "image/download.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <optional>

#include "base/strings.h"
#include "codec/digest.h"
#include "fetch/protocol.h"
#include "image/internal/partial.h"
#include "image/internal/paths.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

constexpr std::size_t kMaxNoteBytes = 1024;

// Bytes that were not written through when the machine went down may be others.
std::string this_boot() {
  return std::string(trim(io::read_file("/proc/sys/kernel/random/boot_id", 64).value_or("")));
}

// "VALIDATOR\nBOOT\n"
std::string read_note(BorrowedFd store, const std::string& path, bool of_this_boot) {
  const auto text = io::read_file(store, path, kMaxNoteBytes);
  if (!text.ok()) return {};
  const auto lines = split(*text, '\n');
  if (lines.size() != 3 || !fetch::is_validator(lines[0]) || (of_this_boot && lines[1] != this_boot())) return {};
  return std::string(lines[0]);
}

}  // namespace

struct Download::Impl {
  BorrowedFd store{-1};
  std::string note_path = {};
  UniqueFd nameless = {};  // another fetch has the one with a name
  std::optional<Partial> partial = {};
  std::uint64_t had_bytes = 0;
  std::string validator = {};

  void forget_note() const { (void)!sys::unlinkat(store, note_path).ok(); }
};

Download::Download(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Download::Download(Download&&) noexcept = default;

Download::~Download() {
  if (!impl_ || !impl_->partial) return;
  const auto info = sys::fstat(file());
  if (impl_->validator.empty() || !info.ok() || info->st_size < 2) remove();
}

Result<Download> Download::open(BorrowedFd store, const std::string& key, std::uint64_t max_bytes, bool of_this_boot) {
  auto impl = std::make_unique<Impl>();
  impl->store = store;
  const Digest name = codec::digest_of(key);
  ASSIGN_OR_RETURN(auto partial, Partial::open(store, name, max_bytes));
  if (!partial) {
    ASSIGN_OR_RETURN(impl->nameless, sys::openat(store, kPartialDir, O_TMPFILE | O_RDWR, 0600));
    return Download(std::move(impl));
  }
  impl->partial.emplace(std::move(*partial));
  impl->note_path = partial_path(name) + kPartialNote;
  impl->validator = read_note(store, impl->note_path, of_this_boot);
  // One byte less than there is: of a whole file nothing could be asked for.
  const std::uint64_t there = impl->partial->had_bytes();
  impl->had_bytes = impl->validator.empty() || there < 2 ? 0 : there - 1;
  RETURN_IF_ERROR(sys::ftruncate(impl->partial->file(), static_cast<off_t>(impl->had_bytes)));
  if (impl->had_bytes == 0) impl->validator.clear();
  return Download(std::move(impl));
}

BorrowedFd Download::file() const {
  return impl_->partial ? impl_->partial->file() : impl_->nameless.borrow();
}

std::uint64_t Download::had_bytes() const {
  return impl_->had_bytes;
}

const std::string& Download::validator() const {
  return impl_->validator;
}

Status Download::note(const std::string& validator) {
  if (!impl_->partial) return {};
  impl_->validator = validator;
  if (!validator.empty())
    return io::write_file_atomic(impl_->store, impl_->note_path, validator + "\n" + this_boot() + "\n", 0600);
  impl_->forget_note();
  return {};
}

void Download::remove() {
  if (!impl_->partial) return;
  impl_->forget_note();
  impl_->partial->remove();
}

}  // namespace cooper::image
