// mount: changes of a running container's mounts.
#include "base/strings.h"
#include "cli/coop/commands.h"

namespace cooper::cli::coop {
namespace {

Result<oci::Mount> mount_from(const Arguments& arguments) {
  const auto& words = arguments.positional();
  oci::Mount out;
  out.type = arguments.value("type", "bind");
  ASSIGN_OR_RETURN(out.source, out.type == "bind" ? absolute_path(words[2]) : Result<std::string>(words[2]));
  out.destination = words[3];
  if (out.destination.empty() || out.destination[0] != '/')
    return Error(Errc::kInvalidArgument, "the mount point " + quoted(out.destination) + " must be an absolute path");
  // The whole tree, as people mean it; "bind" alone takes the one mount.
  bool one = false;
  for (const std::string& list : arguments.list("options")) {
    for (const std::string_view word : split(list, ',')) {
      one = one || word == "bind";
      if (!word.empty()) out.options.emplace_back(word);
    }
  }
  if (out.type == "bind" && !one) out.options.emplace_back("rbind");
  return out;
}

}  // namespace

Result<int> run_mount(const Call& call) {
  const auto& words = call.arguments.positional();
  const bool add = words[0] == "add";
  if (!add && words[0] != "rm")
    return Error(Errc::kInvalidArgument, "mount takes 'add' or 'rm', not " + quoted(words[0]));
  const std::size_t wanted = add ? 4 : 3;
  if (words.size() != wanted) {
    return Error(Errc::kInvalidArgument, "mount " + words[0] + " takes exactly " + std::to_string(wanted - 1) +
                                             " arguments, not " + std::to_string(words.size() - 1))
        .with_hint(add ? "usage: coop mount add [options] ID SOURCE DESTINATION"
                       : "usage: coop mount rm ID DESTINATION");
  }
  if (!add && (call.arguments.has("type") || call.arguments.has("options")))
    return Error(Errc::kInvalidArgument, "mount rm takes no options");
  ASSIGN_OR_RETURN(const auto container, call.factory().load(words[1]));
  if (!add) {
    RETURN_IF_ERROR(container.remove_mount(words[2]));
    return 0;
  }
  ASSIGN_OR_RETURN(const oci::Mount mount, mount_from(call.arguments));
  RETURN_IF_ERROR(container.add_mount(mount));
  return 0;
}

}  // namespace cooper::cli::coop
