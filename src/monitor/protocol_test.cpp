#include "monitor/protocol.h"

#include <gtest/gtest.h>

namespace cooper::monitor::protocol {
namespace {

TEST(Frame, RoundTrips) {
  const std::string packet = make_frame(FrameType::kOutput, std::string("a\0b", 3), Stream::kStderr, 0xbeef);
  ASSERT_EQ(packet.size(), kHeaderSize + 3);
  const auto frame = parse_frame(packet);
  ASSERT_TRUE(frame.ok());
  EXPECT_EQ(frame->type, FrameType::kOutput);
  EXPECT_EQ(frame->stream, Stream::kStderr);
  EXPECT_EQ(frame->request, 0xbeef);
  EXPECT_EQ(frame->payload, std::string_view("a\0b", 3));
}

TEST(Frame, RefusesWhatIsMalformed) {
  EXPECT_FALSE(parse_frame("").ok());
  EXPECT_FALSE(parse_frame("\x03").ok());
  EXPECT_FALSE(parse_frame(std::string("\x07\0\0\0", 4)).ok());
  EXPECT_FALSE(parse_frame(std::string("\xff\0\0\0", 4)).ok());
  EXPECT_FALSE(parse_frame(std::string("\x03\x03\0\0", 4)).ok());
  EXPECT_FALSE(parse_frame(std::string(kMaxFrame + 1, '\x03')).ok());
  EXPECT_TRUE(parse_frame(make_frame(FrameType::kStdin, std::string(kMaxPayload, 'x'))).ok());
}

TEST(Hello, RoundTrips) {
  Hello hello;
  hello.uuid = "u";
  hello.apps = {"a", "b"};
  const auto out = parse_hello(print(hello));
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(out->version, kVersion);
  EXPECT_EQ(out->uuid, "u");
  EXPECT_EQ(out->apps, hello.apps);
  EXPECT_FALSE(parse_hello("{}").ok());
  EXPECT_FALSE(parse_hello("[]").ok());
  EXPECT_FALSE(parse_hello("{\"version\":\"1\"}").ok());
}

TEST(Attach, RoundTripsAndHasDefaults) {
  AttachRequest request;
  request.app = "web";
  request.in = true;
  request.err = false;
  request.hold_back = true;
  request.height = 40;
  request.width = 65535;
  const auto out = parse_attach(print(request));
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(out->app, "web");
  EXPECT_TRUE(out->in);
  EXPECT_TRUE(out->out);
  EXPECT_FALSE(out->err);
  EXPECT_TRUE(out->hold_back);
  EXPECT_EQ(out->height, 40);
  EXPECT_EQ(out->width, 65535);
  const auto defaults = parse_attach("{}");
  ASSERT_TRUE(defaults.ok());
  EXPECT_FALSE(defaults->in);
  EXPECT_TRUE(defaults->out);
  EXPECT_FALSE(parse_attach("{\"height\":65536}").ok());
  EXPECT_FALSE(parse_attach("{\"stdin\":1}").ok());
  EXPECT_FALSE(parse_attach("{").ok());
}

TEST(AppRequest, RoundTripsAndChecksRanges) {
  AppRequest request;
  request.app = "web";
  request.signal = 64;
  request.timeout_ms = 0;
  const auto out = parse_app_request(print(request));
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(out->signal, 64);
  EXPECT_EQ(out->timeout_ms, 0);
  EXPECT_EQ(parse_app_request("{}")->timeout_ms, -1);
  EXPECT_FALSE(parse_app_request("{\"signal\":65}").ok());
  EXPECT_FALSE(parse_app_request("{\"signal\":-1}").ok());
}

TEST(Reply, CarriesTheWholeError) {
  const Error error = Error(Errc::kWrongState, "app 'x' is not running", ESRCH).with_hint("start it");
  const Status status =
      parse_reply(print_reply(Status(Error(Errc::kWrongState, "app 'x' is not running", ESRCH).with_hint("start it"))));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code(), error.code());
  EXPECT_EQ(status.error().errno_value(), ESRCH);
  EXPECT_EQ(status.error().message(), error.message());
  EXPECT_EQ(status.error().hint(), "start it");
  EXPECT_TRUE(parse_reply(print_reply(Status())).ok());
  EXPECT_EQ(parse_reply("{\"ok\":false,\"code\":\"of-the-future\"}").error().code(), Errc::kInternal);
}

TEST(Errc, WordsOfAllCodesComeBack) {
  for (int i = 0; i <= static_cast<int>(Errc::kInternal); ++i) {
    const auto code = static_cast<Errc>(i);
    EXPECT_EQ(errc_from_word(to_string(code)), code);
  }
}

TEST(PodStatus, RoundTrips) {
  PodStatus status;
  status.uuid = "u";
  status.monitor_pid = 10;
  status.stopping = true;
  AppStatus& app = status.apps.emplace_back();
  app.name = "web";
  app.state = "exited";
  app.log_lost_bytes = 5;
  app.exit = ExitRecord{"web", 137, 9, true, false, 1, 2, ""};
  status.apps.emplace_back().name = "db";
  const auto out = parse_status_reply(print_reply(status));
  ASSERT_TRUE(out.ok()) << out.error().message();
  EXPECT_EQ(out->monitor_pid, 10);
  EXPECT_EQ(out->guardian_pid, 0);
  EXPECT_TRUE(out->stopping);
  ASSERT_EQ(out->apps.size(), 2U);
  EXPECT_EQ(out->apps[0].log_lost_bytes, 5U);
  ASSERT_TRUE(out->apps[0].exit.has_value());
  EXPECT_EQ(out->apps[0].exit->exit_code, 137);
  EXPECT_TRUE(out->apps[0].exit->oom_killed);
  EXPECT_FALSE(out->apps[1].exit.has_value());
  EXPECT_EQ(parse_status_reply(print_reply(Status(Error(Errc::kLimit, "no")))).error().code(), Errc::kLimit);
}

TEST(ExitRecord, RoundTrips) {
  ExitRecord record;
  record.app = "web";
  record.exit_code = 139;
  record.signal = 11;
  record.core_dumped = true;
  record.oom_killed = true;
  record.started_unix_ms = 1767323045123;
  record.finished_unix_ms = 1767323046000;
  record.error = "why 'quoted' \"and\" more";
  const auto out = parse_exit_record(print_exit_record(record), "status/web");
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(out->app, record.app);
  EXPECT_EQ(out->exit_code, 139);
  EXPECT_EQ(out->signal, 11);
  EXPECT_TRUE(out->core_dumped);
  EXPECT_TRUE(out->oom_killed);
  EXPECT_EQ(out->started_unix_ms, record.started_unix_ms);
  EXPECT_EQ(out->finished_unix_ms, record.finished_unix_ms);
  EXPECT_EQ(out->error, record.error);
}

TEST(ExitRecord, RefusesWhatItCannotMean) {
  for (const char* text :
       {"", "{", "{}", "{\"app\":\"x\"}", "{\"app\":\"x\",\"exit_code\":256}", "{\"app\":\"x\",\"exit_code\":-1}",
        "{\"app\":1,\"exit_code\":0}", "{\"app\":\"x\",\"exit_code\":0,\"signal\":99}",
        "{\"app\":\"x\",\"exit_code\":0,\"version\":2}"}) {
    const auto record = parse_exit_record(text, "status/x");
    EXPECT_FALSE(record.ok()) << text;
    EXPECT_NE(record.error().message().find("status/x"), std::string::npos) << record.error().message();
  }
  EXPECT_TRUE(parse_exit_record("{\"app\":\"x\",\"exit_code\":0}", "s").ok());
}

TEST(Records, RoundTrip) {
  const auto out = parse_records(
      print_records({ExitRecord{"a", 0, 0, false, false, 0, 0, ""}, ExitRecord{"b", 1, 0, false, false, 0, 0, "e"}}));
  ASSERT_TRUE(out.ok());
  ASSERT_EQ(out->size(), 2U);
  EXPECT_EQ((*out)[1].error, "e");
}

}  // namespace
}  // namespace cooper::monitor::protocol
