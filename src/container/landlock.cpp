#include "container/landlock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/strings.h"
#include "container/validate_rules.h"
#include "sys/file.h"

namespace cooper::container {
namespace {

// linux/landlock.h, whose later rights Debian 12's header lacks.
constexpr std::uint64_t kExecute = 1U << 0, kWriteFile = 1U << 1, kReadFile = 1U << 2, kReadDir = 1U << 3;
constexpr std::uint64_t kTruncate = 1U << 14, kIoctlDevice = 1U << 15;
// Rights that a rule about something else than a directory may have.
constexpr std::uint64_t kOfFiles = kExecute | kWriteFile | kReadFile | kTruncate | kIoctlDevice;
// By version of the interface: how many rights there are.
constexpr std::array<unsigned, 5> kRights{13, 14, 15, 15, 16};

struct Mode {
  std::string_view word;
  std::uint64_t rights;
};
constexpr std::array<Mode, 3> kModes{
    {{"ro", kReadFile | kReadDir}, {"rx", kReadFile | kReadDir | kExecute}, {"rw", ~std::uint64_t{0}}}};

struct PathBeneath {
  std::uint64_t allowed;
  std::int32_t parent;
} __attribute__((packed));

Status add_rule(BorrowedFd ruleset, const LandlockRule& rule, std::uint64_t handled, const io::RootDir& root) {
  auto place = root.open_at(rule.path, O_PATH);
  if (!place.ok()) return std::move(place).error().with("landlock path " + quoted(rule.path));
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(*place));
  PathBeneath attribute = {rule.rights & handled, place->get()};
  if (!S_ISDIR(info.st_mode)) attribute.allowed &= kOfFiles;
  constexpr int kRulePathBeneath = 1;
  if (::syscall(SYS_landlock_add_rule, ruleset.get(), kRulePathBeneath, &attribute, 0) == 0) return {};
  const int saved = errno;
  return Error::from_errno(saved, "landlock rule for " + quoted(rule.path));
}

}  // namespace

Result<SetLandlock> parse_landlock(std::string_view text) {
  const std::string pointer = std::string("/annotations/") + kLandlockAnnotation;
  SetLandlock out;
  for (const std::string_view untrimmed : split(text, ',')) {
    const std::string_view entry = trim(untrimmed);
    const auto pair = split_once(entry, ':');
    const auto* mode = std::ranges::find(kModes, pair ? pair->first : std::string_view(), &Mode::word);
    if (!pair || mode == kModes.end() || !pair->second.starts_with('/'))
      return rules::fail(pointer, quoted(entry) + " must be ro:PATH, rx:PATH or rw:PATH, with an absolute path");
    out.rules.push_back({mode->rights, std::string(pair->first), rules::clean_path(pair->second)});
  }
  return out;
}

Result<UniqueFd> make_landlock_ruleset(const SetLandlock& step, const io::RootDir& root) {
  constexpr unsigned kAskVersion = 1;
  const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kAskVersion);
  if (version < 1) {
    const int saved = errno;
    return Error(Errc::kUnsupported, "landlock is not available on this host", saved)
        .with_hint("the kernel must be built with it, and 'lsm=' must not leave it out");
  }
  const std::size_t row = std::min(static_cast<std::size_t>(version), kRights.size()) - 1;
  const std::uint64_t handled = (std::uint64_t{1} << kRights[row]) - 1;
  UniqueFd ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0)));
  if (!ruleset) {
    const int saved = errno;
    return Error::from_errno(saved, "landlock ruleset");
  }
  for (const LandlockRule& rule : step.rules) RETURN_IF_ERROR(add_rule(ruleset, rule, handled, root));
  return ruleset;
}

}  // namespace cooper::container
