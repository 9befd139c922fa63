#include "container/criu_parts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include "container/core_scheduling.h"
#include "container/landlock.h"
#include "spec/oci_runtime/defaults.h"

namespace cooper::container {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

PlanOptions options() {
  PlanOptions out;
  out.id = "box";
  out.bundle = "/bundle";
  return out;
}

Plan plan_of(const oci::Config& config) {
  auto plan = make_plan(config, options());
  EXPECT_TRUE(plan.ok()) << plan.error().message();
  return std::move(plan).value();
}

TEST(CriuLog, AsksForFlags) {
  EXPECT_EQ(advice_for("(00.1) Error (criu/file-lock.c:1): Some locks! You can try --file-locks to dump them.\n"
                       "(00.2) Error (criu/cr-dump.c:1): Dumping FAILED.\n"),
            "try --file-locks");
  EXPECT_EQ(advice_for("Error (criu/files-reg.c:9): Can't create link remap for /a. Use link-remap option."),
            "try --link-remap");
  EXPECT_EQ(advice_for("Error (criu/sk-inet.c:1): can be ignored with the --skip-in-flight option"),
            "try --tcp-skip-in-flight");
  EXPECT_EQ(advice_for("(00.1) Will try --file-locks\n(00.2) Error (criu/a.c:1): something else\n"), "");
  EXPECT_EQ(advice_for(""), "");
}

TEST(CriuLog, SaysWhyNoFlagHelps) {
  EXPECT_THAT(advice_for("(00.1) Error (criu/sk-unix.c:1): unix: Unix socket 12 without peer 13\n"),
              HasSubstr("another network namespace"));
  EXPECT_THAT(advice_for("(00.1) Error (criu/sk-unix.c:1): unix: Can't dump half of stream unix connection.\n"),
              HasSubstr("datagram"));
}

oci::Mount bind(std::string destination, std::string source, std::string word = "bind") {
  oci::Mount out;
  out.destination = std::move(destination);
  out.type = "bind";
  out.source = std::move(source);
  out.options = {std::move(word)};
  return out;
}

oci::Namespace* find(oci::Config& config, std::string_view type) {
  for (oci::Namespace& ns : config.linux->namespaces) {
    if (ns.type == type) return &ns;
  }
  return nullptr;
}

TEST(CriuParts, BindMountsComeFromTheHost) {
  oci::Config config = oci::default_config();
  config.mounts.push_back(bind("/data/", "/srv/data", "rbind"));
  config.mounts.push_back(bind("/etc/one", "one"));  // from the bundle
  EXPECT_THAT(host_mounts(plan_of(config)),
              ElementsAre(HostMount{"/data", "/srv/data", true}, HostMount{"/etc/one", "/bundle/one", false}));
}

TEST(CriuParts, CgroupsAreTheContainersOwnOrBound) {
  oci::Config config = oci::default_config();
  if (find(config, "cgroup") == nullptr) config.linux->namespaces.push_back({"cgroup", ""});
  cgroup::Layout layout;
  layout.mode = cgroup::Mode::kV1;
  layout.hierarchies = {{{"memory"}, "/sys/fs/cgroup/memory", "/", false}, {{}, "/sys/fs/cgroup/unified", "/", true}};
  EXPECT_THAT(cgroup_binds(config, plan_of(config), layout, "/coop/box"), IsEmpty());
  std::erase_if(config.linux->namespaces, [](const oci::Namespace& ns) { return ns.type == "cgroup"; });
  EXPECT_THAT(cgroup_binds(config, plan_of(config), layout, "/coop/box"),
              ElementsAre(HostMount{"/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/coop/box", false}));
  layout.mode = cgroup::Mode::kV2;
  layout.hierarchies = {{{}, "/sys/fs/cgroup", "/", true}};
  EXPECT_THAT(cgroup_binds(config, plan_of(config), layout, "/coop/box"),
              ElementsAre(HostMount{"/sys/fs/cgroup", "/sys/fs/cgroup/coop/box", false}));
}

std::string refusal(const oci::Config& config) {
  const Status status = check_restorable(config, plan_of(config));
  return status.ok() ? std::string() : status.error().message();
}

TEST(CriuParts, RefusesWhatARestoreWouldLose) {
  EXPECT_EQ(refusal(oci::default_config()), "");
  oci::Config config = oci::default_config();
  config.annotations[kLandlockAnnotation] = "ro:/";
  EXPECT_THAT(refusal(config), HasSubstr("Landlock"));
  config = oci::default_config();
  config.linux->seccomp.emplace();
  config.linux->seccomp->default_action = "SCMP_ACT_ALLOW";
  EXPECT_EQ(refusal(config), "");
  config.linux->seccomp->listener_path = "/run/agent";
  EXPECT_THAT(refusal(config), HasSubstr("listenerPath"));
  config = oci::default_config();
  find(config, "mount")->path = "/proc/1/ns/mnt";
  EXPECT_THAT(refusal(config), HasSubstr("mount namespace"));
  config = oci::default_config();
  if (find(config, "cgroup") == nullptr) config.linux->namespaces.push_back({"cgroup", ""});
  find(config, "cgroup")->path = "/proc/1/ns/cgroup";
  EXPECT_THAT(refusal(config), HasSubstr("cgroup namespace"));
}

TEST(CriuParts, NotesAreReadAsTheyWereWritten) {
  CheckpointNotes notes;
  notes.streams = {{1, "file[1a:2b]"}, {2, "file[1a:2c]"}};
  notes.below = {{"/data/sub", {"/data", "/sub"}}};
  const auto again = parse_notes(print_notes(notes), "cooper.json");
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(*again, notes);
  for (const char* text : {"", "[]", "{}", R"({"version":2})", R"({"version":1,"streams":{"3":"x"}})",
                           R"({"version":1,"streams":{"1":2}})", R"({"version":1,"below":[7]})"})
    EXPECT_FALSE(parse_notes(text, "cooper.json").ok()) << text;
}

TEST(CriuParts, StreamsTakeThePlaceOfThoseInTheImages) {
  EXPECT_EQ(print_descriptors({"/dev/null", "pipe:[1]"}), R"(["/dev/null","pipe:[1]"])");
  const auto links = parse_descriptors(R"(["/dev/null","pipe:[7]","pipe:[8]"])", "descriptors.json");
  ASSERT_TRUE(links.ok());
  EXPECT_THAT(inherited_streams(*links, {}),
              ElementsAre(criu::InheritedFd{"pipe:[7]", 1}, criu::InheritedFd{"pipe:[8]", 2}));
  CheckpointNotes notes;
  notes.streams[1] = "file[1:2]";
  EXPECT_THAT(inherited_streams({"/dev/null", "/log"}, notes), ElementsAre(criu::InheritedFd{"file[1:2]", 1}));
  EXPECT_THAT(inherited_streams({}, {}), IsEmpty());
  EXPECT_FALSE(parse_descriptors("{}", "descriptors.json").ok());
}

TEST(CriuParts, MountsOfTheImagesHaveSourcesOnTheHost) {
  CheckpointNotes notes;
  notes.below = {{"/data/sub", {"/data", "/sub"}}, {"/gone/sub", {"/gone", "/sub"}}};
  EXPECT_THAT(restored_mounts({{"/data", "/srv", true}}, notes, true),
              ElementsAre(criu::ExternalMount{"/data", "/srv"}, criu::ExternalMount{"/data/sub", "/srv/sub"},
                          criu::ExternalMount{"/dev/null", "/dev/null"}));
  EXPECT_THAT(restored_mounts({}, {}, false), IsEmpty());
}

TEST(CriuParts, OptionsAreThoseAskedFor) {
  criu::Options wanted;
  wanted.notify = wanted.orphan_pts_master = true;
  wanted.cgroup_mode = criu::CgroupMode::kSoft;
  EXPECT_EQ(common_options({}), wanted);
  CriuOptions asked;
  asked.tcp_established = asked.external_unix_sockets = asked.shell_job = asked.file_locks = true;
  asked.lazy_pages = asked.auto_dedup = asked.empty_network = true;
  asked.cgroup_mode = criu::CgroupMode::kIgnore;
  wanted.tcp_established = wanted.external_unix_sockets = wanted.shell_job = wanted.file_locks = true;
  wanted.lazy_pages = wanted.auto_dedup = true;
  wanted.empty_namespaces = CLONE_NEWNET;
  wanted.cgroup_mode = criu::CgroupMode::kIgnore;
  EXPECT_EQ(common_options(asked), wanted);
}

TEST(CriuParts, TheConfigurationFileIsTheAnnotationsOrTheSystems) {
  oci::Config config = oci::default_config();
  EXPECT_EQ(criu_config_file(config, "/nowhere/runc.conf"), "");
  EXPECT_EQ(criu_config_file(config, "/proc/self/status"), "/proc/self/status");
  config.annotations["org.criu.config"] = "";
  EXPECT_EQ(criu_config_file(config, "/proc/self/status"), "");
  config.annotations["org.criu.config"] = "/my.conf";
  EXPECT_EQ(criu_config_file(config, "/proc/self/status"), "/my.conf");
}

}  // namespace
}  // namespace cooper::container
