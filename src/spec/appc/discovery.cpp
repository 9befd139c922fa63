#include "spec/appc/discovery.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "base/chars.h"
#include "base/percent.h"
#include "base/strings.h"

namespace cooper::spec::appc {
namespace {

constexpr std::size_t kMaxTags = 64;
constexpr std::size_t kMaxValueBytes = 2048;
constexpr std::string_view kBlanks = " \t\r\n\f";

bool is_blank(char c) {
  return kBlanks.find(c) != std::string_view::npos;
}

// The references that a URL or a name can need.
std::string without_references(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, char>, 7> kReferences = {{{"&amp;", '&'},
                                                                                    {"&lt;", '<'},
                                                                                    {"&gt;", '>'},
                                                                                    {"&quot;", '"'},
                                                                                    {"&#39;", '\''},
                                                                                    {"&#123;", '{'},
                                                                                    {"&#125;", '}'}}};
  std::string out;
  while (!text.empty()) {
    const auto* found = std::ranges::find_if(kReferences, [&](const auto& one) { return text.starts_with(one.first); });
    out += found == kReferences.end() ? text.front() : found->second;
    text.remove_prefix(found == kReferences.end() ? 1 : found->first.size());
  }
  return out;
}

using Attributes = std::map<std::string, std::string, std::less<>>;

// As much of HTML's syntax as tags in a head need. Always goes forward.
class Reader {
 public:
  explicit Reader(std::string_view html) : rest_(html) {}

  // The next tag's name in lower case, "/head" for the end of an element; nullopt at the end of the page.
  std::optional<std::string> next_tag() {
    while (true) {
      const std::size_t open = rest_.find('<');
      if (open == std::string_view::npos) return std::nullopt;
      rest_.remove_prefix(open + 1);
      if (rest_.starts_with("!--")) {
        skip_past("-->");
        continue;
      }
      const bool closing = rest_.starts_with('/');
      if (closing) rest_.remove_prefix(1);
      std::size_t length = 0;
      while (length < rest_.size() && (is_letter(rest_[length]) || (length != 0 && is_name(rest_[length])))) ++length;
      if (length == 0) continue;
      std::string name = to_lower(rest_.substr(0, length));
      rest_.remove_prefix(length);
      return closing ? "/" + name : name;
    }
  }

  // What follows a tag's name, up to its end.
  Attributes attributes() {
    Attributes out;
    while (true) {
      skip_blanks();
      if (rest_.empty() || rest_.front() == '>') break;
      if (rest_.front() == '/') {
        rest_.remove_prefix(1);
        continue;
      }
      const std::string name = to_lower(take_until(" \t\r\n\f=>/"));
      skip_blanks();
      std::string value;
      if (rest_.starts_with('=')) {
        rest_.remove_prefix(1);
        value = attribute_value();
      } else if (name.empty()) {
        rest_.remove_prefix(1);
      }
      // The first one counts.
      out.emplace(name, std::move(value));
    }
    if (!rest_.empty()) rest_.remove_prefix(1);
    return out;
  }

  // Elements whose content is no markup.
  void skip_content(std::string_view element) {
    while (auto tag = next_tag()) {
      if (tag->size() == element.size() + 1 && tag->front() == '/' && tag->ends_with(element)) return;
    }
  }

 private:
  static bool is_name(char c) { return is_alnum(c) || c == '-' || c == ':'; }
  void skip_blanks() {
    while (!rest_.empty() && is_blank(rest_.front())) rest_.remove_prefix(1);
  }
  void skip_past(std::string_view end) {
    const std::size_t at = rest_.find(end);
    rest_.remove_prefix(at == std::string_view::npos ? rest_.size() : at + end.size());
  }
  std::string_view take_until(std::string_view ends) {
    const std::string_view out = rest_.substr(0, std::min(rest_.find_first_of(ends), rest_.size()));
    rest_.remove_prefix(out.size());
    return out;
  }
  std::string attribute_value() {
    skip_blanks();
    const char quote = rest_.empty() ? '\0' : rest_.front();
    if (quote != '"' && quote != '\'') return without_references(take_until(" \t\r\n\f>"));
    rest_.remove_prefix(1);
    const std::string_view value = take_until(std::string_view(&quote, 1));
    if (!rest_.empty()) rest_.remove_prefix(1);
    return without_references(value);
  }

  std::string_view rest_;
};

// "PREFIX VALUE", and nothing more.
std::optional<DiscoveryTag> read_content(std::string_view content) {
  std::vector<std::string> words;
  std::size_t at = 0;
  while ((at = content.find_first_not_of(kBlanks, at)) != std::string_view::npos) {
    const std::size_t end = std::min(content.find_first_of(kBlanks, at), content.size());
    words.emplace_back(content.substr(at, end - at));
    at = end;
  }
  if (words.size() != 2 || words[0].size() > kMaxValueBytes || words[1].size() > kMaxValueBytes) return std::nullopt;
  return DiscoveryTag{std::move(words[0]), std::move(words[1])};
}

bool is_about(const DiscoveryTag& tag, std::string_view name) {
  return name.starts_with(tag.prefix);
}

// Anything but what may stand in a path could lead somewhere else than the template says.
std::string for_url(std::string_view text) {
  return percent_encode(text, "-._~/+");
}

// nullopt: a variable has no value.
std::optional<std::string> fill_in(std::string_view pattern, const std::map<std::string, std::string>& values) {
  std::string out;
  while (!pattern.empty()) {
    const std::size_t open = pattern.find('{');
    out += pattern.substr(0, open);
    if (open == std::string_view::npos) return out;
    const std::size_t close = pattern.find('}', open);
    if (close == std::string_view::npos) return std::nullopt;
    const auto found = values.find(std::string(pattern.substr(open + 1, close - open - 1)));
    if (found == values.end()) return std::nullopt;
    out += for_url(found->second);
    pattern.remove_prefix(close + 1);
  }
  return out;
}

}  // namespace

DiscoveryPage read_page(std::string_view html) {
  DiscoveryPage out;
  Reader reader(html);
  while (const auto tag = reader.next_tag()) {
    // What people may write into a page is in its body.
    if (*tag == "body" || *tag == "/head") break;
    const Attributes attributes = reader.attributes();
    for (const std::string_view element : {"script", "style", "title", "textarea", "noscript", "template"}) {
      if (*tag == element) reader.skip_content(element);
    }
    if (*tag != "meta") continue;
    const auto name = attributes.find("name");
    const auto content = attributes.find("content");
    if (name == attributes.end() || content == attributes.end()) continue;
    std::vector<DiscoveryTag>* list = name->second == "ac-discovery"           ? &out.images
                                      : name->second == "ac-discovery-pubkeys" ? &out.keys
                                                                               : nullptr;
    if (list == nullptr || list->size() == kMaxTags) continue;
    if (auto read = read_content(content->second)) list->push_back(std::move(*read));
  }
  return out;
}

std::vector<std::string> pages_of(std::string_view name) {
  std::vector<std::string> out;
  while (!name.empty()) {
    out.emplace_back(name);
    const std::size_t slash = name.rfind('/');
    name = name.substr(0, slash == std::string_view::npos ? 0 : slash);
  }
  return out;
}

std::vector<ImagePlace> image_places(const DiscoveryPage& page, const ImageName& name, std::string_view arch) {
  std::map<std::string, std::string> values = {{"version", "latest"}, {"os", "linux"}, {"arch", std::string(arch)}};
  for (const NameValue& label : name.labels) values.insert_or_assign(label.name, label.value);
  values.insert_or_assign("name", name.name);
  std::vector<ImagePlace> out;
  for (const DiscoveryTag& tag : page.images) {
    if (!is_about(tag, name.name)) continue;
    values.insert_or_assign("ext", "aci");
    auto image = fill_in(tag.value, values);
    values.insert_or_assign("ext", "aci.asc");
    auto signature = fill_in(tag.value, values);
    if (!image || !signature) continue;
    // A template without {ext}.
    if (*signature == *image) *signature += ".asc";
    out.push_back({std::move(*image), std::move(*signature)});
  }
  return out;
}

std::vector<std::string> key_places(const DiscoveryPage& page, std::string_view name) {
  std::vector<std::string> out;
  for (const DiscoveryTag& tag : page.keys) {
    if (is_about(tag, name) && tag.value.find('{') == std::string::npos) out.push_back(tag.value);
  }
  return out;
}

}  // namespace cooper::spec::appc
