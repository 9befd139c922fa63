#include "stage1/seccomp_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

#include "seccomp/seccomp.h"
#include "stage1/security.h"

namespace cooper::stage1 {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

// What the profile does with a call of that name without arguments that would be compared.
std::string action_of(const oci::Seccomp& profile, std::string_view name) {
  std::string found = profile.default_action;
  for (const oci::SeccompSyscall& rule : profile.syscalls) {
    if (std::ranges::find(rule.names, name) != rule.names.end()) found = rule.action;
  }
  return found;
}

oci::Seccomp with(std::string_view text) {
  const auto set = parse_seccomp_set(text);
  EXPECT_TRUE(set.ok()) << set.error().message();
  oci::Seccomp profile = apply_seccomp_set(seccomp::default_profile({}), *set);
  EXPECT_TRUE(seccomp::compile(profile).ok());
  return profile;
}

TEST(SeccompSet, RetainsTheseAndWhatAProgramNeedsToBegin) {
  const oci::Seccomp profile = with("retain,errno=EXFULL,read,write,bpf");
  EXPECT_EQ(profile.default_action, "SCMP_ACT_ERRNO");
  EXPECT_EQ(profile.default_errno_ret, static_cast<std::uint32_t>(EXFULL));
  for (const char* name : {"read", "write", "execve", "exit_group"})
    EXPECT_EQ(action_of(profile, name), "SCMP_ACT_ALLOW");
  EXPECT_EQ(action_of(profile, "openat"), "SCMP_ACT_ERRNO");
  // Of the default, which has it not.
  EXPECT_EQ(action_of(profile, "bpf"), "SCMP_ACT_ERRNO");
  EXPECT_EQ(action_of(with("retain,read"), "openat"), "SCMP_ACT_KILL_PROCESS");
}

TEST(SeccompSet, RemovesFromTheDefault) {
  const oci::Seccomp profile = with("remove,errno=ENOSYS,mkdir,mkdirat,@rkt/default-blacklist");
  EXPECT_EQ(profile.default_action, "SCMP_ACT_ERRNO");
  EXPECT_EQ(action_of(profile, "mkdirat"), "SCMP_ACT_ERRNO");
  EXPECT_EQ(action_of(profile, "read"), "SCMP_ACT_ALLOW");
  EXPECT_EQ(action_of(with("remove,mkdirat"), "mkdirat"), "SCMP_ACT_KILL_PROCESS");
}

TEST(SeccompSet, NeverAllowsMoreThanTheDefault) {
  const oci::Seccomp all = seccomp::default_profile({});
  for (const char* text : {"retain,@appc.io/all", "retain,@docker/default-whitelist", "remove,@appc.io/empty"}) {
    const oci::Seccomp profile = with(text);
    EXPECT_EQ(profile.default_action, all.default_action) << text;
    EXPECT_EQ(profile.syscalls.size(), all.syscalls.size()) << text;
  }
}

TEST(SeccompSet, WhatIsNotKnownIsAnError) {
  EXPECT_THAT(parse_seccomp_set("retain,@systemd/clock").error().message(), HasSubstr("'@systemd/clock'"));
  EXPECT_THAT(parse_seccomp_set("retain,errno=EWRONG,read").error().message(), HasSubstr("'EWRONG'"));
  EXPECT_FALSE(parse_seccomp_set("retain").ok());
  EXPECT_FALSE(parse_seccomp_set("read").ok());
  EXPECT_FALSE(parse_security({"seccomp-set=keep,read"}).ok());
  EXPECT_THAT(parse_security({"seccomp-set=retain,read"})->seccomp_set->names, Contains("read"));
}

}  // namespace
}  // namespace cooper::stage1
