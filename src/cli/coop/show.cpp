// state, wait, list.
#include <array>

#include "base/strings.h"
#include "cli/coop/commands.h"
#include "codec/json.h"
#include "io/file.h"
#include "log/log.h"

namespace cooper::cli::coop {
namespace {

using codec::json::Writer;

// From /etc/passwd alone: the C library's lookup would load name service modules into the runtime.
std::string owner_name(std::uint32_t uid) {
  if (uid == 0) return "root";
  const auto text = io::read_file("/etc/passwd", std::size_t{4} << 20);
  if (text.ok()) {
    for (const std::string_view line : split(*text, '\n')) {
      const auto fields = split(line, ':');
      if (fields.size() > 2 && parse_number<std::uint32_t>(fields[2]) == uid) return std::string(fields[0]);
    }
  }
  return "#" + std::to_string(uid);
}

// One line of `list`, and the document of `state`.
struct Shown {
  container::StateRecord record;
  container::RunStatus status = container::RunStatus::kStopped;
  std::optional<container::ExitRecord> exit;
  pid_t pid() const { return status == container::RunStatus::kStopped ? 0 : record.pid; }
};

Result<Shown> look_at(const container::Container& container) {
  ASSIGN_OR_RETURN(const container::RunStatus status, container.status());
  Shown out{container.record(), status, {}};
  if (status != container::RunStatus::kStopped) return out;
  // What cannot be read is not known; the rest of the state is.
  auto ended = container.exit_record();
  if (ended.ok()) out.exit = std::move(ended).value();
  return out;
}

// Members of ours: how a stopped container ended, when that is known.
void write_exit(Writer& out, const container::ExitRecord& record) {
  out.field("exitCode", record.status.shell_code());
  if (record.status.signal != 0) out.field("signal", record.status.signal);
  out.field("oom", record.oom).field("finished", record.finished);
}

// Members as runc prints them.
void write(Writer& out, const Shown& shown) {
  const container::StateRecord& r = shown.record;
  out.begin_object().field("ociVersion", r.oci_version).field("id", r.id).field("pid", shown.pid());
  out.field("status", container::to_string(shown.status))
      .field("bundle", r.bundle)
      .field("rootfs", r.rootfs)
      .field("created", r.created);
  if (!r.annotations.empty()) {
    out.key("annotations").begin_object();
    for (const auto& [key, value] : r.annotations) out.field(key, value);
    out.end_object();
  }
  out.field("owner", owner_name(r.owner_uid));
  if (shown.exit) write_exit(out, *shown.exit);
  out.end_object();
}

Result<std::vector<Shown>> all_containers(const Call& call) {
  const auto factory = call.factory();
  ASSIGN_OR_RETURN(const auto ids, factory.list());
  std::vector<Shown> out;
  for (const std::string& id : ids) {
    auto container = factory.load(id);
    if (!container.ok()) {
      // Deleted meanwhile, or damaged: the others are still worth showing.
      if (container.error().code() != Errc::kNotFound)
        log::error(std::move(container).error().with("container " + quoted(id)));
      continue;
    }
    auto shown = look_at(*container);
    if (shown.ok()) out.push_back(std::move(shown).value());
  }
  return out;
}

std::string table(const std::vector<Shown>& containers) {
  using Row = std::array<std::string, 6>;
  std::vector<Row> rows{{"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"}};
  for (const Shown& c : containers) {
    rows.push_back({c.record.id, std::to_string(c.pid()), std::string(container::to_string(c.status)), c.record.bundle,
                    c.record.created, owner_name(c.record.owner_uid)});
  }
  std::array<std::size_t, 6> width{};
  width.fill(8);
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
  }
  std::string out;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out.append(width[i] + 4 - row[i].size(), ' ');
    }
    out += '\n';
  }
  return out;
}

}  // namespace

Result<int> run_state(const Call& call) {
  ASSIGN_OR_RETURN(const auto container, call.load());
  ASSIGN_OR_RETURN(const Shown shown, look_at(container));
  Writer out(Writer::Style::kPretty);
  write(out, shown);
  RETURN_IF_ERROR(print(out.take() + "\n"));
  return 0;
}

Result<int> run_wait(const Call& call) {
  const std::string format = call.arguments.value("format", "table");
  if (format != "table" && format != "json")
    return Error(Errc::kInvalidArgument, "--format must be table or json, not " + quoted(format));
  ASSIGN_OR_RETURN(const auto container, call.load());
  ASSIGN_OR_RETURN(const auto record, container.wait());
  if (!record) {
    return Error(Errc::kNotFound, "the exit status of container " + quoted(call.id()) +
                                      " is not known: its parent process took it and this runtime was not watching")
        .with_hint("ask the program that started it, or call 'coop wait' before it ends (kernel 6.15 and later)");
  }
  if (format == "table") {
    RETURN_IF_ERROR(print(std::to_string(record->status.shell_code()) + "\n"));
    return 0;
  }
  Writer out;
  out.begin_object().field("id", call.id());
  write_exit(out, *record);
  RETURN_IF_ERROR(print(out.end_object().take() + "\n"));
  return 0;
}

Result<int> run_list(const Call& call) {
  const std::string format = call.arguments.value("format", "table");
  if (format != "table" && format != "json")
    return Error(Errc::kInvalidArgument, "--format must be table or json, not " + quoted(format));
  if (call.arguments.flag("quiet")) {
    ASSIGN_OR_RETURN(const auto ids, call.factory().list());
    std::string text;
    for (const std::string& id : ids) text += id + "\n";
    RETURN_IF_ERROR(print(text));
    return 0;
  }
  ASSIGN_OR_RETURN(const auto containers, all_containers(call));
  if (format == "table") {
    RETURN_IF_ERROR(print(table(containers)));
    return 0;
  }
  if (containers.empty()) {
    RETURN_IF_ERROR(print("null\n"));  // as runc; callers depend on it
    return 0;
  }
  Writer out;
  out.begin_array();
  for (const Shown& shown : containers) write(out, shown);
  RETURN_IF_ERROR(print(out.end_array().take() + "\n"));
  return 0;
}

}  // namespace cooper::cli::coop
