#include "cli/coop/control.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>

#include "base/chars.h"
#include "base/strings.h"
#include "codec/json.h"
#include "log/log.h"
#include "sys/file.h"
#include "sys/tables.h"

namespace cooper::cli::coop {
namespace {

constexpr const char* kInfo = "info-fd";
constexpr const char* kStatus = "json-status-fd";
constexpr const char* kBlock = "block-fd";
constexpr const char* kSync = "sync-fd";
constexpr std::chrono::milliseconds kDefaultGrace{10'000};

enum class Use { kRead, kWrite, kNone };

// -1: not given.
Result<int> check(const Arguments& arguments, const char* flag, int preserved, Use use) {
  const bool write = use == Use::kWrite;
  ASSIGN_OR_RETURN(const auto number, arguments.number<int>(flag));
  if (!number) return -1;
  const std::string name = "--" + std::string(flag) + " " + std::to_string(*number);
  const int mode = is_open_for_us(*number) ? ::fcntl(*number, F_GETFL) : -1;
  if (mode < 0) {
    return Error(Errc::kInvalidArgument, name + ": the descriptor is not open", EBADF)
        .with_hint("whoever starts coop has to open it, in a shell by a redirection like " + std::to_string(*number) +
                   (write ? ">FILE" : "<FILE"));
  }
  if (use != Use::kNone && (mode & O_ACCMODE) == (write ? O_RDONLY : O_WRONLY)) {
    return Error(Errc::kInvalidArgument, name + ": the descriptor is not open for " + (write ? "writing" : "reading"),
                 EBADF);
  }
  if (*number >= 3 && *number < 3 + preserved) {
    return Error(Errc::kInvalidArgument, name + ": the descriptor is one of the " + std::to_string(preserved) +
                                             " that --preserve-fds passes to the container")
        .with_hint("give it a number above " + std::to_string(2 + preserved));
  }
  return *number;
}

// A copy that programs we execute do not inherit.
Status take(int number, int preserved, UniqueFd& out) {
  if (number < 0) return {};
  ASSIGN_OR_RETURN(out, sys::dup_cloexec(BorrowedFd(number), 3 + preserved));
  return {};
}

Status tell(const UniqueFd& fd, const char* flag, const std::string& line) {
  Status written = sys::write_all(fd, line);
  if (!written.ok()) return Error::from_errno(written.error().errno_value(), "write to --" + std::string(flag));
  return {};
}

}  // namespace

Result<ControlFds> ControlFds::open(const Arguments& arguments, int preserved) {
  // All are looked at before there are copies, which would be found open.
  ASSIGN_OR_RETURN(const int info, check(arguments, kInfo, preserved, Use::kWrite));
  ASSIGN_OR_RETURN(const int status, check(arguments, kStatus, preserved, Use::kWrite));
  ASSIGN_OR_RETURN(const int block, check(arguments, kBlock, preserved, Use::kRead));
  ASSIGN_OR_RETURN(const int sync, check(arguments, kSync, preserved, Use::kNone));
  ControlFds out;
  RETURN_IF_ERROR(take(info, preserved, out.info_));
  RETURN_IF_ERROR(take(status, preserved, out.status_));
  RETURN_IF_ERROR(take(block, preserved, out.block_));
  RETURN_IF_ERROR(take(sync, preserved, out.sync_));
  // Readers wait for the end of what is written, so nothing but our copies may stay. Standard streams do.
  for (const int number : {info, status, block, sync}) {
    if (number >= 3) (void)::close(number);
  }
  return out;
}

bool is_open_for_us(int fd) {
  const int flags = fd < 0 ? -1 : ::fcntl(fd, F_GETFD);
  return flags >= 0 && (flags & FD_CLOEXEC) == 0;
}

std::vector<int> ControlFds::numbers() const {
  std::vector<int> out;
  for (const UniqueFd* fd : {&info_, &status_, &block_}) {
    if (*fd) out.push_back(fd->get());
  }
  return out;
}

Status ControlFds::before_start(const container::BeforeStart& container, Supervisor& supervisor) {
  const std::string line = describe_child(container.pid, *container.namespaces);
  if (info_) {
    RETURN_IF_ERROR(tell(info_, kInfo, line));
    info_.reset();
  }
  if (status_) RETURN_IF_ERROR(tell(status_, kStatus, line));
  if (!block_) return {};
  ASSIGN_OR_RETURN(const int signal, supervisor.wait_readable(block_, container.pidfd));
  if (signal == 0) {
    block_.reset();
    return {};
  }
  cancelled_by_ = signal;
  return Error(Errc::kCancelled, sys::signal_name(signal) + " came while the program waited for --block-fd");
}

void ControlFds::ended(int status, bool timed_out) {
  if (!status_) return;
  if (Status told = tell(status_, kStatus, describe_end(status, timed_out)); !told.ok())
    log::warning(told.error().message());
  status_.reset();
}

std::string describe_child(pid_t pid, const std::map<std::string, std::uint64_t>& namespaces) {
  codec::json::Writer out;
  out.begin_object().field("child-pid", pid);
  for (const auto& [name, number] : namespaces) out.field(name + "-namespace", number);
  return out.end_object().take() + "\n";
}

std::string describe_end(int status, bool timed_out) {
  codec::json::Writer out;
  out.begin_object().field("exit-code", status);
  if (timed_out) out.field("timed-out", true);
  return out.end_object().take() + "\n";
}

Result<std::chrono::milliseconds> parse_seconds(std::string_view text, std::string_view flag) {
  constexpr std::int64_t kMost = std::int64_t{10} * 365 * 86400;
  const auto wrong = [&](const char* why) {
    return Error(Errc::kInvalidArgument,
                 "invalid value " + quoted(text) + " for the flag --" + std::string(flag) + ": " + why)
        .with_hint("give seconds, as in 10 or 0.5");
  };
  const auto pair = split_once(text, '.');
  const std::string_view whole = pair ? pair->first : text;
  const std::string_view fraction = pair ? pair->second : std::string_view();
  for (const std::string_view digits : {whole, fraction}) {
    for (const char c : digits) {
      if (!is_digit(c)) return wrong("not a number of seconds");
    }
  }
  if (whole.empty() && fraction.empty()) return wrong("not a number of seconds");
  const auto seconds = whole.empty() ? std::optional<std::int64_t>(0) : parse_number<std::int64_t>(whole);
  if (!seconds || *seconds > kMost) return wrong("more than ten years");
  std::int64_t milliseconds = *seconds * 1000;
  for (std::size_t i = 0, unit = 100; i < fraction.size() && unit > 0; ++i, unit /= 10)
    milliseconds += static_cast<std::int64_t>(unit) * (fraction[i] - '0');
  return std::chrono::milliseconds(milliseconds);
}

Result<std::optional<TimeLimit>> time_limit(const Arguments& arguments) {
  if (!arguments.has("time-limit")) {
    if (!arguments.has("kill-after")) return std::optional<TimeLimit>();
    return Error(Errc::kInvalidArgument, "--kill-after says what follows --time-limit, which is missing");
  }
  TimeLimit out{std::chrono::milliseconds(0), kDefaultGrace};
  ASSIGN_OR_RETURN(out.limit, parse_seconds(arguments.value("time-limit"), "time-limit"));
  if (out.limit.count() == 0)
    return Error(Errc::kInvalidArgument, "--time-limit " + arguments.value("time-limit") +
                                             " leaves the program no time; leave it out for no limit");
  if (arguments.has("kill-after")) {
    ASSIGN_OR_RETURN(out.grace, parse_seconds(arguments.value("kill-after"), "kill-after"));
  }
  return std::optional(out);
}

}  // namespace cooper::cli::coop
