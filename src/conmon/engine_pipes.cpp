#include "conmon/engine_pipes.h"

#include <array>

#include "base/strings.h"
#include "codec/json.h"
#include "sys/file.h"

namespace cooper::conmon {
namespace {

constexpr std::size_t kMaxMessage = std::size_t{16} << 10;

Result<UniqueFd> take(const std::string& number, std::string_view name) {
  if (number.empty()) return UniqueFd();
  const auto fd = parse_number<int>(number);
  if (!fd || *fd < 3)
    return Error(Errc::kInvalidArgument, std::string(name) + " is no number of a descriptor: " + quoted(number));
  Status marked = sys::set_cloexec(BorrowedFd(*fd), true);
  if (!marked.ok()) return std::move(marked).error().with(std::string(name) + "=" + number);
  return UniqueFd(*fd);
}

}  // namespace

Result<EnginePipes> EnginePipes::open(const Names& names) {
  EnginePipes out;
  ASSIGN_OR_RETURN(out.start_, take(names.start, "_OCI_STARTPIPE"));
  ASSIGN_OR_RETURN(out.sync_, take(names.sync, "_OCI_SYNCPIPE"));
  ASSIGN_OR_RETURN(out.attach_, take(names.attach, "_OCI_ATTACHPIPE"));
  return out;
}

Status EnginePipes::wait_for_start() {
  if (!start_) return {};
  std::array<char, 256> ignored{};
  const auto n = sys::read(start_, ignored);
  if (!n.ok()) return Error(n.error().code(), "wait for the engine: " + n.error().message(), n.error().errno_value());
  return {};
}

std::string report_line(std::string_view key, std::int64_t value, std::string_view message) {
  codec::json::Writer writer;
  writer.begin_object().field(key, value);
  if (!message.empty()) writer.field("message", message.substr(0, kMaxMessage));
  writer.end_object();
  return writer.take() + "\n";
}

void EnginePipes::report(std::string_view key, std::int64_t value, std::string_view message) {
  if (!sync_) return;
  if (!sys::write_all(sync_, report_line(key, value, message)).ok()) sync_.reset();
}

void EnginePipes::report_attach_ready() {
  if (attach_) (void)!sys::write_all(attach_, report_line("data", 0, {})).ok();
  attach_.reset();
}

}  // namespace cooper::conmon
