// Building and taking apart netlink messages. Input comes from the kernel but is checked as if it did not.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "netlink/netlink.h"

namespace cooper::netlink {

inline constexpr std::size_t align4(std::size_t n) {
  return (n + 3) & ~std::size_t{3};
}

// One request: header, fixed part, attributes.
class Request {
 public:
  template <typename Fixed>
  Request(std::uint16_t type, std::uint16_t flags, const Fixed& fixed) {
    struct nlmsghdr header = {};
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<std::uint16_t>(flags | NLM_F_REQUEST);
    append(&header, sizeof header);
    append(&fixed, sizeof fixed);
  }
  // A NUL-terminated string attribute.
  void attribute(std::uint16_t type, std::string_view text);
  // Bytes as they are: numbers, addresses.
  void binary(std::uint16_t type, std::string_view bytes);
  void number(std::uint16_t type, std::uint32_t value) {
    binary(type, {reinterpret_cast<const char*>(&value), sizeof value});
  }
  // Attributes inside an attribute: what is added between the two calls.
  std::size_t begin_nested(std::uint16_t type);
  void end_nested(std::size_t place);
  // A fixed part inside nested attributes.
  template <typename Fixed>
  void fixed(const Fixed& value) {
    append(&value, sizeof value);
  }
  // The bytes, with length and sequence number filled in.
  const std::string& finish(std::uint32_t sequence);

 private:
  void append(const void* data, std::size_t size);
  std::string bytes_;
};

// f(type, payload) for each attribute; stops at the first that does not fit.
template <typename F>
void for_each_attribute(std::string_view bytes, F f) {
  while (bytes.size() >= sizeof(struct rtattr)) {
    struct rtattr header = {};
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.rta_len < sizeof header || header.rta_len > bytes.size()) return;
    f(static_cast<std::uint16_t>(header.rta_type & NLA_TYPE_MASK),
      bytes.substr(sizeof header, header.rta_len - sizeof header));
    bytes.remove_prefix(std::min(align4(header.rta_len), bytes.size()));
  }
}

// The fixed part of a message, nullopt-like: false when the message is too short.
template <typename Fixed>
bool read_fixed(std::string_view payload, Fixed& out) {
  if (payload.size() < sizeof out) return false;
  std::memcpy(&out, payload.data(), sizeof out);
  return true;
}
template <typename Fixed>
std::string_view attributes_of(std::string_view payload) {
  return payload.size() <= align4(sizeof(Fixed)) ? std::string_view() : payload.substr(align4(sizeof(Fixed)));
}

// Pure parsers of RTM_NEWLINK and RTM_NEWADDR payloads (fuzzed). False: malformed, ignored.
bool parse_link(std::string_view payload, Link& out);
bool parse_address(std::string_view payload, Address& out, int& link_index);

// What one datagram brought.
enum class Progress { kMore, kDone, kInterrupted };
// Walks the messages of a datagram that answer `sequence`, calls f(type, payload) for each, and reports the end or the
// error.
template <typename F>
Result<Progress> walk(std::string_view datagram, std::uint32_t sequence, F f);

Error error_of(std::string_view payload);

template <typename F>
Result<Progress> walk(std::string_view datagram, std::uint32_t sequence, F f) {
  bool interrupted = false;
  while (datagram.size() >= sizeof(struct nlmsghdr)) {
    struct nlmsghdr header = {};
    std::memcpy(&header, datagram.data(), sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > datagram.size())
      return Error(Errc::kCorrupt, "malformed netlink message");
    const std::string_view payload = datagram.substr(sizeof header, header.nlmsg_len - sizeof header);
    datagram.remove_prefix(std::min(align4(header.nlmsg_len), datagram.size()));
    if (header.nlmsg_seq != sequence) continue;  // the answer to a request somebody gave up on
    interrupted = interrupted || (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
    if (header.nlmsg_type == NLMSG_ERROR || header.nlmsg_type == NLMSG_DONE) {
      std::int32_t code = 0;
      if (payload.size() >= sizeof code) std::memcpy(&code, payload.data(), sizeof code);
      if (code < 0) return error_of(payload);
      return interrupted ? Progress::kInterrupted : Progress::kDone;
    }
    f(header.nlmsg_type, payload);
    if ((header.nlmsg_flags & NLM_F_MULTI) == 0) return interrupted ? Progress::kInterrupted : Progress::kDone;
  }
  return interrupted ? Progress::kInterrupted : Progress::kMore;
}

}  // namespace cooper::netlink
