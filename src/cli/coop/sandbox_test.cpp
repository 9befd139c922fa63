// The words of a sandbox and the configuration they become, without a kernel.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "cli/coop/commands.h"
#include "cli/coop/sandbox_config.h"
#include "cli/coop/sandbox_options.h"

namespace cooper::cli::coop {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Words = std::vector<std::string>;
using container::RootEntry;

Result<SandboxOptions> read(Words words, std::string from_fd = {}) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  auto arguments = Arguments::parse(argv, sandbox_flags(), Arguments::Stop::kFirstArgument);
  if (!arguments.ok()) return std::move(arguments).error();
  SandboxQuestions questions;
  questions.read = [&](int) { return from_fd; };
  questions.is_open = [](int fd) { return fd < 10; };
  return parse_sandbox(*arguments, sandbox_flags(), questions);
}

SandboxOptions options_of(const Words& words, const std::string& from_fd = {}) {
  auto out = read(words, from_fd);
  EXPECT_TRUE(out.ok()) << out.error().message();
  return out.ok() ? std::move(out).value() : SandboxOptions();
}

std::string refusal(const Words& words, const std::string& from_fd = {}) {
  const auto out = read(words, from_fd);
  return out.ok() ? "accepted" : out.error().message();
}

SandboxHost host(bool privileged) {
  SandboxHost out;
  out.uid = out.gid = privileged ? 0 : 1000;
  out.privileged = privileged;
  out.working_directory = "/home/user";
  out.environment = {"PATH=/bin", "HOME=/root", "PWD=/home/user"};
  out.capabilities = {"CAP_CHOWN", "CAP_SYS_ADMIN"};
  out.all_capabilities = {"CAP_CHOWN", "CAP_KILL", "CAP_SYS_ADMIN"};
  out.look = [](const std::string& path) { return path.find("missing") == std::string::npos ? 0 : ENOENT; };
  out.resolve = [](const std::string& path) { return path; };
  return out;
}

Result<Sandbox> try_make(const Words& words, const SandboxHost& where) {
  auto options = read(words);
  if (!options.ok()) return std::move(options).error();
  return make_sandbox(*options, {"true"}, where);
}

Sandbox make(const Words& words, bool privileged = false) {
  auto out = try_make(words, host(privileged));
  EXPECT_TRUE(out.ok()) << out.error().message();
  return out.ok() ? std::move(out).value() : Sandbox();
}

std::string wrong(const Words& words) {
  const auto out = try_make(words, host(false));
  return out.ok() ? "accepted" : out.error().message();
}

Words destinations(const Sandbox& sandbox) {
  Words out;
  for (const oci::Mount& mount : sandbox.config.mounts) out.push_back(mount.destination);
  return out;
}

Words namespaces(const Sandbox& sandbox) {
  Words out;
  for (const oci::Namespace& ns : sandbox.config.linux->namespaces) out.push_back(ns.type);
  return out;
}

TEST(SandboxWords, FileOperationsKeepTheirOrder) {
  const auto options =
      options_of({"--bind", "/a", "/b", "--dir", "/c", "--ro-bind-try", "/d", "/e", "--symlink", "x", "/y"});
  ASSERT_EQ(options.operations.size(), 4U);
  EXPECT_EQ(options.operations[0].source, "/a");
  EXPECT_EQ(options.operations[0].destination, "/b");
  EXPECT_EQ(options.operations[1].kind, FileOperation::Kind::kDirectory);
  EXPECT_TRUE(options.operations[2].readonly && options.operations[2].if_present);
  EXPECT_EQ(options.operations[3].source, "x");
}

TEST(SandboxWords, PermsAndSizeAreForTheNextOne) {
  const auto options = options_of({"--perms", "0700", "--size", "1M", "--tmpfs", "/a", "--tmpfs", "/b"});
  EXPECT_EQ(options.operations[0].mode, 0700U);
  EXPECT_EQ(options.operations[0].size_bytes, 1U << 20);
  EXPECT_FALSE(options.operations[1].mode || options.operations[1].size_bytes);
  EXPECT_THAT(refusal({"--perms", "0700", "--proc", "/p"}), HasSubstr("--perms: is for"));
  EXPECT_THAT(refusal({"--size", "1M", "--dir", "/p"}), HasSubstr("--size: is for --tmpfs"));
  EXPECT_THAT(refusal({"--size", "1M"}), HasSubstr("not for the end"));
  EXPECT_THAT(refusal({"--perms", "0888", "--dir", "/p"}), HasSubstr("not an octal mode"));
}

TEST(SandboxWords, LayersOfOverlays) {
  const auto options =
      options_of({"--overlay-src", "/low", "--overlay-src", "/high", "--overlay", "/up", "/work", "/o"});
  const FileOperation& op = options.operations[0];
  EXPECT_THAT(op.layers, ElementsAre("/low", "/high"));
  EXPECT_EQ(op.source, "/up");
  EXPECT_EQ(op.work, "/work");
  EXPECT_THAT(refusal({"--tmp-overlay", "/o"}), HasSubstr("--tmp-overlay: needs a layer"));
  EXPECT_THAT(refusal({"--overlay-src", "/a", "--ro-overlay", "/o"}), HasSubstr("needs two layers"));
  EXPECT_THAT(refusal({"--overlay-src", "/a", "--dir", "/o"}), HasSubstr("--overlay-src: is for"));
}

TEST(SandboxWords, UnshareAllAndShareNet) {
  const auto all = options_of({"--unshare-all", "--share-net"});
  EXPECT_EQ(all.user, SandboxOptions::Wish::kIfPossible);
  EXPECT_EQ(all.cgroup, SandboxOptions::Wish::kIfPossible);
  EXPECT_TRUE(all.ipc && all.pid && all.uts);
  EXPECT_FALSE(all.net);
  EXPECT_EQ(options_of({"--unshare-user", "--unshare-all"}).user, SandboxOptions::Wish::kYes);
}

TEST(SandboxWords, WordsFromADescriptor) {
  const std::string words("--dir\0/a\0--setenv\0X\0--y\0", 24);
  const auto options = options_of({"--tmpfs", "/t", "--args", "3", "--dir", "/z"}, words);
  ASSERT_EQ(options.operations.size(), 3U);
  EXPECT_EQ(options.operations[1].destination, "/a");
  EXPECT_EQ(options.environment[0].value, "--y");
  EXPECT_THAT(refusal({"--args", "3"}, std::string("--nonsense\0", 11)), HasSubstr("--nonsense"));
  EXPECT_THAT(refusal({"--args", "3"}, "command"), HasSubstr("is no option"));
  EXPECT_THAT(refusal({"--args", "3"}, std::string("--args\0003\0", 9)), HasSubstr("given twice"));
  EXPECT_THAT(refusal({"--args", "3"}, std::string("--tty\0", 6)), HasSubstr("on the command line"));
}

TEST(SandboxWords, Refused) {
  EXPECT_THAT(refusal({"--bogus"}), HasSubstr("'--bogus'"));
  EXPECT_THAT(refusal({"--bind", "/a"}), HasSubstr("needs 2 arguments: --bind"));
  EXPECT_THAT(refusal({"--bind=/a", "/b"}), HasSubstr("as words of their own"));
  EXPECT_THAT(refusal({"--dir", "a"}), HasSubstr("must begin with /"));
  EXPECT_THAT(refusal({"--file", "11", "/a"}), HasSubstr("descriptor 11 is not open"));
  EXPECT_THAT(refusal({"--file", "x", "/a"}), HasSubstr("no number of a descriptor"));
  EXPECT_THAT(refusal({"--uid", "4294967295"}), HasSubstr("not the number of a user"));
  EXPECT_THAT(refusal({"--hostname", "x"}), HasSubstr("--unshare-uts"));
  EXPECT_THAT(refusal({"--as-pid-1"}), HasSubstr("--unshare-pid"));
  EXPECT_THAT(refusal({"--setenv", "A=B", "c"}), HasSubstr("no name of a variable"));
  EXPECT_THAT(refusal({"--cap-add", "CAP_NO"}), HasSubstr("no capability"));
  EXPECT_THAT(refusal({"--chdir", "x"}), HasSubstr("must begin with /"));
  EXPECT_THAT(refusal({"--memory", "0"}), HasSubstr("--memory"));
  EXPECT_THAT(refusal({"--pids-limit", "0"}), HasSubstr("--pids-limit"));
}

TEST(SandboxWords, Limits) {
  const auto options = options_of({"--memory", "64m", "--pids-limit", "7", "--cpus", "1.25", "--rlimit", "nofile=10:20",
                                   "--rlimit", "RLIMIT_CORE=unlimited"});
  EXPECT_EQ(options.memory_bytes, 64 << 20);
  EXPECT_EQ(options.pids, 7);
  EXPECT_EQ(options.cpu_quota_us, 125'000);
  ASSERT_EQ(options.rlimits.size(), 2U);
  EXPECT_EQ(options.rlimits[0].type, "RLIMIT_NOFILE");
  EXPECT_EQ(options.rlimits[0].soft, 10U);
  EXPECT_EQ(options.rlimits[0].hard, 20U);
  EXPECT_EQ(options.rlimits[1].hard, ~std::uint64_t{0});
  EXPECT_EQ(options_of({"--cpus", ".5"}).cpu_quota_us, 50'000);
  for (const char* text : {"", ".", "x", "1.x", "-1", "0", "0.001", "99999999"})
    EXPECT_THAT(refusal({"--cpus", text}), HasSubstr("--cpus")) << text;
  for (const char* text : {"nofile", "nofile=", "nofile=a", "nope=1", "nofile=2:1", "nofile=1:2:3"})
    EXPECT_THAT(refusal({"--rlimit", text}), HasSubstr("--rlimit")) << text;
  EXPECT_THAT(refusal({"--rlimit", "core=1", "--rlimit", "core=2"}), HasSubstr("twice"));
}

TEST(SandboxConfig, WithoutARootItIsAnEmptyTmpfs) {
  const Sandbox sandbox = make({"--ro-bind", "/usr", "/usr"});
  ASSERT_TRUE(sandbox.root);
  EXPECT_EQ(sandbox.root->fstype, "tmpfs");
  EXPECT_THAT(destinations(sandbox), ElementsAre("/usr"));
  EXPECT_THAT(sandbox.config.mounts[0].options, ElementsAre("rbind", "rnosuid", "rnodev", "rro"));
  EXPECT_TRUE(make({}).root);
}

TEST(SandboxConfig, ABoundRoot) {
  const Sandbox sandbox = make({"--ro-bind", "/", "/", "--tmpfs", "/tmp"});
  EXPECT_FALSE(sandbox.root);
  EXPECT_EQ(sandbox.config.root->path, "/");
  EXPECT_THAT(destinations(sandbox), ElementsAre("/", "/tmp"));
  EXPECT_THAT(sandbox.config.mounts[0].options, ElementsAre("rbind", "remount", "nosuid", "nodev", "ro"));
  EXPECT_THAT(wrong({"--dir", "/a", "--bind", "/", "/"}), HasSubstr("would cover what was done before"));
  EXPECT_THAT(wrong({"--proc", "/"}), HasSubstr("cannot be the root"));
}

TEST(SandboxConfig, Sources) {
  EXPECT_THAT(destinations(make({"--bind-try", "/missing", "/a", "--bind", "rel", "/b"})), ElementsAre("/b"));
  EXPECT_EQ(make({"--bind", "rel", "/b"}).config.mounts[0].source, "/home/user/rel");
  EXPECT_THAT(wrong({"--bind", "/missing", "/a"}), HasSubstr("--bind '/missing' '/a': '/missing': no such file"));
  EXPECT_THAT(wrong({"--overlay-src", "/missing", "--tmp-overlay", "/a"}), HasSubstr("'/missing'"));
}

TEST(SandboxConfig, EntriesStandBetweenTheMounts) {
  const Sandbox sandbox =
      make({"--tmpfs", "/a", "--perms", "0700", "--dir", "/a/b", "--bind", "/x", "/a/b/c", "--chmod", "0500", "/a"});
  ASSERT_EQ(sandbox.extras.entries.size(), 2U);
  EXPECT_EQ(sandbox.extras.entries[0].before_mount, 1U);
  EXPECT_EQ(sandbox.extras.entries[0].mode, 0700U);
  EXPECT_EQ(sandbox.extras.entries[1].before_mount, 2U);
  EXPECT_EQ(sandbox.extras.entries[1].kind, RootEntry::Kind::kMode);
}

TEST(SandboxConfig, DevMakesTheStandardDevices) {
  const Sandbox sandbox = make({"--dev", "/dev/"});
  EXPECT_THAT(destinations(sandbox), ElementsAre("/dev", "/dev/null", "/dev/zero", "/dev/full", "/dev/random",
                                                 "/dev/urandom", "/dev/tty", "/dev/pts"));
  EXPECT_EQ(sandbox.extras.device_nodes, container::DeviceNodes::kNone);
  EXPECT_EQ(sandbox.extras.entries.size(), 7U);
  EXPECT_EQ(sandbox.words[3], "--dev '/dev/'");
}

TEST(SandboxConfig, ProcIsRestrictedForRootOnly) {
  EXPECT_THAT(make({"--proc", "/proc"}, true).config.linux->masked_paths, Contains("/proc/kcore"));
  EXPECT_THAT(make({"--proc", "/p"}, true).config.linux->readonly_paths, Contains("/p/sys"));
  EXPECT_THAT(make({"--proc", "/proc"}).config.linux->masked_paths, IsEmpty());
}

TEST(SandboxConfig, Overlays) {
  const Sandbox sandbox = make({"--overlay-src", "/a:b", "--overlay-src", "/c", "--tmp-overlay", "/o"});
  EXPECT_THAT(sandbox.config.mounts[0].options, Contains("lowerdir=/c:/a\\:b"));
  EXPECT_THAT(sandbox.config.mounts[0].options, Contains("userxattr"));
  ASSERT_EQ(sandbox.extras.mounts.size(), 1U);
  EXPECT_TRUE(sandbox.extras.mounts[0].scratch_layers);
  const Sandbox root = make({"--overlay-src", "/low", "--overlay", "/up", "/wk", "/"}, true);
  EXPECT_THAT(root.root->options,
              ElementsAre(std::pair("lowerdir", "/low"), std::pair("upperdir", "/up"), std::pair("workdir", "/wk")));
}

TEST(SandboxConfig, IdsOfAUserWithoutPrivileges) {
  const Sandbox same = make({});
  EXPECT_THAT(namespaces(same), ElementsAre("mount", "user"));
  EXPECT_EQ(same.config.linux->uid_mappings[0].host_id, 1000U);
  EXPECT_EQ(same.config.linux->uid_mappings[0].container_id, 0U);
  ASSERT_TRUE(same.extras.inner_user);
  EXPECT_EQ(same.extras.inner_user->uid, 1000U);
  EXPECT_FALSE(make({"--uid", "0", "--gid", "0"}).extras.inner_user);
  EXPECT_EQ(make({"--uid", "7"}).config.process->user.uid, 7U);
}

TEST(SandboxConfig, RootNeedsNoUserNamespace) {
  EXPECT_THAT(namespaces(make({}, true)), ElementsAre("mount"));
  EXPECT_THAT(namespaces(make({"--unshare-all"}, true)),
              ElementsAre("mount", "user", "ipc", "pid", "network", "uts", "cgroup"));
  SandboxHost old = host(true);
  old.has_user_namespaces = false;
  EXPECT_THAT(namespaces(*try_make({"--unshare-all"}, old)), Not(Contains("user")));
}

TEST(SandboxConfig, NamespacesOfTheCaller) {
  const Sandbox joined = make({"--userns", "5", "--userns2", "6", "--pidns", "7", "--unshare-all", "--share-net"});
  EXPECT_THAT(namespaces(joined), ElementsAre("mount", "user", "ipc", "pid", "uts", "cgroup"));
  EXPECT_EQ(joined.config.linux->namespaces[1].path, "/proc/self/fd/5");
  EXPECT_EQ(joined.config.linux->namespaces[3].path, "");
  EXPECT_EQ(joined.extras.parent_pid_namespace, "/proc/self/fd/7");
  EXPECT_EQ(joined.extras.inner_user_fd, 6);
  EXPECT_FALSE(joined.extras.inner_user);
  EXPECT_TRUE(joined.config.linux->uid_mappings.empty());
  EXPECT_EQ(make({"--pidns", "7"}, true).config.linux->namespaces[1].path, "/proc/self/fd/7");
  EXPECT_THAT(make({"--lock-file", "/a", "--lock-file", "/b"}).extras.lock_files, ElementsAre("/a", "/b"));
  EXPECT_THAT(wrong({"--userns2", "6"}), HasSubstr("--userns2: it cannot be below"));
  EXPECT_THAT(refusal({"--userns", "5", "--unshare-user"}), HasSubstr("leave out --unshare-user"));
  EXPECT_THAT(refusal({"--lock-file", "a"}), HasSubstr("--lock-file: 'a' is no path in the sandbox"));
}

TEST(SandboxConfig, Capabilities) {
  const auto granted = [](const Words& words, bool privileged) {
    return make(words, privileged).config.process->capabilities->effective;
  };
  EXPECT_THAT(granted({}, false), IsEmpty());
  EXPECT_THAT(granted({}, true), ElementsAre("CAP_CHOWN", "CAP_SYS_ADMIN"));
  EXPECT_THAT(granted({"--uid", "7"}, true), IsEmpty());
  EXPECT_THAT(granted({"--cap-drop", "ALL", "--cap-add", "kill"}, true), ElementsAre("CAP_KILL"));
  EXPECT_THAT(granted({"--cap-add", "CAP_KILL", "--cap-drop", "ALL"}, true), IsEmpty());
  EXPECT_THAT(granted({"--cap-add", "ALL"}, false), ElementsAre("CAP_CHOWN", "CAP_KILL", "CAP_SYS_ADMIN"));
}

TEST(SandboxConfig, Environment) {
  const auto env = [](const Words& words) { return make(words).config.process->env; };
  EXPECT_THAT(env({"--unsetenv", "HOME", "--setenv", "PATH", "/x"}), ElementsAre("PWD=/home/user", "PATH=/x"));
  EXPECT_THAT(env({"--setenv", "A", "b", "--clearenv", "--setenv", "C", "d"}), ElementsAre("PWD=/home/user", "C=d"));
}

TEST(SandboxConfig, WorkingDirectory) {
  EXPECT_THAT(make({"--setenv", "HOME", "/h"}).extras.working_directories, ElementsAre("/home/user", "/h", "/"));
  EXPECT_THAT(make({"--chdir", "/there"}).extras.working_directories, ElementsAre("/there"));
}

TEST(SandboxConfig, DevicesAreForWhoBindsThem) {
  EXPECT_THAT(make({"--ro-bind", "/dev", "/dev"}, true).config.linux->resources->devices, IsEmpty());
  EXPECT_EQ(make({"--dev-bind", "/dev", "/dev"}, true).config.linux->resources->devices.size(), 1U);
}

TEST(SandboxConfig, ProcessOne) {
  EXPECT_TRUE(make({"--unshare-pid"}).extras.init);
  EXPECT_FALSE(make({"--unshare-pid", "--as-pid-1"}).extras.init);
  EXPECT_FALSE(make({}).extras.init);
}

TEST(SandboxConfig, ErrorsNameTheOption) {
  const Sandbox sandbox = make({"--bind", "/x", "/proc/y"});
  const Error error = in_words_of(Error(Errc::kInvalidArgument, "config.json: /mounts/0/destination: bad"), sandbox);
  EXPECT_EQ(error.message(), "--bind '/x' '/proc/y': bad");
  EXPECT_EQ(in_words_of(Error(Errc::kSystem, "other"), sandbox).message(), "other");
}

}  // namespace
}  // namespace cooper::cli::coop
