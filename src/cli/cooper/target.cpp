#include "cli/cooper/target.h"

#include "base/strings.h"
#include "log/log.h"
#include "sys/file.h"

namespace cooper::cli {

Result<Target> find_target(const pod::Engine& engine, std::string_view text) {
  const auto pair = split_once(text, '/');
  ASSIGN_OR_RETURN(PodUuid uuid, engine.find(pair ? pair->first : text));
  return Target{std::move(uuid), pair ? std::string(pair->second) : std::string()};
}

std::string Row::name() const {
  std::string out = pod->name.empty() ? pod->uuid.short_str() : pod->name;
  if (!pod->single) out += "/" + app->name;
  return out;
}

std::vector<Row> rows(const std::vector<pod::PodInfo>& pods) {
  std::vector<Row> out;
  for (const pod::PodInfo& pod : pods) {
    for (const pod::AppInfo& app : pod.apps) out.push_back({&pod, &app});
  }
  return out;
}

Result<const pod::AppInfo*> select_app(const pod::PodInfo& pod, std::string_view app) {
  if (app.empty() && pod.apps.size() == 1) return &pod.apps.front();
  std::vector<std::string> names;
  for (const pod::AppInfo& one : pod.apps) {
    if (one.name == app) return &one;
    names.push_back(one.name);
  }
  const std::string shown = quoted(pod.name.empty() ? pod.uuid.short_str() : pod.name);
  if (!app.empty())
    return Error(Errc::kNotFound,
                 "pod " + shown + " has no app " + quoted(app) + " (it has: " + join(names, ", ") + ")");
  if (names.empty()) return Error(Errc::kWrongState, "pod " + shown + " has no apps yet");
  return Error(Errc::kInvalidArgument, "pod " + shown + " has several apps")
      .with_hint("name one as POD/APP: " + join(names, ", "));
}

void report(const Context& context, const Error& error) {
  if (context.settings().log.format == log::Format::kJson) {
    log::error(error);
    return;
  }
  auto written = sys::write_all(BorrowedFd(STDERR_FILENO), "cooper: " + log::sentence(error) + "\n");
  if (!written.ok()) return;  // nobody to tell
}

}  // namespace cooper::cli
