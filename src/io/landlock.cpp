#include "io/landlock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <string>

#include "sys/file.h"

namespace cooper::io {
namespace {

// linux/landlock.h, whose later parts Debian 12's header lacks.
constexpr std::uint64_t kExecute = 1U << 0, kReadFile = 1U << 2, kReadDir = 1U << 3;
constexpr std::uint64_t kBindTcp = 1U << 0, kConnectTcp = 1U << 1;
constexpr std::uint64_t kScopeAbstractSocket = 1U << 0, kScopeSignal = 1U << 1;
// By version of the interface: how many rights about files there are.
constexpr std::array<unsigned, 5> kRights{13, 14, 15, 15, 16};
struct RulesetAttributes {
  std::uint64_t files, network, scoped;
};
struct PathBeneath {
  std::uint64_t allowed;
  std::int32_t parent;
} __attribute__((packed));

Status allow(BorrowedFd ruleset, const char* path, std::uint64_t of_files) {
  const auto place = sys::openat(sys::kCwd, path, O_PATH);
  // What is not there, or not for this user, needs no permission.
  if (!place.ok()) return {};
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(*place));
  const PathBeneath rule = {S_ISDIR(info.st_mode) ? of_files | kReadDir : of_files, place->get()};
  constexpr int kRulePathBeneath = 1;
  if (::syscall(SYS_landlock_add_rule, ruleset.get(), kRulePathBeneath, &rule, 0) == 0) return {};
  const int saved = errno;
  return Error::from_errno(saved, "landlock rule for " + std::string(path));
}

}  // namespace

Result<std::optional<UniqueFd>> reading_only(const Readable& allowed) {
  constexpr unsigned kAskVersion = 1;
  const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kAskVersion);
  if (version < 1) return std::optional<UniqueFd>();
  const std::uint64_t tcp = allowed.connect ? kBindTcp : kBindTcp | kConnectTcp;
  const RulesetAttributes attributes = {
      (std::uint64_t{1} << kRights[std::min(static_cast<std::size_t>(version), kRights.size()) - 1]) - 1,
      version >= 4 ? tcp : 0, version >= 6 ? kScopeAbstractSocket | kScopeSignal : 0};
  const std::size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
  UniqueFd ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, size, 0)));
  if (!ruleset) {
    const int saved = errno;
    return Error::from_errno(saved, "landlock ruleset");
  }
  for (const char* path : allowed.read) RETURN_IF_ERROR(allow(ruleset, path, kReadFile));
  for (const char* path : allowed.execute) RETURN_IF_ERROR(allow(ruleset, path, kReadFile | kExecute));
  return std::optional<UniqueFd>(std::move(ruleset));
}

}  // namespace cooper::io
