// What verbs print: tables for people, records for programs. Standard output is written whole and checked; a reader
// that went away (EPIPE) is an error like any other.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "codec/json.h"

namespace cooper::cli {

// kJsonPretty: the same document with line breaks and indentation.
enum class Format { kTable, kJson, kJsonPretty };
Result<Format> output_format_from_string(std::string_view text);

Status print(std::string_view text);
// The document and a line feed.
Status print_json(codec::json::Writer& writer);

// Columns as wide as their widest cell, two blanks apart, printable. The last column has no padding.
class Table {
 public:
  explicit Table(const std::vector<std::string>& header);
  void add(const std::vector<std::string>& row);
  bool empty() const { return cells_.size() == widths_.size(); }
  // With the header, if `heading`.
  std::string text(bool heading = true) const;

 private:
  // Thousands of rows are one text, not a piece of memory for each cell.
  struct Cell {
    std::size_t end = 0;    // in text_
    std::size_t width = 0;  // in characters
    bool last = false;      // of its row
  };
  std::string text_;  // of all cells, the header's first
  std::vector<Cell> cells_;
  std::vector<std::size_t> widths_;  // of the columns
};

// Printable, and at most `width` characters, of which the last three of a longer text are "...". Counts UTF-8 sequences
// as one.
std::string shorten(std::string_view raw, std::size_t width);
// The command line of a container as one line, blanks and quotes visible.
std::string print_command(const std::vector<std::string>& args);

}  // namespace cooper::cli
