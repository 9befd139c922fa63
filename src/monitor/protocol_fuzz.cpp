// Everything a client may send to a monitor, or a monitor to a client, and the exit record on disk.
#include <cstddef>
#include <cstdint>

#include "monitor/internal/sync.h"
#include "monitor/monitor.h"
#include "monitor/protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cooper::monitor;
  const std::string_view packet(reinterpret_cast<const char*>(data), size);
  const auto frame = protocol::parse_frame(packet);
  const std::string_view body = frame.ok() ? frame->payload : packet;
  (void)protocol::parse_attach(body).ok();
  (void)protocol::parse_hello(body).ok();
  (void)protocol::parse_reply(body).ok();
  (void)protocol::parse_status_reply(body).ok();
  (void)protocol::parse_records(body).ok();
  (void)protocol::parse_status(body).ok();
  (void)internal::parse_outcome(body).ok();
  if (const auto request = protocol::parse_app_request(body); request.ok()) {
    if (!protocol::parse_app_request(protocol::print(*request)).ok()) __builtin_trap();
  }
  if (const auto record = parse_exit_record(std::string(body), "fuzz"); record.ok()) {
    const auto again = parse_exit_record(print_exit_record(*record), "fuzz");
    if (!again.ok() || again->app != record->app || again->exit_code != record->exit_code) __builtin_trap();
  }
  return 0;
}
