// --format with what people write of docker's and podman's templates: text with {{.Field}}, {{.Field.Part}},
// {{json .Field}}, {{index .Field "key"}} and {{"text"}} in it, "table " before it for columns. No other part of Go's
// templates is understood.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/cooper/args.h"
#include "codec/json.h"

namespace cooper::cli {

// For the help of verbs that take them.
inline constexpr std::string_view kTemplatesHelp =
    "Templates are values of --format, too: text with {{.Field}}, {{.Field.Part}}, {{json .Field}}, {{json .}} or "
    "{{index .Labels \"key\"}} in it, 'table {{.One}}\\t{{.Two}}' for columns; a wrong field is answered with the list "
    "of them.";

struct TemplateField {
  std::string_view name;
  std::string_view header = {};  // in a table; empty: the name in capitals
};

class FormatTemplate {
 public:
  // Whether a value of --format is a template and no word.
  static bool is_one(std::string_view text);
  // Errc::kInvalidArgument for what is not understood, and for other fields than `fields`, which it lists. `fields`
  // must outlive the template.
  static Result<FormatTemplate> parse(std::string_view text, std::span<const TemplateField> fields);
  // The last --format, if it is a template.
  static Result<std::optional<FormatTemplate>> of(const Args& args, std::span<const TemplateField> fields);

  // Of an object that has the fields: without a line feed.
  std::string line(const codec::json::Value& record) const;
  // With one; that of a template that ends in one is enough.
  std::string ended_line(const codec::json::Value& record) const;
  // All of them, each in a line of its own; as a table, with a header if `heading`.
  std::string text(const std::vector<codec::json::Document>& records, bool heading = true) const;

 private:
  struct Piece {
    enum class Kind { kText, kPrint, kJson } kind = Kind::kText;
    std::string text = {};                 // of kText
    std::vector<std::string> path = {};    // none: the whole record
    std::optional<std::string> key = {};   // and of what is there this member
    std::optional<std::size_t> last = {};  // or of the list there the element of this place
  };
  Status add_action(std::string_view action);
  Status add_path(std::string_view path, Piece& piece) const;
  std::string header() const;

  bool table_ = false;
  std::vector<Piece> pieces_;
  std::span<const TemplateField> fields_;
};

}  // namespace cooper::cli
