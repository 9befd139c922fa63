#include "monitor/protocol.h"

#include "monitor/internal/record_json.h"

namespace cooper::monitor::protocol {
namespace {

using codec::json::Cursor;
using codec::json::Document;
using codec::json::Writer;

constexpr std::string_view kWhat = "monitor message";

// Parses `text` and hands the root object to read(cursor).
template <typename T, typename F>
Result<T> parse_object(std::string_view text, F read) {
  ASSIGN_OR_RETURN(const Document document, Document::parse(std::string(text), kWhat));
  const Cursor root(document.root(), kWhat);
  RETURN_IF_ERROR(root.expect_object());
  T out;
  RETURN_IF_ERROR(read(root, out));
  return out;
}

bool known(FrameType type) {
  switch (type) {
    case FrameType::kHello:
    case FrameType::kReply:
    case FrameType::kOutput:
    case FrameType::kExit:
    case FrameType::kPodExit:
    case FrameType::kDropped:
    case FrameType::kAttach:
    case FrameType::kStdin:
    case FrameType::kStdinEof:
    case FrameType::kDetach:
    case FrameType::kResize:
    case FrameType::kWait:
    case FrameType::kStop:
    case FrameType::kKill:
    case FrameType::kReopenLogs:
    case FrameType::kStatus:
      return true;
  }
  return false;
}

void write_status(Writer& writer, const PodStatus& status) {
  writer.begin_object();
  writer.field("uuid", status.uuid);
  writer.field("monitor_pid", status.monitor_pid);
  writer.field("guardian_pid", status.guardian_pid);
  writer.field("stopping", status.stopping);
  writer.key("apps").begin_array();
  for (const AppStatus& app : status.apps) {
    writer.begin_object();
    writer.field("name", app.name);
    writer.field("state", app.state);
    writer.field("pid", app.pid);
    writer.field("terminal", app.terminal);
    writer.field("started_unix_ms", app.started_unix_ms);
    writer.field("log_lost_bytes", app.log_lost_bytes);
    if (app.exit) {
      writer.key("exit");
      internal::write_record(writer, *app.exit);
    }
    writer.end_object();
  }
  writer.end_array();
  writer.end_object();
}

Status read_app_status(const Cursor& cursor, AppStatus& app) {
  RETURN_IF_ERROR(cursor.expect_object());
  RETURN_IF_ERROR(cursor.read("name", app.name));
  RETURN_IF_ERROR(cursor.read("state", app.state));
  RETURN_IF_ERROR(cursor.read("pid", app.pid));
  RETURN_IF_ERROR(cursor.read("terminal", app.terminal));
  RETURN_IF_ERROR(cursor.read("started_unix_ms", app.started_unix_ms));
  RETURN_IF_ERROR(cursor.read("log_lost_bytes", app.log_lost_bytes));
  if (const auto exit = cursor.get("exit")) {
    ASSIGN_OR_RETURN(app.exit, internal::read_record(*exit));
  }
  return {};
}

Status read_status(const Cursor& cursor, PodStatus& out) {
  RETURN_IF_ERROR(cursor.expect_object());
  RETURN_IF_ERROR(cursor.read("uuid", out.uuid));
  RETURN_IF_ERROR(cursor.read("monitor_pid", out.monitor_pid));
  RETURN_IF_ERROR(cursor.read("guardian_pid", out.guardian_pid));
  RETURN_IF_ERROR(cursor.read("stopping", out.stopping));
  ASSIGN_OR_RETURN(const Cursor apps, cursor.require("apps"));
  return apps.for_each([&](const Cursor& element) { return read_app_status(element, out.apps.emplace_back()); });
}

Status read_reply(const Cursor& cursor) {
  bool ok = false;
  RETURN_IF_ERROR(cursor.read("ok", ok));
  if (ok) return {};
  std::string code, message, hint;
  int errno_value = 0;
  RETURN_IF_ERROR(cursor.read("code", code));
  RETURN_IF_ERROR(cursor.read("errno", errno_value));
  RETURN_IF_ERROR(cursor.read("message", message));
  RETURN_IF_ERROR(cursor.read("hint", hint));
  Error error(errc_from_word(code), std::move(message), errno_value);
  if (!hint.empty()) error = std::move(error).with_hint(std::move(hint));
  return error;
}

}  // namespace

void put_header(char (&out)[kHeaderSize], FrameType type, Stream stream, std::uint16_t request) {
  out[0] = static_cast<char>(type);
  out[1] = static_cast<char>(stream);
  out[2] = static_cast<char>(request & 0xff);
  out[3] = static_cast<char>(request >> 8);
}

std::string make_frame(FrameType type, std::string_view payload, Stream stream, std::uint16_t request) {
  COOPER_ASSERT(payload.size() <= kMaxPayload);
  char header[kHeaderSize];
  put_header(header, type, stream, request);
  std::string out;
  out.reserve(kHeaderSize + payload.size());
  out.append(header, kHeaderSize);
  out.append(payload);
  return out;
}

Result<FrameView> parse_frame(std::string_view packet) {
  if (packet.size() < kHeaderSize) return Error(Errc::kCorrupt, "monitor message is shorter than its header");
  if (packet.size() > kMaxFrame) return Error(Errc::kCorrupt, "monitor message is too long");
  FrameView out;
  out.type = static_cast<FrameType>(packet[0]);
  if (!known(out.type)) {
    return Error(Errc::kCorrupt,
                 "unknown monitor message type " + std::to_string(static_cast<unsigned char>(packet[0])));
  }
  const auto stream = static_cast<unsigned char>(packet[1]);
  if (stream > 2) return Error(Errc::kCorrupt, "unknown stream " + std::to_string(stream) + " in monitor message");
  out.stream = static_cast<Stream>(stream);
  out.request =
      static_cast<std::uint16_t>(static_cast<unsigned char>(packet[2]) | (static_cast<unsigned char>(packet[3]) << 8));
  out.payload = packet.substr(kHeaderSize);
  return out;
}

std::string print(const Hello& hello) {
  Writer writer;
  writer.begin_object();
  writer.field("version", hello.version);
  writer.field("uuid", hello.uuid);
  writer.field("apps", hello.apps);
  writer.end_object();
  return writer.take();
}

Result<Hello> parse_hello(std::string_view text) {
  return parse_object<Hello>(text, [](const Cursor& root, Hello& out) -> Status {
    ASSIGN_OR_RETURN(const Cursor version, root.require("version"));
    ASSIGN_OR_RETURN(out.version, version.integer<int>());
    RETURN_IF_ERROR(root.read("uuid", out.uuid));
    return root.read("apps", out.apps);
  });
}

std::string print(const AttachRequest& request) {
  Writer writer;
  writer.begin_object();
  writer.field("app", request.app);
  writer.field("stdin", request.in);
  writer.field("stdout", request.out);
  writer.field("stderr", request.err);
  writer.field("hold_back", request.hold_back);
  writer.field("height", request.height);
  writer.field("width", request.width);
  writer.end_object();
  return writer.take();
}

Result<AttachRequest> parse_attach(std::string_view text) {
  return parse_object<AttachRequest>(text, [](const Cursor& root, AttachRequest& out) -> Status {
    RETURN_IF_ERROR(root.read("app", out.app));
    RETURN_IF_ERROR(root.read("stdin", out.in));
    RETURN_IF_ERROR(root.read("stdout", out.out));
    RETURN_IF_ERROR(root.read("stderr", out.err));
    RETURN_IF_ERROR(root.read("hold_back", out.hold_back));
    RETURN_IF_ERROR(root.read("height", out.height));
    return root.read("width", out.width);
  });
}

std::string print(const AppRequest& request) {
  Writer writer;
  writer.begin_object();
  writer.field("app", request.app);
  if (request.height != 0 || request.width != 0) writer.field("height", request.height).field("width", request.width);
  if (request.signal != 0) writer.field("signal", request.signal);
  if (request.timeout_ms >= 0) writer.field("timeout_ms", request.timeout_ms);
  writer.end_object();
  return writer.take();
}

Result<AppRequest> parse_app_request(std::string_view text) {
  return parse_object<AppRequest>(text, [](const Cursor& root, AppRequest& out) -> Status {
    RETURN_IF_ERROR(root.read("app", out.app));
    RETURN_IF_ERROR(root.read("height", out.height));
    RETURN_IF_ERROR(root.read("width", out.width));
    RETURN_IF_ERROR(root.read("signal", out.signal));
    if (out.signal < 0 || out.signal > 64) return root.error("signal must be 0 to 64");
    return root.read("timeout_ms", out.timeout_ms);
  });
}

std::string print(const PodStatus& status) {
  Writer writer;
  write_status(writer, status);
  return writer.take();
}

Result<PodStatus> parse_status(std::string_view text) {
  return parse_object<PodStatus>(text, read_status);
}

std::string print_reply(const Status& status) {
  Writer writer;
  writer.begin_object();
  writer.field("ok", status.ok());
  if (!status.ok()) {
    const Error& error = status.error();
    writer.field("code", to_string(error.code()));
    writer.field("errno", error.errno_value());
    writer.field("message", error.message());
    if (!error.hint().empty()) writer.field("hint", error.hint());
  }
  writer.end_object();
  return writer.take();
}

std::string print_reply(const PodStatus& status) {
  Writer writer;
  writer.begin_object();
  writer.field("ok", true);
  writer.key("status");
  write_status(writer, status);
  writer.end_object();
  return writer.take();
}

Status parse_reply(std::string_view text) {
  ASSIGN_OR_RETURN(const Document document, Document::parse(std::string(text), kWhat));
  const Cursor root(document.root(), kWhat);
  RETURN_IF_ERROR(root.expect_object());
  return read_reply(root);
}

Result<PodStatus> parse_status_reply(std::string_view text) {
  return parse_object<PodStatus>(text, [](const Cursor& root, PodStatus& out) -> Status {
    RETURN_IF_ERROR(read_reply(root));
    ASSIGN_OR_RETURN(const Cursor status, root.require("status"));
    return read_status(status, out);
  });
}

std::string print_records(const std::vector<ExitRecord>& records) {
  Writer writer;
  writer.begin_object();
  writer.key("records").begin_array();
  for (const ExitRecord& record : records) internal::write_record(writer, record);
  writer.end_array();
  writer.end_object();
  return writer.take();
}

Result<std::vector<ExitRecord>> parse_records(std::string_view text) {
  return parse_object<std::vector<ExitRecord>>(text, [](const Cursor& root, std::vector<ExitRecord>& out) -> Status {
    ASSIGN_OR_RETURN(const Cursor records, root.require("records"));
    return records.for_each([&](const Cursor& element) -> Status {
      ASSIGN_OR_RETURN(ExitRecord record, internal::read_record(element));
      out.push_back(std::move(record));
      return {};
    });
  });
}

Errc errc_from_word(std::string_view word) {
  for (int i = 0; i <= static_cast<int>(Errc::kInternal); ++i) {
    if (to_string(static_cast<Errc>(i)) == word) return static_cast<Errc>(i);
  }
  return Errc::kInternal;
}

}  // namespace cooper::monitor::protocol
