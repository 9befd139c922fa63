// Steps of a program for --log-level debug: what it is about to do or has done, and with what. A record has the time
// since the start of the program, "elapsed_ms"; in text its fields are name="value", in JSON members.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "log/log.h"

namespace cooper::log {

using Fields = std::vector<std::pair<std::string_view, std::string>>;
void write_step(std::string_view message, const Fields& fields);

// `fields` is called only when somebody asked to see steps: until then a step costs one comparison.
template <typename F>
  requires std::is_invocable_r_v<Fields, F>
void step(std::string_view message, F fields) {
  if (enabled(Level::kDebug)) write_step(message, fields());
}

// Records go to standard error alone from here on: for a child that keeps none of its parent's descriptors.
void forget_file();

// How long something took, for a field; asks the clock only when somebody will see it.
class Stopwatch {
 public:
  Stopwatch();
  std::string ms() const;  // "0.123"

 private:
  std::int64_t start_us_;
};

// As they follow the message.
std::string format_fields(Format format, const Fields& fields);

}  // namespace cooper::log
