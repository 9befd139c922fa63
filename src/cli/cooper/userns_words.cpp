#include "cli/cooper/userns_words.h"

#include "base/strings.h"

namespace cooper::cli {
namespace {

using Kind = pod::UserNamespace::Kind;

Error bad(std::string_view flag, std::string_view text, const std::string& why, Errc code = Errc::kInvalidArgument) {
  return Error(code, "--" + std::string(flag) + " " + quoted(text) + ": " + why);
}

Status auto_options(std::string_view text, std::string_view options, pod::UserNamespace& out) {
  for (const std::string_view option : split(options, ',')) {
    const auto pair = split_once(option, '=');
    const std::string_view key = pair ? pair->first : option;
    if (key == "uidmapping" || key == "gidmapping")
      return bad("userns", text, quoted(key) + " is not supported", Errc::kUnsupported)
          .with_hint("give all ids with --uidmap and --gidmap");
    if (key != "size") return bad("userns", text, "unknown option " + quoted(key)).with_hint("known is size=NUMBER");
    const auto size = pair ? parse_number<std::uint32_t>(pair->second) : std::nullopt;
    if (!size || *size == 0) return bad("userns", text, "size must be a number of ids, 1 or more");
    out.size = *size;
  }
  return {};
}

Result<std::vector<oci::IdMapping>> mappings(const Args& args, std::string_view flag) {
  std::vector<oci::IdMapping> out;
  for (const std::string& text : args.all(flag)) {
    ASSIGN_OR_RETURN(const oci::IdMapping mapping, parse_id_mapping(flag, text));
    out.push_back(mapping);
  }
  return out;
}

}  // namespace

Result<pod::UserNamespace> parse_userns(std::string_view text) {
  pod::UserNamespace out;
  if (text == "host") return out;
  const auto pair = split_once(text, ':');
  const std::string_view word = pair ? pair->first : text;
  if (word == "auto") {
    out.kind = Kind::kAuto;
    if (pair) RETURN_IF_ERROR(auto_options(text, pair->second, out));
    return out;
  }
  for (const std::string_view foreign : {"private", "keep-id", "nomap", "ns", "container"}) {
    if (word != foreign) continue;
    return bad("userns", text, "not supported", Errc::kUnsupported)
        .with_hint("use host, auto, or --uidmap; apps of one pod share their user namespace: cooper pod run");
  }
  return bad("userns", text, "must be host, auto, or auto:size=NUMBER");
}

Result<oci::IdMapping> parse_id_mapping(std::string_view flag, std::string_view text) {
  const auto parts = split(text, ':');
  oci::IdMapping out;
  out.size = 1;
  const std::vector<std::uint32_t*> fields{&out.container_id, &out.host_id, &out.size};
  bool good = parts.size() == 2 || parts.size() == 3;
  for (std::size_t i = 0; good && i < parts.size(); ++i) {
    const auto number = parse_number<std::uint32_t>(parts[i]);
    good = number.has_value();
    if (number) *fields[i] = *number;
  }
  if (good && out.size > 0) return out;
  return bad(flag, text, "must be CONTAINER:HOST:COUNT, three numbers; the third is 1 when it is left out");
}

Result<pod::UserNamespace> user_namespace_flags(const Args& args, std::string_view otherwise) {
  const auto word = args.last("userns");
  const bool automatic = args.enabled("private-users");
  const auto uid_owner = args.last("subuidname");
  const auto gid_owner = args.last("subgidname");
  ASSIGN_OR_RETURN(const auto uids, mappings(args, "uidmap"));
  ASSIGN_OR_RETURN(const auto gids, mappings(args, "gidmap"));
  const bool given = !uids.empty() || !gids.empty();
  const bool subordinate = uid_owner || gid_owner;
  if (int{word.has_value()} + int{automatic} + int{given} + int{subordinate} > 1) {
    return Error(Errc::kInvalidArgument,
                 "--userns, --private-users, --uidmap with --gidmap, and --subuidname with --subgidname exclude each "
                 "other");
  }
  if (word) return parse_userns(*word);
  pod::UserNamespace out;
  if (automatic) {
    out.kind = Kind::kAuto;
  } else if (given) {
    out.kind = Kind::kGiven;
    out.uids = uids.empty() ? gids : uids;
    out.gids = gids.empty() ? uids : gids;
  } else if (subordinate) {
    out.kind = Kind::kSubordinate;
    out.uid_owner = uid_owner.value_or(gid_owner.value_or(""));
    out.gid_owner = gid_owner.value_or(out.uid_owner);
    if (out.uid_owner.empty() || out.gid_owner.empty())
      return Error(Errc::kInvalidArgument, "--subuidname and --subgidname need the name of a user");
  } else if (!otherwise.empty()) {
    return parse_userns(otherwise);
  }
  return out;
}

}  // namespace cooper::cli
