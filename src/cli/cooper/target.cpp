#include "cli/cooper/target.h"

#include <algorithm>
#include <climits>

#include "base/strings.h"
#include "cli/cooper/time_text.h"
#include "image/store.h"
#include "log/log.h"
#include "sys/file.h"

namespace cooper::cli {

Result<Target> find_target(const pod::Engine& engine, std::string_view text, Noun noun) {
  const auto pair = split_once(text, '/');
  auto uuid = engine.find(pair ? pair->first : text);
  if (!uuid.ok() && uuid.error().code() == Errc::kNotFound && noun == Noun::kContainer)
    return Error(Errc::kNotFound, "no such container: " + quoted(text)).with_hint("'cooper ps -a' lists them");
  if (!uuid.ok()) return std::move(uuid).error();
  return Target{std::move(uuid).value(), pair ? std::string(pair->second) : std::string()};
}

Status check_images(std::span<const std::string> words) {
  for (const std::string& word : words) RETURN_IF_ERROR(image::Store::check_reference(word));
  return {};
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

Result<int> timeout_flag(const Args& args) {
  const auto text = args.last("time");
  if (!text) return -1;
  return parse_timeout_ms("--time", *text);
}

Result<RemoveOptions> remove_options(const Args& args) {
  RemoveOptions options;
  options.force = args.enabled("force");
  ASSIGN_OR_RETURN(const int timeout_ms, timeout_flag(args));
  options.timeout_ms = std::max(timeout_ms, 0);
  return options;
}

Status remove_pod(const pod::Engine& engine, const PodUuid& uuid, const RemoveOptions& options) {
  Status removed = engine.remove(uuid, options.force ? std::optional(options.timeout_ms) : std::nullopt);
  // It removed itself at its end.
  if (options.force && !removed.ok() && removed.error().code() == Errc::kNotFound) return {};
  return removed;
}

void report(const Context& context, const Error& error) {
  if (context.settings().log.format == log::Format::kJson) {
    log::error(error);
    return;
  }
  auto written = sys::write_all(BorrowedFd(STDERR_FILENO), "cooper: " + printable(log::sentence(error)) + "\n");
  if (!written.ok()) return;  // nobody to tell
}

}  // namespace cooper::cli
