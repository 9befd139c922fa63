#include "cli/coop/waterfall.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "codec/json.h"

namespace cooper::cli::coop {
namespace {

using container::Actor;

constexpr std::size_t kBarWidth = 48;     // characters
constexpr std::size_t kTextWidth = 60;    // of a step's words
constexpr std::int64_t kSvgWidth = 1200;  // of the time axis, in pixels
constexpr std::int64_t kSvgRow = 14, kSvgLeft = 10, kSvgTop = 34;

struct Bar {
  std::string_view who;
  std::string text;
  std::int64_t begin = 0, length = 0;  // ns from the first mark
};

struct Picture {
  std::vector<Bar> bars;  // by time of begin
  std::int64_t length = 1;
};

std::string_view actor_word(Actor actor) {
  return actor == Actor::kParent ? "parent" : "child";
}

// Steps that were reached, and between two marks what the parent did outside the plan.
Picture arrange(const container::StartTiming& timing) {
  Picture out;
  const auto& marks = timing.marks();
  if (marks.empty()) return out;
  const std::int64_t zero = marks.front().at_ns;
  for (std::size_t i = 1; i < marks.size(); ++i) {
    out.bars.push_back({"coop", marks[i].what, marks[i - 1].at_ns - zero, marks[i].at_ns - marks[i - 1].at_ns});
  }
  for (const auto& step : timing.steps()) {
    if (step.time.begin_ns == 0) continue;
    const std::int64_t length = step.time.end_ns == 0 ? 0 : step.time.end_ns - step.time.begin_ns;
    out.bars.push_back({actor_word(step.actor), step.text, step.time.begin_ns - zero, length});
  }
  std::ranges::stable_sort(out.bars, {}, &Bar::begin);
  for (const Bar& bar : out.bars) out.length = std::max(out.length, bar.begin + bar.length);
  return out;
}

// Milliseconds with three digits: 1234567 ns is "1.235".
std::string milliseconds(std::int64_t ns) {
  const std::int64_t us = (ns + 500) / 1000;
  std::string fraction = std::to_string(us % 1000);
  fraction.insert(0, 3 - fraction.size(), '0');
  return std::to_string(us / 1000) + "." + fraction;
}

std::string right(std::string text, std::size_t width) {
  if (text.size() < width) text.insert(0, width - text.size(), ' ');
  return text;
}

std::string left(std::string_view text, std::size_t width) {
  std::string out(text.substr(0, width));
  out.append(width - out.size(), ' ');
  return out;
}

std::string bar_of(const Bar& bar, std::int64_t whole) {
  const auto at = [&](std::int64_t ns) { return static_cast<std::size_t>(ns * std::int64_t{kBarWidth} / whole); };
  const std::size_t from = std::min(at(bar.begin), kBarWidth - 1);
  const std::size_t to = std::clamp(at(bar.begin + bar.length), from + 1, kBarWidth);
  return std::string(from, ' ') + std::string(to - from, '#') + std::string(kBarWidth - to, ' ');
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return out;
}

std::string_view colour(std::string_view who) {
  return who == "child" ? "#3b7dd8" : who == "parent" ? "#d8743b" : "#9aa0a6";
}

}  // namespace

std::string waterfall_text(const container::StartTiming& timing) {
  const Picture picture = arrange(timing);
  std::string out = "   begin    took  ms\n";
  for (const Bar& bar : picture.bars) {
    out += right(milliseconds(bar.begin), 8) + right(milliseconds(bar.length), 8) + "  " + left(bar.who, 6) + " |" +
           bar_of(bar, picture.length) + "| " + bar.text.substr(0, kTextWidth) + "\n";
  }
  return out + right(milliseconds(picture.length), 8) + "  in all\n";
}

std::string waterfall_svg(const container::StartTiming& timing) {
  const Picture picture = arrange(timing);
  const std::int64_t height = kSvgTop + static_cast<std::int64_t>(picture.bars.size()) * kSvgRow + 10;
  const auto x = [&](std::int64_t ns) { return std::to_string(kSvgLeft + ns * kSvgWidth / picture.length); };
  std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + std::to_string(kSvgWidth + 420) +
                    "\" height=\"" + std::to_string(height) + "\" font-family=\"monospace\" font-size=\"11\">\n" +
                    "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"10\" y=\"18\">one start: " +
                    milliseconds(picture.length) + " ms; grey: coop, orange: parent, blue: child</text>\n";
  std::int64_t y = kSvgTop;
  for (const Bar& bar : picture.bars) {
    const std::int64_t width = std::max<std::int64_t>(1, bar.length * kSvgWidth / picture.length);
    out += "<rect x=\"" + x(bar.begin) + "\" y=\"" + std::to_string(y) + "\" width=\"" + std::to_string(width) +
           "\" height=\"" + std::to_string(kSvgRow - 3) + "\" fill=\"" + std::string(colour(bar.who)) + "\"/>" +
           "<text x=\"" + std::to_string(kSvgLeft + bar.begin * kSvgWidth / picture.length + width + 4) + "\" y=\"" +
           std::to_string(y + kSvgRow - 4) + "\">" + escaped(bar.text.substr(0, kTextWidth)) + " " +
           milliseconds(bar.length) + "</text>\n";
    y += kSvgRow;
  }
  return out + "</svg>\n";
}

std::string waterfall_json(const container::StartTiming& timing) {
  codec::json::Writer out(codec::json::Writer::Style::kPretty);
  const std::int64_t zero = timing.marks().empty() ? 0 : timing.marks().front().at_ns;
  out.begin_object().field("unit", "ns").key("marks").begin_array();
  for (const auto& mark : timing.marks()) {
    out.begin_object().field("what", mark.what).field("at", mark.at_ns - zero).end_object();
  }
  out.end_array().key("steps").begin_array();
  for (const auto& step : timing.steps()) {
    out.begin_object().field("actor", actor_word(step.actor)).field("step", step.text);
    if (step.time.begin_ns != 0) out.field("begin", step.time.begin_ns - zero);
    if (step.time.end_ns != 0) out.field("length", step.time.end_ns - step.time.begin_ns);
    out.end_object();
  }
  return out.end_array().end_object().take() + "\n";
}

}  // namespace cooper::cli::coop
