#include "conmon/journal.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/strings.h"
#include "sys/retry.h"
#include "sys/socket.h"

namespace cooper::conmon {
namespace {

using monitor::protocol::Stream;

constexpr std::size_t kShortId = 12;

}  // namespace

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name);
  if (value.find('\n') == std::string_view::npos) {
    out.append("=").append(value).append("\n");
    return;
  }
  std::array<char, 8> length{};
  for (std::size_t i = 0; i < length.size(); ++i) length[i] = static_cast<char>(value.size() >> (8 * i) & 0xff);
  out.append("\n").append(length.data(), length.size()).append(value).append("\n");
}

int take_priority(std::string_view& line, Stream stream) {
  if (line.size() > 3 && line[0] == '<' && line[1] >= '0' && line[1] <= '7' && line[2] == '>') {
    const int priority = line[1] - '0';
    line.remove_prefix(3);
    return priority;
  }
  return stream == Stream::kStderr ? 3 : 6;
}

Result<Journal> Journal::open(const JournalTags& tags, const std::string& socket) {
  Journal out;
  auto connected = sys::unix_connect(socket, SOCK_DGRAM);
  if (!connected.ok()) {
    return std::move(connected)
        .error()
        .with("log driver journald")
        .with_code(Errc::kNotFound)
        .with_hint("without systemd-journald, use the log driver k8s-file");
  }
  out.socket_ = std::move(connected).value();
  out.mark_partial_ = tags.mark_partial;
  append_field(out.constant_, "CONTAINER_ID_FULL", tags.cid);
  const std::string short_id = tags.cid.substr(0, kShortId);
  append_field(out.constant_, "CONTAINER_ID", short_id);
  if (!tags.name.empty()) append_field(out.constant_, "CONTAINER_NAME", tags.name);
  if (!tags.tag.empty()) append_field(out.constant_, "CONTAINER_TAG", tags.tag);
  append_field(out.constant_, "SYSLOG_IDENTIFIER",
               !tags.tag.empty()   ? tags.tag
               : tags.name.empty() ? short_id
                                   : tags.name);
  for (const std::string& label : tags.labels) {
    if (const auto pair = split_once(label, '=')) append_field(out.constant_, pair->first, pair->second);
  }
  return out;
}

void Journal::send(Stream stream, std::string_view line, bool partial) {
  const int priority = take_priority(line, stream);
  std::string entry;
  entry.reserve(constant_.size() + line.size() + 128);
  append_field(entry, "PRIORITY", std::to_string(priority));
  if (partial && mark_partial_) append_field(entry, "CONTAINER_PARTIAL_MESSAGE", "true");
  entry.append(constant_);
  append_field(entry, "MESSAGE", line);
  const auto sent = sys::retry([&] { return ::send(socket_.get(), entry.data(), entry.size(), MSG_NOSIGNAL); });
  if (sent < 0) ++lost_;  // the journal is being restarted, or gone: no reason to stop the container
}

void Journal::append(Stream stream, std::string_view data) {
  std::string& partial = partial_[stream == Stream::kStderr ? 1 : 0];
  while (!data.empty()) {
    const std::size_t room = kMaxLine - partial.size();
    const std::size_t newline = data.substr(0, room + 1).find('\n');
    const std::size_t length = newline != std::string_view::npos ? newline : std::min(room, data.size());
    if (newline == std::string_view::npos && length < room) {
      partial.append(data);
      return;
    }
    const bool whole = newline != std::string_view::npos;
    if (partial.empty()) {
      send(stream, data.substr(0, length), !whole);
    } else {
      partial.append(data.substr(0, length));
      send(stream, partial, !whole);
      partial.clear();
    }
    data.remove_prefix(length + (whole ? 1 : 0));
  }
}

void Journal::flush_partials() {
  for (const Stream stream : {Stream::kStdout, Stream::kStderr}) {
    std::string& partial = partial_[stream == Stream::kStderr ? 1 : 0];
    if (!partial.empty()) send(stream, partial, true);
    partial = std::string();
  }
}

}  // namespace cooper::conmon
