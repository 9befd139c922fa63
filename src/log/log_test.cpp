#include "log/steps.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace cooper::log {
namespace {

// Both formats: what is special to one is quoted in it.
TEST(Log, FieldsFollowTheMessage) {
  const Fields fields = {{"pid", "12"}, {"path", "/a \"b\"\n"}};
  EXPECT_EQ(format_record(Format::kJson, Level::kDebug, "started", 0, format_fields(Format::kJson, fields)),
            R"({"level":"debug","msg":"started","time":"1970-01-01T00:00:00Z","pid":"12","path":"/a \"b\"\n"})"
            "\n");
  EXPECT_EQ(format_record(Format::kText, Level::kDebug, "started", 0, format_fields(Format::kText, fields)),
            R"(time="1970-01-01T00:00:00Z" level=debug msg="started" pid="12" path="/a \"b\"\n")"
            "\n");
}

TEST(Log, NobodyAsksForFieldsThatAreNotShown) {
  bool asked = false;
  step("step", [&] {
    asked = true;
    return Fields{};
  });
  EXPECT_FALSE(asked);
}

TEST(Log, DebugRecordsTellTheTimeSinceTheStart) {
  std::string path = "/tmp/cooper-log-test-XXXXXX";
  const int fd = ::mkstemp(path.data());
  ASSERT_GE(fd, 0);
  ASSERT_TRUE(configure({.level = Level::kDebug, .format = Format::kJson, .file = path}).ok());
  step("step", [] { return Fields{{"x", "y"}}; });
  ASSERT_TRUE(configure({}).ok());
  std::string text(4096, 0);
  text.resize(static_cast<std::size_t>(::read(fd, text.data(), text.size())));
  EXPECT_NE(text.find(R"("x":"y","elapsed_ms":"0.)"), std::string::npos) << text;
  (void)::close(fd);
  (void)::unlink(path.c_str());
}

}  // namespace
}  // namespace cooper::log
