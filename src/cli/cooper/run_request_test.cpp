#include "cli/cooper/run_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/cooper/aci_run.h"
#include "cli/cooper/apptainer_words.h"
#include "cli/cooper/exec_request.h"

namespace cooper::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Surroundings around() {
  return {[](const std::string& name) -> std::optional<std::string> {
            if (name == "HOME") return "/home/me";
            return std::nullopt;
          },
          "/here", [] { return std::string("0-3,5\n"); }, [] { return false; }};
}

Result<pod::PodRequest> run(std::vector<std::string> words, const Settings& settings = {}) {
  static const std::array<Flag, 1> kInsecure = {kInsecureRunFlag};
  const std::array<std::span<const Flag>, 5> tables = {sandbox_flags(), app_flags(), kApptainerFlags, kPullPolicyFlags,
                                                       kInsecure};
  ASSIGN_OR_RETURN(const Args args, parse_args(tables, words, Order::kBeforeArguments));
  return run_request(args, settings, around());
}

Result<pod::PodRequest> pod(std::vector<std::string> words, const Settings& settings = {}) {
  const std::array<std::span<const Flag>, 2> tables = {sandbox_flags(), rkt_pod_flags()};
  ASSIGN_OR_RETURN(const Args args, parse_args(tables, words, Order::kBeforeArguments));
  return pod_request(args, settings, around());
}

TEST(RunRequest, EveryFlagArrives) {
  const auto request = run({"--name",
                            "web",
                            "-h",
                            "cask",
                            "--network=host",
                            "--rm",
                            "--stop-timeout",
                            "3",
                            "--log-max-size=1m",
                            "-e",
                            "A=1",
                            "-e",
                            "HOME",
                            "-e",
                            "NOPE",
                            "-w",
                            "/w",
                            "-u",
                            "1:2",
                            "-it",
                            "-m",
                            "64m",
                            "--memory-swap",
                            "128m",
                            "--cpus",
                            "1.5",
                            "--cpu-shares",
                            "512",
                            "--cpuset-cpus",
                            "0-1",
                            "--pids-limit",
                            "7",
                            "--ulimit",
                            "nofile=1:2",
                            "--cap-add",
                            "net_admin",
                            "--cap-drop",
                            "all",
                            "--security-opt",
                            "seccomp=unconfined",
                            "--privileged",
                            "--read-only",
                            "--init",
                            "--stop-signal",
                            "INT",
                            "-l",
                            "a=b",
                            "--annotation",
                            "c=d",
                            "--pull",
                            "never",
                            "--tmpfs",
                            "/t:size=1m,noexec",
                            "busybox",
                            "sh",
                            "-c",
                            "x"});
  ASSERT_TRUE(request.ok()) << request.error().message();
  EXPECT_TRUE(request->single);
  EXPECT_EQ(request->name, "web");
  EXPECT_EQ(request->hostname, "cask");
  EXPECT_EQ(request->network, pod::Network::kHost);
  EXPECT_TRUE(request->remove_on_exit);
  EXPECT_EQ(request->stop_timeout_ms, 3000);
  EXPECT_EQ(request->log_max_bytes, 1U << 20);
  ASSERT_EQ(request->apps.size(), 1U);
  const pod::AppRequest& app = request->apps.front();
  EXPECT_EQ(app.image, "busybox");
  EXPECT_THAT(app.args, ElementsAre("sh", "-c", "x"));
  EXPECT_THAT(app.env, ElementsAre("A=1", "HOME=/home/me"));
  EXPECT_EQ(app.working_dir, "/w");
  EXPECT_EQ(app.user, "1:2");
  EXPECT_TRUE(app.terminal && app.stdin_open && app.privileged && app.read_only && app.init);
  EXPECT_EQ(app.memory_bytes, 64 << 20);
  EXPECT_EQ(app.memory_swap_bytes, 128 << 20);
  EXPECT_EQ(app.cpus, 1.5);
  EXPECT_EQ(app.cpu_shares, 512);
  EXPECT_EQ(app.cpuset_cpus, "0-1");
  EXPECT_EQ(app.pids_limit, 7);
  ASSERT_EQ(app.ulimits.size(), 1U);
  EXPECT_EQ(app.ulimits[0].name, "nofile");
  EXPECT_EQ(app.ulimits[0].soft, 1U);
  EXPECT_EQ(app.ulimits[0].hard, 2U);
  EXPECT_THAT(app.cap_add, ElementsAre("net_admin"));
  EXPECT_THAT(app.cap_drop, ElementsAre("ALL"));
  EXPECT_THAT(app.security_opts, ElementsAre("seccomp=unconfined"));
  EXPECT_EQ(app.stop_signal, "INT");
  EXPECT_EQ(app.labels.at("a"), "b");
  EXPECT_EQ(app.annotations.at("c"), "d");
  ASSERT_EQ(app.mounts.size(), 1U);
  EXPECT_TRUE(app.mounts[0].tmpfs);
  EXPECT_THAT(app.mounts[0].options, ElementsAre("size=1m", "noexec"));
}

TEST(RunRequest, WrongValuesNameTheFlag) {
  const auto why = [](std::vector<std::string> words) {
    words.emplace_back("busybox");
    const auto request = run(std::move(words));
    return request.ok() ? std::string() : request.error().message() + " / " + request.error().hint();
  };
  EXPECT_THAT(why({"-m", "lots"}), HasSubstr("--memory"));
  EXPECT_THAT(why({"-m", "100"}), HasSubstr("4 KiB"));
  EXPECT_THAT(why({"--memory-swap", "1g"}), HasSubstr("needs --memory"));
  EXPECT_THAT(why({"-m", "2g", "--memory-swap", "1g"}), HasSubstr("cannot be below"));
  EXPECT_THAT(why({"--cpus", "0.001"}), HasSubstr("--cpus '0.001'"));
  EXPECT_THAT(why({"-m", "-1"}), HasSubstr("--memory"));
  EXPECT_THAT(why({"--cpuset-cpus", "junk"}), HasSubstr("--cpuset-cpus 'junk': not a list of processors"));
  EXPECT_THAT(why({"--cpuset-cpus", "2-1"}), HasSubstr("not a list"));
  EXPECT_THAT(why({"--cpuset-cpus", "1,99"}), HasSubstr("no processor 99, only 0-3,5"));
  EXPECT_THAT(why({"--cpuset-cpus", "2-5"}), HasSubstr("no processor 4"));
  EXPECT_EQ(why({"--cpuset-cpus", "1-3,5"}), "");
  EXPECT_THAT(why({"--security-opt", "apparmor=x"}), HasSubstr("--security-opt 'apparmor=x': AppArmor is not enabled"));
  EXPECT_EQ(why({"--security-opt", "apparmor=unconfined"}), "");
  EXPECT_THAT(why({"--stop-timeout", "x"}), HasSubstr("--stop-timeout: 'x' is no number of seconds"));
  EXPECT_THAT(why({"--cpus", "nan"}), HasSubstr("--cpus"));
  EXPECT_THAT(why({"--cpu-shares", "1"}), HasSubstr("2 or more"));
  EXPECT_THAT(why({"--pids-limit", "-2"}), HasSubstr("-1 or more"));
  EXPECT_THAT(why({"--ulimit", "nofile"}), HasSubstr("NAME=SOFT"));
  EXPECT_THAT(why({"--ulimit", "files=1"}), HasSubstr("nofile"));
  EXPECT_THAT(why({"--ulimit", "nofile=2:1"}), HasSubstr("above the hard"));
  EXPECT_THAT(why({"--cap-add", "FLY"}), HasSubstr("no such capability"));
  EXPECT_THAT(why({"-w", "x"}), HasSubstr("absolute"));
  EXPECT_THAT(why({"-e", "=x"}), HasSubstr("no name"));
  EXPECT_THAT(why({"--stop-signal", "NOPE"}), HasSubstr("no such signal"));
  EXPECT_THAT(why({"--network", "bridge"}), HasSubstr("none (a loopback only) or host"));
  EXPECT_THAT(why({"--pull", "sometimes"}), HasSubstr("never, missing, newer or always"));
  EXPECT_THAT(why({"-v", "data:/x"}), HasSubstr("named volumes"));
  EXPECT_THAT(why({"-v", "/x:y"}), HasSubstr("absolute"));
  EXPECT_THAT(why({"-v", "/x:/"}), HasSubstr("root"));
  EXPECT_THAT(why({"-v", "/a:/b:ro:x"}), HasSubstr("--mount"));
  EXPECT_THAT(why({"--entrypoint", "[1]"}), HasSubstr("--entrypoint"));
  EXPECT_THAT(why({"--env-file", "/nonexistent/x"}), HasSubstr("--env-file"));
  EXPECT_THAT(why({"--annotation", "x"}), HasSubstr("--annotation 'x': must be NAME=VALUE"));
  EXPECT_EQ(why({"--annotation", "x=", "--label", "x"}), "");
}

TEST(RunRequest, DefaultsComeFromTheConfiguration) {
  Settings settings;
  settings.network = "host";
  settings.pids_limit = 9;
  settings.stop_timeout_ms = 1;
  settings.ulimits = {"nofile=5", "core=0"};
  const auto request = run({"--ulimit", "nofile=6", "busybox"}, settings);
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->network, pod::Network::kHost);
  EXPECT_EQ(request->stop_timeout_ms, 1);
  EXPECT_EQ(request->apps[0].pids_limit, 9);
  ASSERT_EQ(request->apps[0].ulimits.size(), 2U);
  EXPECT_EQ(request->apps[0].ulimits[0].soft, 6U);
  EXPECT_EQ(run({"--net", "none", "busybox"}, settings)->network, pod::Network::kNone);
}

TEST(RunRequest, WhenImagesAreFetched) {
  Settings settings;
  EXPECT_EQ(run({"busybox"}, settings)->apps[0].pull, pod::Pull::kMissing);
  EXPECT_EQ(run({"--pull", "newer", "busybox"}, settings)->apps[0].pull, pod::Pull::kNewer);
  EXPECT_EQ(pod({"busybox", "true"}, settings)->apps[1].pull, pod::Pull::kNever);
  EXPECT_EQ(pod({"busybox", "true", "--pull", "always"}, settings)->apps[1].pull, pod::Pull::kAlways);
  settings.pull = pod::Pull::kAlways;
  EXPECT_EQ(run({"busybox"}, settings)->apps[0].pull, pod::Pull::kAlways);
  EXPECT_EQ(pod({"busybox"}, settings)->apps[0].pull, pod::Pull::kAlways);
  EXPECT_EQ(run({"--pull=never", "busybox"}, settings)->apps[0].pull, pod::Pull::kNever);
}

TEST(RunRequest, PoliciesInTheWordsOfRkt) {
  using enum pod::Pull;
  EXPECT_EQ(run({"--pull-policy=update", "busybox"})->apps[0].pull, kAlways);
  EXPECT_EQ(run({"--pull-policy=never", "busybox"})->apps[0].pull, kNever);
  EXPECT_EQ(run({"--no-store", "busybox"})->apps[0].pull, kAlways);
  EXPECT_EQ(run({"--store-only", "busybox"})->apps[0].pull, kNever);
  const auto pods = pod({"--pull-policy", "new", "one", "two", "--pull", "never"});
  EXPECT_EQ(pods->apps[0].pull, kMissing);
  EXPECT_EQ(pods->apps[1].pull, kNever);
  for (const auto& words : std::vector<std::vector<std::string>>{{"--no-store", "--store-only"},
                                                                 {"--no-store", "--pull-policy=new"},
                                                                 {"--pull=always", "--store-only"},
                                                                 {"--pull=always", "--pull-policy=update"},
                                                                 {"--pull-policy=newer"}}) {
    std::vector<std::string> all = words;
    all.emplace_back("busybox");
    EXPECT_FALSE(run(all).ok()) << words.back();
  }
}

TEST(RunRequest, InsecureOptions) {
  const auto all = run({"--insecure-options=all-run", "busybox"});
  EXPECT_THAT(all->apps[0].cap_add, ElementsAre("ALL"));
  EXPECT_THAT(all->apps[0].security_opts, ElementsAre("seccomp=unconfined", "unmask=ALL"));
  EXPECT_THAT(run({"--insecure-options=image", "busybox"})->apps[0].security_opts, IsEmpty());
  const auto two = pod({"--insecure-options=capabilities,seccomp", "one", "--caps-retain", "CAP_KILL", "two"});
  EXPECT_THAT(two->apps[0].cap_add, ElementsAre("CAP_KILL"));
  EXPECT_THAT(two->apps[1].cap_add, ElementsAre("ALL"));
  EXPECT_THAT(two->apps[1].security_opts, ElementsAre("seccomp=unconfined"));
  EXPECT_FALSE(run({"--insecure-options=everything", "busybox"}).ok());
}

TEST(RunRequest, WordsOfApptainer) {
  const auto request = run({"-B", "/data,/a:/b:ro,rel:/c,/x\\,y:/z", "--pwd", "/w", "--home=/h:/home/me",
                            "--containall", "--cleanenv", "--no-init", "--writable-tmpfs", "-e", "A=1", "./image.sif"});
  ASSERT_TRUE(request.ok()) << request.error().message();
  const pod::AppRequest& app = request->apps[0];
  std::vector<std::string> mounts;
  for (const pod::VolumeMount& one : app.mounts) mounts.push_back(one.source + ">" + one.destination);
  EXPECT_THAT(mounts, ElementsAre("/data>/data", "/a>/b", "/here/rel>/c", "/x,y>/z", "/h>/home/me"));
  EXPECT_THAT(app.mounts[1].options, ElementsAre("ro"));
  EXPECT_THAT(app.env, ElementsAre("HOME=/home/me", "A=1"));
  EXPECT_EQ(app.working_dir, "/w");
  const auto why = [](std::vector<std::string> words) {
    words.emplace_back("./image.sif");
    const auto refused = run(std::move(words));
    return refused.ok() ? std::string() : refused.error().message();
  };
  EXPECT_THAT(why({"--bind", "/a:/b:image-src=/"}), HasSubstr("neither ro nor rw"));
  EXPECT_THAT(why({"--bind", "/a:/b:ro:x"}), HasSubstr("two colons"));
  EXPECT_THAT(why({"--bind", ":/b"}), HasSubstr("source is empty"));
  EXPECT_THAT(why({"--bind", "/a:b"}), HasSubstr("--bind '/a:b'"));
  EXPECT_THAT(why({"--pwd", "x"}), HasSubstr("absolute"));
  EXPECT_THAT(why({"--pwd", "/x", "-w", "/y"}), HasSubstr("another working directory"));
  EXPECT_THAT(why({"--home", "/h", "--no-home"}), HasSubstr("contradict"));
  EXPECT_THAT(why({"--writable-tmpfs", "--read-only"}), HasSubstr("contradict"));
}

TEST(RunRequest, Entrypoints) {
  EXPECT_EQ(run({"busybox"})->apps[0].entrypoint, std::nullopt);
  EXPECT_THAT(*run({"--entrypoint", "", "busybox"})->apps[0].entrypoint, IsEmpty());
  EXPECT_THAT(*run({"--entrypoint=/bin/sh", "busybox"})->apps[0].entrypoint, ElementsAre("/bin/sh"));
  EXPECT_THAT(*run({"--entrypoint", R"(["a", "b c"])", "busybox"})->apps[0].entrypoint, ElementsAre("a", "b c"));
}

TEST(Values, Volumes) {
  const auto bind = parse_volume("./data:/x:ro,z", "/here");
  ASSERT_TRUE(bind.ok());
  EXPECT_EQ(bind->source, "/here/./data");
  EXPECT_EQ(bind->destination, "/x");
  EXPECT_THAT(bind->options, ElementsAre("ro", "z"));
  EXPECT_EQ(parse_volume("/only", "/here")->source, "");
  const auto mount = parse_mount("type=bind,src=/a:b,dst=/c,readonly,bind-propagation=rshared", "/here");
  ASSERT_TRUE(mount.ok());
  EXPECT_EQ(mount->source, "/a:b");
  EXPECT_THAT(mount->options, ElementsAre("ro", "rshared"));
  EXPECT_TRUE(parse_mount("type=tmpfs,target=/t,tmpfs-size=1m", "/")->tmpfs);
  EXPECT_FALSE(parse_mount("type=nfs,target=/t", "/").ok());
  EXPECT_FALSE(parse_mount("type=bind,target=/t", "/").ok());
  EXPECT_FALSE(parse_mount("type=tmpfs,source=/a,target=/t", "/").ok());
  EXPECT_FALSE(parse_mount("type=bind,source=/a", "/").ok());
  EXPECT_FALSE(parse_mount("type=bind,source=/a,target=/b,what=x", "/").ok());
}

TEST(RunRequest, ZeroIsNoLimit) {
  const auto request = run({"-m", "0", "--cpus", "0", "busybox"});
  ASSERT_TRUE(request.ok()) << request.error().message();
  EXPECT_EQ(request->apps[0].memory_bytes, std::nullopt);
  EXPECT_EQ(request->apps[0].cpus, std::nullopt);
  EXPECT_FALSE(run({"-m", "0", "--memory-swap", "1g", "busybox"}).ok());
}

TEST(Values, OptionsOfVolumes) {
  for (const char* words : {"ro", "rw,z", "Z,U", "rshared", "slave,ro", "nosuid,nodev,noexec", "suid,dev,exec", "bind",
                            "rbind,rro", "noatime", "relatime", "private,rw,nosymfollow"}) {
    const auto mount = parse_volume("/a:/b:" + std::string(words), "/");
    EXPECT_TRUE(mount.ok()) << words << ": " << mount.error().message();
  }
  for (const char* words : {"RO", "readonly", "r0", "bogus", "copy", "nocopy", "O", "remount", "size=1m", "sync",
                            "ro,rw", "exec,noexec", "shared,private", "bind,rbind", "z,Z", "noatime,relatime"}) {
    const auto mount = parse_volume("/a:/b:" + std::string(words), "/");
    ASSERT_FALSE(mount.ok()) << words;
    EXPECT_THAT(mount.error().message(), HasSubstr("--volume '/a:/b:" + std::string(words)));
  }
  const auto wrong = parse_volume("/a:/b:ro,bogus", "/").error();
  EXPECT_THAT(wrong.message(), HasSubstr("unknown option 'bogus'"));
  EXPECT_THAT(wrong.hint(), HasSubstr("ro rw nosuid"));
}

TEST(Values, OptionsOfMounts) {
  const auto options = [](const std::string& fields) {
    const auto mount = parse_mount("type=bind,source=/a,target=/b," + fields, "/");
    return mount.ok() ? mount->options : std::vector<std::string>{"error: " + mount.error().message()};
  };
  EXPECT_THAT(options("readonly=true"), ElementsAre("ro"));
  EXPECT_THAT(options("ro=1"), ElementsAre("ro"));
  EXPECT_THAT(options("readonly=false"), IsEmpty());
  EXPECT_THAT(options("ro=0,bind-propagation=rslave"), ElementsAre("rslave"));
  for (const char* fields :
       {"readonly=yes", "ro=TRUE", "ro=", "bind-propagation=up", "bind-propagation=ro", "relabel=x",
        "bind-nonrecursive=maybe", "ro,rw", "tmpfs-size=1m", "bogus", "readonly=true,rw=true"})
    EXPECT_THAT(options(fields), ElementsAre(HasSubstr("error: --mount"))) << fields;
  EXPECT_FALSE(parse_mount("type=tmpfs,target=/b,bind-nonrecursive", "/").ok());
  EXPECT_FALSE(parse_mount("type=tmpfs,target=/b,tmpfs-size=much", "/").ok());
}

TEST(Values, OptionsOfTmpfs) {
  for (const char* words : {"size=64m", "size=50%", "mode=1777,noexec", "uid=1,gid=2", "ro", "nr_inodes=1k",
                            "exec,suid", "tmpcopyup", "notmpcopyup", "huge=never", "inode64", "sync"})
    EXPECT_TRUE(parse_tmpfs("/t:" + std::string(words)).ok()) << words;
  for (const char* words : {"RO", "readonly", "bogus", "z", "U", "bind", "size=", "size", "size=x", "mode=99", "uid=me",
                            "exec,noexec", "ro,rw", "tmpcopyup,notmpcopyup", "inode64=1"})
    EXPECT_THAT(parse_tmpfs("/t:" + std::string(words)).error().message(), HasSubstr("--tmpfs")) << words;
}

TEST(Values, Ulimits) {
  EXPECT_EQ(parse_ulimit("core=unlimited")->hard, UINT64_MAX);
  EXPECT_EQ(parse_ulimit("NPROC=1:-1")->hard, UINT64_MAX);
  EXPECT_FALSE(parse_ulimit("core=-2").ok());
}

TEST(Values, EnvFiles) {
  const auto env = parse_env_file("# no\n\n A=1\nB=x=y z\r\nHOME\nNOPE\nC=\n", "f", around());
  ASSERT_TRUE(env.ok());
  EXPECT_THAT(*env, ElementsAre("A=1", "B=x=y z", "HOME=/home/me", "C="));
  EXPECT_THAT(parse_env_file("A=1\n=x\n", "f", around()).error().message(), HasSubstr("f, line 2"));
  EXPECT_FALSE(parse_env_file("A B=1\n", "f", around()).ok());
}

TEST(PodRequest, RktGrammar) {
  const auto request = pod({"--volume",
                            "data,kind=host,source=/srv,readOnly=true",
                            "--mount",
                            "volume=data,target=/all",
                            "--set-env",
                            "Z=0",
                            "--name",
                            "p",
                            "a",
                            "--name",
                            "one",
                            "--set-env",
                            "A=1",
                            "--",
                            "x",
                            "--name",
                            "y",
                            "---",
                            "b",
                            "--user",
                            "1",
                            "--group",
                            "2",
                            "--caps-retain=CAP_KILL,CAP_CHOWN",
                            "c",
                            "--mount",
                            "volume=data,target=/d",
                            "--",
                            "z"});
  ASSERT_TRUE(request.ok()) << request.error().message();
  EXPECT_FALSE(request->single);
  EXPECT_EQ(request->name, "p");
  ASSERT_EQ(request->apps.size(), 3U);
  EXPECT_EQ(request->apps[0].name, "one");
  EXPECT_THAT(request->apps[0].args, ElementsAre("x", "--name", "y"));
  EXPECT_THAT(request->apps[0].env, ElementsAre("Z=0", "A=1"));
  EXPECT_EQ(request->apps[1].image, "b");
  EXPECT_EQ(request->apps[1].user, "1:2");
  EXPECT_THAT(request->apps[1].cap_drop, ElementsAre("ALL"));
  EXPECT_THAT(request->apps[1].cap_add, ElementsAre("CAP_KILL", "CAP_CHOWN"));
  EXPECT_THAT(request->apps[2].args, ElementsAre("z"));
  ASSERT_EQ(request->apps[2].mounts.size(), 2U);
  EXPECT_EQ(request->apps[2].mounts[1].destination, "/d");
  EXPECT_EQ(request->apps[2].mounts[1].source, "/srv");
  EXPECT_THAT(request->apps[2].mounts[1].options, ElementsAre("ro"));
}

TEST(PodRequest, Mistakes) {
  const auto why = [](std::vector<std::string> words) {
    const auto request = pod(std::move(words));
    return request.ok() ? std::string() : request.error().message();
  };
  EXPECT_THAT(why({"a", "---"}), HasSubstr("no image after the last '---'"));
  EXPECT_THAT(why({"---", "a"}), HasSubstr("no image before the first '---'"));
  EXPECT_THAT(why({"a", "---", "---", "b"}), HasSubstr("no image between two '---'"));
  EXPECT_THAT(why({"--volume", "v,kind=host,source=/a,readOnly=yes", "a"}), HasSubstr("readOnly takes true or false"));
  EXPECT_THAT(pod({"a", "sh", "-c", "x"}).error().hint(), HasSubstr("after --"));
  EXPECT_THAT(why({"a", "---", "--name", "x"}), HasSubstr("expected an image"));
  EXPECT_THAT(why({"a", "--quux"}), HasSubstr("image 'a': unknown flag '--quux'"));
  EXPECT_THAT(why({"a", "--mount", "volume=v,target=/x"}), HasSubstr("no --volume 'v'"));
  EXPECT_THAT(why({"--volume", "v,kind=host,source=/a", "--volume", "v,kind=host,source=/b", "a"}),
              HasSubstr("duplicate volume"));
  EXPECT_THAT(why({"--volume", "v,kind=host,source=a", "a"}), HasSubstr("absolute"));
  EXPECT_THAT(why({"a", "--caps-retain=CAP_KILL", "--caps-remove=CAP_CHOWN"}), HasSubstr("cannot be given together"));
  EXPECT_THAT(why({"--annotation", "x", "a"}), HasSubstr("--annotation 'x': must be NAME=VALUE"));
  EXPECT_THAT(why({"a", "--user-annotation", "x"}), HasSubstr("--user-annotation 'x': must be NAME=VALUE"));
}

TEST(PodRequest, ACommandWithoutDashesIsExplained) {
  const auto request = pod({"busybox", "true"});
  ASSERT_TRUE(request.ok());
  const auto hint = [&](const char* message) {
    return explain_image(Error(Errc::kNotFound, message).with_hint("other"), *request).hint();
  };
  EXPECT_THAT(hint("image 'true' is not in the store"), HasSubstr("busybox -- true"));
  EXPECT_EQ(hint("image 'busybox' is not in the store"), "other");
}

TEST(ExecRequest, AnEmptyWordIsNoCommand) {
  const std::vector<std::string> words = {"name", ""};
  const auto args = parse_args({}, words, Order::kBeforeArguments);
  ASSERT_TRUE(args.ok());
  EXPECT_THAT(exec_request(*args, around()).error().message(), HasSubstr("empty word"));
}

TEST(ExecRequest, BuildsOnTheContainersProcess) {
  oci::Process container;
  container.args = {"sleep"};
  container.env = {"PATH=/bin", "HOME=/root", "A=1"};
  container.cwd = "/srv";
  container.terminal = true;
  container.capabilities = oci::Capabilities{{"CAP_KILL"}, {"CAP_KILL"}, {}, {"CAP_KILL"}, {}};
  ExecRequest request;
  request.args = {"id"};
  request.env = {"A=2", "B=3"};
  const oci::Process same = exec_process(container, request, std::nullopt);
  EXPECT_THAT(same.args, ElementsAre("id"));
  EXPECT_THAT(same.env, ElementsAre("PATH=/bin", "HOME=/root", "A=2", "B=3"));
  EXPECT_FALSE(same.terminal);
  EXPECT_EQ(same.cwd, "/srv");
  EXPECT_THAT(same.capabilities->effective, ElementsAre("CAP_KILL"));

  const image::ResolvedUser user{1000, 1001, {5}, "/home/user"};
  request.terminal = true;
  const oci::Process other = exec_process(container, request, user);
  EXPECT_EQ(other.user.uid, 1000U);
  EXPECT_EQ(other.user.gid, 1001U);
  EXPECT_THAT(other.capabilities->effective, IsEmpty());
  EXPECT_THAT(other.capabilities->bounding, ElementsAre("CAP_KILL"));
  EXPECT_THAT(other.env, ElementsAre("PATH=/bin", "HOME=/home/user", "A=2", "B=3", "TERM=xterm"));
  request.privileged = true;
  EXPECT_GT(exec_process(container, request, user).capabilities->effective.size(), 30U);
}

}  // namespace
}  // namespace cooper::cli
