#include <bit>
#include <cstring>

#include "base/strings.h"
#include "dbus/internal/wire.h"
#include "dbus/message.h"

namespace cooper::dbus {
namespace {

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  void align(std::size_t to) {
    while (out_.size() % to != 0) out_ += '\0';
  }
  void integer(std::uint64_t value, std::size_t bytes) {
    align(bytes);
    for (std::size_t i = 0; i < bytes; ++i) out_ += static_cast<char>((value >> (8 * i)) & 0xff);
  }
  Status text(const std::string& value, std::size_t length_bytes) {
    if (!wire::is_utf8(value)) return bad("text is not UTF-8 without NUL");
    if (length_bytes == 1 && value.size() > 255) return bad("signature is too long");
    integer(value.size(), length_bytes);
    out_ += value;
    out_ += '\0';
    return {};
  }
  Status value(const Value& value, int depth);

 private:
  static Error bad(std::string_view why) {
    return Error(Errc::kInvalidArgument, "D-Bus message: " + std::string(why), EINVAL);
  }
  Status basic(const Value& value);
  Status array(const Value& value, int depth);

  std::string& out_;
};

Status Writer::basic(const Value& value) {
  const char type = value.type[0];
  if (type == 's' || type == 'o' || type == 'g') {
    const auto* text = std::get_if<std::string>(&value.data);
    if (text == nullptr) return bad("value of type " + quoted(value.type) + " is no text");
    if (type == 'o' && !is_object_path(*text)) return bad(quoted(*text) + " is no object path");
    if (type == 'g' && !is_signature(*text)) return bad(quoted(*text) + " is no signature");
    return this->text(*text, type == 'g' ? 1 : 4);
  }
  if (type == 'd') {
    const auto* number = std::get_if<double>(&value.data);
    if (number == nullptr) return bad("value of type 'd' is no number");
    integer(std::bit_cast<std::uint64_t>(*number), 8);
    return {};
  }
  const auto* number = std::get_if<std::uint64_t>(&value.data);
  if (number == nullptr) return bad("value of type " + quoted(value.type) + " is no whole number");
  const std::size_t bytes = wire::width(type);
  if (bytes == 0) return bad("type " + quoted(value.type) + " cannot be sent");
  if (wire::narrow(*number, type) != *number) return bad("number does not fit type " + quoted(value.type));
  integer(*number, bytes);
  return {};
}

Status Writer::array(const Value& value, int depth) {
  const std::string_view element = std::string_view(value.type).substr(1);
  align(4);
  const std::size_t length_at = out_.size();
  integer(0, 4);
  align(wire::alignment(element[0]));
  const std::size_t begin = out_.size();
  for (const Value& part : value.parts()) {
    if (part.type != element) return bad("array of " + quoted(element) + " holds a " + quoted(part.type));
    RETURN_IF_ERROR(this->value(part, depth + 1));
  }
  const std::size_t length = out_.size() - begin;
  if (length > wire::kMaxArrayBytes) return bad("array is too long");
  for (std::size_t i = 0; i < 4; ++i) out_[length_at + i] = static_cast<char>((length >> (8 * i)) & 0xff);
  return {};
}

Status Writer::value(const Value& value, int depth) {
  if (depth > kMaxDepth) return bad("too many levels");
  // A dictionary entry has no signature of its own.
  const bool entry = value.type.starts_with('{');
  if (!entry && (value.type.empty() || complete_type_length(value.type) != value.type.size()))
    return bad(quoted(value.type) + " is no type");
  const char type = value.type[0];
  if (type == 'a' || type == '(' || type == 'v' || entry) {
    if (!std::holds_alternative<std::vector<Value>>(value.data)) return bad("container without parts");
  }
  if (type == 'a') return array(value, depth);
  if (type == 'v') {
    if (value.parts().size() != 1) return bad("a variant holds one value");
    RETURN_IF_ERROR(text(value.parts()[0].type, 1));
    return this->value(value.parts()[0], depth + 1);
  }
  if (type != '(' && !entry) return basic(value);
  align(8);
  std::string types;
  for (const Value& part : value.parts()) {
    types += part.type;
    RETURN_IF_ERROR(this->value(part, depth + 1));
  }
  if (types != std::string_view(value.type).substr(1, value.type.size() - 2))
    return bad("parts of a structure are not of type " + quoted(value.type));
  return {};
}

Value field(wire::Field code, Value value) {
  return Value::structure({{"y", static_cast<std::uint64_t>(code)}, Value::variant(std::move(value))});
}

Value header_fields(const Message& message, const std::string& signature) {
  std::vector<Value> fields;
  if (!message.path.empty()) fields.push_back(field(wire::Field::kPath, Value::object_path(message.path)));
  if (!message.interface.empty()) fields.push_back(field(wire::Field::kInterface, Value::string(message.interface)));
  if (!message.member.empty()) fields.push_back(field(wire::Field::kMember, Value::string(message.member)));
  if (!message.error_name.empty()) fields.push_back(field(wire::Field::kErrorName, Value::string(message.error_name)));
  if (message.reply_serial != 0) fields.push_back(field(wire::Field::kReplySerial, Value::u32(message.reply_serial)));
  if (!message.destination.empty())
    fields.push_back(field(wire::Field::kDestination, Value::string(message.destination)));
  if (!message.sender.empty()) fields.push_back(field(wire::Field::kSender, Value::string(message.sender)));
  if (!signature.empty()) fields.push_back(field(wire::Field::kSignature, {"g", signature}));
  return Value::array("(yv)", std::move(fields));
}

}  // namespace

Result<std::string> write_message(const Message& message) {
  std::string signature;
  std::string body;
  Writer body_writer(body);
  for (const Value& value : message.body) {
    signature += value.type;
    RETURN_IF_ERROR(body_writer.value(value, 0));
  }
  if (!is_signature(signature)) return Error(Errc::kInvalidArgument, "D-Bus message: too many arguments", EINVAL);
  RETURN_IF_ERROR(wire::check_header(message));
  std::string out;
  Writer writer(out);
  out += 'l';
  out += static_cast<char>(message.type);
  out += message.no_reply_expected ? '\1' : '\0';
  out += '\1';  // version of the protocol
  writer.integer(body.size(), 4);
  writer.integer(message.serial, 4);
  RETURN_IF_ERROR(writer.value(header_fields(message, signature), 0));
  writer.align(8);
  if (out.size() + body.size() > kMaxMessageBytes) return Error(Errc::kLimit, "D-Bus message is too long");
  return out + body;
}

}  // namespace cooper::dbus
