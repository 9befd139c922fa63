// The flag tables of `run` and `pod run`.
#include "cli/cooper/run_request.h"

#include "cli/cooper/aci_run.h"
#include "image/backend.h"

namespace cooper::cli {
namespace {

constexpr auto kFile = Flag::Complete::kFile;
constexpr auto kDirectory = Flag::Complete::kDirectory;
constexpr auto kWords = Flag::Complete::kWords;

constexpr std::array<Flag, 28> kAppFlags = {{
    {"env", 'e', "NAME[=VALUE]", "environment variable; without a value it is taken from the caller, if set there"},
    {"env-file", 0, "FILE", "environment variables, one NAME=VALUE a line", kFile},
    {"entrypoint", 0, "COMMAND", "instead of the image's entrypoint: one word, or a JSON array; empty: none"},
    {"volume", 'v', "SOURCE:TARGET[:OPTIONS]",
     "host directory or file to show in the container (ro, rw, z, rshared ...); only TARGET: an empty directory"},
    {"mount", 0, "type=TYPE,...",
     "the same in words: type=bind,source=PATH,target=PATH[,readonly] or type=tmpfs,target=PATH[,tmpfs-size=SIZE]"},
    {"tmpfs", 0, "TARGET[:OPTIONS]", "file system in memory (size=, mode=, noexec ...)"},
    {"workdir", 'w', "PATH", "working directory, made when missing"},
    {"user", 'u', "USER[:GROUP]", "names of the image, or numbers"},
    {"tty", 't', "", "give the app a terminal"},
    {"interactive", 'i', "", "connect standard input"},
    {"memory", 'm', "SIZE", "limit of memory: bytes, or with k, m, g"},
    {"memory-swap", 0, "SIZE", "limit of memory and swap together; -1: no limit"},
    {"cpus", 0, "NUMBER", "processor time, 1.5 is one and a half processors"},
    {"cpu-shares", 0, "NUMBER", "weight among others, 1024 is the usual one"},
    {"cpuset-cpus", 0, "LIST", "processors to run on: 0-2,5"},
    {"pids-limit", 0, "NUMBER", "most processes and threads (default 2048; -1: no limit)"},
    {"ulimit", 0, "NAME=SOFT[:HARD]", "resource limit: nofile=1024:4096, core=unlimited"},
    {"cap-add", 0, "NAME", "capability to add to the default ones; ALL for all", kWords, "ALL"},
    {"cap-drop", 0, "NAME", "capability to take away; ALL for all", kWords, "ALL"},
    {"security-opt", 0, "OPTION",
     "seccomp=unconfined or FILE, seccomp-set=, no-new-privileges, apparmor=, label=, mask=, unmask=", kWords,
     "seccomp= no-new-privileges apparmor= label= mask= unmask="},
    {"privileged", 0, "", "all capabilities, all devices, nothing masked"},
    {"read-only", 0, "", "root file system cannot be written, but /tmp, /var/tmp and /run"},
    {"rootfs-backend", 0, "BACKEND",
     "how the image's files become the container's: overlay (default), copy (a copy of its own) or erofs (mounted from "
     "an "
     "image made once)",
     kWords, image::kBackendWords},
    {"init", 0, "", "a small first process that reaps orphans and forwards signals"},
    {"stop-signal", 0, "SIGNAL", "instead of the image's, else TERM"},
    {"label", 'l', "NAME[=VALUE]", "label, for ps --filter"},
    {"annotation", 0, "NAME=VALUE", "annotation, handed to the runtime"},
    {"pull", 0, "POLICY",
     "fetch the image from its registry: when it is missing (default of run), never (default of pods), always, or "
     "newer: "
     "always, if the registry answers",
     kWords, "missing never newer always"},
}};

constexpr std::array<Flag, 12> kSandboxFlags = {{
    {"name", 0, "NAME", "name, unique on this engine"},
    {"hostname", 'h', "NAME", "host name inside (default: made from the id)"},
    {"network", 0, "none|host", "none: a loopback only (default); host: the host's own", kWords, "none host"},
    {"net", 0, "none|host", "the same as --network", kWords, "none host"},
    {"userns", 0, "host|auto[:size=N]",
     "user namespace; host: none, root is root (default); auto: 65536 ids of the host, or N, that no other pod has",
     kWords, "host auto"},
    {"uidmap", 0, "CONTAINER:HOST:COUNT",
     "user namespace in which these users stand for those of the host; repeatable"},
    {"gidmap", 0, "CONTAINER:HOST:COUNT", "the same for groups; one of the two flags alone holds for both"},
    {"subuidname", 0, "NAME", "user namespace of the users that /etc/subuid gives to NAME"},
    {"subgidname", 0, "NAME", "the same for groups and /etc/subgid; one of the two flags alone holds for both"},
    {"rm", 0, "", "remove it when it has ended"},
    {"stop-timeout", 0, "SECONDS", "time between the stop signal and KILL (default 10)"},
    {"log-max-size", 0, "SIZE", "size at which a log file is rotated"},
}};

constexpr std::array<Flag, 16> kRktAppFlags = {{
    {"name", 0, "NAME", "name of the app (default: from the image)"},
    {"exec", 0, "PATH", "program instead of the image's entrypoint"},
    {"working-dir", 0, "PATH", "as --workdir"},
    {"group", 0, "GROUP", "group, beside --user"},
    {"readonly-rootfs", 0, "", "as --read-only"},
    {"environment", 0, "NAME=VALUE", "as --env"},
    {"set-env", 0, "NAME=VALUE", "as --env"},
    {"set-env-file", 0, "FILE", "as --env-file", kFile},
    {"user-annotation", 0, "NAME=VALUE", "as --annotation"},
    {"user-label", 0, "NAME[=VALUE]", "as --label"},
    {"cpu", 0, "NUMBER", "as --cpus"},
    {"caps-retain", 0, "LIST", "only these capabilities, separated by commas"},
    {"caps-remove", 0, "LIST", "without these capabilities, separated by commas"},
    {"cap-retain", 0, "LIST", "as --caps-retain"},
    {"cap-remove", 0, "LIST", "as --caps-remove"},
    kRunSignatureFlag,
}};

constexpr std::array<Flag, 12> kRktPodFlags = {{
    {"private-users", 0, "", "as --userns auto"},
    {"label", 0, "NAME[=VALUE]", "label of the pod"},
    {"annotation", 0, "NAME=VALUE", "annotation of the pod"},
    {"volume", 0, "NAME,kind=host,source=PATH[,readOnly=true]", "directory or file of the host, mounted by --mount",
     kDirectory},
    {"mount", 0, "volume=NAME,target=PATH", "mount a volume into every app; after an image: into that app"},
    {"set-env", 0, "NAME=VALUE", "environment variable of every app"},
    {"set-env-file", 0, "FILE", "environment variables of every app, one NAME=VALUE a line", kFile},
    kPullPolicyFlags[0],
    kPullPolicyFlags[1],
    kPullPolicyFlags[2],
    kInsecureRunFlag,
    kTrustFlag,
}};

}  // namespace

std::span<const Flag> app_flags() {
  return kAppFlags;
}
std::span<const Flag> sandbox_flags() {
  return kSandboxFlags;
}
std::span<const Flag> rkt_app_flags() {
  return kRktAppFlags;
}
std::span<const Flag> rkt_pod_flags() {
  return kRktPodFlags;
}

}  // namespace cooper::cli
