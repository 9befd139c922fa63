#include "trust/signature.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/strings.h"
#include "sys/file.h"
#include "trust/armor.h"
#include "trust/internal/confined.h"
#include "trust/internal/gpgv_status.h"

namespace cooper::trust {
namespace {

constexpr std::array<const char*, 3> kPrograms = {"/usr/bin/gpgv", "/bin/gpgv", "/usr/local/bin/gpgv"};
constexpr unsigned kTimeLimitS = 30;
// Slower than any machine hashes.
constexpr std::uint64_t kMinBytesPerSecond = std::uint64_t{5} << 20;
// Exit statuses of gpgv: all is good; something is not; it could not work.
constexpr int kMaxExitCode = 2;

Result<std::string> find_gpgv(const std::string& configured) {
  if (!configured.empty()) return configured;
  for (const char* path : kPrograms) {
    const auto info = sys::fstatat(sys::kCwd, path, 0);
    if (info.ok() && S_ISREG(info->st_mode) && (info->st_mode & 0111) != 0) return std::string(path);
  }
  return Error(Errc::kNotFound, "signatures are checked by gpgv, which is not installed")
      .with_hint("install it (Debian: gpgv), or set \"trust.gpgv_path\" in the configuration file");
}

Result<UniqueFd> in_memory(const std::string& name, std::string_view bytes) {
  ASSIGN_OR_RETURN(UniqueFd file, sys::memfd_create(name, MFD_CLOEXEC));
  RETURN_IF_ERROR(sys::write_all(file, bytes));
  // Of its own, and at its beginning.
  return sys::reopen(file, O_RDONLY | O_CLOEXEC);
}

struct Checked {
  std::string output;
  std::vector<Signature> signatures;
};

// `run` has its input, and what it may write.
Result<Checked> check(ConfinedRun run, std::vector<std::string> args, std::string_view signature,
                      std::span<const Key> keys, const VerifyOptions& options) {
  if (keys.empty()) return Error(Errc::kPermission, "no key is trusted for it").with_hint("cooper trust add");
  ASSIGN_OR_RETURN(run.program, find_gpgv(options.program));
  ASSIGN_OR_RETURN(const std::string packets, dearmor(signature, "the signature"));
  std::string ring;
  for (const Key& key : keys) ring += key.packets;
  ASSIGN_OR_RETURN(const UniqueFd signature_file, in_memory("cooper-signature", packets));
  ASSIGN_OR_RETURN(const UniqueFd key_file, in_memory("cooper-keys", ring));
  run.signature = signature_file;
  run.keys = key_file;
  run.max_status_bytes = kMaxStatusBytes;
  run.cancel = options.cancel;
  run.args = {"--homedir", "/nonexistent", "--keyring", "/proc/self/fd/5",           "--status-fd",
              "3",         "--logger-fd",  "2",         "--enable-special-filenames"};
  run.args.insert(run.args.end(), args.begin(), args.end());
  ASSIGN_OR_RETURN(ConfinedOutcome outcome, run_confined(run));
  if (outcome.exit_code < 0 || outcome.exit_code > kMaxExitCode)
    return Error(Errc::kSystem, quoted(run.program) + " ended with status " + std::to_string(outcome.exit_code));
  ASSIGN_OR_RETURN(std::vector<Signature> signatures, read_status(outcome.status, keys));
  return Checked{std::move(outcome.output), std::move(signatures)};
}

}  // namespace

Result<std::vector<Signature>> verify_detached(BorrowedFd data, std::string_view signature, std::span<const Key> keys,
                                               const VerifyOptions& options) {
  ASSIGN_OR_RETURN(const UniqueFd input, sys::reopen(data, O_RDONLY | O_CLOEXEC));
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(input));
  if (!S_ISREG(info.st_mode)) return Error(Errc::kInvalidArgument, "only a regular file can be checked");
  ConfinedRun run;
  run.input = input;
  run.time_limit_s = kTimeLimitS + static_cast<unsigned>(static_cast<std::uint64_t>(info.st_size) / kMinBytesPerSecond);
  ASSIGN_OR_RETURN(Checked checked, check(run, {"--", "-&4", "-"}, signature, keys, options));
  return std::move(checked.signatures);
}

Result<SignedMessage> verify_inline(std::string_view message, std::span<const Key> keys, std::size_t max_content_bytes,
                                    const VerifyOptions& options) {
  ConfinedRun run;
  run.max_output_bytes = max_content_bytes;
  run.time_limit_s = kTimeLimitS;
  ASSIGN_OR_RETURN(Checked checked, check(run, {"--output", "-", "--", "-&4"}, message, keys, options));
  return SignedMessage{std::move(checked.output), std::move(checked.signatures)};
}

}  // namespace cooper::trust
