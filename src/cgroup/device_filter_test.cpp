#include "cgroup/internal/device_filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "cgroup/cgroup.h"

// Tests name the members they are about.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

namespace cooper::cgroup {
namespace {

using ::testing::ElementsAre;

oci::DeviceRule rule(bool allow, std::string type, std::optional<std::int64_t> major, std::optional<std::int64_t> minor,
                     std::string access) {
  return {.allow = allow, .type = std::move(type), .major = major, .minor = minor, .access = std::move(access)};
}

// The few eBPF instructions the program uses; fails on any other and on a jump out of the program.
int run(const std::vector<struct bpf_insn>& program, std::uint32_t access_type, std::uint32_t major,
        std::uint32_t minor) {
  std::array<std::int64_t, 11> reg{};
  const std::array<std::uint32_t, 3> context{access_type, major, minor};
  for (std::size_t pc = 0; pc < program.size(); ++pc) {
    const auto& i = program[pc];
    std::int64_t& dst = reg[i.dst_reg];
    switch (i.code) {
      case BPF_LDX | BPF_MEM | BPF_W:
        dst = context[static_cast<std::size_t>(i.off) / 4];
        break;
      case BPF_ALU64 | BPF_MOV | BPF_X:
        dst = reg[i.src_reg];
        break;
      case BPF_ALU64 | BPF_MOV | BPF_K:
        dst = i.imm;
        break;
      case BPF_ALU64 | BPF_RSH | BPF_K:
        dst = static_cast<std::int64_t>(static_cast<std::uint64_t>(dst) >> i.imm);
        break;
      case BPF_ALU64 | BPF_AND | BPF_K:
        dst &= i.imm;
        break;
      case BPF_JMP | BPF_JNE | BPF_K:
        if (dst != i.imm) pc += static_cast<std::size_t>(i.off);
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        if (dst == i.imm) pc += static_cast<std::size_t>(i.off);
        break;
      case BPF_JMP | BPF_EXIT:
        return static_cast<int>(reg[0]);
      default:
        ADD_FAILURE() << "unexpected instruction " << int{i.code};
        return -1;
    }
  }
  ADD_FAILURE() << "ran off the end";
  return -1;
}

// What the rules mean, said plainly.
int expected(const std::vector<oci::DeviceRule>& rules, char type, int access, int major, int minor) {
  for (const int bit : {1, 2, 4}) {
    if ((access & bit) == 0) continue;
    bool allowed = false;
    for (const auto& rule : rules) {
      const char* names = "mrw";
      const char name = names[bit == 1 ? 0 : bit == 2 ? 1 : 2];
      if (!rule.access.empty() && rule.access.find(name) == std::string::npos) continue;
      if (!rule.type.empty() && rule.type != "a" && rule.type[0] != type) continue;
      if (rule.major.value_or(-1) >= 0 && *rule.major != major) continue;
      if (rule.minor.value_or(-1) >= 0 && *rule.minor != minor) continue;
      allowed = rule.allow;
    }
    if (!allowed) return 0;
  }
  return 1;
}

void check_all(const std::vector<oci::DeviceRule>& rules) {
  const auto program = device_program(rules);
  ASSERT_TRUE(program.ok()) << program.error().message();
  for (const char type : {'b', 'c'}) {
    for (int access = 1; access < 8; ++access) {
      for (const int major : {0, 1, 5, 8, 136}) {
        for (const int minor : {0, 1, 3, 5, 300000}) {
          const auto word = static_cast<std::uint32_t>(access) << 16 | (type == 'b' ? 1U : 2U);
          EXPECT_EQ(run(*program, word, static_cast<std::uint32_t>(major), static_cast<std::uint32_t>(minor)),
                    expected(rules, type, access, major, minor))
              << type << ' ' << access << ' ' << major << ':' << minor;
        }
      }
    }
  }
}

TEST(DeviceRules, TextsForV1) {
  const auto texts = [](const oci::DeviceRule& r) { return *device_rule_texts(r); };
  EXPECT_THAT(texts(rule(false, "", {}, {}, "rwm")), ElementsAre("a"));
  EXPECT_THAT(texts(rule(false, "a", -1, -1, "")), ElementsAre("a"));
  EXPECT_THAT(texts(rule(true, "c", 1, 3, "rwm")), ElementsAre("c 1:3 rwm"));
  EXPECT_THAT(texts(rule(true, "u", 136, {}, "rw")), ElementsAre("c 136:* rw"));
  // A line that starts with 'a' would mean everything.
  EXPECT_THAT(texts(rule(true, "a", 10, 200, "m")), ElementsAre("b 10:200 m", "c 10:200 m"));
  EXPECT_EQ(device_rule_texts(rule(true, "p", 1, 3, "r")).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(device_rule_texts(rule(true, "c", 1, 3, "rx")).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(device_rule_texts(rule(true, "c", -2, 3, "r")).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(device_rule_texts(rule(true, "c", 1, std::int64_t{1} << 40, "r")).error().code(), Errc::kInvalidArgument);
}

TEST(DeviceRules, DenialsThatV1WouldForget) {
  const auto nothing = rule(false, "a", {}, {}, "rwm");
  const auto memory = rule(true, "c", 1, {}, "rwm");
  const auto nodes = rule(true, "c", {}, {}, "m");
  const auto kmsg = rule(false, "c", 1, 11, "rwm");
  const auto refused = check_device_denials_v1({nothing, memory, kmsg});
  EXPECT_EQ(refused.error().code(), Errc::kUnsupported);
  EXPECT_EQ(refused.error().message(),
            "on cgroup v1 the device rule that denies 'c 1:11 rwm' takes nothing back from the one before it that "
            "allows 'c 1:* rwm'");
  EXPECT_FALSE(check_device_denials_v1({nothing, rule(true, "c", 1, 3, "r"), rule(false, "c", 1, {}, "rw")}).ok());
  for (const std::vector<oci::DeviceRule>& rules : std::vector<std::vector<oci::DeviceRule>>{
           {nothing, nodes, kmsg},
           {nothing, rule(true, "c", 1, 11, "rwm"), kmsg},
           {nothing, memory, rule(false, "c", 1, {}, "w")},
           {nothing, memory, rule(false, "b", 1, 11, "rwm")},
           {nothing, rule(true, "c", 1, {}, "r"), rule(false, "c", 1, 11, "w")},
           {nothing, rule(true, "a", {}, {}, "rwm"), kmsg},
           {memory, kmsg},
       })
    EXPECT_TRUE(check_device_denials_v1(rules).ok());
}

TEST(DeviceProgram, MeansWhatTheRulesSay) {
  check_all({});
  check_all({rule(false, "a", {}, {}, "rwm")});
  check_all({rule(true, "a", {}, {}, "rwm")});
  check_all({rule(true, "a", {}, {}, "rwm"), rule(false, "b", 8, {}, "w"), rule(false, "c", {}, 3, "m")});
  check_all({rule(false, "", {}, {}, "rwm"), rule(true, "c", 1, 3, "r"), rule(true, "c", 1, 3, "w"),
             rule(true, "b", {}, {}, "m"), rule(true, "c", 5, {}, "rw"), rule(false, "c", 5, 1, "w")});
  auto rules = default_device_rules();
  rules.insert(rules.begin(), rule(false, "a", {}, {}, "rwm"));
  check_all(rules);
}

TEST(DeviceProgram, DefaultsHaveWhatUserSpaceNetworksOpen) {
  auto rules = default_device_rules();
  rules.insert(rules.begin(), rule(false, "a", {}, {}, "rwm"));
  const auto program = device_program(rules);
  const std::uint32_t all = 7U << 16 | 2U;
  EXPECT_EQ(run(*program, all, 10, 200), 1);
  EXPECT_EQ(run(*program, all, 10, 229), 0);
  EXPECT_EQ((**device_list(rules)).at("c 10:200"), "rwm");
}

TEST(DeviceProgram, NothingAfterARuleForEverything) {
  const auto long_program =
      device_program({rule(true, "c", 1, 3, "r"), rule(true, "c", 1, 5, "r"), rule(false, "a", {}, {}, "")});
  const auto short_program = device_program({rule(false, "a", {}, {}, "")});
  EXPECT_EQ(long_program->size(), short_program->size());
}

TEST(DeviceList, IsWhatTheKernelWillHave) {
  const oci::DeviceRule nothing{false, "a", {}, {}, "rwm"};
  const auto list = device_list({{true, "c", 9, 9, "rwm"},
                                 nothing,
                                 {true, "c", 1, 3, "rw"},
                                 {true, "c", 1, 3, "m"},
                                 {true, "", 8, 0, "r"},
                                 {false, "c", 1, 3, "w"},
                                 {false, "c", 8, 0, "rwm"},
                                 {false, "c", {}, {}, "r"}});
  ASSERT_TRUE(list.ok() && list->has_value());
  EXPECT_EQ(**list, (std::map<std::string, std::string>{{"c 1:3", "rm"}, {"b 8:0", "r"}}));
  EXPECT_FALSE(device_list({{true, "c", 1, 3, "rw"}})->has_value());
  EXPECT_FALSE(device_list({nothing, {true, "a", {}, {}, "rwm"}})->has_value());
  EXPECT_FALSE(device_list({{true, "x", 1, 3, "rw"}}).ok());
}

TEST(DeviceList, Parsed) {
  EXPECT_EQ(*parse_device_list("c 1:3 rwm\nb *:* m\n"),
            (std::map<std::string, std::string>{{"c 1:3", "rwm"}, {"b *:*", "m"}}));
  EXPECT_FALSE(parse_device_list("a *:* rwm\n").has_value());
  EXPECT_TRUE(parse_device_list("")->empty());
}

}  // namespace
}  // namespace cooper::cgroup
