#include "cli/cooper/key_review.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/strings.h"
#include "cli/cooper/time_text.h"
#include "io/tty.h"
#include "sys/file.h"

namespace cooper::cli {
namespace {

constexpr std::size_t kMaxShownIds = 16;
constexpr std::size_t kMaxShownBytes = 256;

bool is_named(const trust::Key& key, const std::vector<std::string>& fingerprints) {
  return std::ranges::any_of(fingerprints, [&](const std::string& one) { return key.fingerprint.ends_with(one); });
}

// One line, or what of it came before its end.
Result<std::string> read_line(BorrowedFd cancel) {
  std::string out;
  std::array<char, 1> byte{};
  while (out.size() < kMaxShownBytes) {
    std::array<struct pollfd, 2> fds = {{{STDIN_FILENO, POLLIN, 0}, {cancel.get(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0) continue;
    if (fds[1].revents != 0) return Error(Errc::kCancelled, "was interrupted", ECANCELED);
    ASSIGN_OR_RETURN(const std::size_t n, sys::read(BorrowedFd(STDIN_FILENO), byte));
    if (n == 0 || byte[0] == '\n') break;
    out += byte[0];
  }
  return out;
}

Result<bool> confirm(const trust::Key& key, const std::string& what, const KeyReview& review) {
  const std::string target = review.prefix.empty() ? "every image" : "images below " + quoted(review.prefix);
  std::string text = what + "\n" + describe_key(key);
  while (true) {
    RETURN_IF_ERROR(sys::write_all(BorrowedFd(STDERR_FILENO),
                                   text + "Shall it be trusted to sign " + target + "? Type yes or no: "));
    ASSIGN_OR_RETURN(const std::string line, read_line(review.cancel));
    const std::string answer = to_lower(trim(line));
    if (answer == "yes") return true;
    if (answer == "no" || answer == "n" || line.empty()) return false;
    text.clear();
  }
}

}  // namespace

std::string describe_key(const trust::Key& key) {
  std::string out = fmt::format("  fingerprint  {}\n", trust::print_fingerprint(key.fingerprint));
  out += fmt::format("  made         {}\n", print_rfc3339_ms(key.created_unix_s * 1000));
  for (std::size_t i = 0; i < key.user_ids.size() && i < kMaxShownIds; ++i)
    out += fmt::format("  says it is   {}\n", printable(utf8_prefix(key.user_ids[i], kMaxShownBytes)));
  if (key.user_ids.size() > kMaxShownIds)
    out += fmt::format("               and {} more\n", key.user_ids.size() - kMaxShownIds);
  return out;
}

std::string target_of(const std::string& prefix) {
  return prefix.empty() ? "every image" : quoted(prefix);
}

std::string describe_added(trust::KeyStore::Added added, const trust::Key& key, const std::string& prefix) {
  std::string_view how = "Trusted";
  if (added == trust::KeyStore::Added::kThere) how = "Trusted before";
  if (added == trust::KeyStore::Added::kRenewed) how = "Renewed";
  return fmt::format("{}: {} for {}\n", how, trust::print_fingerprint(key.fingerprint), target_of(prefix));
}

Result<std::vector<trust::Key>> review_keys(std::vector<trust::Key> keys, std::string_view what,
                                            const KeyReview& review) {
  if (!review.fingerprints.empty()) {
    std::erase_if(keys, [&](const trust::Key& key) { return !is_named(key, review.fingerprints); });
    if (keys.empty()) return Error(Errc::kPermission, std::string(what) + " holds no key with such a fingerprint");
    return keys;
  }
  if (review.skip) {
    if (keys.size() == 1) return keys;
    return Error(Errc::kPermission, std::string(what) + " holds " + std::to_string(keys.size()) +
                                        " keys, and nobody is to be asked about them")
        .with_hint("say which by --fingerprint, or leave out --skip-fingerprint-review");
  }
  if (!io::is_terminal(BorrowedFd(STDIN_FILENO)) || !io::is_terminal(BorrowedFd(STDERR_FILENO))) {
    return Error(Errc::kPermission, std::string(what) + ": there is no terminal to ask whether fingerprint " +
                                        trust::print_fingerprint(keys.front().fingerprint) + " is right")
        .with_hint(review.elsewhere.empty()
                       ? "say by --fingerprint which key is the right one, or use --skip-fingerprint-review"
                       : review.elsewhere);
  }
  std::vector<trust::Key> out;
  for (trust::Key& key : keys) {
    ASSIGN_OR_RETURN(const bool yes, confirm(key, std::string(what), review));
    if (yes) out.push_back(std::move(key));
  }
  if (out.empty()) return Error(Errc::kPermission, std::string(what) + ": no key was confirmed");
  return out;
}

}  // namespace cooper::cli
