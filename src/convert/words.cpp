#include "convert/internal/words.h"

#include <sys/mount.h>

#include <algorithm>
#include <array>

#include "container/idmap_words.h"

namespace cooper::convert {
namespace {

struct FlagWord {
  std::uint64_t flag;
  std::string_view word;
};
#ifndef MS_LAZYTIME
#define MS_LAZYTIME (1 << 25)
#endif
constexpr std::array<FlagWord, 15> kFlags{{{MS_RDONLY, "ro"},
                                           {MS_NOSUID, "nosuid"},
                                           {MS_NODEV, "nodev"},
                                           {MS_NOEXEC, "noexec"},
                                           {MS_SYNCHRONOUS, "sync"},
                                           {MS_REMOUNT, "remount"},
                                           {MS_MANDLOCK, "mand"},
                                           {MS_DIRSYNC, "dirsync"},
                                           {MS_NOATIME, "noatime"},
                                           {MS_NODIRATIME, "nodiratime"},
                                           {MS_SILENT, "silent"},
                                           {MS_RELATIME, "relatime"},
                                           {MS_I_VERSION, "iversion"},
                                           {MS_STRICTATIME, "strictatime"},
                                           {MS_LAZYTIME, "lazytime"}}};

constexpr std::array<FlagWord, 8> kPropagation{{{MS_PRIVATE, "private"},
                                                {MS_PRIVATE | MS_REC, "rprivate"},
                                                {MS_SHARED, "shared"},
                                                {MS_SHARED | MS_REC, "rshared"},
                                                {MS_SLAVE, "slave"},
                                                {MS_SLAVE | MS_REC, "rslave"},
                                                {MS_UNBINDABLE, "unbindable"},
                                                {MS_UNBINDABLE | MS_REC, "runbindable"}}};

constexpr std::array<FlagWord, 13> kUndo{{{MS_RDONLY, "rw"},
                                          {MS_NOSUID, "suid"},
                                          {MS_NODEV, "dev"},
                                          {MS_NOEXEC, "exec"},
                                          {MS_SYNCHRONOUS, "async"},
                                          {MS_MANDLOCK, "nomand"},
                                          {MS_NOATIME, "atime"},
                                          {MS_NODIRATIME, "diratime"},
                                          {MS_SILENT, "loud"},
                                          {MS_RELATIME, "norelatime"},
                                          {MS_I_VERSION, "noiversion"},
                                          {MS_STRICTATIME, "nostrictatime"},
                                          {MS_LAZYTIME, "nolazytime"}}};

constexpr std::array<std::string_view, 2> kDefaults{"defaults", "symfollow"};

constexpr std::array<std::string_view, 20> kLater{"rro",        "rrw",          "rsuid",        "rnosuid",
                                                  "rdev",       "rnodev",       "rexec",        "rnoexec",
                                                  "ratime",     "rnoatime",     "rdiratime",    "rnodiratime",
                                                  "rrelatime",  "rnorelatime",  "rstrictatime", "rnostrictatime",
                                                  "rsymfollow", "rnosymfollow", "nosymfollow",  "tmpcopyup"};

using Pair = std::pair<std::string_view, std::string_view>;
constexpr std::array<Pair, 6> kNamespaces{{{"NEWNET", "network"},
                                           {"NEWPID", "pid"},
                                           {"NEWNS", "mount"},
                                           {"NEWUTS", "uts"},
                                           {"NEWIPC", "ipc"},
                                           {"NEWUSER", "user"}}};
constexpr std::array<Pair, 11> kArchitectures{{{"x86", "SCMP_ARCH_X86"},
                                               {"amd64", "SCMP_ARCH_X86_64"},
                                               {"x32", "SCMP_ARCH_X32"},
                                               {"arm", "SCMP_ARCH_ARM"},
                                               {"arm64", "SCMP_ARCH_AARCH64"},
                                               {"mips", "SCMP_ARCH_MIPS"},
                                               {"mips64", "SCMP_ARCH_MIPS64"},
                                               {"mips64n32", "SCMP_ARCH_MIPS64N32"},
                                               {"mipsel", "SCMP_ARCH_MIPSEL"},
                                               {"mipsel64", "SCMP_ARCH_MIPSEL64"},
                                               {"mipsel64n32", "SCMP_ARCH_MIPSEL64N32"}}};

template <std::size_t N>
std::string_view second(const std::array<Pair, N>& table, std::string_view word) {
  const auto* const found = std::ranges::find(table, word, &Pair::first);
  return found == table.end() ? std::string_view() : found->second;
}
template <std::size_t N>
std::string_view first(const std::array<Pair, N>& table, std::string_view word) {
  const auto* const found = std::ranges::find(table, word, &Pair::second);
  return found == table.end() ? std::string_view() : found->first;
}

// In the order of the enumerations, which begin with 1.
constexpr std::array<std::string_view, 5> kActions{"SCMP_ACT_KILL", "SCMP_ACT_ERRNO", "SCMP_ACT_TRAP", "SCMP_ACT_ALLOW",
                                                   "SCMP_ACT_TRACE"};
constexpr std::array<std::string_view, 7> kOperators{"SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_GT",       "SCMP_CMP_GE",
                                                     "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_MASKED_EQ"};

}  // namespace

std::vector<std::string> words_from_flags(std::uint64_t flags, bool bind, std::uint64_t& rest) {
  std::vector<std::string> out;
  if (bind) out.emplace_back((flags & MS_REC) != 0 ? "rbind" : "bind");
  rest = flags & ~static_cast<std::uint64_t>(MS_BIND | (bind ? MS_REC : 0));
  for (const FlagWord& entry : kFlags) {
    if ((rest & entry.flag) == 0) continue;
    rest &= ~entry.flag;
    out.emplace_back(entry.word);
  }
  return out;
}

std::uint64_t flag_from_word(std::string_view word) {
  if (word == "bind") return MS_BIND;
  if (word == "rbind") return MS_BIND | MS_REC;
  const auto* const found = std::ranges::find(kFlags, word, &FlagWord::word);
  return found == kFlags.end() ? 0 : found->flag;
}

std::uint64_t flag_undone_by_word(std::string_view word) {
  const auto* const found = std::ranges::find(kUndo, word, &FlagWord::word);
  return found == kUndo.end() ? 0 : found->flag;
}

bool is_later_word(std::string_view word) {
  return container::is_idmap_word(word) || std::ranges::find(kLater, word) != kLater.end();
}

bool is_default_word(std::string_view word) {
  return std::ranges::find(kDefaults, word) != kDefaults.end();
}

std::string propagation_word(std::uint64_t flags) {
  const auto* const found = std::ranges::find(kPropagation, flags, &FlagWord::flag);
  return found == kPropagation.end() ? std::string() : std::string(found->word);
}

std::uint64_t propagation_flags(std::string_view word) {
  const auto* const found = std::ranges::find(kPropagation, word, &FlagWord::word);
  return found == kPropagation.end() ? 0 : found->flag;
}

std::string_view oci_namespace(std::string_view type) {
  return second(kNamespaces, type);
}
std::string_view libcontainer_namespace(std::string_view type) {
  return first(kNamespaces, type);
}
std::string_view oci_architecture(std::string_view name) {
  return second(kArchitectures, name);
}
std::string_view libcontainer_architecture(std::string_view name) {
  return first(kArchitectures, name);
}

std::string_view oci_action(libcontainer::Action action) {
  return kActions.at(static_cast<std::size_t>(action) - 1);
}

std::optional<libcontainer::Action> libcontainer_action(std::string_view action) {
  if (action == "SCMP_ACT_KILL_THREAD") return libcontainer::Action::kKill;
  const auto* const found = std::ranges::find(kActions, action);
  if (found == kActions.end()) return std::nullopt;
  return static_cast<libcontainer::Action>(found - kActions.begin() + 1);
}

std::string_view oci_operator(libcontainer::Operator op) {
  return kOperators.at(static_cast<std::size_t>(op) - 1);
}

std::optional<libcontainer::Operator> libcontainer_operator(std::string_view op) {
  const auto* const found = std::ranges::find(kOperators, op);
  if (found == kOperators.end()) return std::nullopt;
  return static_cast<libcontainer::Operator>(found - kOperators.begin() + 1);
}

std::vector<std::string> split_data(std::string_view data) {
  std::vector<std::string> out;
  std::string word;
  bool quoted = false;
  for (const char c : data) {
    if (c == '"') quoted = !quoted;
    if (c != ',' || quoted) {
      word += c;
    } else if (!word.empty()) {
      out.push_back(std::move(word));
      word.clear();
    }
  }
  if (!word.empty()) out.push_back(std::move(word));
  return out;
}

}  // namespace cooper::convert
