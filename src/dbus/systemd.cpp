#include "dbus/systemd.h"

#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <array>

#include "base/chars.h"
#include "base/strings.h"
#include "log/log.h"

namespace cooper::dbus {
namespace {

constexpr std::string_view kName = "org.freedesktop.systemd1";
constexpr std::string_view kManagerPath = "/org/freedesktop/systemd1";
constexpr std::string_view kManager = "org.freedesktop.systemd1.Manager";
// How often a job is asked about whose end may have been announced while nobody listened.
constexpr int kAskAgainMs = 3000;

std::int64_t now_ms() {
  struct timespec now = {};
  (void)::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

Message manager_call(std::string_view member, std::vector<Value> arguments) {
  Message out;
  out.destination = kName;
  out.path = kManagerPath;
  out.interface = kManager;
  out.member = member;
  out.body = std::move(arguments);
  return out;
}

bool is_error(const Connection::Reply& reply, std::string_view name) {
  return reply.error && std::string_view(reply.error->name).ends_with(name);
}

Errc code_of(const std::string& name) {
  struct Entry {
    std::string_view end;
    Errc code;
  };
  constexpr std::array kCodes = std::to_array<Entry>({
      {".UnitExists", Errc::kAlreadyExists},
      {".NoSuchUnit", Errc::kNotFound},
      {".UnknownObject", Errc::kNotFound},
      {".AccessDenied", Errc::kPermission},
      {".InteractiveAuthorizationRequired", Errc::kPermission},
      {".InvalidArgs", Errc::kInvalidArgument},
      {".PropertyReadOnly", Errc::kInvalidArgument},
      {".UnknownProperty", Errc::kUnsupported},
      {".UnknownMethod", Errc::kUnsupported},
      {".Timeout", Errc::kTimeout},
      {".NoReply", Errc::kTimeout},
  });
  for (const Entry& entry : kCodes) {
    if (std::string_view(name).ends_with(entry.end)) return entry.code;
  }
  return Errc::kSystem;
}

Error remote(const RemoteError& error, const std::string& what) {
  return {code_of(error.name), what + ": systemd says " + quoted(error.text) + " (" + error.name + ")"};
}

Value property_list(const std::vector<Property>& properties) {
  std::vector<Value> out;
  for (const Property& property : properties)
    out.push_back(Value::structure({Value::string(property.name), Value::variant(property.value)}));
  return Value::array("(sv)", std::move(out));
}

}  // namespace

std::string unit_path(std::string_view unit) {
  std::string out = std::string(kManagerPath) + "/unit/";
  for (std::size_t i = 0; i < unit.size(); ++i) {
    const char c = unit[i];
    if (is_letter(c) || (i > 0 && is_digit(c))) {
      out += c;
      continue;
    }
    out += '_';
    out += hex_encode({&c, 1});
  }
  return unit.empty() ? out + "_" : out;
}

int parse_version(std::string_view text) {
  if (text.starts_with('v')) text.remove_prefix(1);
  const std::size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
  return parse_number<int>(text.substr(0, end)).value_or(0);
}

Status Systemd::available() {
  struct stat info = {};
  // sd_booted(3).
  if (::lstat("/run/systemd/system", &info) == 0 && S_ISDIR(info.st_mode)) return {};
  return Error(Errc::kUnsupported, "the systemd cgroup manager cannot be used: systemd does not run on this host")
      .with_hint("leave out --systemd-cgroup: cgroups are then managed through cgroupfs");
}

Result<Systemd> Systemd::connect(Bus bus) {
  RETURN_IF_ERROR(available());
  ASSIGN_OR_RETURN(Connection connection, Connection::open(bus));
  return Systemd(bus, std::move(connection));
}

Systemd Systemd::over(Connection connection) {
  return {Bus::kSystem, std::move(connection)};
}

Result<Connection::Reply> Systemd::send(const Message& message, Repeat repeat) {
  for (int round = 0;; ++round) {
    if (!connection_) {
      ASSIGN_OR_RETURN(connection_, Connection::open(bus_));
      subscribed_ = false;
    }
    auto reply = connection_->call(message);
    if (reply.ok()) return reply;
    // Whatever is still on its way belongs to nobody now.
    connection_.reset();
    if (round > 0 || repeat == Repeat::kOnce || !is_disconnect(reply.error())) return reply;
    log::debug("systemd: " + reply.error().message() + "; connecting again");
  }
}

Result<Connection::Reply> Systemd::request(std::string_view member, const std::vector<Value>& arguments,
                                           Repeat repeat) {
  auto reply = send(manager_call(member, arguments), repeat);
  if (!reply.ok()) return std::move(reply).error().with("ask systemd");
  return reply;
}

// The ends of jobs are announced to who asked for it, before the job is made.
Status Systemd::subscribe() {
  if (subscribed_ && connection_) return {};
  if (!connection_) {
    ASSIGN_OR_RETURN(connection_, Connection::open(bus_));
  }
  subscribed_ = true;
  if (connection_->direct()) return {};  // all signals come unasked
  Message match;
  match.destination = "org.freedesktop.DBus";
  match.path = "/org/freedesktop/DBus";
  match.interface = "org.freedesktop.DBus";
  match.member = "AddMatch";
  match.body.push_back(Value::string("type='signal',sender='" + std::string(kName) + "',path='" +
                                     std::string(kManagerPath) + "',interface='" + std::string(kManager) +
                                     "',member='JobRemoved'"));
  // Without an answer: should they fail, the job is asked about.
  RETURN_IF_ERROR(connection_->post(std::move(match)));
  return connection_->post(manager_call("Subscribe", {}));
}

Result<int> Systemd::version() {
  Message get;
  get.destination = kName;
  get.path = kManagerPath;
  get.interface = "org.freedesktop.DBus.Properties";
  get.member = "Get";
  get.body = {Value::string(std::string(kManager)), Value::string("Version")};
  auto reply = send(get, Repeat::kYes);
  if (!reply.ok()) return std::move(reply).error().with("ask systemd for its version");
  if (reply->error) return remote(*reply->error, "ask systemd for its version");
  if (reply->body.empty() || reply->body[0].type != "v") return Error(Errc::kCorrupt, "systemd's version is no text");
  const int number = parse_version(reply->body[0].parts()[0].text());
  if (number <= 0) return Error(Errc::kCorrupt, "systemd's version is no number");
  return number;
}

Result<bool> Systemd::job_has_gone(const std::string& job) {
  Message get;
  get.destination = kName;
  get.path = job;
  get.interface = "org.freedesktop.DBus.Properties";
  get.member = "Get";
  get.body = {Value::string(std::string(kName) + ".Job"), Value::string("State")};
  ASSIGN_OR_RETURN(const auto reply, send(get, Repeat::kYes));
  return reply.error.has_value();
}

Status Systemd::wait_for_job(const std::string& job, const std::string& unit, std::string_view verb) {
  const std::string what = std::string(verb) + " unit " + quoted(unit);
  std::string result;
  const auto is_ours = [&](const Message& signal) {
    // JobRemoved(u id, o job, s unit, s result)
    if (signal.member != "JobRemoved" || signal.body.size() != 4 || signal.body[1].text() != job) return false;
    result = signal.body[3].text();
    return true;
  };
  const std::int64_t deadline = now_ms() + kJobTimeoutMs;
  while (result.empty()) {
    const auto left = static_cast<int>(std::max<std::int64_t>(0, deadline - now_ms()));
    if (left == 0)
      return Error(Errc::kTimeout, what + ": the job was not done in " + std::to_string(kJobTimeoutMs / 1000) + " s",
                   ETIMEDOUT);
    RETURN_IF_ERROR(subscribe());
    auto signal = connection_->wait_signal(is_ours, std::min(left, kAskAgainMs));
    if (!signal.ok()) {
      if (!is_disconnect(signal.error())) return std::move(signal).error().with(what);
      connection_.reset();
    }
    if (!result.empty()) break;
    ASSIGN_OR_RETURN(const bool gone, job_has_gone(job));
    if (!gone) continue;
    ASSIGN_OR_RETURN(const Value state, unit_property(unit, "Unit", "ActiveState"));
    result = state.text() == (verb == "start" ? "active" : "inactive") ? "done" : state.text();
  }
  if (result == "done") return {};
  return Error(Errc::kSystem, what + ": systemd's job ended with " + quoted(result))
      .with_hint("journalctl -u " + unit + " may say more");
}

Result<Connection::Reply> Systemd::start_once(const std::string& unit, const std::vector<Property>& properties) {
  RETURN_IF_ERROR(subscribe());
  // (name, mode, properties, auxiliary units). "replace": a job queued for the unit gives way.
  return request(
      "StartTransientUnit",
      {Value::string(unit), Value::string("replace"), property_list(properties), Value::array("(sa(sv))", {})},
      Repeat::kOnce);
}

Status Systemd::start_transient(const std::string& unit, const std::vector<Property>& properties) {
  const std::string what = "start unit " + quoted(unit);
  auto reply = start_once(unit, properties);
  if (!reply.ok() && is_disconnect(reply.error())) reply = start_once(unit, properties);
  if (!reply.ok()) return std::move(reply).error();
  if (is_error(*reply, ".UnitExists")) {
    reset_failed(unit);
    ASSIGN_OR_RETURN(reply, start_once(unit, properties));
  }
  if (reply->error) {
    Error error = remote(*reply->error, what);
    if (error.code() == Errc::kAlreadyExists)
      return std::move(error).with_hint(
          "another container uses the name: choose another cgroupsPath, or stop the unit");
    return error;
  }
  if (reply->body.size() != 1 || reply->body[0].type != "o")
    return Error(Errc::kCorrupt, what + ": no job in the answer");
  Status done = wait_for_job(reply->body[0].text(), unit, "start");
  if (!done.ok()) (void)!stop(unit).ok();
  return done;
}

void Systemd::reset_failed(const std::string& unit) {
  // A unit that has not failed, or is not loaded, is as wanted.
  const auto reply = request("ResetFailedUnit", {Value::string(unit)}, Repeat::kYes);
  if (!reply.ok()) log::debug(reply.error().message());
}

Status Systemd::stop(const std::string& unit) {
  const std::string what = "stop unit " + quoted(unit);
  RETURN_IF_ERROR(subscribe());
  ASSIGN_OR_RETURN(const auto reply,
                   request("StopUnit", {Value::string(unit), Value::string("replace")}, Repeat::kYes));
  if (is_error(reply, ".NoSuchUnit")) return {};
  if (reply.error) return remote(*reply.error, what);
  if (reply.body.size() != 1 || reply.body[0].type != "o")
    return Error(Errc::kCorrupt, what + ": no job in the answer");
  RETURN_IF_ERROR(wait_for_job(reply.body[0].text(), unit, "stop"));
  reset_failed(unit);
  return {};
}

Status Systemd::set_properties(const std::string& unit, const std::vector<Property>& properties) {
  ASSIGN_OR_RETURN(const auto reply,
                   request("SetUnitProperties", {Value::string(unit), Value::boolean(true), property_list(properties)},
                           Repeat::kYes));
  if (reply.error) return remote(*reply.error, "set properties of unit " + quoted(unit));
  return {};
}

Status Systemd::attach(const std::string& unit, const std::string& below, const std::vector<pid_t>& pids) {
  std::vector<Value> numbers;
  for (const pid_t pid : pids) numbers.push_back(Value::u32(static_cast<std::uint32_t>(pid)));
  ASSIGN_OR_RETURN(
      const auto reply,
      request("AttachProcessesToUnit",
              {Value::string(unit), Value::string(below), Value::array("u", std::move(numbers))}, Repeat::kYes));
  if (reply.error) return remote(*reply.error, "move processes to unit " + quoted(unit));
  return {};
}

Result<Value> Systemd::unit_property(const std::string& unit, std::string_view interface, std::string_view name) {
  const std::string what = "read " + std::string(name) + " of unit " + quoted(unit);
  Message get;
  get.destination = kName;
  get.path = unit_path(unit);
  get.interface = "org.freedesktop.DBus.Properties";
  get.member = "Get";
  get.body = {Value::string(std::string(kName) + "." + std::string(interface)), Value::string(std::string(name))};
  auto reply = send(get, Repeat::kYes);
  if (!reply.ok()) return std::move(reply).error().with(what);
  if (reply->error) return remote(*reply->error, what);
  if (reply->body.size() != 1 || reply->body[0].type != "v") return Error(Errc::kCorrupt, what + ": no value");
  return reply->body[0].parts()[0];
}

Result<std::string> Systemd::control_group(const std::string& unit) {
  const std::string_view interface = unit.ends_with(".slice") ? "Slice" : "Scope";
  ASSIGN_OR_RETURN(const Value value, unit_property(unit, interface, "ControlGroup"));
  if (value.type != "s") return Error(Errc::kCorrupt, "the control group of unit " + quoted(unit) + " is no text");
  return value.text();
}

}  // namespace cooper::dbus
