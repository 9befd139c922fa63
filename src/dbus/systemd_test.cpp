// The client against a peer of our own, which plays systemd over a socket pair and says what the test tells it to.
#include "dbus/systemd.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include "sys/socket.h"

namespace cooper::dbus {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kJob = "/org/freedesktop/systemd1/job/7";

class Peer {
 public:
  // Answers each call with what `answer` returns, in order.
  using Answer = std::function<std::vector<Message>(const Message& call)>;
  explicit Peer(Answer answer, std::string greeting = "DATA\r\nOK 1234\r\n")
      : answer_(std::move(answer)), greeting_(std::move(greeting)) {
    auto pair = sys::socketpair(SOCK_STREAM);
    client_ = std::move(pair->first);
    server_ = std::move(pair->second);
    thread_ = std::thread([this] { serve(); });
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() {
    (void)::shutdown(server_.get(), SHUT_RDWR);
    thread_.join();
  }
  UniqueFd client() { return std::move(client_); }
  const std::vector<std::string>& calls() const { return calls_; }

 private:
  bool fill(std::size_t bytes) {
    char buffer[4096];
    while (input_.size() < bytes) {
      const ssize_t n = ::read(server_.get(), buffer, sizeof buffer);
      if (n <= 0) return false;
      input_.append(buffer, static_cast<std::size_t>(n));
    }
    return true;
  }
  void serve() {
    constexpr std::size_t kAuthBytes = sizeof "\0AUTH EXTERNAL\r\nDATA\r\n" - 1;
    if (!fill(kAuthBytes)) return;
    input_.erase(0, kAuthBytes);
    if (::write(server_.get(), greeting_.data(), greeting_.size()) < 0 || !fill(7)) return;
    input_.erase(0, 7);  // BEGIN
    while (fill(kFixedHeaderBytes)) {
      const auto length = message_length(std::string_view(input_).substr(0, kFixedHeaderBytes));
      if (!length.ok() || !fill(*length)) return;
      const auto call = read_message(std::string_view(input_).substr(0, *length));
      input_.erase(0, *length);
      if (!call.ok()) return;
      calls_.push_back(call->member);
      if (call->no_reply_expected) continue;
      for (Message& message : answer_(*call)) {
        message.serial = ++serial_;
        if (message.type != MessageType::kSignal) message.reply_serial = call->serial;
        const auto bytes = write_message(message);
        if (!bytes.ok() || ::write(server_.get(), bytes->data(), bytes->size()) < 0) return;
      }
    }
  }

  Answer answer_;
  std::string greeting_;
  UniqueFd client_, server_;
  std::string input_;
  std::uint32_t serial_ = 0;
  std::vector<std::string> calls_;
  std::thread thread_;
};

Message reply(std::vector<Value> body = {}) {
  Message out;
  out.type = MessageType::kReturn;
  out.body = std::move(body);
  return out;
}

Message failure(std::string name, std::string text) {
  Message out;
  out.type = MessageType::kError;
  out.error_name = std::move(name);
  out.body.push_back(Value::string(std::move(text)));
  return out;
}

Message job_removed(std::string_view job, std::string result) {
  Message out;
  out.type = MessageType::kSignal;
  out.path = "/org/freedesktop/systemd1";
  out.interface = "org.freedesktop.systemd1.Manager";
  out.member = "JobRemoved";
  out.body = {Value::u32(7), Value::object_path(std::string(job)), Value::string("x.scope"),
              Value::string(std::move(result))};
  return out;
}

Message job() {
  return reply({Value::object_path(std::string(kJob))});
}

Systemd manager(Peer& peer) {
  auto connection = Connection::over(peer.client(), true);
  EXPECT_TRUE(connection.ok()) << connection.error().message();
  return Systemd::over(std::move(*connection));
}

TEST(Authentication, RefusalIsReported) {
  Peer peer([](const Message&) { return std::vector<Message>(); }, "REJECTED EXTERNAL\r\n");
  const auto connection = Connection::over(peer.client(), true);
  ASSERT_FALSE(connection.ok());
  EXPECT_EQ(connection.error().code(), Errc::kPermission);
  EXPECT_THAT(connection.error().message(), HasSubstr("REJECTED"));
}

TEST(Authentication, AnEndlessLineIsNotReadForEver) {
  Peer peer([](const Message&) { return std::vector<Message>(); }, std::string(10000, 'x'));
  EXPECT_EQ(Connection::over(peer.client(), true).error().code(), Errc::kCorrupt);
}

TEST(Start, WaitsForItsOwnJob) {
  // The job may have ended before its name arrives; other jobs end, too.
  Peer peer([](const Message&) {
    return std::vector<Message>{job_removed("/org/freedesktop/systemd1/job/8", "failed"), job_removed(kJob, "done"),
                                job()};
  });
  Systemd systemd = manager(peer);
  const Status started = systemd.start_transient("x.scope", {{"Delegate", Value::boolean(true)}});
  EXPECT_TRUE(started.ok()) << started.error().message();
  EXPECT_THAT(peer.calls(), ElementsAre("StartTransientUnit"));
}

TEST(Start, AFailedUnitIsForgottenAndTheStartTriedOnceMore) {
  int starts = 0;
  Peer peer([&](const Message& call) -> std::vector<Message> {
    if (call.member == "ResetFailedUnit") return {reply()};
    if (++starts == 1) return {failure("org.freedesktop.systemd1.UnitExists", "exists")};
    return {job(), job_removed(kJob, "done")};
  });
  Systemd systemd = manager(peer);
  EXPECT_TRUE(systemd.start_transient("x.scope", {}).ok());
  EXPECT_THAT(peer.calls(), ElementsAre("StartTransientUnit", "ResetFailedUnit", "StartTransientUnit"));
}

TEST(Start, AUnitInUseIsAnError) {
  Peer peer([](const Message& call) -> std::vector<Message> {
    if (call.member == "ResetFailedUnit") return {reply()};
    return {failure("org.freedesktop.systemd1.UnitExists", "Unit x.scope already exists.")};
  });
  Systemd systemd = manager(peer);
  const Status started = systemd.start_transient("x.scope", {});
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().code(), Errc::kAlreadyExists);
  EXPECT_THAT(started.error().message(), HasSubstr("Unit x.scope already exists."));
}

TEST(Start, AFailedJobLeavesNoUnit) {
  Peer peer([](const Message& call) -> std::vector<Message> {
    if (call.member == "StopUnit") return {job(), job_removed(kJob, "done")};
    if (call.member == "ResetFailedUnit") return {reply()};
    return {job(), job_removed(kJob, "failed")};
  });
  Systemd systemd = manager(peer);
  const Status started = systemd.start_transient("x.scope", {});
  ASSERT_FALSE(started.ok());
  EXPECT_THAT(started.error().message(), HasSubstr("'failed'"));
  EXPECT_THAT(peer.calls(), ElementsAre("StartTransientUnit", "StopUnit", "ResetFailedUnit"));
}

TEST(Stop, AUnitThatIsGoneIsASuccess) {
  Peer peer([](const Message&) -> std::vector<Message> {
    return {failure("org.freedesktop.systemd1.NoSuchUnit", "Unit x.scope not loaded.")};
  });
  Systemd systemd = manager(peer);
  EXPECT_TRUE(systemd.stop("x.scope").ok());
}

TEST(Properties, TheControlGroup) {
  Peer peer([](const Message& call) -> std::vector<Message> {
    if (call.path != unit_path("x.scope")) return {failure("org.freedesktop.DBus.Error.UnknownObject", "no")};
    return {reply({Value::variant(Value::string("/system.slice/x.scope"))})};
  });
  Systemd systemd = manager(peer);
  EXPECT_EQ(*systemd.control_group("x.scope"), "/system.slice/x.scope");
  EXPECT_EQ(systemd.control_group("y.scope").error().code(), Errc::kNotFound);
}

TEST(Replies, AMalformedOneIsAnErrorNotACrash) {
  Peer peer([](const Message&) -> std::vector<Message> { return {reply({Value::u32(1)})}; });
  Systemd systemd = manager(peer);
  EXPECT_EQ(systemd.start_transient("x.scope", {}).error().code(), Errc::kCorrupt);
  EXPECT_EQ(systemd.version().error().code(), Errc::kCorrupt);
  EXPECT_EQ(systemd.control_group("x.scope").error().code(), Errc::kCorrupt);
}

TEST(Replies, NoneInTime) {
  Peer peer([](const Message&) { return std::vector<Message>(); });
  auto connection = Connection::over(peer.client(), true);
  ASSERT_TRUE(connection.ok());
  Message call;
  call.path = "/a";
  call.member = "Sleep";
  EXPECT_EQ(connection->call(std::move(call), 20).error().code(), Errc::kTimeout);
}

}  // namespace
}  // namespace cooper::dbus
