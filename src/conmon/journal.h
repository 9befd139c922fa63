// Entries of the systemd journal, by its native protocol: one datagram an entry.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "monitor/protocol.h"

namespace cooper::conmon {

// What every entry of one container says about it.
struct JournalTags {
  std::string cid, name, tag;
  std::vector<std::string> labels;  // KEY=VALUE
  bool mark_partial = true;
};

// "FIELD=value\n", or for values with newlines the form with a length. Exposed for tests.
void append_field(std::string& out, std::string_view name, std::string_view value);
// "<4>text" carries its own priority, which is taken off; otherwise 6, or 3 for errors.
int take_priority(std::string_view& line, monitor::protocol::Stream stream);

class Journal {
 public:
  static constexpr std::size_t kMaxLine = std::size_t{16} << 10;

  // Errc::kNotFound when no journal listens at `socket`.
  static Result<Journal> open(const JournalTags& tags, const std::string& socket = "/run/systemd/journal/socket");
  // Whole lines are sent; what is left waits for its end, or for flush_partials().
  void append(monitor::protocol::Stream stream, std::string_view data);
  void flush_partials();
  std::size_t lost_entries() const { return lost_; }

 private:
  Journal() = default;
  void send(monitor::protocol::Stream stream, std::string_view line, bool partial);

  UniqueFd socket_;
  std::string constant_;  // fields of all entries
  std::string partial_[2];
  bool mark_partial_ = true;
  std::size_t lost_ = 0;
};

}  // namespace cooper::conmon
