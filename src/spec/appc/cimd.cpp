#include "spec/appc/cimd.h"

#include <algorithm>
#include <optional>

#include "base/percent.h"
#include "base/strings.h"
#include "spec/appc/names.h"

namespace cooper::spec::appc {
namespace {

constexpr std::string_view kScheme = "cimd:";

Result<std::string> decoded(std::string_view text) {
  auto out = percent_decode(text);
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (out && std::ranges::none_of(*out, is_control)) return std::move(*out);
  return Error(Errc::kInvalidArgument, quoted(text) + " is not percent-encoded text");
}

Result<std::string> word_of_appc(std::string_view text) {
  const auto query = split_once(text, '?');
  ASSIGN_OR_RETURN(const std::string name, decoded(query ? query->first : text));
  std::vector<NameValue> labels;
  for (const std::string_view part :
       query && !query->second.empty() ? split(query->second, '&') : std::vector<std::string_view>()) {
    const auto pair = split_once(part, '=');
    if (!pair) return Error(Errc::kInvalidArgument, quoted(part) + " is not LABEL=VALUE");
    ASSIGN_OR_RETURN(std::string label, decoded(pair->first));
    ASSIGN_OR_RETURN(std::string value, decoded(pair->second));
    labels.push_back({std::move(label), std::move(value)});
  }
  // With a comma it is an ACI's name wherever images of all kinds may be meant. rkt asks for its own system as well.
  if (labels.empty()) labels.push_back({"os", "linux"});
  std::string word = name;
  for (const NameValue& label : labels) word.append(",").append(label.name).append("=").append(label.value);
  // A comma of a value would make another label of it.
  ASSIGN_OR_RETURN(const ImageName parsed, parse_image_name(word));
  if (parsed.name != name || parsed.labels.size() != labels.size())
    return Error(Errc::kInvalidArgument, "its labels have no form NAME,LABEL=VALUE");
  return word;
}

Result<std::string> word_of_archive(std::string_view text) {
  ASSIGN_OR_RETURN(std::string address, decoded(text));
  for (const std::string_view scheme : {"https://", "http://", "file:///"}) {
    if (address.starts_with(scheme) && address.size() > scheme.size()) return address;
  }
  return Error(Errc::kInvalidArgument, quoted(address) + " begins with none of https://, http:// and file:///");
}

Result<std::string> word_of_docker(std::string_view text) {
  constexpr std::string_view kHubServer = "registry-1.docker.io/";
  if (text.empty()) return Error(Errc::kInvalidArgument, "it names no image");
  if (text.starts_with(kHubServer)) return "docker://docker.io/" + std::string(text.substr(kHubServer.size()));
  return "docker://" + std::string(text);
}

}  // namespace

bool is_cimd(std::string_view text) {
  return text.starts_with(kScheme);
}

Result<std::string> word_of_cimd(std::string_view text) {
  struct Kind {
    std::string_view prefix;
    Result<std::string> (*word)(std::string_view);
  };
  constexpr Kind kKinds[] = {{"cimd:appc:v=0:", word_of_appc},
                             {"cimd:aci-archive:v=0:", word_of_archive},
                             {"cimd:docker:v=0:", word_of_docker}};
  for (const Kind& kind : kKinds) {
    if (!text.starts_with(kind.prefix)) continue;
    auto word = kind.word(text.substr(kind.prefix.size()));
    if (word.ok()) return word;
    return std::move(word).error().with(quoted(text));
  }
  return Error(Errc::kInvalidArgument, quoted(text) + " is none of rkt's names of images")
      .with_hint(
          "cimd:appc:v=0:NAME?LABEL=VALUE, cimd:docker:v=0:REFERENCE and cimd:aci-archive:v=0:ADDRESS are read; "
          "or write what they stand for");
}

}  // namespace cooper::spec::appc
