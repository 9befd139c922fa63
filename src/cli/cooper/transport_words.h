// Words of a command line for what images are written into and read from: one table for all verbs, and what is said of
// it in their help.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.h"
#include "image/store.h"

namespace cooper::cli {

struct TransportWord {
  std::string_view word;
  image::Transport transport;
  bool alias = false;  // understood, not listed
};

// Of one transport its own word comes first.
inline constexpr std::array<TransportWord, 7> kTransportWords = {{
    {"docker-archive", image::Transport::kDockerArchive},
    {"oci-archive", image::Transport::kOciArchive},
    {"oci-dir", image::Transport::kOciDirectory},
    {"aci", image::Transport::kAci},
    {"dir", image::Transport::kSkopeoDirectory},
    {"oci", image::Transport::kOciDirectory, true},
    {"docker-dir", image::Transport::kSkopeoDirectory, true},
}};

// A text that is put together by the compiler.
struct TransportText {
  std::array<char, 256> text = {};
  std::size_t size = 0;

  constexpr TransportText& add(std::string_view more) {
    for (const char c : more) text.at(size++) = c;
    return *this;
  }
  constexpr std::string_view view() const { return {text.data(), size}; }
};

// The words that are no aliases.
constexpr TransportText list_transports(std::string_view between, std::string_view before_last) {
  TransportText out;
  const auto listed = [](const TransportWord& word) { return !word.alias; };
  std::size_t left = static_cast<std::size_t>(std::ranges::count_if(kTransportWords, listed));
  for (const TransportWord& word : kTransportWords) {
    if (word.alias) continue;
    out.add(word.word);
    if (--left > 0) out.add(left == 1 ? before_last : between);
  }
  return out;
}

inline constexpr TransportText kTransportList = list_transports(", ", " or ");
// For completion.
inline constexpr TransportText kTransportCompletion = list_transports(" ", " ");

// All words, for the help of a flag; `more` follows.
constexpr TransportText transport_help(std::string_view more) {
  TransportText out = kTransportList;
  for (const TransportWord& alias : kTransportWords) {
    if (!alias.alias) continue;
    const auto own = std::ranges::find(kTransportWords, alias.transport, &TransportWord::transport);
    out.add("; ").add(alias.word).add(" is ").add(own->word);
  }
  return out.add(more);
}

// Errc::kInvalidArgument for another word.
Result<image::Transport> parse_transport(const std::string& word);
std::string_view word_of(image::Transport transport);

}  // namespace cooper::cli
