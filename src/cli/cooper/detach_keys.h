// Detach keys: the key sequence that leaves a container running and the terminal back ("ctrl-p,ctrl-q").
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace cooper::cli {

inline constexpr std::string_view kDefaultDetachKeys = "ctrl-p,ctrl-q";

// Keys separated by commas: one character, or ctrl-X with X of a-z @ [ \ ] ^ _. Empty text: no sequence. Returns the
// bytes.
Result<std::string> parse_detach_keys(std::string_view text);

// Watches typed bytes for the sequence. A started sequence is held back until it is complete or broken.
class DetachWatch {
 public:
  explicit DetachWatch(std::string keys) : keys_(std::move(keys)) {}
  struct Outcome {
    std::string forward;  // what the container gets
    bool detached = false;
  };
  // After detached the rest of the input is dropped.
  Outcome feed(std::string_view typed);

 private:
  std::string keys_;
  std::size_t matched_ = 0;
};

}  // namespace cooper::cli
