#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.h"
#include "cli/cooper/command.h"
#include "cli/cooper/help.h"
#include "cli/cooper/image_policy.h"
#include "cli/cooper/registry_session.h"
#include "container/seal_exe.h"
#include "io/file.h"
#include "log/steps.h"
#include "sys/file.h"
#include "userns/enter.h"

namespace cooper::cli {
namespace {

void print_error(std::string_view text) {
  auto written = sys::write_all(BorrowedFd(STDERR_FILENO), text);
  if (!written.ok()) return;  // nobody to tell
}

// One sentence and what to try; the program's name in front for people.
void report(const Error& error, log::Format format) {
  if (format == log::Format::kJson) {
    log::error(error);
  } else {
    print_error("cooper: " + printable(log::sentence(error)) + "\n");
  }
}

int usage_error(const Error& error) {
  report(error, log::Format::kText);
  return kExitUsage;
}

// One too many costs only an execution from the copy: --cap-add=SYS_PTRACE, --cap-add ALL, --caps-retain=...,
// --privileged.
bool may_grant_tracing(std::string_view word) {
  const std::string lower = to_lower(word);
  return lower == "all" || lower.ends_with("=all") || lower.find("sys_ptrace") != std::string::npos ||
         lower.starts_with("--privileged");
}

Status protect_executable(Seals how, char** argv) {
  RETURN_IF_ERROR(container::seal_executable(argv));
  bool copy = how == Seals::kCopy;
  for (char** word = argv; how == Seals::kWords && *word != nullptr; ++word) copy = copy || may_grant_tracing(*word);
  return copy ? container::seal_executable_copy() : Status();
}

// The command named by the first words; `used` is how many.
const Command* select(std::span<const std::string> words, std::size_t& used) {
  for (const std::size_t count : {std::size_t{2}, std::size_t{1}}) {
    if (words.size() < count) continue;
    const std::string path = count == 2 ? words[0] + " " + words[1] : words[0];
    if (const Command* command = find_command(path)) {
      used = count;
      return command;
    }
  }
  return nullptr;
}

// Words of docker and podman for what has another name here, or is done in another way.
struct OtherName {
  std::string_view theirs, ours;
};
struct OtherWay {
  std::string_view theirs, hint;
};
constexpr std::array<OtherName, 29> kOtherNames = {{{"pull", "image pull"},
                                                    {"fetch", "image fetch"},
                                                    {"push", "image push"},
                                                    {"load", "image load"},
                                                    {"import", "image import"},
                                                    {"save", "image save"},
                                                    {"history", "image history"},
                                                    {"images", "image ls"},
                                                    {"rmi", "image rm"},
                                                    {"tag", "image tag"},
                                                    {"untag", "image untag"},
                                                    {"list", "ps, and cooper pod ls for pods"},
                                                    {"ls", "ps"},
                                                    {"unpack", "image extract"},
                                                    {"image unpack", "image extract"},
                                                    {"image delete", "image rm"},
                                                    {"image trust", "trust ls, and cooper image policy"},
                                                    {"image list", "image ls"},
                                                    {"image prune", "image gc"},
                                                    {"image remove", "image rm"},
                                                    {"trust list", "trust ls"},
                                                    {"container", "ps, run, rm and so on without that word"},
                                                    {"prune", "pod gc, and cooper image gc"},
                                                    {"system", "pod gc, cooper image gc and cooper image df"},
                                                    {"pod ps", "pod ls"},
                                                    {"pod list", "pod ls"},
                                                    {"pod create", "pod prepare"},
                                                    {"pod start", "pod run-prepared"},
                                                    {"pod inspect", "pod status"}}};

constexpr std::string_view kRunsOnce =
    "a container runs once: cooper run starts another one, cooper pod run-prepared what cooper pod prepare has made";
constexpr std::string_view kBuildElsewhere =
    "cooper image build-from-dir makes an image of a directory; buildah, podman and docker build those of a "
    "Dockerfile, and cooper image load takes them";
constexpr std::string_view kNotSearched = "registries are not searched: podman search and skopeo list-tags do that";
constexpr std::string_view kNotMounted =
    "cooper image extract unpacks an image into a directory, cooper run IMAGE COMMAND looks into it";
constexpr std::string_view kCopied =
    "cooper image pull brings an image into the store, from docker://NAME, oci:DIR:NAME and so on; cooper image push "
    "takes it there";
constexpr std::array<OtherWay, 27> kOtherWays = {{
    {"trust --prefix", "cooper trust add --prefix NAME [KEY...] trusts keys, --all-names for every image"},
    {"trust --skip-fingerprint-review", "cooper trust add trusts keys"},
    {"create", "make it with cooper pod prepare, start it with cooper pod run-prepared"},
    {"start", kRunsOnce},
    {"restart", kRunsOnce},
    {"pod restart", kRunsOnce},
    {"cp", "mount a directory with run -v, or use tar on both sides: cooper exec NAME tar -c PATH | tar -x"},
    {"build", kBuildElsewhere},
    {"image build", kBuildElsewhere},
    {"commit", kBuildElsewhere},
    {"login", "podman login and docker login write files that cooper image pull and push read; or give them --creds"},
    {"logout", "cooper image pull and push read what podman login and docker login wrote: podman logout takes it away"},
    {"search", kNotSearched},
    {"image search", kNotSearched},
    {"list-tags", kNotSearched},
    {"copy", kCopied},
    {"image copy", kCopied},
    {"sync", kCopied},
    {"manifest",
     "cooper image cat-manifest prints that of an image of the store, skopeo inspect --raw that of one in a registry"},
    {"enter", "cooper exec -it NAME sh"},
    {"export", "cooper image export writes an image as an ACI; files of a container: cooper exec NAME tar -c PATH"},
    {"image mount", kNotMounted},
    {"image umount", kNotMounted},
    {"image unmount", kNotMounted},
    {"image sign",
     "skopeo standalone-sign, podman image sign and cosign make signatures; cooper trust and image policy "
     "say which are asked for"},
    {"image scp", "cooper image save NAME | ssh HOST cooper image load"},
    {"update", "limits are set at the start: cooper help run"},
}};

// Verbs of that name about images and pods.
std::string in_groups(std::string_view word) {
  std::string out;
  for (const Group& group : command_groups()) {
    for (const Command& command : group.commands) {
      const auto pair = split_once(command.path, ' ');
      if (!pair || pair->second != word || (pair->first != "image" && pair->first != "pod")) continue;
      out.append(out.empty() ? "" : ", or ").append("cooper ").append(command.path);
    }
  }
  return out;
}

int unknown_command(std::span<const std::string> words) {
  std::vector<std::string_view> names;
  const bool in_group = !group_help(words[0]).empty();
  for (const Group& group : command_groups()) {
    for (const Command& command : group.commands) {
      const auto pair = split_once(command.path, ' ');
      if (!in_group) {
        names.push_back(pair ? pair->first : command.path);
      } else if (pair && pair->first == words[0]) {
        names.push_back(pair->second);
      }
    }
  }
  if (in_group && words.size() == 1) {
    print_error(group_help(words[0]));
    return kExitUsage;
  }
  const std::string& word = in_group ? words[1] : words[0];
  const std::string group = in_group ? words[0] + " " : "";
  Error error(Errc::kInvalidArgument, "unknown command " + quoted(group + word));
  const auto other = std::ranges::find(kOtherNames, group + word, &OtherName::theirs);
  if (other != kOtherNames.end())
    return usage_error(std::move(error).with_hint("use cooper " + std::string(other->ours)));
  const auto way = std::ranges::find(kOtherWays, group + word, &OtherWay::theirs);
  if (way != kOtherWays.end()) return usage_error(std::move(error).with_hint(std::string(way->hint)));
  if (const std::string ours = in_group ? std::string() : in_groups(word); !ours.empty())
    return usage_error(std::move(error).with_hint("use " + ours));
  const std::string_view near = nearest(word, names);
  return usage_error(std::move(error).with_hint(
      near.empty() ? (in_group ? "cooper help " + words[0] : std::string("cooper help")) + " lists the commands"
                   : "did you mean cooper " + group + std::string(near) + "?"));
}

int help_verb(std::span<const std::string> words) {
  std::string page;
  std::size_t used = 0;
  if (words.empty()) {
    page = program_help();
  } else if (const Command* command = select(words, used)) {
    page = command_help(*command);
  } else {
    page = group_help(words[0]);
  }
  if (page.empty() || (words.size() > 1 && used == 0)) return unknown_command(words);
  return print(page).ok() ? 0 : kExitFailure;
}

Status check_count(const Command& command, const Args& args) {
  const auto count = static_cast<int>(args.positional().size());
  std::string usage = fmt::format("usage: cooper {}", command.path);
  if (!command.usage.empty()) usage.append(" ").append(command.usage);
  if (count < command.min_args) {
    return Error(Errc::kInvalidArgument,
                 fmt::format("{} needs {}", command.path, command.min_args == 1 ? "an argument" : "more arguments"))
        .with_hint(usage);
  }
  if (command.max_args >= 0 && count > command.max_args) {
    const std::string& extra = args.positional()[static_cast<std::size_t>(command.max_args)];
    return Error(Errc::kInvalidArgument, fmt::format("{} has one argument too many: {}", command.path, quoted(extra)))
        .with_hint(usage);
  }
  return {};
}

int run_command(const Command& command, const Args& args) {
  auto settings = load_settings(args, command.own_formats, command.templates);
  if (!settings.ok()) return usage_error(settings.error());
  const log::Format log_format = settings->log.format;
  if (auto configured = log::configure(settings->log); !configured.ok()) return usage_error(configured.error());
  const Context context(std::move(settings).value(), command.needs);
  log::step("command", [&] { return log::Fields{{"verb", std::string(command.path)}, {"version", COOPER_VERSION}}; });
  const Result<int> status = command.handler(context, args);
  log::step("command has ended", [&] {
    return log::Fields{{"status", status.ok() ? std::to_string(*status) : "failed"}};
  });
  if (status.ok()) return *status;
  report(status.error(), log_format);
  const Errc code = status.error().code();
  const bool wrong_words = code == Errc::kInvalidArgument || code == Errc::kUnsupported;
  return wrong_words && !context.parsed() ? kExitUsage : command.failure;
}

Error needs_root() {
  return Error(
             Errc::kPermission,
             "containers and pods need root: this user cannot mount, make control groups or give files to other users",
             EPERM)
      .with_hint(
          "use sudo; without it the verbs of cooper image work, with images of the user's own, and coop run starts "
          "containers of bundles");
}

// Not root: the store of this user, and no pods.
Result<pod::Engine> open_user_engine(pod::EngineOptions options, Needs needs) {
  if (needs == Needs::kRoot) return needs_root();
  if (options.root.empty())
    return Error(Errc::kNotFound, "this user has no directory for images: neither XDG_DATA_HOME nor HOME is set")
        .with_hint("set HOME, or name a directory: --root");
  ASSIGN_OR_RETURN(pod::Engine engine, pod::Engine::open_for_images(std::move(options)));
  // A second engine finds itself inside.
  if (needs == Needs::kOwners && ::geteuid() != 0) RETURN_IF_ERROR(userns::enter());
  return engine;
}

}  // namespace

Result<pod::Engine> Context::engine() const {
  parsed_ = true;
  know_short_names();
  pod::EngineOptions options = settings_.engine;
  options.admit_file = [this](const image::FileImage& file) { return admit_file(*this, file); };
  // Said here, before the first directory is made in vain.
  if (!caller_is_root()) return open_user_engine(std::move(options), needs_);
  return pod::Engine::open(std::move(options));
}

std::span<const Group> command_groups() {
  static const std::array<Group, 11> kGroups = {{{"Containers", run_commands()},
                                                 {"Containers that are there", container_commands()},
                                                 {"What they use", usage_commands()},
                                                 {"Inside", exec_commands()},
                                                 {"Pods", pod_commands()},
                                                 {"Images, here and elsewhere", transfer_commands()},
                                                 {"Images", image_commands()},
                                                 {"Signatures", trust_commands()},
                                                 {"libcontainer", libcontainer_commands()},
                                                 {"Configurations", convert_commands()},
                                                 {"Other", misc_commands()}}};
  return kGroups;
}

const Command* find_command(std::string_view path) {
  for (const Group& group : command_groups()) {
    for (const Command& command : group.commands) {
      if (command.path == path) return &command;
    }
  }
  return nullptr;
}

int main_cooper(char** argv) {
  if (Status streams = io::occupy_standard_streams(); !streams.ok()) return usage_error(streams.error());
  container::note_second_run();
  io::survive_file_size_limit();
  io::take_back_children();
  // What is made for a container has the mode it needs there; what is ours alone is made with a mode that says so.
  (void)::umask(0022);
  std::vector<std::string> words;
  for (char** word = argv[0] == nullptr ? argv : argv + 1; *word != nullptr; ++word) words.emplace_back(*word);
  const std::array<std::span<const Flag>, 1> global = {global_flags()};
  auto before = parse_args(global, words, Order::kBeforeArguments);
  if (!before.ok()) return usage_error(before.error());
  const std::vector<std::string> rest = std::move(before->positional());
  if (before->enabled("help")) return help_verb(rest);
  if (before->enabled("version")) return run_command(*find_command("version"), *before);
  if (rest.empty()) {
    print_error(program_help());
    return kExitUsage;
  }
  if (rest[0] == "help") return help_verb(std::span(rest).subspan(1));
  std::size_t used = 0;
  const Command* command = select(rest, used);
  if (command == nullptr) {
    if (rest.size() == 2 && (rest[1] == "--help" || rest[1] == "-h")) return help_verb(std::span(rest).first(1));
    return unknown_command(rest);
  }
  std::array<std::span<const Flag>, 4> tables;
  std::copy(command->flags.begin(), command->flags.end(), tables.begin());
  tables[3] = global_flags();
  auto args = parse_args(tables, std::span(rest).subspan(used), command->order);
  if (!args.ok()) return usage_error(std::move(args).error().with(command->path));
  if (args->enabled("help")) return print(command_help(*command)).ok() ? 0 : kExitFailure;
  args->merge_earlier(*before);
  if (auto counted = check_count(*command, *args); !counted.ok()) return usage_error(counted.error());
  if (command->seals != Seals::kNot && !args->enabled("dry-run")) {
    if (auto sealed = protect_executable(command->seals, argv); !sealed.ok()) return usage_error(sealed.error());
  }
  return run_command(*command, *args);
}

}  // namespace cooper::cli
