// version, completion, and what only scripts call.
#include <fmt/format.h>

#include "base/strings.h"
#include "cli/cooper/command.h"
#include "cli/cooper/completion.h"
#include "cli/cooper/help.h"

namespace cooper::cli {
namespace {

Result<int> version(const Context& context, const Args&) {
  if (context.json()) {
    codec::json::Writer out = context.json_writer();
    out.begin_object()
        .field("version", COOPER_VERSION)
        .field("oci_runtime_spec", "1.3.0")
        .field("oci_image_spec", "1.1.0")
        .end_object();
    RETURN_IF_ERROR(print_json(out));
    return 0;
  }
  RETURN_IF_ERROR(print("cooper " COOPER_VERSION "\nOCI runtime spec 1.3.0\nOCI image spec 1.1.0\n"));
  return 0;
}

Result<int> completion(const Context&, const Args& args) {
  const std::string& shell = args.positional().front();
  if (shell != "bash")
    return Error(Errc::kUnsupported, "there is no completion for shell " + quoted(shell)).with_hint("use bash");
  RETURN_IF_ERROR(print(bash_completion()));
  return 0;
}

Result<int> candidates(const Context& context, const Args& args) {
  RETURN_IF_ERROR(print(complete(context, args.positional())));
  return 0;
}

Result<int> manual(const Context&, const Args&) {
  RETURN_IF_ERROR(print(manual_page()));
  return 0;
}

}  // namespace

std::span<const Command> misc_commands() {
  static const std::array<Command, 4> kCommands = {{
      {.path = "version", .summary = "print versions", .max_args = 0, .handler = version},
      {.path = "completion",
       .usage = "bash",
       .summary = "print a completion script for a shell",
       .description = "Put it where bash looks: cooper completion bash > /etc/bash_completion.d/cooper",
       .min_args = 1,
       .max_args = 1,
       .handler = completion,
       .completes = Completes::kShells},
      {.path = "__complete",
       .summary = "candidates for the last word",
       .order = Order::kBeforeArguments,
       .handler = candidates,
       .needs = Needs::kImages,
       .hidden = true},
      {.path = "__man", .summary = "the manual page in scdoc", .max_args = 0, .handler = manual, .hidden = true},
  }};
  return kCommands;
}

}  // namespace cooper::cli
