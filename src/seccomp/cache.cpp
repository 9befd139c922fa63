// Compiled programs in files. An entry is a header, the instructions and the SHA-256 of both; host byte order (the
// cache never leaves the machine).
#include <linux/seccomp.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/strings.h"
#include "io/file.h"
#include "log/log.h"
#include "seccomp/internal/sha256.h"
#include "seccomp/seccomp.h"
#include "sys/file.h"

namespace cooper::seccomp {
namespace {

// Raised with every change of what compile() makes of the same profile.
constexpr std::string_view kCompilerVersion = "cooper-seccomp-1";
constexpr std::size_t kMaxEntries = 64;
// Use is noted at most this often: a hit that writes nothing stays cheap.
constexpr std::int64_t kTouchSeconds = 3600;

struct Header {
  std::array<char, 8> magic;
  std::uint32_t count;
  std::uint32_t flags;
  std::uint32_t needs_listener;
  std::uint32_t reserved;
};
constexpr std::array<char, 8> kMagic{'c', 'o', 'o', 'p', 'B', 'P', 'F', '1'};
constexpr std::size_t kMaxEntryBytes = sizeof(Header) + BPF_MAXINSNS * sizeof(struct sock_filter) + sizeof(Sha256);

// Length-prefixed, so that no two profiles have the same text.
class KeyText {
 public:
  void add(std::string_view text) {
    number(text.size());
    out_ += text;
  }
  void number(std::uint64_t n) {
    out_ += std::to_string(n);
    out_ += ':';
  }
  void optional(const std::optional<std::uint32_t>& n) { n ? number(std::uint64_t{*n} + 1) : number(0); }
  void list(const std::vector<std::string>& texts) {
    number(texts.size());
    for (const std::string& text : texts) add(text);
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

// The directory when it may be trusted; otherwise why not.
Result<UniqueFd> open_directory(const std::string& path) {
  auto fd = sys::openat(sys::kCwd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!fd.ok() && fd.error().errno_value() == ENOENT) {
    const auto slash = path.rfind('/');
    if (slash != std::string::npos && slash != 0) RETURN_IF_ERROR(io::make_directories(path.substr(0, slash)));
    if (Status made = sys::mkdirat(sys::kCwd, path, 0700); !made.ok() && made.error().errno_value() != EEXIST)
      return std::move(made).error();
    fd = sys::openat(sys::kCwd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  }
  if (!fd.ok()) return fd;
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(*fd));
  if (info.st_uid != ::geteuid())
    return Error(Errc::kPermission, quoted(path) + " belongs to user " + std::to_string(info.st_uid), EACCES);
  if ((info.st_mode & 077) != 0) return Error(Errc::kPermission, quoted(path) + " is open to other users", EACCES);
  return fd;
}

Result<Program> read_entry(BorrowedFd directory, const std::string& name) {
  ASSIGN_OR_RETURN(const UniqueFd fd, sys::openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(fd));
  const auto corrupt = [&] { return Error(Errc::kCorrupt, "cached filter " + quoted(name) + " is damaged"); };
  if (!S_ISREG(info.st_mode) || info.st_uid != ::geteuid() || (info.st_mode & 022) != 0) return corrupt();
  if (info.st_size < 0 || static_cast<std::size_t>(info.st_size) > kMaxEntryBytes) return corrupt();
  ASSIGN_OR_RETURN(const std::string bytes, io::read_all(fd, kMaxEntryBytes));
  Header header{};
  if (bytes.size() < sizeof header + sizeof(Sha256)) return corrupt();
  (void)bytes.copy(reinterpret_cast<char*>(&header), sizeof header);
  const std::size_t body = sizeof header + std::size_t{header.count} * sizeof(struct sock_filter);
  if (header.magic != kMagic || header.count == 0 || header.count > BPF_MAXINSNS ||
      bytes.size() != body + sizeof(Sha256))
    return corrupt();
  const Sha256 sum = sha256(std::string_view(bytes).substr(0, body));
  if (std::memcmp(sum.data(), bytes.data() + body, sizeof sum) != 0) return corrupt();
  Program program;
  program.instructions.resize(header.count);
  std::memcpy(program.instructions.data(), bytes.data() + sizeof header, body - sizeof header);
  program.flags = header.flags;
  program.needs_listener = header.needs_listener != 0;
  if (::time(nullptr) - info.st_mtime > kTouchSeconds) (void)::futimens(fd.get(), nullptr);
  return program;
}

Status write_entry(BorrowedFd directory, const std::string& name, const Program& program) {
  const Header header{.magic = kMagic,
                      .count = static_cast<std::uint32_t>(program.instructions.size()),
                      .flags = program.flags,
                      .needs_listener = program.needs_listener ? 1U : 0U,
                      .reserved = 0};
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  bytes.append(reinterpret_cast<const char*>(program.instructions.data()),
               program.instructions.size() * sizeof(struct sock_filter));
  const Sha256 sum = sha256(bytes);
  bytes.append(reinterpret_cast<const char*>(sum.data()), sum.size());
  return io::write_file_atomic(directory, name, bytes, 0600);
}

// Keeps the most recently used entries, and no leftovers of writers that died.
Status evict(BorrowedFd directory) {
  ASSIGN_OR_RETURN(const auto names, sys::list_directory(directory));
  if (names.size() <= kMaxEntries) return {};
  std::vector<std::pair<std::int64_t, std::string>> by_age;
  for (const std::string& name : names) {
    auto info = sys::fstatat(directory, name);
    if (info.ok()) by_age.emplace_back(std::int64_t{info->st_mtim.tv_sec} * 1000000000 + info->st_mtim.tv_nsec, name);
  }
  std::sort(by_age.begin(), by_age.end());
  for (std::size_t i = 0; i + kMaxEntries < by_age.size(); ++i) (void)!sys::unlinkat(directory, by_age[i].second).ok();
  return {};
}

}  // namespace

std::string profile_key(const oci::Seccomp& profile) {
  KeyText text;
  text.add(kCompilerVersion);
  text.add(profile.default_action);
  text.optional(profile.default_errno_ret);
  text.list(profile.architectures);
  text.list(profile.flags);
  text.number(profile.syscalls.size());
  for (const auto& entry : profile.syscalls) {
    text.list(entry.names);
    text.add(entry.action);
    text.optional(entry.errno_ret);
    text.number(entry.args.size());
    for (const auto& arg : entry.args) {
      text.number(arg.index);
      text.number(arg.value);
      text.number(arg.value_two);
      text.add(arg.op);
    }
  }
  const Sha256 digest = sha256(text.take());
  return hex_encode({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

Result<Program> compile_cached(const oci::Seccomp& profile, const std::string& cache_directory) {
  auto directory = open_directory(cache_directory);
  if (!directory.ok()) {
    log::warning("seccomp cache not used: " + directory.error().message());
    return compile(profile);
  }
  const std::string name = profile_key(profile);
  auto cached = read_entry(*directory, name);
  if (cached.ok()) return cached;
  if (cached.error().code() != Errc::kNotFound) log::warning("seccomp cache: " + cached.error().message());
  auto program = compile(profile);
  if (!program.ok()) return program;
  Status stored = write_entry(*directory, name, *program);
  if (stored.ok()) stored = evict(*directory);
  if (!stored.ok()) log::debug("seccomp cache: " + stored.error().message());
  return program;
}

}  // namespace cooper::seccomp
