#include "cli/cooper/format_template.h"

#include <algorithm>
#include <map>

#include "base/chars.h"
#include "base/strings.h"
#include "cli/cooper/output.h"

namespace cooper::cli {
namespace {

using codec::json::Type;
using codec::json::Value;

constexpr std::string_view kTable = "table ";
constexpr std::string_view kOpen = "{{";
constexpr std::string_view kClose = "}}";

// "\t" and "\n", as shells hand them over.
std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (text[i] != '\\' || (next != 't' && next != 'n' && next != '\\' && next != '"')) {
      out += text[i];
      continue;
    }
    out += next == 't' ? '\t' : next == 'n' ? '\n' : next;
    ++i;
  }
  return out;
}

std::optional<std::string> quoted_text(std::string_view word) {
  if (word.size() < 2 || word.front() != word.back() || (word.front() != '"' && word.front() != '`'))
    return std::nullopt;
  const std::string_view inside = word.substr(1, word.size() - 2);
  return word.front() == '"' ? unescape(inside) : std::string(inside);
}

bool is_name(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

Error not_understood(std::string_view action) {
  return Error(Errc::kInvalidArgument, "--format: " + quoted("{{" + std::string(action) + "}}") + " is not understood")
      .with_hint(
          "of templates there are {{.Field}}, {{json .}}, {{json .Field}}, {{index .Field \"key\"}} and a table before "
          "them; --format json has everything, for jq");
}

std::optional<Value> find_in(const Value& value, std::string_view name) {
  if (value.type() != Type::kObject) return std::nullopt;
  if (const auto exact = value.find(name)) return exact;
  const std::string lower = to_lower(name);
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (to_lower(value.member(i).first) == lower) return value.member(i).second;
  }
  return std::nullopt;
}

// As Go prints it.
std::string shown(const Value& value) {
  switch (value.type()) {
    case Type::kNull:
      return "<no value>";
    case Type::kBool:
      return value.as_bool() ? "true" : "false";
    case Type::kString:
      return printable(value.as_string());
    case Type::kNumber: {
      codec::json::Writer out;
      return out.value(value).take();
    }
    case Type::kArray: {
      std::string out = "[";
      for (std::size_t i = 0; i < value.size(); ++i) out += (i == 0 ? "" : " ") + shown(value.element(i));
      return out + "]";
    }
    case Type::kObject: {
      std::map<std::string_view, Value> sorted;
      for (std::size_t i = 0; i < value.size(); ++i)
        sorted.insert_or_assign(value.member(i).first, value.member(i).second);
      std::string out = "map[";
      // A member without members is one of a set there.
      for (const auto& [name, member] : sorted) {
        const bool empty = member.type() == Type::kObject && member.size() == 0;
        out += (out.size() == 4 ? "" : " ") + printable(name) + ":" + (empty ? "{}" : shown(member));
      }
      return out + "]";
    }
  }
  return {};
}

}  // namespace

bool FormatTemplate::is_one(std::string_view text) {
  return text.find(kOpen) != std::string_view::npos || text.starts_with(kTable);
}

Result<FormatTemplate> FormatTemplate::parse(std::string_view text, std::span<const TemplateField> fields) {
  FormatTemplate out;
  out.fields_ = fields;
  out.table_ = text.starts_with(kTable);
  if (out.table_) text = trim(text.substr(kTable.size()));
  while (!text.empty()) {
    const std::size_t open = text.find(kOpen);
    const std::string_view before = text.substr(0, open);
    if (!before.empty()) out.pieces_.push_back({.text = unescape(before)});
    if (open == std::string_view::npos) break;
    text.remove_prefix(open + kOpen.size());
    const std::size_t close = text.find(kClose);
    if (close == std::string_view::npos) return Error(Errc::kInvalidArgument, "--format: '{{' without '}}'");
    RETURN_IF_ERROR(out.add_action(text.substr(0, close)));
    text.remove_prefix(close + kClose.size());
  }
  return out;
}

Result<std::optional<FormatTemplate>> FormatTemplate::of(const Args& args, std::span<const TemplateField> fields) {
  const auto text = args.last("format");
  if (!text || !is_one(*text)) return std::optional<FormatTemplate>();
  ASSIGN_OR_RETURN(FormatTemplate parsed, parse(*text, fields));
  return std::optional(std::move(parsed));
}

Status FormatTemplate::add_path(std::string_view path, Piece& piece) const {
  if (!path.starts_with('.')) return not_understood(path);
  if (path == ".") return {};
  for (const std::string_view part : split(path.substr(1), '.')) {
    if (!is_name(part)) return not_understood(path);
    piece.path.emplace_back(part);
  }
  const auto known = [&](const TemplateField& field) { return to_lower(field.name) == to_lower(piece.path.front()); };
  if (std::ranges::any_of(fields_, known)) return {};
  std::string names;
  for (const TemplateField& field : fields_) names += (names.empty() ? "" : ", ") + std::string(field.name);
  return Error(Errc::kInvalidArgument, "--format: there is no field " + quoted("." + piece.path.front()))
      .with_hint("the fields are " + names);
}

Status FormatTemplate::add_action(std::string_view action) {
  const std::string_view inside = trim(action);
  Piece piece{.kind = Piece::Kind::kPrint};
  if (const auto text = quoted_text(inside)) {
    pieces_.push_back({.text = *text});
    return {};
  }
  std::string_view path = inside;
  if (inside.starts_with("json ")) {
    piece.kind = Piece::Kind::kJson;
    path = trim(inside.substr(5));
  }
  if (inside.starts_with("index ")) {
    const std::string_view rest = trim(inside.substr(6));
    const std::size_t blank = rest.find(' ');
    if (blank == std::string_view::npos) return not_understood(action);
    const std::string_view key = trim(rest.substr(blank));
    RETURN_IF_ERROR(add_path(rest.substr(0, blank), piece));
    if (const auto text = quoted_text(key)) {
      piece.key = *text;
    } else if (const auto place = parse_number<std::size_t>(key)) {
      piece.last = *place;
    } else {
      return not_understood(action);
    }
  } else {
    if (!path.starts_with('.')) return not_understood(action);
    RETURN_IF_ERROR(add_path(path, piece));
  }
  pieces_.push_back(std::move(piece));
  return {};
}

std::string FormatTemplate::line(const Value& record) const {
  std::string out;
  for (const Piece& piece : pieces_) {
    if (piece.kind == Piece::Kind::kText) {
      out += piece.text;
      continue;
    }
    std::optional<Value> value = record;
    for (const std::string& name : piece.path) value = value ? find_in(*value, name) : std::nullopt;
    // Keys are what they are, and one that is not there has an empty value: labels are asked for so.
    if (piece.key) value = value && value->type() == Type::kObject ? value->find(*piece.key) : std::nullopt;
    if (piece.last) {
      const bool there = value && value->type() == Type::kArray && *piece.last < value->size();
      value = there ? std::optional(value->element(*piece.last)) : std::nullopt;
    }
    if (piece.kind == Piece::Kind::kJson) {
      codec::json::Writer writer;
      value ? writer.value(*value) : writer.null();
      out += writer.take();
    } else {
      out += value ? shown(*value) : piece.key ? "" : "<no value>";
    }
  }
  return out;
}

std::string FormatTemplate::ended_line(const Value& record) const {
  std::string out = line(record);
  if (!out.ends_with('\n')) out += '\n';
  return out;
}

std::string FormatTemplate::header() const {
  std::string out;
  for (const Piece& piece : pieces_) {
    if (piece.kind == Piece::Kind::kText) {
      out += piece.text;
      continue;
    }
    if (piece.path.empty() && !piece.key) continue;
    std::string name = piece.key ? *piece.key : piece.path.back();
    const auto field =
        std::ranges::find_if(fields_, [&](const TemplateField& one) { return to_lower(one.name) == to_lower(name); });
    if (piece.path.size() + (piece.key ? 1 : 0) == 1 && field != fields_.end() && !field->header.empty())
      name = field->header;
    std::ranges::transform(name, name.begin(), [](char c) { return to_upper(c); });
    out += name;
  }
  return out;
}

std::string FormatTemplate::text(const std::vector<codec::json::Document>& records, bool heading) const {
  std::string out;
  if (!table_) {
    for (const auto& record : records) out += ended_line(record.root());
    return out;
  }
  const auto cells = [](const std::string& row) {
    const auto parts = split(row, '\t');
    return std::vector<std::string>(parts.begin(), parts.end());
  };
  Table table(cells(header()));
  for (const auto& record : records) table.add(cells(line(record.root())));
  return table.text(heading);
}

}  // namespace cooper::cli
