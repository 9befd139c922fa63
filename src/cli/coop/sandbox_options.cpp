#include "cli/coop/sandbox_options.h"

#include <algorithm>
#include <limits>

#include "base/chars.h"
#include "base/strings.h"
#include "sys/tables.h"

namespace cooper::cli::coop {
namespace {

using Kind = FileOperation::Kind;
using Wish = SandboxOptions::Wish;

Error wrong(std::string_view flag, const std::string& text) {
  return Error(Errc::kInvalidArgument, "--" + std::string(flag) + ": " + text);
}

// How a flag that does something to the root file system is read: which of its words is what.
struct FileFlag {
  std::string_view name;
  Kind kind;
  bool readonly = false, devices = false, if_present = false;
};
constexpr FileFlag kFileFlags[] = {
    {"bind", Kind::kBind},
    {"bind-try", Kind::kBind, false, false, true},
    {"dev-bind", Kind::kBind, false, true},
    {"dev-bind-try", Kind::kBind, false, true, true},
    {"ro-bind", Kind::kBind, true},
    {"ro-bind-try", Kind::kBind, true, false, true},
    {"tmpfs", Kind::kTmpfs},
    {"proc", Kind::kProc},
    {"dev", Kind::kDev},
    {"mqueue", Kind::kMqueue},
    {"dir", Kind::kDirectory},
    {"symlink", Kind::kSymlink},
    {"file", Kind::kFile},
    {"bind-data", Kind::kData},
    {"ro-bind-data", Kind::kData, true},
    {"remount-ro", Kind::kRemountReadonly},
    {"chmod", Kind::kMode},
    {"overlay", Kind::kOverlay},
    {"tmp-overlay", Kind::kOverlay},
    {"ro-overlay", Kind::kOverlay, true},
};

class Reader {
 public:
  Reader(std::span<const Flag> flags, const SandboxQuestions& questions) : flags_(flags), questions_(questions) {}

  Status read(const std::vector<Arguments::Given>& given) {
    for (const Arguments::Given& one : given) RETURN_IF_ERROR(read(one));
    return {};
  }

  Result<SandboxOptions> finish() && {
    RETURN_IF_ERROR(nothing_pending("the end"));
    if (!out_.hostname.empty() && !out_.uts)
      return wrong("hostname", "needs a UTS namespace of the sandbox's own: add --unshare-uts");
    if (out_.as_pid_1 && !out_.pid)
      return wrong("as-pid-1", "needs a PID namespace of the sandbox's own: add --unshare-pid");
    if (out_.userns_fd && out_.user == Wish::kYes)
      return wrong("userns", "the user namespace is there: leave out --unshare-user");
    return std::move(out_);
  }

 private:
  Status read(const Arguments::Given& one) {
    for (const FileFlag& flag : kFileFlags) {
      if (flag.name == one.name) return file_operation(flag, one);
    }
    for (const auto& [name, handler] : kHandlers) {
      if (name == one.name) return (this->*handler)(one);
    }
    return {};  // of the start in general: read where that is made
  }

  // ---- the root file system ----
  Status file_operation(const FileFlag& flag, const Arguments::Given& one) {
    FileOperation op;
    op.kind = flag.kind;
    op.readonly = flag.readonly;
    op.devices = flag.devices;
    op.if_present = flag.if_present;
    op.words = "--" + std::string(one.name);
    for (const std::string& value : one.values) op.words += " " + quoted(value);
    op.destination = one.values.back();
    if (flag.kind == Kind::kBind || flag.kind == Kind::kSymlink) op.source = one.values[0];
    if (flag.kind == Kind::kBind && op.source.empty()) return wrong(one.name, "the source is empty");
    if (flag.kind == Kind::kFile || flag.kind == Kind::kData) {
      ASSIGN_OR_RETURN(op.fd, descriptor(one));
    }
    if (flag.kind == Kind::kMode) {
      ASSIGN_OR_RETURN(op.mode, octal(one.name, one.values[0]));
    }
    if (!op.destination.starts_with('/'))
      return wrong(one.name, quoted(op.destination) + " is no path in the sandbox: it must begin with /");
    if (op.kind == Kind::kOverlay) RETURN_IF_ERROR(overlay(one, op));
    RETURN_IF_ERROR(take_pending(op));
    out_.operations.push_back(std::move(op));
    return {};
  }

  Status overlay(const Arguments::Given& one, FileOperation& op) {
    op.layers = std::move(layers_);
    layers_.clear();
    if (op.layers.empty()) return wrong(one.name, "needs a layer below: put --overlay-src before it");
    if (op.readonly && op.layers.size() < 2)
      return wrong(one.name, "needs two layers: put two --overlay-src before it");
    op.scratch = one.name == "tmp-overlay";
    if (one.name != "overlay") return {};
    op.source = one.values[0];
    op.work = one.values[1];
    return {};
  }

  // --perms, --size and --overlay-src are about what follows them.
  Status take_pending(FileOperation& op) {
    const bool takes_mode =
        op.kind == Kind::kTmpfs || op.kind == Kind::kDirectory || op.kind == Kind::kFile || op.kind == Kind::kData;
    if (mode_ && takes_mode) {
      op.mode = mode_;
      mode_.reset();
    }
    if (size_bytes_ && op.kind == Kind::kTmpfs) {
      op.size_bytes = size_bytes_;
      size_bytes_.reset();
    }
    return nothing_pending(op.words);
  }

  Status nothing_pending(const std::string& before) {
    if (mode_)
      return wrong("perms",
                   "is for --tmpfs, --dir, --file, --bind-data or --ro-bind-data behind it, not for " + before);
    if (size_bytes_) return wrong("size", "is for --tmpfs behind it, not for " + before);
    if (!layers_.empty())
      return wrong("overlay-src", "is for --overlay, --tmp-overlay or --ro-overlay behind it, not for " + before);
    return {};
  }

  Status perms(const Arguments::Given& one) {
    ASSIGN_OR_RETURN(mode_, octal(one.name, one.values[0]));
    return {};
  }
  Status size(const Arguments::Given& one) {
    auto bytes = parse_bytes(one.values[0]);
    if (!bytes.ok()) return std::move(bytes).error().with("--size");
    if (*bytes == 0) return wrong("size", "a file system of no size holds nothing");
    size_bytes_ = *bytes;
    return {};
  }
  Status overlay_src(const Arguments::Given& one) {
    if (one.values[0].empty()) return wrong(one.name, "the directory is empty");
    layers_.push_back(one.values[0]);
    return {};
  }

  // ---- namespaces and the process ----
  Status unshare(const Arguments::Given& one) {
    const std::string_view what = one.name.substr(std::string_view("unshare-").size());
    const bool all = what == "all";
    if (what == "user") out_.user = Wish::kYes;
    if ((what == "user-try" || all) && out_.user == Wish::kNever) out_.user = Wish::kIfPossible;
    if (what == "cgroup") out_.cgroup = Wish::kYes;
    if ((what == "cgroup-try" || all) && out_.cgroup == Wish::kNever) out_.cgroup = Wish::kIfPossible;
    out_.ipc = out_.ipc || all || what == "ipc";
    out_.pid = out_.pid || all || what == "pid";
    out_.net = out_.net || all || what == "net";
    out_.uts = out_.uts || all || what == "uts";
    return {};
  }
  Status share_net(const Arguments::Given&) {
    out_.net = false;
    return {};
  }
  Status ids(const Arguments::Given& one) {
    const auto id = parse_number<std::uint32_t>(one.values[0]);
    if (!id || *id == std::numeric_limits<std::uint32_t>::max())
      return wrong(one.name,
                   quoted(one.values[0]) + " is not the number of a " + (one.name == "uid" ? "user" : "group"));
    (one.name == "uid" ? out_.uid : out_.gid) = *id;
    return {};
  }
  Status text(const Arguments::Given& one) {
    if (one.values[0].empty()) return wrong(one.name, "must not be empty");
    if (one.name == "chdir" && one.values[0][0] != '/')
      return wrong(one.name, quoted(one.values[0]) + " is no path in the sandbox: it must begin with /");
    (one.name == "hostname" ? out_.hostname : out_.working_directory) = one.values[0];
    return {};
  }
  Status environment(const Arguments::Given& one) {
    using Change = EnvironmentChange::Kind;
    EnvironmentChange change;
    change.kind = one.name == "clearenv" ? Change::kClear : one.name == "setenv" ? Change::kSet : Change::kUnset;
    if (change.kind != Change::kClear) {
      change.name = one.values[0];
      if (change.name.empty() || change.name.find('=') != std::string::npos)
        return wrong(one.name, quoted(change.name) + " is no name of a variable");
    }
    if (change.kind == Change::kSet) change.value = one.values[1];
    out_.environment.push_back(std::move(change));
    return {};
  }
  Status capability(const Arguments::Given& one) {
    std::string name = one.values[0];
    std::ranges::transform(name, name.begin(), to_upper);
    if (name != "ALL" && !name.starts_with("CAP_")) name.insert(0, "CAP_");
    if (name != "ALL" && !sys::capability_from_name(name))
      return wrong(one.name, quoted(one.values[0]) + " is no capability; capabilities(7) has them all");
    out_.capabilities.push_back({one.name == "cap-add", std::move(name)});
    return {};
  }
  Status switches(const Arguments::Given& one) {
    const bool on = parse_bool(one.values[0]).value_or(true);
    (one.name == "as-pid-1" ? out_.as_pid_1 : out_.die_with_parent) = on;
    return {};
  }
  Status seccomp(const Arguments::Given& one) {
    ASSIGN_OR_RETURN(out_.seccomp_fd, descriptor(one));
    return {};
  }
  Status namespace_of(const Arguments::Given& one) {
    std::optional<int>& fd = one.name == "userns"    ? out_.userns_fd
                             : one.name == "userns2" ? out_.userns2_fd
                                                     : out_.pidns_fd;
    ASSIGN_OR_RETURN(fd, descriptor(one));
    return {};
  }
  Status lock_file(const Arguments::Given& one) {
    if (!one.values[0].starts_with('/'))
      return wrong(one.name, quoted(one.values[0]) + " is no path in the sandbox: it must begin with /");
    out_.lock_files.push_back(one.values[0]);
    return {};
  }

  // ---- limits ----
  Status memory(const Arguments::Given& one) {
    auto bytes = parse_bytes(one.values[0]);
    if (!bytes.ok()) return std::move(bytes).error().with("--memory");
    if (*bytes == 0 || *bytes > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return wrong(one.name, quoted(one.values[0]) + " is no limit");
    out_.memory_bytes = static_cast<std::int64_t>(*bytes);
    return {};
  }
  Status pids(const Arguments::Given& one) {
    const auto number = parse_number<std::int64_t>(one.values[0]);
    if (!number || *number < 1) return wrong(one.name, quoted(one.values[0]) + " is no number of processes");
    out_.pids = *number;
    return {};
  }
  // Hundredths and thousandths count; a quota below a millisecond the kernel does not take.
  Status cpus(const Arguments::Given& one) {
    const auto pair = split_once(one.values[0], '.');
    const std::string_view whole = pair ? pair->first : std::string_view(one.values[0]);
    const std::string_view fraction = pair ? pair->second : std::string_view();
    const auto digits = [](std::string_view part) {
      return std::ranges::all_of(part, [](char c) { return is_digit(c); });
    };
    const auto number = whole.empty() ? std::optional<std::int64_t>(0) : parse_number<std::int64_t>(whole);
    constexpr std::int64_t kMost = 1 << 20;
    if ((whole.empty() && fraction.empty()) || !digits(whole) || !digits(fraction) || !number || *number > kMost)
      return wrong(one.name, quoted(one.values[0]) + " is no number of processors, as in 2 or 0.5");
    std::int64_t quota = *number * static_cast<std::int64_t>(kCpuPeriodUs);
    for (std::size_t i = 0, unit = kCpuPeriodUs / 10; i < fraction.size() && unit > 0; ++i, unit /= 10)
      quota += static_cast<std::int64_t>(unit) * (fraction[i] - '0');
    if (quota < 1000) return wrong(one.name, quoted(one.values[0]) + " is too little: the least is 0.01");
    out_.cpu_quota_us = quota;
    return {};
  }
  // NAME=SOFT[:HARD], as in nofile=1024:4096; "unlimited" is a number too.
  Status rlimit(const Arguments::Given& one) {
    const auto bad = [&] {
      return wrong(one.name, quoted(one.values[0]) + " is not of the form NAME=SOFT[:HARD], as in nofile=1024:4096");
    };
    const auto pair = split_once(one.values[0], '=');
    if (!pair) return bad();
    std::string name(pair->first);
    std::ranges::transform(name, name.begin(), to_upper);
    if (!name.starts_with("RLIMIT_")) name.insert(0, "RLIMIT_");
    if (!sys::rlimit_from_name(name))
      return wrong(one.name, quoted(pair->first) + " is no resource; setrlimit(2) has them all");
    const auto value = [](std::string_view text) -> std::optional<std::uint64_t> {
      if (text == "unlimited") return std::numeric_limits<std::uint64_t>::max();
      return parse_number<std::uint64_t>(text);
    };
    const auto both = split_once(pair->second, ':');
    const auto soft = value(both ? both->first : pair->second);
    const auto hard = both ? value(both->second) : soft;
    if (!soft || !hard) return bad();
    if (*soft > *hard) return wrong(one.name, quoted(one.values[0]) + ": the soft limit is above the hard one");
    if (std::ranges::any_of(out_.rlimits, [&](const oci::Rlimit& have) { return have.type == name; }))
      return wrong(one.name, quoted(pair->first) + " is given twice");
    out_.rlimits.push_back({std::move(name), *hard, *soft});
    return {};
  }

  // ---- words from a descriptor ----
  Status more_words(const Arguments::Given& one) {
    ASSIGN_OR_RETURN(const int fd, descriptor(one));
    auto bytes = questions_.read(fd);
    if (!bytes.ok()) return std::move(bytes).error().with("--args " + one.values[0]);
    if (bytes->ends_with('\0')) bytes->pop_back();
    std::vector<std::string> words;
    if (!bytes->empty()) {
      for (const std::string_view word : split(*bytes, '\0')) words.emplace_back(word);
    }
    std::vector<char*> pointers;
    pointers.reserve(words.size());
    for (std::string& word : words) pointers.push_back(word.data());
    auto arguments = Arguments::parse(pointers, flags_, Arguments::Stop::kFirstArgument);
    if (!arguments.ok()) return std::move(arguments).error().with("--args " + one.values[0]);
    if (!arguments->positional().empty())
      return wrong(one.name, quoted(arguments->positional()[0]) + " in descriptor " + one.values[0] + " is no option");
    for (const Arguments::Given& inner : arguments->given()) {
      const bool known =
          std::ranges::any_of(kFileFlags, [&](const FileFlag& flag) { return flag.name == inner.name; }) ||
          std::ranges::any_of(kHandlers, [&](const Handler& entry) { return entry.first == inner.name; });
      if (!known)
        return wrong(one.name, "--" + std::string(inner.name) + " must be on the command line, not in descriptor " +
                                   one.values[0]);
    }
    return read(arguments->given());
  }

  Result<int> descriptor(const Arguments::Given& one) {
    const auto fd = parse_number<int>(one.values[0]);
    if (!fd || *fd < 0) return wrong(one.name, quoted(one.values[0]) + " is no number of a descriptor");
    if (!questions_.is_open(*fd)) return wrong(one.name, "descriptor " + one.values[0] + " is not open");
    if (std::ranges::find(used_, *fd) != used_.end())
      return wrong(one.name, "descriptor " + one.values[0] + " is given twice, and can be read once");
    used_.push_back(*fd);
    return *fd;
  }
  static Result<mode_t> octal(std::string_view flag, std::string_view text) {
    mode_t mode = 0;
    for (const char c : text) {
      if (c < '0' || c > '7') return wrong(flag, quoted(text) + " is not an octal mode, as in 0755");
      mode = mode * 8 + static_cast<mode_t>(c - '0');
      if (mode > 07777) break;
    }
    if (text.empty() || mode > 07777) return wrong(flag, quoted(text) + " is not an octal mode, as in 0755");
    return mode;
  }

  using Handler = std::pair<std::string_view, Status (Reader::*)(const Arguments::Given&)>;
  static const Handler kHandlers[34];

  std::span<const Flag> flags_;
  const SandboxQuestions& questions_;
  SandboxOptions out_;
  std::optional<mode_t> mode_;
  std::optional<std::uint64_t> size_bytes_;
  std::vector<std::string> layers_;
  std::vector<int> used_;
};

const Reader::Handler Reader::kHandlers[34] = {
    {"args", &Reader::more_words},
    {"perms", &Reader::perms},
    {"size", &Reader::size},
    {"overlay-src", &Reader::overlay_src},
    {"unshare-user", &Reader::unshare},
    {"unshare-user-try", &Reader::unshare},
    {"unshare-ipc", &Reader::unshare},
    {"unshare-pid", &Reader::unshare},
    {"unshare-net", &Reader::unshare},
    {"unshare-uts", &Reader::unshare},
    {"unshare-cgroup", &Reader::unshare},
    {"unshare-cgroup-try", &Reader::unshare},
    {"unshare-all", &Reader::unshare},
    {"share-net", &Reader::share_net},
    {"uid", &Reader::ids},
    {"gid", &Reader::ids},
    {"hostname", &Reader::text},
    {"chdir", &Reader::text},
    {"setenv", &Reader::environment},
    {"unsetenv", &Reader::environment},
    {"clearenv", &Reader::environment},
    {"cap-add", &Reader::capability},
    {"cap-drop", &Reader::capability},
    {"seccomp", &Reader::seccomp},
    {"userns", &Reader::namespace_of},
    {"userns2", &Reader::namespace_of},
    {"pidns", &Reader::namespace_of},
    {"lock-file", &Reader::lock_file},
    {"as-pid-1", &Reader::switches},
    {"die-with-parent", &Reader::switches},
    {"memory", &Reader::memory},
    {"pids-limit", &Reader::pids},
    {"cpus", &Reader::cpus},
    {"rlimit", &Reader::rlimit},
};

}  // namespace

Result<SandboxOptions> parse_sandbox(const Arguments& arguments, std::span<const Flag> flags,
                                     const SandboxQuestions& questions) {
  Reader reader(flags, questions);
  RETURN_IF_ERROR(reader.read(arguments.given()));
  ASSIGN_OR_RETURN(SandboxOptions out, std::move(reader).finish());
  out.terminal = arguments.flag("tty");
  out.id = arguments.value("id");
  return out;
}

bool reads_descriptors(const Arguments& arguments) {
  return arguments.has("args") || arguments.has("seccomp");
}

}  // namespace cooper::cli::coop
