#include "cli/cooper/output.h"

#include <unistd.h>

#include <algorithm>

#include "base/fd.h"
#include "base/strings.h"
#include "sys/file.h"

namespace cooper::cli {
namespace {

bool starts_character(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
}

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), starts_character));
}

}  // namespace

Result<Format> output_format_from_string(std::string_view text) {
  if (text == "table") return Format::kTable;
  if (text == "json") return Format::kJson;
  if (text == "json-pretty") return Format::kJsonPretty;
  return Error(Errc::kInvalidArgument, "unknown output format " + quoted(text) + " (use table, json or json-pretty)");
}

Status print(std::string_view text) {
  auto written = sys::write_all(BorrowedFd(STDOUT_FILENO), text);
  if (!written.ok()) return std::move(written).error().with("write to standard output");
  return {};
}

Status print_json(codec::json::Writer& writer) {
  return print(writer.take() + "\n");
}

Table::Table(const std::vector<std::string>& header) : widths_(header.size()) {
  add(header);
}

void Table::add(const std::vector<std::string>& row) {
  for (std::size_t i = 0; i < row.size(); ++i) {
    const std::string cell = printable(row[i]);
    text_ += cell;
    const std::size_t width = width_of(cell);
    cells_.push_back({.end = text_.size(), .width = width, .last = i + 1 == row.size()});
    if (i < widths_.size()) widths_[i] = std::max(widths_[i], width);
  }
}

std::string Table::text(bool heading) const {
  std::string out;
  // Few texts have more bytes than characters.
  std::size_t line = 1;
  for (const std::size_t width : widths_) line += width + 2;
  out.reserve(line * (1 + cells_.size() / std::max<std::size_t>(widths_.size(), 1)));
  std::size_t begin = 0;
  std::size_t column = 0;
  for (const Cell& cell : cells_) {
    out.append(text_, begin, cell.end - begin);
    begin = cell.end;
    if (!cell.last) {
      out.append(widths_[column++] - cell.width + 2, ' ');
      continue;
    }
    while (!out.empty() && out.back() == ' ') out.pop_back();
    out += '\n';
    column = 0;
  }
  if (!heading) out.erase(0, out.find('\n') + 1);
  return out;
}

std::string shorten(std::string_view raw, std::size_t width) {
  std::string text = printable(raw);
  if (width_of(text) <= width || width < 4) return text;
  std::size_t kept = 0;
  std::size_t end = 0;
  while (end < text.size() && (kept < width - 3 || !starts_character(text[end]))) {
    if (starts_character(text[end])) ++kept;
    ++end;
  }
  return text.substr(0, end) + "...";
}

std::string print_command(const std::vector<std::string>& args) {
  std::string out;
  for (const std::string& arg : args) {
    if (!out.empty()) out += ' ';
    const bool plain = !arg.empty() && std::none_of(arg.begin(), arg.end(), [](char c) {
      const auto byte = static_cast<unsigned char>(c);
      return byte <= 0x20 || byte == 0x7f || c == '\'' || c == '"' || c == '\\';
    });
    out += plain ? arg : quoted(arg);
  }
  return out;
}

}  // namespace cooper::cli
