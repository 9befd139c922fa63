// cooper convert: a configuration of one system in the words of another.
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.h"
#include "cli/cooper/command.h"
#include "cli/cooper/output_file.h"
#include "convert/convert.h"
#include "io/file.h"
#include "spec/libcontainer/parse.h"
#include "spec/libcontainer/print.h"
#include "spec/libcontainer/validate.h"
#include "spec/oci_runtime/parse.h"
#include "spec/oci_runtime/print.h"
#include "sys/file.h"

namespace cooper::cli {
namespace {

constexpr std::array<Flag, 3> kFlags = {{
    {.name = "generation",
     .value = "WORD",
     .help = "of the libcontainer file to write: named (default) or numeric, of July 2015",
     .complete = Flag::Complete::kWords,
     .words = "named numeric"},
    {.name = "systemd", .value = {}, .help = "cgroupsPath is slice:prefix:name"},
    {.name = "strict", .value = {}, .help = "write nothing, and fail, when something would be lost"},
}};

bool is_directory(const std::string& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

Result<std::string> absolute(const std::string& path) {
  char* resolved = ::realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return Error::from_errno(errno, quoted(path));
  std::string out(resolved);
  ::free(resolved);
  return out;
}

// A directory is a bundle: the file in it.
std::string file_of(const std::string& path) {
  return is_directory(path) ? path + "/config.json" : path;
}

struct Converted {
  std::string text;
  std::vector<convert::Lost> lost;
};

Result<Converted> from_libcontainer(std::string text, const std::string& file, bool systemd) {
  ASSIGN_OR_RETURN(const auto config, libcontainer::parse_config(std::move(text), file));
  RETURN_IF_ERROR(libcontainer::validate(config));
  ASSIGN_OR_RETURN(auto out, convert::to_oci(config, {}, systemd));
  if (Status valid = convert::check(out); !valid.ok())
    return std::move(valid).error().with("no config.json can be made of " + quoted(file));
  return Converted{oci::print_config(out.config) + "\n", std::move(out.lost)};
}

Result<Converted> from_oci(std::string text, const std::string& file, libcontainer::Generation generation) {
  ASSIGN_OR_RETURN(const auto config, oci::parse_config(std::move(text), file));
  ASSIGN_OR_RETURN(const std::string bundle, absolute(folder_of(file)));
  RETURN_IF_ERROR(convert::check_source(config, bundle));
  ASSIGN_OR_RETURN(auto out, convert::to_libcontainer(config, bundle, generation));
  if (Status valid = convert::check(out); !valid.ok())
    return std::move(valid).error().with("no container.json can be made of " + quoted(file));
  return Converted{libcontainer::print_config(out.config) + "\n", std::move(out.lost)};
}

Status print_lost(const Context& context, const std::vector<convert::Lost>& lost, bool to_errors) {
  if (!context.json()) {
    const std::string text = convert::report(lost);
    return to_errors ? sys::write_all(BorrowedFd(STDERR_FILENO), text) : print(text);
  }
  codec::json::Writer out(codec::json::Writer::Style::kPretty);
  out.begin_object().key("lost").begin_array();
  for (const auto& entry : lost) {
    out.begin_object().field("pointer", entry.pointer).field("reason", entry.reason);
    out.field("done_by_cooper_libcontainer", entry.in_extras).end_object();
  }
  out.end_array().end_object();
  if (to_errors) return sys::write_all(BorrowedFd(STDERR_FILENO), out.take() + "\n");
  return print_json(out);
}

Result<int> convert_verb(const Context& context, const Args& args) {
  const std::string generation = args.last("generation").value_or("named");
  if (generation != "named" && generation != "numeric")
    return Error(Errc::kInvalidArgument, "--generation " + quoted(generation) + " must be named or numeric");
  context.command_line_is_read();
  const std::string from = file_of(args.positional()[0]);
  const std::string& target = args.positional()[1];
  ASSIGN_OR_RETURN(std::string text, io::read_regular_file(from, libcontainer::kMaxConfigBytes));
  ASSIGN_OR_RETURN(const bool older, libcontainer::looks_like_libcontainer(text, from));
  ASSIGN_OR_RETURN(const Converted out, older ? from_libcontainer(std::move(text), from, args.enabled("systemd"))
                                              : from_oci(std::move(text), from,
                                                         generation == "named" ? libcontainer::Generation::kNamed
                                                                               : libcontainer::Generation::kNumeric));
  const bool to_standard_output = target == "-";
  if (args.enabled("strict") && !out.lost.empty()) {
    RETURN_IF_ERROR(print_lost(context, out.lost, true));
    return Error(Errc::kUnsupported, fmt::format("{} members of {} have no counterpart, so nothing is written",
                                                 out.lost.size(), quoted(from)));
  }
  if (to_standard_output) {
    RETURN_IF_ERROR(print(out.text));
  } else {
    RETURN_IF_ERROR(write_output_file(file_of(target), out.text));
  }
  RETURN_IF_ERROR(print_lost(context, out.lost, to_standard_output));
  return 0;
}

}  // namespace

std::span<const Command> convert_commands() {
  static const std::array<Command, 1> kCommands = {{
      {.path = "convert",
       .usage = "FROM TO",
       .summary = "a libcontainer configuration as an OCI bundle's config.json, or the other way",
       .description = "FROM is a file or a bundle, and says itself what it is; TO is a file, a bundle or - for "
                      "standard output. What the other format cannot say is printed, a line each.",
       .flags = {kFlags},
       .min_args = 2,
       .max_args = 2,
       .handler = convert_verb,
       .completes = Completes::kFiles},
  }};
  return kCommands;
}

}  // namespace cooper::cli
