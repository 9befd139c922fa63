#include "cli/cooper/exec_request.h"

#include <algorithm>

#include "base/strings.h"
#include "io/file.h"
#include "sys/tables.h"

namespace cooper::cli {
namespace {

constexpr std::size_t kMaxEnvFileBytes = std::size_t{4} << 20;

bool has_variable(const std::vector<std::string>& env, std::string_view name) {
  return std::ranges::any_of(env, [&](const std::string& entry) {
    return entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=';
  });
}

// The last value of a name wins; the place of the first is kept.
void set_variable(std::vector<std::string>& env, const std::string& entry) {
  const std::string_view name = std::string_view(entry).substr(0, entry.find('=') + 1);
  const auto known = std::ranges::find_if(env, [&](const std::string& one) { return one.starts_with(name); });
  if (known == env.end()) {
    env.push_back(entry);
  } else {
    *known = entry;
  }
}

void set_user(oci::Process& process, const image::ResolvedUser& user) {
  process.user.uid = user.uid;
  process.user.gid = user.gid;
  process.user.additional_gids = user.additional_gids;
  if (!process.capabilities) return;
  oci::Capabilities& caps = *process.capabilities;
  caps.ambient.clear();
  caps.inheritable.clear();
  caps.effective = user.uid == 0 ? caps.bounding : std::vector<std::string>();
  caps.permitted = caps.effective;
}

}  // namespace

Result<ExecRequest> exec_request(const Args& args, const Surroundings& around) {
  ExecRequest request;
  request.args.assign(args.positional().begin() + 1, args.positional().end());
  if (request.args.front().empty()) return Error(Errc::kInvalidArgument, "the command to run is an empty word");
  for (const std::string& path : args.all("env-file")) {
    auto text = io::read_file(path, kMaxEnvFileBytes);
    if (!text.ok()) return std::move(text).error().with("--env-file");
    ASSIGN_OR_RETURN(const std::vector<std::string> lines, parse_env_file(*text, path, around));
    request.env.insert(request.env.end(), lines.begin(), lines.end());
  }
  for (const std::string& text : args.all("env")) {
    if (text.empty() || text[0] == '=')
      return Error(Errc::kInvalidArgument, "--env " + quoted(text) + ": the variable has no name");
    if (text.find('=') != std::string::npos) {
      request.env.push_back(text);
    } else if (const auto value = around.environment(text)) {
      request.env.push_back(text + "=" + *value);
    }
  }
  request.working_dir = args.last("workdir").value_or("");
  if (!request.working_dir.empty() && request.working_dir[0] != '/') {
    return Error(Errc::kInvalidArgument, "--workdir " + quoted(request.working_dir) + " must be an absolute path");
  }
  request.user = args.last("user").value_or("");
  request.terminal = args.enabled("tty");
  request.privileged = args.enabled("privileged");
  return request;
}

oci::Process exec_process(const oci::Process& container, const ExecRequest& request,
                          const std::optional<image::ResolvedUser>& user) {
  oci::Process process = container;
  process.args = request.args;
  process.terminal = request.terminal;
  process.console_size.reset();
  if (!request.working_dir.empty()) process.cwd = request.working_dir;
  if (user) {
    set_user(process, *user);
    set_variable(process.env, "HOME=" + user->home);
  }
  if (request.privileged) {
    const auto names = sys::capability_names();
    const std::vector<std::string> all(names.begin(), names.end());
    process.capabilities = oci::Capabilities{all, all, {}, all, {}};
    process.no_new_privileges = false;
  }
  for (const std::string& entry : request.env) set_variable(process.env, entry);
  if (request.terminal && !has_variable(process.env, "TERM")) process.env.emplace_back("TERM=xterm");
  return process;
}

}  // namespace cooper::cli
