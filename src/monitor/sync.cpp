#include "monitor/internal/sync.h"

#include "codec/json.h"
#include "monitor/protocol.h"

namespace cooper::monitor::internal {
namespace {

constexpr std::string_view kWhat = "launch outcome";
// Both texts escaped at the worst (six bytes for one) still fit kMaxOutcome.
constexpr std::size_t kMaxText = kMaxOutcome / 16;

}  // namespace

std::string print_outcome(const Outcome& outcome) {
  codec::json::Writer writer;
  writer.begin_object();
  writer.field("guardian", outcome.guardian);
  if (outcome.error) {
    const Error& error = *outcome.error;
    writer.field("code", to_string(error.code()));
    writer.field("errno", error.errno_value());
    writer.field("message", error.message().substr(0, kMaxText));
    writer.field("hint", error.hint().substr(0, kMaxText));
  }
  writer.end_object();
  return writer.take();
}

Result<Outcome> parse_outcome(std::string_view text) {
  ASSIGN_OR_RETURN(const auto document, codec::json::Document::parse(std::string(text), kWhat));
  const codec::json::Cursor root(document.root(), kWhat);
  Outcome out;
  RETURN_IF_ERROR(root.expect_object());
  RETURN_IF_ERROR(root.read("guardian", out.guardian));
  if (!root.get("code")) return out;
  std::string code, message, hint;
  int errno_value = 0;
  RETURN_IF_ERROR(root.read("code", code));
  RETURN_IF_ERROR(root.read("errno", errno_value));
  RETURN_IF_ERROR(root.read("message", message));
  RETURN_IF_ERROR(root.read("hint", hint));
  Error error(protocol::errc_from_word(code), std::move(message), errno_value);
  if (!hint.empty()) error = std::move(error).with_hint(std::move(hint));
  out.error = std::move(error);
  return out;
}

}  // namespace cooper::monitor::internal
