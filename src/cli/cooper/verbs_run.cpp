// run, plan: one app from an image, docker and podman habits.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "cli/cooper/aci_run.h"
#include "cli/cooper/apptainer_words.h"
#include "cli/cooper/command.h"
#include "cli/cooper/foreground.h"
#include "cli/cooper/image_policy.h"
#include "cli/cooper/progress_display.h"
#include "cli/cooper/pull.h"
#include "cli/cooper/relay.h"
#include "cli/cooper/run_request.h"
#include "cli/cooper/start_failure.h"
#include "cli/cooper/target.h"
#include "image/file_image.h"
#include "sys/file.h"

namespace cooper::cli {
namespace {

constexpr std::array<Flag, 6> kRunFlags = {{
    {"detach", 'd', "", "in the background; the id is printed"},
    {"detach-keys", 0, "KEYS", "keys that leave the app running (default ctrl-p,ctrl-q)"},
    {"sig-proxy", 0, "", "pass signals on to the app (default true)"},
    {"cidfile", 0, "FILE", "write the id to this new file", Flag::Complete::kFile},
    {"dry-run", 0, "", "print the steps of the start and do nothing"},
    {"quiet", 'q', "", "no progress of a pull, or of what is unpacked"},
}};

// And those of image pull, for an image that is fetched.
std::span<const Flag> run_flags() {
  static const std::vector<Flag> kFlags = [] {
    std::vector<Flag> out(kRunFlags.begin(), kRunFlags.end());
    out.insert(out.end(), kPullFlags.begin(), kPullFlags.end());
    out.insert(out.end(), kPolicyFlags.begin(), kPolicyFlags.end());
    out.insert(out.end(), kPullPolicyFlags.begin(), kPullPolicyFlags.end());
    out.insert(out.end(), kApptainerFlags.begin(), kApptainerFlags.end());
    out.insert(out.end(), {kInsecureRunFlag, kRunSignatureFlag, kTrustFlag});
    const auto own = [](const Flag& flag) { return flag.name == "quiet"; };
    std::ranges::remove_copy_if(kRegistryFlags, std::back_inserter(out), own);
    return out;
  }();
  return kFlags;
}

// How the image is fetched, if it is.
Result<WantedImage> wanted_image(const Args& args, const pod::AppRequest& app) {
  ASSIGN_OR_RETURN(RegistryAccess access, registry_access(args));
  return WantedImage{.image = app.image,
                     .platform = app.platform,
                     .access = std::move(access),
                     .signature_policy = args.last("signature-policy").value_or("")};
}

constexpr std::string_view kRunDescription =
    "An image that is not in the store is fetched from its registry, unless --pull or the configuration says "
    "otherwise; a path (it begins with '/', './' or '../') of a squashfs, erofs or SIF file is run where it lies. "
    "An address, a file FILE.aci, NAME,LABEL=VALUE, a name that cooper trust or paths.d knows, and with --signature, "
    "--trust-keys-from-https or --insecure-options for a fetch any name with a domain is an ACI, and is fetched as "
    "image fetch does; docker://NAME is always one of a registry, and oci:DIR[:IMAGE], oci-archive:FILE[:IMAGE], "
    "docker-archive:FILE[:IMAGE] and dir:DIR are loaded each time, as image load does. "
    "COMMAND replaces the image's own; flags after IMAGE belong to the command.\n"
    "In the foreground, output and signals are passed on, and the exit status is the app's. With -it the app has a "
    "terminal; ctrl-p ctrl-q leaves it running.";

// Made before the start, so that no container runs whose id has nowhere to go.
class IdFile {
 public:
  static Result<IdFile> create(const std::optional<std::string>& path) {
    IdFile file;
    if (!path) return file;
    auto fd = sys::openat(sys::kCwd, *path, O_WRONLY | O_CREAT | O_EXCL | O_NOCTTY, 0644);
    if (!fd.ok()) {
      if (fd.error().errno_value() == EEXIST)
        return std::move(fd).error().with("--cidfile").with_hint("remove the file, or name another");
      return std::move(fd).error().with("--cidfile");
    }
    file.path_ = *path;
    file.fd_ = std::move(fd).value();
    return file;
  }
  Status write(const PodUuid& uuid) {
    if (!fd_) return {};
    path_.clear();
    return sys::write_all(fd_, uuid.str());
  }
  IdFile(IdFile&&) = default;
  IdFile& operator=(IdFile&&) = delete;
  ~IdFile() { discard(); }
  // Nothing was started.
  void discard() {
    if (!path_.empty() && fd_) (void)::unlink(path_.c_str());
    path_.clear();
  }

 private:
  IdFile() = default;
  std::string path_;  // to be removed: nothing was started
  UniqueFd fd_;
};

Result<int> run(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(pod::PodRequest request, run_request(args, context.settings(), real_surroundings()));
  ASSIGN_OR_RETURN(WantedImage wanted, wanted_image(args, request.apps.front()));
  ASSIGN_OR_RETURN(ForegroundOptions foreground, foreground_options(args, context.settings()));
  ASSIGN_OR_RETURN(pod::Engine engine, context.engine());
  if (args.enabled("dry-run")) return print_plans(context, engine, request);
  ASSIGN_OR_RETURN(IdFile id_file, IdFile::create(args.last("cidfile")));
  wanted.before_end = [&] { id_file.discard(); };
  RETURN_IF_ERROR(bring_places(context, engine, wanted, request.apps));
  RETURN_IF_ERROR(bring_acis(context, engine, args, wanted.access, request.apps, {args.last("signature").value_or("")},
                             wanted.before_end));
  const bool detach = args.enabled("detach");
  const pod::AppRequest& app = request.apps.front();
  if (!detach) warn_without_terminal(context, app);
  ASSIGN_OR_RETURN(auto signals, SignalInbox::open_if(!detach));
  ProgressDisplay progress(args.enabled("quiet"));
  engine.watch_unpacking(progress.callback());
  auto started = engine.run(request, detach ? monitor::LaunchOptions() : attached_launch(app.terminal, app.stdin_open),
                            image_fetcher(context, std::move(wanted)));
  if (!started.ok()) {
    report(context, started.error());
    return start_failure_status(started.error());
  }
  RETURN_IF_ERROR(id_file.write(started->uuid));
  if (detach) {
    RETURN_IF_ERROR(print(started->uuid.str() + "\n"));
    return 0;
  }
  foreground.terminal = app.terminal;
  foreground.stdin_open = app.stdin_open;
  foreground.owner = true;
  return run_in_foreground(engine, started->uuid, std::move(started->launched.client), std::move(foreground),
                           std::move(*signals));
}

Result<int> plan(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const pod::PodRequest request, run_request(args, context.settings(), real_surroundings()));
  ASSIGN_OR_RETURN(pod::Engine engine, context.engine());
  return print_plans(context, engine, request);
}

}  // namespace

std::span<const Command> run_commands() {
  static const std::array<Command, 2> kCommands = {{
      {.path = "run",
       .usage = "IMAGE [COMMAND [ARG...]]",
       .summary = "run a command in a new container",
       .description = kRunDescription,
       .flags = {run_flags(), sandbox_flags(), app_flags()},
       .order = Order::kBeforeArguments,
       .min_args = 1,
       .handler = run,
       .failure = kExitEngine,
       .completes = Completes::kImagesOrFiles,
       .later = Completes::kNothing,
       .seals = Seals::kWords},
      {.path = "plan",
       .usage = "IMAGE [COMMAND [ARG...]]",
       .summary = "print the kernel steps that run would take",
       .description = "The same as run --dry-run. With --format json the plan is a record.",
       .flags = {run_flags(), sandbox_flags(), app_flags()},
       .order = Order::kBeforeArguments,
       .min_args = 1,
       .handler = plan,
       .failure = kExitEngine,
       .completes = Completes::kImagesOrFiles,
       .later = Completes::kNothing},
  }};
  return kCommands;
}

}  // namespace cooper::cli
