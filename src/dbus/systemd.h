// CONTRACT. The few requests to a systemd manager that cgroups need. Each is a call with an answer; jobs are waited
// for. One lost connection (a restarted broker, a re-executed manager) is replaced and the request sent again, where
// that cannot do it twice. Errors carry systemd's own words.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "dbus/connection.h"

namespace cooper::dbus {

inline constexpr int kJobTimeoutMs = 30000;

struct Property {
  std::string name;
  Value value;
  bool operator==(const Property&) const = default;
};

class Systemd {
 public:
  // Errc::kUnsupported when this host was not booted with systemd.
  static Status available();
  // The same, or when its bus cannot be reached.
  static Result<Systemd> connect(Bus bus);
  // For tests: without the look at the host.
  static Systemd over(Connection connection);

  // Major version of the manager: 252.
  Result<int> version();
  // A new transient unit; returns once its job is done. A unit of the name that has failed is forgotten first; one that
  // is there otherwise is Errc::kAlreadyExists. On any other failure the unit is gone again.
  Status start_transient(const std::string& unit, const std::vector<Property>& properties);
  // Stops the unit, waits, and forgets a failure. A unit that is not there is a success.
  Status stop(const std::string& unit);
  // Until the next boot only.
  Status set_properties(const std::string& unit, const std::vector<Property>& properties);
  // Moves processes into the unit's group (`below` it: "", or "/name"). For callers that may not move them themselves.
  Status attach(const std::string& unit, const std::string& below, const std::vector<pid_t>& pids);
  // A property of a loaded unit; interface "Scope", "Slice" or "Unit".
  Result<Value> unit_property(const std::string& unit, std::string_view interface, std::string_view name);
  // Where the unit's processes are, below the root of the hierarchies; "" before it has started.
  Result<std::string> control_group(const std::string& unit);

 private:
  Systemd(Bus bus, std::optional<Connection> connection) : bus_(bus), connection_(std::move(connection)) {}
  // With `again`, the request is repeated once over a new connection.
  enum class Repeat { kOnce, kYes };
  Result<Connection::Reply> request(std::string_view member, const std::vector<Value>& arguments, Repeat repeat);
  Result<Connection::Reply> send(const Message& message, Repeat repeat);
  Status subscribe();
  Status wait_for_job(const std::string& job, const std::string& unit, std::string_view verb);
  // True once the job is no more, when its end was not announced to us.
  Result<bool> job_has_gone(const std::string& job);
  Result<Connection::Reply> start_once(const std::string& unit, const std::vector<Property>& properties);
  void reset_failed(const std::string& unit);

  Bus bus_;
  std::optional<Connection> connection_;
  bool subscribed_ = false;
};

// Object path of a unit: every byte that is no letter or digit is written as "_2e".
std::string unit_path(std::string_view unit);
// "252.22-1~deb12u1" or "v252": 252; 0 for what starts with no number.
int parse_version(std::string_view text);

}  // namespace cooper::dbus
