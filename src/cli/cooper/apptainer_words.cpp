#include "cli/cooper/apptainer_words.h"

#include <optional>

#include "base/strings.h"
#include "cli/cooper/run_request.h"

namespace cooper::cli {
namespace {

bool is_option(std::string_view word) {
  return word == "ro" || word == "rw";
}

std::vector<std::string> split_at_commas(std::string_view text) {
  std::vector<std::string> out(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == ',') {
      out.back() += text[++i];
    } else if (text[i] == ',') {
      out.emplace_back();
    } else {
      out.back() += text[i];
    }
  }
  return out;
}

Result<pod::VolumeMount> parse_bind(std::string_view flag, const std::string& text,
                                    const std::string& working_directory) {
  const auto parts = split(text, ':');
  if (parts.size() > 3) return flag_error(flag, text, "more than two colons (use --mount for paths that hold one)");
  if (parts[0].empty()) return flag_error(flag, text, "the source is empty");
  std::string source(parts[0]);
  if (source[0] != '/') {
    if (working_directory.empty())
      return flag_error(flag, text, "the working directory is gone: give the source as an absolute path");
    source = working_directory + "/" + source;
  }
  const std::string target(parts.size() > 1 && !parts[1].empty() ? std::string(parts[1]) : source);
  std::string whole = source + ":" + target;
  if (parts.size() == 3) {
    if (!is_option(parts[2]))
      return flag_error(flag, text, quoted(parts[2]) + " is neither ro nor rw")
          .with_hint("--volume takes more options");
    whole += ":" + std::string(parts[2]);
  }
  auto mount = parse_volume(whole, working_directory);
  if (!mount.ok()) return flag_error(flag, text, mount.error().message());
  return mount;
}

}  // namespace

Result<std::vector<pod::VolumeMount>> parse_binds(std::string_view text, const std::string& working_directory) {
  std::vector<pod::VolumeMount> out;
  for (const std::string& one : split_at_commas(text)) {
    ASSIGN_OR_RETURN(pod::VolumeMount mount, parse_bind("bind", one, working_directory));
    out.push_back(std::move(mount));
  }
  return out;
}

Status add_apptainer_words(const Args& args, const std::string& working_directory, pod::AppRequest& app) {
  for (const std::string& text : args.all("bind")) {
    ASSIGN_OR_RETURN(auto mounts, parse_binds(text, working_directory));
    for (pod::VolumeMount& mount : mounts) app.mounts.push_back(std::move(mount));
  }
  for (const std::string_view flag : {"pwd", "cwd"}) {
    const auto path = args.last(flag);
    if (!path) continue;
    if (!path->starts_with('/')) return flag_error(flag, *path, "must be an absolute path");
    if (!app.working_dir.empty() && app.working_dir != *path)
      return flag_error(flag, *path, "another working directory is given");
    app.working_dir = *path;
  }
  if (args.enabled("writable-tmpfs") && app.read_only)
    return Error(Errc::kInvalidArgument, "--writable-tmpfs and --read-only contradict each other");
  const auto home = args.last("home");
  if (!home) return {};
  if (args.enabled("no-home")) return Error(Errc::kInvalidArgument, "--home and --no-home contradict each other");
  ASSIGN_OR_RETURN(pod::VolumeMount mount, parse_bind("home", *home, working_directory));
  // What --env says is stronger.
  app.env.insert(app.env.begin(), "HOME=" + mount.destination);
  app.mounts.push_back(std::move(mount));
  return {};
}

}  // namespace cooper::cli
