#include "cli/cooper/toml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/cooper/settings.h"

namespace cooper::cli {
namespace {

using testing::HasSubstr;

std::string message(std::string_view text) {
  const auto parsed = toml::parse(text, "f");
  return parsed.ok() ? "" : parsed.error().message();
}

TEST(Toml, ValuesAndTables) {
  const auto parsed = toml::parse(
      "# a comment\nroot = \"/srv/x\" # why\nn = -1_000\r\n\n[log]\nlevel='de\\bug'\n[a.b]\non = true\nlist = [ \"x\", "
      "# first\n  \"y\",\n]\n",
      "f");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message();
  EXPECT_EQ(std::get<std::string>(parsed->at("root").data), "/srv/x");
  EXPECT_EQ(std::get<std::int64_t>(parsed->at("n").data), -1000);
  EXPECT_EQ(std::get<std::string>(parsed->at("log.level").data), "de\\bug");
  EXPECT_EQ(std::get<bool>(parsed->at("a.b.on").data), true);
  EXPECT_EQ(parsed->at("a.b.on").line, 8);
  const auto& list = std::get<std::vector<toml::Scalar>>(parsed->at("a.b.list").data);
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(std::get<std::string>(list[1]), "y");
}

TEST(Toml, Escapes) {
  const auto parsed = toml::parse(R"(a = "t\tq\"b\\u\u00e9\U0001F600")", "f");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message();
  EXPECT_EQ(std::get<std::string>(parsed->at("a").data), "t\tq\"b\\u\u00e9\U0001F600");
  EXPECT_THAT(message("a = \"\\x\""), HasSubstr("escape"));
  EXPECT_THAT(message("a = \"\\ud800\""), HasSubstr("no character"));
}

TEST(Toml, ErrorsNameTheLine) {
  EXPECT_THAT(message("a = 1\nb = 1\na = 2"), HasSubstr("line 3: key 'a' is there twice"));
  EXPECT_THAT(message("[t]\n[t]"), HasSubstr("line 2"));
  EXPECT_THAT(message("a = \"x"), HasSubstr("no end"));
  EXPECT_THAT(message("a = 1.5"), HasSubstr("'1.5'"));
  EXPECT_THAT(message("a = 012"), HasSubstr("'012'"));
  EXPECT_THAT(message("a = x"), HasSubstr("text needs quotes"));
  EXPECT_THAT(message("a = [1, \"x\"]"), HasSubstr("mixes types"));
  EXPECT_THAT(message("a = 1 b = 2"), HasSubstr("unexpected text"));
  EXPECT_THAT(message("[[t]]"), HasSubstr("arrays of tables"));
  EXPECT_THAT(message("a = \"\"\"x\"\"\""), HasSubstr("several lines"));
  EXPECT_THAT(message("= 1"), HasSubstr("expected a key"));
  EXPECT_THAT(message("a"), HasSubstr("expected '='"));
  EXPECT_THAT(message("a = [1"), HasSubstr("expected ',' or ']'"));
  EXPECT_THAT(message(std::string("a = \"x") + '\0' + "\""), HasSubstr("NUL"));
  EXPECT_THAT(message("a = 99999999999999999999"), HasSubstr("no integer"));
}

TEST(Config, EveryKey) {
  Settings settings;
  const auto applied = apply_config(
      "root = \"/a\"\nrun_root = \"/b\"\ninit_path = \"/c\"\ncgroup_parent = \"/d\"\n[log]\nlevel = \"debug\"\nformat "
      "= \"json\"\n"
      "[output]\nformat = \"json\"\n[containers]\npids_limit = -1\nstop_timeout_s = 3\nnetwork = "
      "\"host\"\nlog_max_size = \"10m\"\n"
      "detach_keys = \"ctrl-a\"\nulimits = [\"nofile=10\"]\n",
      "f", settings);
  ASSERT_TRUE(applied.ok()) << applied.error().message();
  EXPECT_EQ(settings.engine.root, "/a");
  EXPECT_EQ(settings.engine.run_root, "/b");
  EXPECT_EQ(settings.engine.init_path, "/c");
  EXPECT_EQ(settings.engine.cgroup_parent, "/d");
  EXPECT_EQ(settings.log.level, log::Level::kDebug);
  EXPECT_EQ(settings.log.format, log::Format::kJson);
  EXPECT_EQ(settings.format, Format::kJson);
  EXPECT_EQ(settings.pids_limit, -1);
  EXPECT_EQ(settings.stop_timeout_ms, 3000);
  EXPECT_EQ(settings.network, "host");
  EXPECT_EQ(settings.log_max_bytes, 10U << 20);
  EXPECT_EQ(settings.detach_keys, "ctrl-a");
  EXPECT_THAT(settings.ulimits, testing::ElementsAre("nofile=10"));
}

TEST(Config, WrongKeysAndTypes) {
  Settings settings;
  const auto why = [&](std::string_view text) {
    const auto applied = apply_config(text, "f", settings);
    return applied.ok() ? std::string() : applied.error().message() + " / " + applied.error().hint();
  };
  EXPECT_THAT(why("rooot = \"/a\""), HasSubstr("did you mean root?"));
  EXPECT_THAT(why("\n\nroot = 1"), HasSubstr("line 3: 'root' must be text"));
  EXPECT_THAT(why("root = \"a\""), HasSubstr("absolute"));
  EXPECT_THAT(why("[log]\nlevel = \"loud\""), HasSubstr("'loud'"));
  EXPECT_THAT(why("[containers]\npids_limit = \"1\""), HasSubstr("whole number"));
  EXPECT_THAT(why("[containers]\nnetwork = \"bridge\""), HasSubstr("none or host"));
  EXPECT_THAT(why("[containers]\nulimits = [1]"), HasSubstr("array of texts"));
  EXPECT_THAT(why("[containers]\ndetach_keys = \"ctrl-1\""), HasSubstr("ctrl-1"));
}

}  // namespace
}  // namespace cooper::cli
