#include <bit>

#include "base/strings.h"
#include "dbus/internal/wire.h"
#include "dbus/message.h"

namespace cooper::dbus {
namespace {

Error corrupt(std::string_view why) {
  return Error(Errc::kCorrupt, "malformed D-Bus message: " + std::string(why), EBADMSG);
}

// Bounds, alignment and padding are checked against the start of the message.
class Reader {
 public:
  Reader(std::string_view bytes, std::size_t at, bool big_endian) : bytes_(bytes), at_(at), big_endian_(big_endian) {}

  std::size_t at() const { return at_; }
  Status align(std::size_t to) {
    while (at_ % to != 0) {
      if (at_ >= bytes_.size()) return corrupt("it ends inside padding");
      if (bytes_[at_] != '\0') return corrupt("padding is not zero");
      ++at_;
    }
    return {};
  }
  Result<std::uint64_t> integer(std::size_t bytes) {
    RETURN_IF_ERROR(align(bytes));
    if (bytes_.size() - at_ < bytes) return corrupt("it ends inside a number");
    std::uint64_t out = 0;
    for (std::size_t i = 0; i < bytes; ++i) {
      const std::size_t place = big_endian_ ? i : bytes - 1 - i;
      out = out << 8 | static_cast<unsigned char>(bytes_[at_ + place]);
    }
    at_ += bytes;
    return out;
  }
  Result<std::string> text(std::size_t length_bytes) {
    ASSIGN_OR_RETURN(const std::uint64_t length, integer(length_bytes));
    if (bytes_.size() - at_ < 1 || bytes_.size() - at_ - 1 < length) return corrupt("it ends inside a text");
    const std::string_view out = bytes_.substr(at_, length);
    if (bytes_[at_ + length] != '\0' || !wire::is_utf8(out)) return corrupt("a text is not UTF-8 followed by NUL");
    at_ += length + 1;
    return std::string(out);
  }
  Result<Value> value(std::string_view type, int depth);

 private:
  Result<Value> basic(char type);
  Result<std::vector<Value>> array(std::string_view element, int depth);
  Result<std::vector<Value>> members(std::string_view types, int depth);
  Result<std::vector<Value>> variant(int depth);

  std::string_view bytes_;
  std::size_t at_;
  bool big_endian_;
};

Result<Value> Reader::basic(char type) {
  Value out{std::string(1, type), {}};
  if (type == 's' || type == 'o' || type == 'g') {
    ASSIGN_OR_RETURN(std::string text, this->text(type == 'g' ? 1 : 4));
    if (type == 'o' && !is_object_path(text)) return corrupt(quoted(text) + " is no object path");
    if (type == 'g' && !is_signature(text)) return corrupt(quoted(text) + " is no signature");
    out.data = std::move(text);
    return out;
  }
  // A descriptor is an index into those that came along: this client takes none, so it is a number.
  const std::size_t bytes = type == 'd' ? 8 : type == 'h' ? 4 : wire::width(type);
  ASSIGN_OR_RETURN(const std::uint64_t number, integer(bytes));
  if (type == 'b' && number > 1) return corrupt("a boolean is neither 0 nor 1");
  if (type == 'd') {
    out.data = std::bit_cast<double>(number);
  } else {
    out.data = wire::narrow(number, type);
  }
  return out;
}

Result<std::vector<Value>> Reader::array(std::string_view element, int depth) {
  ASSIGN_OR_RETURN(const std::uint64_t length, integer(4));
  RETURN_IF_ERROR(align(wire::alignment(element[0])));
  if (length > wire::kMaxArrayBytes || length > bytes_.size() - at_)
    return corrupt("an array is longer than the message");
  const std::size_t end = at_ + length;
  std::vector<Value> out;
  while (at_ < end) {
    ASSIGN_OR_RETURN(Value part, value(element, depth + 1));
    if (at_ > end) return corrupt("an element reaches beyond its array");
    out.push_back(std::move(part));
  }
  return out;
}

Result<std::vector<Value>> Reader::members(std::string_view types, int depth) {
  RETURN_IF_ERROR(align(8));
  std::vector<Value> out;
  while (!types.empty()) {
    const std::size_t length = complete_type_length(types);
    if (length == 0) return corrupt("a type is wrong");
    ASSIGN_OR_RETURN(Value part, value(types.substr(0, length), depth + 1));
    out.push_back(std::move(part));
    types.remove_prefix(length);
  }
  return out;
}

Result<std::vector<Value>> Reader::variant(int depth) {
  ASSIGN_OR_RETURN(const std::string type, text(1));
  if (type.empty() || complete_type_length(type) != type.size()) return corrupt("a variant's type is not one type");
  std::vector<Value> out;
  ASSIGN_OR_RETURN(Value inner, value(type, depth + 1));
  out.push_back(std::move(inner));
  return out;
}

Result<Value> Reader::value(std::string_view type, int depth) {
  if (depth > kMaxDepth) return corrupt("too many levels");
  Value out{std::string(type), {}};
  switch (type[0]) {
    case 'a': {
      ASSIGN_OR_RETURN(out.data, array(type.substr(1), depth));
      return out;
    }
    case '(':
    case '{': {
      ASSIGN_OR_RETURN(out.data, members(type.substr(1, type.size() - 2), depth));
      return out;
    }
    case 'v': {
      ASSIGN_OR_RETURN(out.data, variant(depth));
      return out;
    }
    default:
      return basic(type[0]);
  }
}

struct FixedHeader {
  bool big_endian = false;
  std::size_t body_bytes = 0;
  std::size_t header_bytes = 0;  // with the padding behind the fields
};

Result<FixedHeader> read_fixed(std::string_view bytes) {
  if (bytes.size() < kFixedHeaderBytes) return corrupt("it is shorter than a header");
  FixedHeader out;
  if (bytes[0] != 'l' && bytes[0] != 'B') return corrupt("unknown byte order");
  out.big_endian = bytes[0] == 'B';
  if (bytes[3] != '\1') return corrupt("unknown version of the protocol");
  Reader body(bytes, 4, out.big_endian);
  ASSIGN_OR_RETURN(out.body_bytes, body.integer(4));
  Reader fields(bytes, 12, out.big_endian);
  ASSIGN_OR_RETURN(const std::uint64_t length, fields.integer(4));
  out.header_bytes = (kFixedHeaderBytes + length + 7) / 8 * 8;
  if (out.header_bytes > kMaxMessageBytes || out.body_bytes > kMaxMessageBytes - out.header_bytes)
    return Error(Errc::kLimit, "D-Bus message is longer than " + std::to_string(kMaxMessageBytes) + " bytes");
  return out;
}

// Takes one header field; its type is fixed by its code.
Status take_field(Message& message, std::string& signature, const Value& entry) {
  const auto code = static_cast<wire::Field>(entry.parts()[0].number());
  const Value& value = entry.parts()[1].parts()[0];
  const auto take = [&](std::string_view type, std::string& out) -> Status {
    if (value.type != type) return corrupt("a header field has the wrong type");
    out = value.text();
    return {};
  };
  switch (code) {
    case wire::Field::kPath:
      return take("o", message.path);
    case wire::Field::kInterface:
      return take("s", message.interface);
    case wire::Field::kMember:
      return take("s", message.member);
    case wire::Field::kErrorName:
      return take("s", message.error_name);
    case wire::Field::kDestination:
      return take("s", message.destination);
    case wire::Field::kSender:
      return take("s", message.sender);
    case wire::Field::kSignature:
      return take("g", signature);
    case wire::Field::kReplySerial:
      if (value.type != "u") return corrupt("a header field has the wrong type");
      message.reply_serial = static_cast<std::uint32_t>(value.number());
      return {};
    case wire::Field::kUnixFds:
      break;
  }
  return {};
}

}  // namespace

Result<std::size_t> message_length(std::string_view fixed_header) {
  ASSIGN_OR_RETURN(const FixedHeader header, read_fixed(fixed_header));
  return header.header_bytes + header.body_bytes;
}

Result<Message> read_message(std::string_view bytes) {
  ASSIGN_OR_RETURN(const FixedHeader fixed, read_fixed(bytes));
  if (bytes.size() != fixed.header_bytes + fixed.body_bytes) return corrupt("its length is not the one it states");
  Message out;
  out.type = static_cast<MessageType>(bytes[1]);
  if (bytes[1] == 0) return corrupt("it has no type");
  out.no_reply_expected = (bytes[2] & 1) != 0;
  Reader header(bytes.substr(0, fixed.header_bytes), 8, fixed.big_endian);
  ASSIGN_OR_RETURN(const std::uint64_t serial, header.integer(4));
  out.serial = static_cast<std::uint32_t>(serial);
  ASSIGN_OR_RETURN(const Value fields, header.value("a(yv)", 0));
  RETURN_IF_ERROR(header.align(8));
  if (header.at() != fixed.header_bytes) return corrupt("its header is not as long as it states");
  std::string signature;
  for (const Value& entry : fields.parts()) RETURN_IF_ERROR(take_field(out, signature, entry));
  // Types that a later version of the protocol may bring are to be ignored, so their rules are unknown.
  if (bytes[1] <= 4) {
    if (Status checked = wire::check_header(out); !checked.ok()) return corrupt(checked.error().message());
  }
  Reader body(bytes, fixed.header_bytes, fixed.big_endian);
  std::string_view types = signature;
  while (!types.empty()) {
    const std::size_t length = complete_type_length(types);
    ASSIGN_OR_RETURN(Value value, body.value(types.substr(0, length), 0));
    out.body.push_back(std::move(value));
    types.remove_prefix(length);
  }
  if (body.at() != bytes.size()) return corrupt("there are bytes behind the body");
  return out;
}

}  // namespace cooper::dbus
