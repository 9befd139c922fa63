#include "codec/yaml.h"

#include <yaml.h>

#include <algorithm>
#include <utility>

#include "base/strings.h"

namespace cooper::codec::yaml {
namespace {

constexpr int kMaxDepth = 32;
constexpr std::size_t kMaxNodes = 100'000;

// What libyaml has allocated for an event goes with it.
class Event {
 public:
  Event() = default;
  Event(Event&& other) noexcept : event_(std::exchange(other.event_, yaml_event_t{})) {}
  Event& operator=(Event&&) = delete;
  ~Event() { ::yaml_event_delete(&event_); }
  yaml_event_t* get() { return &event_; }
  const yaml_event_t& operator*() const { return event_; }
  const yaml_event_t* operator->() const { return &event_; }

 private:
  yaml_event_t event_{};
};

class Reader {
 public:
  Reader(std::string_view text, std::string_view what) : what_(what) {
    COOPER_ASSERT(::yaml_parser_initialize(&parser_) == 1);
    ::yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  ~Reader() { ::yaml_parser_delete(&parser_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  Result<Node> document();

 private:
  Result<Event> next();
  Result<Node> node(const yaml_event_t& event, int depth);
  Result<Node> scalar(const yaml_event_t& event);
  Status fill_sequence(Node& out, int depth);
  Status fill_mapping(Node& out, int depth);
  Error error(std::size_t line, const std::string& message) const {
    return Error(Errc::kInvalidArgument, std::string(what_) + ": line " + std::to_string(line) + ": " + message);
  }

  std::string_view what_;
  yaml_parser_t parser_{};
  std::size_t nodes_ = 0;
};

std::size_t line_of(const yaml_event_t& event) {
  return event.start_mark.line + 1;
}

std::string_view text_of(const yaml_char_t* text, std::size_t size) {
  return {reinterpret_cast<const char*>(text), size};
}

bool is_null(const yaml_event_t& event) {
  if (event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE) return false;
  const std::string_view text = text_of(event.data.scalar.value, event.data.scalar.length);
  return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL";
}

Result<Event> Reader::next() {
  Event out;
  if (::yaml_parser_parse(&parser_, out.get()) == 1) return out;
  const std::string problem = parser_.problem == nullptr ? "is no YAML" : parser_.problem;
  return error((parser_.problem_mark.line == 0 ? parser_.mark.line : parser_.problem_mark.line) + 1, problem);
}

Result<Node> Reader::scalar(const yaml_event_t& event) {
  if (event.data.scalar.anchor != nullptr || event.data.scalar.tag != nullptr)
    return error(line_of(event), "anchors and tags are not supported");
  if (is_null(event)) return Node{.line = line_of(event)};
  return Node{.kind = Node::Kind::kScalar,
              .text = std::string(text_of(event.data.scalar.value, event.data.scalar.length)),
              .line = line_of(event)};
}

Status Reader::fill_sequence(Node& out, int depth) {
  while (true) {
    ASSIGN_OR_RETURN(const Event event, next());
    if (event->type == YAML_SEQUENCE_END_EVENT) return {};
    ASSIGN_OR_RETURN(Node element, node(*event, depth + 1));
    out.elements.push_back(std::move(element));
  }
}

Status Reader::fill_mapping(Node& out, int depth) {
  while (true) {
    ASSIGN_OR_RETURN(const Event key, next());
    if (key->type == YAML_MAPPING_END_EVENT) return {};
    if (key->type != YAML_SCALAR_EVENT) return error(line_of(*key), "a key must be plain text");
    ASSIGN_OR_RETURN(const Node name, scalar(*key));
    if (name.text == "<<") return error(line_of(*key), "merge keys are not supported");
    if (out.find(name.text) != nullptr) return error(line_of(*key), "key " + quoted(name.text) + " is there twice");
    ASSIGN_OR_RETURN(const Event value, next());
    ASSIGN_OR_RETURN(Node member, node(*value, depth + 1));
    out.members.emplace_back(name.text, std::move(member));
  }
}

Result<Node> Reader::node(const yaml_event_t& event, int depth) {
  if (depth > kMaxDepth) return error(line_of(event), "is nested too deeply");
  if (++nodes_ > kMaxNodes) return error(line_of(event), "has too many values");
  if (event.type == YAML_SCALAR_EVENT) return scalar(event);
  Node out{.line = line_of(event)};
  if (event.type == YAML_SEQUENCE_START_EVENT) {
    if (event.data.sequence_start.anchor != nullptr || event.data.sequence_start.tag != nullptr)
      return error(line_of(event), "anchors and tags are not supported");
    out.kind = Node::Kind::kSequence;
    RETURN_IF_ERROR(fill_sequence(out, depth));
    return out;
  }
  if (event.type != YAML_MAPPING_START_EVENT) return error(line_of(event), "aliases are not supported");
  if (event.data.mapping_start.anchor != nullptr || event.data.mapping_start.tag != nullptr)
    return error(line_of(event), "anchors and tags are not supported");
  out.kind = Node::Kind::kMapping;
  RETURN_IF_ERROR(fill_mapping(out, depth));
  return out;
}

Result<Node> Reader::document() {
  Node out;
  bool seen = false;
  while (true) {
    ASSIGN_OR_RETURN(const Event event, next());
    if (event->type == YAML_STREAM_END_EVENT) return out;
    if (event->type == YAML_STREAM_START_EVENT || event->type == YAML_DOCUMENT_END_EVENT) continue;
    if (event->type == YAML_DOCUMENT_START_EVENT) {
      if (seen) return error(line_of(*event), "a second document begins");
      seen = true;
      continue;
    }
    ASSIGN_OR_RETURN(out, node(*event, 0));
  }
}

}  // namespace

const Node* Node::find(std::string_view name) const {
  const auto found = std::ranges::find(members, name, &std::pair<std::string, Node>::first);
  return found == members.end() ? nullptr : &found->second;
}

Result<Node> parse(std::string_view text, std::string_view what) {
  return Reader(text, what).document();
}

}  // namespace cooper::codec::yaml
