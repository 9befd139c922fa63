// Detach keys, tables, processes, exit statuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/cooper/detach_keys.h"
#include "cli/cooper/help.h"
#include "cli/cooper/output.h"
#include "cli/cooper/process_list.h"
#include "cli/cooper/start_failure.h"
#include "cli/cooper/stats.h"

namespace cooper::cli {
namespace {

using testing::HasSubstr;

TEST(DetachKeys, Words) {
  EXPECT_EQ(parse_detach_keys("ctrl-p,ctrl-q").value(), "\x10\x11");
  EXPECT_EQ(parse_detach_keys("a,ctrl-@,ctrl-[").value(), std::string("a\0\x1b", 3));
  EXPECT_EQ(parse_detach_keys("").value(), "");
  for (const char* text : {"ctrl-", "ctrl-1", "ctrl-ab", "ab", "a,,b", "strg-a"})
    EXPECT_FALSE(parse_detach_keys(text).ok()) << text;
}

TEST(DetachKeys, HoldsBackAndPassesOn) {
  DetachWatch watch("\x10\x11");
  EXPECT_EQ(watch.feed("ab\x10").forward, "ab");
  EXPECT_EQ(watch.feed("c").forward,
            "\x10"
            "c");
  EXPECT_EQ(watch.feed("\x10\x10").forward, "\x10");
  const auto end = watch.feed("\x11 more");
  EXPECT_TRUE(end.detached);
  EXPECT_EQ(end.forward, "");
}

TEST(DetachKeys, SequencesThatOverlapThemselves) {
  DetachWatch watch("aab");
  const auto first = watch.feed("aaa");
  EXPECT_EQ(first.forward, "a");
  EXPECT_TRUE(watch.feed("b").detached);
  DetachWatch none("");
  EXPECT_EQ(none.feed("\x10\x11").forward, "\x10\x11");
}

TEST(Table, ColumnsLineUp) {
  Table table({"ID", "NAME", "X"});
  table.add({"1", "a\tb", "x"});
  table.add({"1234", "\u00e9", "y"});
  EXPECT_EQ(table.text(), "ID    NAME    X\n1     a\\x09b  x\n1234  \u00e9       y\n");
}

TEST(Table, CellsCannotSteerTheTerminal) {
  Table table({"NAME", "X"});
  table.add({"\u009b2J", "x"});
  table.add({"\x1b[2J\xff", "\n"});
  EXPECT_EQ(table.text(), "NAME         X\n\\xc2\\x9b2J   x\n\\x1b[2J\\xff  \\x0a\n");
}

TEST(Text, Shorten) {
  EXPECT_EQ(shorten("abcdef", 6), "abcdef");
  EXPECT_EQ(shorten("abcdefg", 6), "abc...");
  EXPECT_EQ(shorten("\u00e9\u00e9\u00e9\u00e9\u00e9", 4), "\u00e9...");
  EXPECT_EQ(shorten("\u009b", 8), "\\xc2\\x9b");
  EXPECT_EQ(shorten("abcd\u009b2J", 8), "abcd\\...");
  EXPECT_EQ(print_command({"sh", "-c", "echo 'a b'", ""}), "sh -c 'echo \\'a b\\'' ''");
}

TEST(StartFailure, AsAShell) {
  EXPECT_EQ(
      start_failure_status(Error(Errc::kNotFound, "app 'x': exec 'foo': executable file not found in $PATH", ENOENT)),
      127);
  EXPECT_EQ(start_failure_status(Error(Errc::kNotFound, "exec: no such file or directory (ENOENT)", ENOENT)), 127);
  EXPECT_EQ(start_failure_status(Error(Errc::kPermission, "exec '/etc': is a directory", EISDIR)), 126);
  EXPECT_EQ(start_failure_status(Error(Errc::kPermission, "exec '/x': permission denied", EACCES)), 126);
  EXPECT_EQ(start_failure_status(Error(Errc::kNotFound, "image 'exec' is not there", ENOENT)), 125);
  EXPECT_EQ(start_failure_status(Error(Errc::kSystem, "mount 'proc': no", EPERM)), 125);
}

TEST(Process, FromProc) {
  const std::string stat =
      "77 (a) b) S 5 77 77 34816 77 4194304 100 0 0 0 150 50 0 0 20 0 1 0 12345 1000000 25 18446744073709551615 1 1 0";
  const std::string status = "Name:\ta) b\nUid:\t1000\t1001\t1000\t1000\nNSpid:\t77\t3\n";
  const auto process = parse_process(stat, status, 4096);
  ASSERT_TRUE(process);
  EXPECT_EQ(process->host_pid, 77);
  EXPECT_EQ(process->pid, 3);
  EXPECT_EQ(process->parent, 5);
  EXPECT_EQ(process->uid, 1001U);
  EXPECT_EQ(process->state, 'S');
  EXPECT_EQ(process->cpu_ticks, 200U);
  EXPECT_EQ(process->start_ticks, 12345U);
  EXPECT_EQ(process->rss_bytes, 25U * 4096);
  EXPECT_EQ(process->tty, 34816);
  EXPECT_EQ(process->command, "[a) b]");
  EXPECT_FALSE(parse_process("", status, 4096));
  EXPECT_FALSE(parse_process("77 (a", status, 4096));
}

TEST(Stats, Percent) {
  EXPECT_DOUBLE_EQ(cpu_percent(0, 500'000'000, 1'000'000'000), 50);
  EXPECT_DOUBLE_EQ(cpu_percent(10, 5, 100), 0);
  EXPECT_DOUBLE_EQ(cpu_percent(0, 5, 0), 0);
}

// Letters of flags must be free of clashes, in every command.
TEST(Commands, FlagsAreUnique) {
  for (const Group& group : command_groups()) {
    for (const Command& command : group.commands) {
      std::string letters;
      std::vector<std::string_view> names;
      for (const auto& table : command.flags) {
        for (const Flag& flag : table) {
          EXPECT_THAT(names, testing::Not(testing::Contains(flag.name))) << command.path;
          names.push_back(flag.name);
          if (flag.letter == 0) continue;
          EXPECT_EQ(letters.find(flag.letter), std::string::npos) << command.path << " -" << flag.letter;
          letters += flag.letter;
        }
      }
      for (const Flag& flag : global_flags())
        EXPECT_THAT(names, testing::Not(testing::Contains(flag.name))) << command.path;
      EXPECT_NE(command.handler, nullptr) << command.path;
    }
  }
}

TEST(Help, ComesFromTheTable) {
  const std::string page = command_help(*find_command("run"));
  EXPECT_THAT(page, HasSubstr("-e, --env NAME[=VALUE]"));
  EXPECT_THAT(page, HasSubstr("--log-format"));
  // -h is --hostname there, and nothing else.
  EXPECT_THAT(page, HasSubstr("-h, --hostname"));
  EXPECT_THAT(page, testing::Not(HasSubstr("-h, --help")));
  EXPECT_THAT(command_help(*find_command("ps")), HasSubstr("-h, --help"));
  EXPECT_THAT(page, HasSubstr("127"));
  EXPECT_THAT(program_help(), HasSubstr("image load"));
  EXPECT_THAT(group_help("pod"), HasSubstr("pod gc"));
  EXPECT_EQ(group_help("nothing"), "");
  EXPECT_THAT(manual_page(), HasSubstr("## image load"));
  EXPECT_EQ(find_command("image"), nullptr);
}

}  // namespace
}  // namespace cooper::cli
