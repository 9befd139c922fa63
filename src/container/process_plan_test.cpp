#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "container/landlock.h"
#include "container/plan.h"
#include "spec/oci_runtime/defaults.h"

namespace cooper::container {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;

PlanOptions options() {
  PlanOptions out;
  out.id = "box";
  out.bundle = "/bundle";
  return out;
}

// Everything that a process can have.
oci::Config full_config() {
  oci::Config config = oci::default_config();
  oci::Process& process = *config.process;
  process.terminal = true;
  process.console_size = {.height = 25, .width = 80};
  process.rlimits = {{"RLIMIT_CORE", 2, 1}};
  process.scheduler.emplace().policy = "SCHED_BATCH";
  process.io_priority = oci::IoPriority{"IOPRIO_CLASS_BE", 4};
  process.oom_score_adj = 100;
  config.linux->personality.emplace().domain = "LINUX32";
  config.linux->memory_policy = oci::MemoryPolicy{"MPOL_BIND", "0", {}};
  config.linux->seccomp.emplace().default_action = "SCMP_ACT_ALLOW";
  config.annotations[kLandlockAnnotation] = "rx:/usr";
  return config;
}

// The child's steps, without their numbers.
std::vector<std::string> child_lines(const Plan& plan, const std::set<std::string, std::less<>>& without) {
  std::vector<std::string> out;
  for (const Step& step : plan.steps) {
    if (step.actor != Actor::kChild || without.contains(step_name(step.body))) continue;
    Plan one;
    one.steps = {step};
    out.push_back(print_text(one));
  }
  return out;
}

// What is a container's and not a process's. A new step of a start belongs here, or into the plan of a process, too.
const std::set<std::string, std::less<>> kOfAContainer = {
    "cgroup-join",
    "create-device",
    "create-symlink",
    "enter-network-namespace",
    "loopback-up",
    "mask-path",
    "mount",
    "mount-root",
    "pivot-root",
    "prepare-cwd",
    "readonly-path",
    "readonly-root",
    "root-propagation",
    "set-hostname",
    "set-oom-score-adj",
    "new-cgroup-namespace",
};

TEST(ProcessPlan, IsWhatAStartDoesForItsProcess) {
  for (const bool no_keyring : {false, true}) {
    PlanOptions with = options();
    with.no_new_keyring = no_keyring;
    for (const oci::Config& config : {full_config(), oci::default_config()}) {
      const auto start = make_plan(config, with);
      const auto process = make_process_plan(config, with);
      ASSERT_TRUE(start.ok()) << start.error().message();
      ASSERT_TRUE(process.ok()) << process.error().message();
      EXPECT_EQ(child_lines(*process, {}), child_lines(*start, kOfAContainer));
      EXPECT_THAT(process->steps, Not(IsEmpty()));
    }
  }
}

TEST(ProcessPlan, TheContainerIsNotJudgedAgain) {
  oci::Config config = oci::default_config();
  config.linux->sysctl["no.such.thing"] = "1";
  EXPECT_FALSE(make_plan(config, options()).ok());
  EXPECT_TRUE(make_process_plan(config, options()).ok());
  config.process->cwd = "relative";
  EXPECT_FALSE(make_process_plan(config, options()).ok());
}

TEST(ProcessPlan, MembersHaveTheNamesTheirAuthorKnows) {
  oci::Config config = oci::default_config();
  config.process->cwd = "x";
  config.process->user.additional_gids = {0xffffffff};
  PlanOptions named = options();
  EXPECT_EQ(make_process_plan(config, named).error().message(),
            "config.json: /process/cwd: 'x' must be an absolute path");
  named.name_process_member = [](std::string_view member) { return "p.json: " + std::string(member); };
  EXPECT_EQ(make_process_plan(config, named).error().message(), "p.json: /cwd: 'x' must be an absolute path");
  config.process->cwd = "/";
  EXPECT_EQ(make_process_plan(config, named).error().message(),
            "p.json: /user/additionalGids/0: 4294967295 is not a group id");
}

TEST(ProcessPlan, WithoutLinux) {
  oci::Config config = oci::default_config();
  config.linux.reset();
  EXPECT_TRUE(make_process_plan(config, options()).ok());
}

}  // namespace
}  // namespace cooper::container
