// The one table of commands.
#include <array>

#include "cli/coop/commands.h"

namespace cooper::cli::coop {
namespace {

constexpr Flag kBundle{"bundle", "b", FlagType::kValue, "DIR", "the bundle's directory (default: the current one)"};
constexpr Flag kConsoleSocket{"console-socket", "", FlagType::kValue, "PATH",
                              "unix socket that receives the master of the terminal"};
constexpr Flag kPidfdSocket{"pidfd-socket", "", FlagType::kValue, "PATH",
                            "unix socket that receives a pidfd of the process"};
constexpr Flag kPidFile{"pid-file", "", FlagType::kValue, "FILE", "write the process's pid to this file"};
constexpr Flag kNoPivot{"no-pivot", "", FlagType::kBool, "",
                        "move the root instead of pivot_root (root file systems on a ramdisk)"};
constexpr Flag kNoKeyring{"no-new-keyring", "", FlagType::kBool, "", "keep the caller's session keyring"};
constexpr Flag kPreserveFds{"preserve-fds", "", FlagType::kValue, "N",
                            "pass N descriptors after standard error (and $LISTEN_FDS)"};
constexpr Flag kFormat{"format", "f", FlagType::kValue, "FORMAT", "table or json (default: table)"};

constexpr Flag kInfoFd{"info-fd", "", FlagType::kValue, "FD",
                       "write pid and namespaces there as JSON before the start"};
constexpr Flag kStatusFd{"json-status-fd", "", FlagType::kValue, "FD", "the same, and the exit status at the end"};
constexpr Flag kBlockFd{"block-fd", "", FlagType::kValue, "FD", "start when there is something to read, or its end"};
constexpr Flag kTimeLimit{"time-limit", "", FlagType::kValue, "SECONDS", "end the program then; exit status 124"};
constexpr Flag kKillAfter{"kill-after", "", FlagType::kValue, "SECONDS",
                          "kill what SIGTERM has not ended (default: 10)"};

constexpr Flag kKeepExitStatus{"keep-exit-status", "", FlagType::kBool, "",
                               "for 'state' and 'wait', whoever collects the process (kernel 6.15)"};

constexpr std::array kCreateFlags{kBundle,      kConsoleSocket, kPidfdSocket, kPidFile, kNoPivot,       kNoKeyring,
                                  kPreserveFds, kInfoFd,        kStatusFd,    kBlockFd, kKeepExitStatus};
constexpr std::array kRunFlags{
    kBundle,
    kConsoleSocket,
    kPidfdSocket,
    kPidFile,
    kNoPivot,
    kNoKeyring,
    kPreserveFds,
    kInfoFd,
    kStatusFd,
    kBlockFd,
    kTimeLimit,
    kKillAfter,
    Flag{"detach", "d", FlagType::kBool, "", "return once the process runs"},
    Flag{"keep", "", FlagType::kBool, "", "do not delete the container after it has ended"},
    kKeepExitStatus,
    Flag{"no-subreaper", "", FlagType::kBool, "", "do not adopt the container's orphans"},
    Flag{"dry-run", "", FlagType::kOptionalValue, "text|json",
         "print the ordered kernel steps of the start and do nothing"},
    Flag{"trace-timing", "", FlagType::kOptionalValue, "FILE",
         "say where the time went: text on standard error, or a FILE (.svg, .json, else text)"},
};
constexpr std::array kExecFlags{
    kConsoleSocket,
    kPidfdSocket,
    kPidFile,
    kPreserveFds,
    Flag{"cwd", "", FlagType::kValue, "DIR", "working directory in the container"},
    Flag{"env", "e", FlagType::kList, "NAME=VALUE", "add to the environment"},
    Flag{"tty", "t", FlagType::kBool, "", "allocate a terminal"},
    Flag{"user", "u", FlagType::kValue, "UID[:GID]", "user and group of the process"},
    Flag{"additional-gids", "g", FlagType::kList, "GID", "add a supplementary group"},
    Flag{"process", "p", FlagType::kValue, "FILE", "take the whole process from this file (- is standard input)"},
    Flag{"detach", "d", FlagType::kBool, "", "return once the process runs"},
    Flag{"process-label", "", FlagType::kValue, "LABEL", "SELinux label"},
    Flag{"apparmor", "", FlagType::kValue, "PROFILE", "AppArmor profile"},
    Flag{"no-new-privs", "", FlagType::kBool, "", "set no_new_privs"},
    Flag{"cap", "c", FlagType::kList, "CAP", "add a capability"},
    Flag{"cgroup", "", FlagType::kList, "[CONTROLLER,...:]PATH",
         "place below the container's cgroup, which must exist; with controllers (cgroup v1): in theirs only"},
    Flag{"ignore-paused", "", FlagType::kBool, "", "allow exec in a paused container"},
};
// Files, in order; then namespaces, the process, limits, and who watches.
constexpr std::array kSandboxFlags{
    Flag{"bind", "", FlagType::kTwoValues, "SRC DEST", "bind a file or directory of the host"},
    Flag{"bind-try", "", FlagType::kTwoValues, "SRC DEST", "the same, if it is there"},
    Flag{"dev-bind", "", FlagType::kTwoValues, "SRC DEST", "bind with its device nodes"},
    Flag{"dev-bind-try", "", FlagType::kTwoValues, "SRC DEST", "the same, if it is there"},
    Flag{"ro-bind", "", FlagType::kTwoValues, "SRC DEST", "bind read-only"},
    Flag{"ro-bind-try", "", FlagType::kTwoValues, "SRC DEST", "the same, if it is there"},
    Flag{"tmpfs", "", FlagType::kValue, "DEST", "mount a tmpfs"},
    Flag{"proc", "", FlagType::kValue, "DEST", "mount a proc file system"},
    Flag{"dev", "", FlagType::kValue, "DEST", "make a /dev with the standard devices"},
    Flag{"mqueue", "", FlagType::kValue, "DEST", "mount a message queue file system"},
    Flag{"dir", "", FlagType::kValue, "DEST", "make a directory"},
    Flag{"symlink", "", FlagType::kTwoValues, "TARGET DEST", "make a symbolic link"},
    Flag{"file", "", FlagType::kTwoValues, "FD DEST", "make a file of what the descriptor holds"},
    Flag{"bind-data", "", FlagType::kTwoValues, "FD DEST", "the same, bound on DEST"},
    Flag{"ro-bind-data", "", FlagType::kTwoValues, "FD DEST", "the same, read-only"},
    Flag{"chmod", "", FlagType::kTwoValues, "MODE PATH", "change a mode"},
    Flag{"remount-ro", "", FlagType::kValue, "DEST", "make a mount read-only"},
    Flag{"overlay-src", "", FlagType::kValue, "SRC", "a layer of the next overlay, the lowest first"},
    Flag{"overlay", "", FlagType::kThreeValues, "RWSRC WORKDIR DEST", "mount an overlay that writes to RWSRC"},
    Flag{"tmp-overlay", "", FlagType::kValue, "DEST", "mount an overlay that writes to memory"},
    Flag{"ro-overlay", "", FlagType::kValue, "DEST", "mount a read-only overlay"},
    Flag{"perms", "", FlagType::kValue, "MODE", "mode of what the next option makes, in octal"},
    Flag{"size", "", FlagType::kValue, "SIZE", "size of the next --tmpfs"},
    Flag{"args", "", FlagType::kValue, "FD", "take options from there, each with a NUL behind it"},
    Flag{"unshare-user", "", FlagType::kBool, "", "a user namespace (always, without privileges)"},
    Flag{"unshare-user-try", "", FlagType::kBool, "", "the same, if the kernel has them"},
    Flag{"unshare-ipc", "", FlagType::kBool, "", "an IPC namespace"},
    Flag{"unshare-pid", "", FlagType::kBool, "", "a PID namespace"},
    Flag{"unshare-net", "", FlagType::kBool, "", "a network namespace"},
    Flag{"unshare-uts", "", FlagType::kBool, "", "a UTS namespace"},
    Flag{"unshare-cgroup", "", FlagType::kBool, "", "a cgroup namespace"},
    Flag{"userns", "", FlagType::kValue, "FD", "this user namespace, instead of a new one"},
    Flag{"userns2", "", FlagType::kValue, "FD", "the command is in this one, below that of the sandbox"},
    Flag{"pidns", "", FlagType::kValue, "FD", "this PID namespace; with --unshare-pid one below it"},
    Flag{"unshare-cgroup-try", "", FlagType::kBool, "", "the same, if the kernel has them"},
    Flag{"unshare-all", "", FlagType::kBool, "", "all of these"},
    Flag{"share-net", "", FlagType::kBool, "", "the caller's network all the same"},
    Flag{"uid", "", FlagType::kValue, "UID", "user in the sandbox (default: the caller)"},
    Flag{"gid", "", FlagType::kValue, "GID", "group in the sandbox (default: the caller's)"},
    Flag{"hostname", "", FlagType::kValue, "NAME", "host name, with --unshare-uts"},
    Flag{"chdir", "", FlagType::kValue, "DIR", "working directory (default: the caller's, or $HOME, or /)"},
    Flag{"setenv", "", FlagType::kTwoValues, "NAME VALUE", "set a variable of the environment"},
    Flag{"unsetenv", "", FlagType::kValue, "NAME", "remove a variable"},
    Flag{"clearenv", "", FlagType::kBool, "", "remove all of them but PWD"},
    Flag{"cap-add", "", FlagType::kList, "CAP", "add a capability, or ALL"},
    Flag{"cap-drop", "", FlagType::kList, "CAP", "drop a capability, or ALL"},
    Flag{"seccomp", "", FlagType::kValue, "FD", "load the compiled seccomp filter there"},
    Flag{"as-pid-1", "", FlagType::kBool, "", "no process of coop as process 1 of the PID namespace"},
    Flag{"new-session", "", FlagType::kBool, "", "accepted; there always is one"},
    Flag{"die-with-parent", "", FlagType::kBool, "", "end with the process that started coop"},
    Flag{"lock-file", "", FlagType::kList, "FILE", "lock a file in the sandbox for reading while it runs"},
    Flag{"sync-fd", "", FlagType::kValue, "FD", "keep this descriptor open while it runs"},
    Flag{"tty", "t", FlagType::kBool, "", "a terminal of its own (needs --dev /dev)"},
    Flag{"memory", "", FlagType::kValue, "SIZE", "memory limit"},
    Flag{"cpus", "", FlagType::kValue, "N", "limit of processor time, in processors"},
    Flag{"pids-limit", "", FlagType::kValue, "N", "number of processes"},
    Flag{"rlimit", "", FlagType::kList, "NAME=SOFT[:HARD]", "resource limit of the process"},
    Flag{"id", "", FlagType::kValue, "ID", "id for other commands (default: a random one)"},
    kPidFile,
    kPreserveFds,
    kInfoFd,
    kStatusFd,
    kBlockFd,
    kTimeLimit,
    kKillAfter,
    Flag{"dry-run", "", FlagType::kOptionalValue, "text|json",
         "print the ordered kernel steps of the start and do nothing"},
};
constexpr std::array kListFlags{kFormat, Flag{"quiet", "q", FlagType::kBool, "", "ids only"}};
constexpr std::array kPsFlags{kFormat};
constexpr std::array kWaitFlags{kFormat};
constexpr std::array kKillFlags{Flag{"all", "a", FlagType::kBool, "", "signal every process of the container"}};
constexpr std::array kDeleteFlags{
    Flag{"force", "f", FlagType::kBool, "", "kill the container first; an unknown id is no error"}};
constexpr std::array kSpecFlags{
    kBundle, Flag{"rootless", "", FlagType::kBool, "", "for a container that a user without privileges starts"}};
constexpr std::array kUpdateFlags{
    Flag{"resources", "r", FlagType::kValue, "FILE",
         "linux.resources as JSON (- is standard input); other flags are then ignored"},
    Flag{"devices", "", FlagType::kBool, "", "also apply the device rules of the file, which are left alone otherwise"},
    Flag{"blkio-weight", "", FlagType::kValue, "N", "block I/O weight, 10 to 1000"},
    Flag{"cpu-period", "", FlagType::kValue, "US", "CFS period"},
    Flag{"cpu-quota", "", FlagType::kValue, "US", "CFS quota a period; -1: unlimited"},
    Flag{"cpu-burst", "", FlagType::kValue, "US", "CFS burst"},
    Flag{"cpu-share", "", FlagType::kValue, "N", "CPU shares (relative weight)"},
    Flag{"cpu-rt-period", "", FlagType::kValue, "US", "realtime period"},
    Flag{"cpu-rt-runtime", "", FlagType::kValue, "US", "realtime runtime a period"},
    Flag{"cpuset-cpus", "", FlagType::kValue, "LIST", "processors to use"},
    Flag{"cpuset-mems", "", FlagType::kValue, "LIST", "memory nodes to use"},
    Flag{"cpu-idle", "", FlagType::kValue, "0|1", "run only when nothing else does"},
    Flag{"memory", "", FlagType::kValue, "SIZE", "memory limit; -1: unlimited"},
    Flag{"memory-reservation", "", FlagType::kValue, "SIZE", "soft limit"},
    Flag{"memory-swap", "", FlagType::kValue, "SIZE", "limit of memory plus swap; -1: unlimited"},
    Flag{"pids-limit", "", FlagType::kValue, "N", "number of processes; -1: unlimited"},
    Flag{"l3-cache-schema", "", FlagType::kValue, "TEXT", "share of the L3 cache, L3:DOMAIN=MASK;..."},
    Flag{"mem-bw-schema", "", FlagType::kValue, "TEXT", "share of memory bandwidth, MB:DOMAIN=VALUE;..."},
    Flag{"kernel-memory", "", FlagType::kValue, "SIZE", "", true},
    Flag{"kernel-memory-tcp", "", FlagType::kValue, "SIZE", "", true},
};
constexpr std::array kMountFlags{
    Flag{"type", "t", FlagType::kValue, "TYPE", "type of file system (default: bind)"},
    Flag{"options", "o", FlagType::kList, "OPTION,...", "options, as in the mounts of config.json"},
};
constexpr Flag kImagePath{"image-path", "", FlagType::kValue, "DIR", "directory of the images (default: ./checkpoint)"};
constexpr Flag kWorkPath{"work-path", "", FlagType::kValue, "DIR",
                         "directory of the log (default: that of the images)"};
constexpr Flag kTcpEstablished{"tcp-established", "", FlagType::kBool, "", "save and restore open TCP connections"};
constexpr Flag kExtUnix{"ext-unix-sk", "", FlagType::kBool, "", "allow unix sockets to the outside"};
constexpr Flag kShellJob{"shell-job", "", FlagType::kBool, "", "allow a session and a terminal of the outside"};
constexpr Flag kFileLocks{"file-locks", "", FlagType::kBool, "", "save and restore file locks"};
constexpr Flag kLazyPages{"lazy-pages", "", FlagType::kBool, "", "fetch memory pages when they are touched"};
constexpr Flag kAutoDedup{"auto-dedup", "", FlagType::kBool, "", "free what later images make superfluous"};
constexpr Flag kEmptyNs{"empty-ns", "", FlagType::kList, "network", "leave out what this namespace holds"};
constexpr Flag kManageCgroups{"manage-cgroups-mode", "", FlagType::kValue, "soft|full|strict|ignore",
                              "how CRIU treats cgroups (default: soft)"};
constexpr std::array kCheckpointFlags{
    kImagePath,
    kWorkPath,
    Flag{"parent-path", "", FlagType::kValue, "DIR", "images of an earlier --pre-dump, relative to --image-path"},
    Flag{"leave-running", "", FlagType::kBool, "", "the container goes on"},
    Flag{"pre-dump", "", FlagType::kBool, "", "save memory only; the container goes on"},
    kTcpEstablished,
    Flag{"tcp-skip-in-flight", "", FlagType::kBool, "", "leave out connections that are being made"},
    Flag{"link-remap", "", FlagType::kBool, "", "allow open files without a name, by giving them one"},
    kExtUnix,
    kShellJob,
    kFileLocks,
    kLazyPages,
    Flag{"status-fd", "", FlagType::kValue, "FD", "criu writes a byte there when lazy pages can be asked for"},
    Flag{"page-server", "", FlagType::kValue, "ADDRESS:PORT", "send pages to a criu page-server"},
    kManageCgroups,
    kEmptyNs,
    kAutoDedup,
};
constexpr std::array kRestoreFlags{
    kBundle,
    kConsoleSocket,
    kPidFile,
    Flag{"detach", "d", FlagType::kBool, "", "return once the processes run"},
    Flag{"no-subreaper", "", FlagType::kBool, "", "do not adopt the container's orphans"},
    Flag{"no-pivot", "", FlagType::kBool, "", "accepted; CRIU changes the root in its own way"},
    kImagePath,
    kWorkPath,
    kTcpEstablished,
    kExtUnix,
    kShellJob,
    kFileLocks,
    kLazyPages,
    kManageCgroups,
    kEmptyNs,
    kAutoDedup,
    Flag{"lsm-profile", "", FlagType::kValue, "TYPE:NAME", "another AppArmor profile or SELinux label"},
    Flag{"lsm-mount-context", "", FlagType::kValue, "CONTEXT", "another SELinux context of mounts"},
};
constexpr std::array kEventsFlags{
    Flag{"interval", "", FlagType::kValue, "DURATION", "time between two lines (default: 5s)"},
    Flag{"stats", "", FlagType::kBool, "", "print one line and end"},
};

constexpr auto kNever = Arguments::Stop::kNever;
constexpr auto kFirst = Arguments::Stop::kFirstArgument;

constexpr std::array kCommands = std::to_array<Command>({
    {"create", "[options] ID", "create a container",
     "   Sets up the container of the bundle, up to but not including its program, which waits for 'coop start'.\n"
     "   config.json is taken now: later changes of it have no effect.",
     kCreateFlags, 1, 1, kNever, 1, true, run_create},
    {"start", "ID", "start the program of a created container", "", {}, 1, 1, kNever, 1, false, run_start},
    {"run", "[options] ID", "create and start a container",
     "   Without --detach it passes signals on, waits for the program, deletes the container and ends with the "
     "program's status.",
     kRunFlags, 1, 1, kNever, 1, true, run_run},
    {"sandbox", "[options] [--] COMMAND [ARG...]",
     "run a command in a root file system made of options, without a bundle",
     "   The options are those of bwrap(1), applied in their order; what is not shown is not there. It passes signals "
     "on,\n"
     "   waits for the command and ends with its status. Nothing of the sandbox outlives it.",
     kSandboxFlags, 1, kAnyNumber, kFirst, 1, true, run_sandbox},
    {"exec", "[options] ID COMMAND [ARG...]  |  exec [options] --process FILE ID", "run another process in a container",
     "   The process is like the container's own, with what the flags change. Own errors end with status 255.",
     kExecFlags, 1, kAnyNumber, kFirst, 255, true, run_exec},
    {"state", "ID", "print the state of a container as JSON", "", {}, 1, 1, kNever, 1, false, run_state},
    {"wait", "[options] ID", "wait until a container has stopped and print its exit status",
     "   128 and the signal's number for a process that a signal ended. An error when nobody can tell.", kWaitFlags, 1,
     1, kNever, 1, false, run_wait},
    {"list", "[options]", "list the containers of the state root", "", kListFlags, 0, 0, kNever, 1, false, run_list},
    {"ps", "[options] ID [PS-OPTION...]", "list the processes of a container",
     "   The table is that of ps(1) with the given options (default: -ef).", kPsFlags, 1, kAnyNumber, kFirst, 1, false,
     run_ps},
    {"kill", "[options] ID [SIGNAL]", "send a signal to a container",
     "   SIGNAL is a name, with or without SIG, or a number (default: TERM).", kKillFlags, 1, 2, kNever, 1, false,
     run_kill},
    {"delete", "[options] ID", "delete a stopped container", "", kDeleteFlags, 1, 1, kNever, 1, false, run_delete},
    {"pause", "ID", "freeze all processes of a container", "", {}, 1, 1, kNever, 1, false, run_pause},
    {"resume", "ID", "thaw a paused container", "", {}, 1, 1, kNever, 1, false, run_resume},
    {"update", "[options] ID", "change the resource limits of a container", "", kUpdateFlags, 1, 1, kNever, 1, false,
     run_update},
    {"mount", "add [options] ID SOURCE DESTINATION  |  mount rm ID DESTINATION",
     "add a mount to a running container, or remove one",
     "   The mount is there until it is removed or the container ends; config.json stays as it is.", kMountFlags, 2, 4,
     kNever, 1, false, run_mount},
    {"checkpoint", "[options] ID", "save the processes of a running container into files",
     "   Needs CRIU. The container is deleted afterwards, unless it is left running.", kCheckpointFlags, 1, 1, kNever,
     1, false, run_checkpoint},
    {"restore", "[options] ID", "make a running container from the files of a checkpoint",
     "   Needs CRIU. What was said at the checkpoint (--tcp-established, --file-locks ...) must be said again. "
     "Without\n"
     "   --detach it goes on as 'coop run' does.",
     kRestoreFlags, 1, 1, kNever, 1, true, run_restore},
    {"events", "[options] ID", "print resource usage as JSON lines", "", kEventsFlags, 1, 1, kNever, 1, false,
     run_events},
    {"spec", "[options]", "write a starter config.json",
     "   Edit it afterwards: the program to run is process.args, the root file system root.path.", kSpecFlags, 0, 0,
     kNever, 1, false, run_spec},
    {"features", "", "print what this runtime supports as JSON", "", {}, 0, 0, kNever, 1, false, run_features},
});

}  // namespace

std::span<const Flag> sandbox_flags() {
  return kSandboxFlags;
}

std::span<const Command> commands() {
  return kCommands;
}

}  // namespace cooper::cli::coop
