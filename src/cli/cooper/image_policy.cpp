#include "cli/cooper/image_policy.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "base/strings.h"
#include "cli/cooper/image_place.h"
#include "cli/cooper/output.h"
#include "cli/cooper/registry_session.h"
#include "io/helper_program.h"
#include "spec/oci_image/reference.h"
#include "sys/file.h"

namespace cooper::cli {

namespace {

struct TransportWord {
  std::string_view word;
  image::Transport transport = image::Transport::kAuto;  // kAuto: of what is never loaded
};
constexpr std::string_view kAciWord = "aci";
constexpr std::string_view kDirectoryWord = "dir";
// Containers' own words, and ours for what they do not have: ACIs, and image files other than SIF.
constexpr std::array<TransportWord, 9> kTransports = {{{"oci", image::Transport::kOciDirectory},
                                                       {"oci-archive", image::Transport::kOciArchive},
                                                       {"docker-archive", image::Transport::kDockerArchive},
                                                       {"tarball", image::Transport::kRootfsTar},
                                                       {kAciWord, image::Transport::kAci},
                                                       {kDirectoryWord, image::Transport::kSkopeoDirectory},
                                                       {"sif"},
                                                       {"squashfs"},
                                                       {"erofs"}}};

// Only who is not root may have a policy of his own: root's must not depend on whose environment it runs in.
std::string home_file(const char* below) {
  const char* home = caller_is_root() ? nullptr : ::secure_getenv("HOME");
  return home == nullptr || home[0] != '/' ? std::string() : std::string(home) + below;
}

void add_home_file(std::vector<std::string>& out, const char* below) {
  if (std::string path = home_file(below); !path.empty()) out.push_back(std::move(path));
}

// The path without links; as it is when nothing is there, empty for what has none.
std::string real_path(const std::string& path) {
  std::array<char, PATH_MAX> buffer{};
  if (path == "-") return {};
  if (::realpath(path.c_str(), buffer.data()) != nullptr) return buffer.data();
  return path.starts_with('/') ? path : std::string();
}

// Where an open file lies; a pipe without a name has no path.
Result<std::string> path_of(BorrowedFd file) {
  ASSIGN_OR_RETURN(std::string path, sys::path_of(file));
  if (!path.starts_with('/')) path.clear();
  return path;
}

struct Question {
  std::string shown;
  policy::Subject subject;
  std::optional<oci_image::Reference> reference = {};
};

// "docker.io/library/busybox", or "oci-archive:/path"
Result<Question> question_of(const std::string& text) {
  for (const TransportWord& known : kTransports) {
    const std::string prefix = std::string(known.word) + ":";
    if (!text.starts_with(prefix)) continue;
    // Which of its images is asked for makes no difference: "oci:/layout:name".
    const auto place = place_to_write(text);
    const std::string path = place ? place->path : text.substr(prefix.size());
    return Question{.shown = text, .subject = policy::path_subject(known.word, real_path(path))};
  }
  ASSIGN_OR_RETURN(auto names, registry_names(text));
  oci_image::Reference reference = std::move(names.front());
  if (reference.tag.empty() && !reference.digest) reference.tag = oci_image::kDefaultTag;
  Question out{.shown = reference.str(), .subject = policy::registry_subject(reference)};
  out.reference = std::move(reference);
  return out;
}

void describe_requirements(codec::json::Writer& out, const policy::Requirements& requirements) {
  out.key("requirements").begin_array();
  for (const policy::Requirement& requirement : requirements) {
    out.begin_object().field("type", requirement.type).field("description", policy::describe(requirement));
    if (!requirement.key_paths.empty()) out.field("key_paths", requirement.key_paths);
    out.field("supported", requirement.kind != policy::Requirement::Kind::kUnsupported).end_object();
  }
  out.end_array();
}

std::string words_of(const policy::Requirements& requirements) {
  std::vector<std::string> out;
  for (const policy::Requirement& requirement : requirements) out.push_back(policy::describe(requirement));
  return join(out, "; ");
}

// Every rule of the policy.
Status show_all(const Context& context, const policy::Gate& gate) {
  std::vector<policy::Rule> rules;
  if (gate.policy()) {
    for (const auto& [transport, scopes] : gate.policy()->transports) {
      for (const auto& [scope, requirements] : scopes)
        rules.push_back({&requirements, transport + ": " + (scope.empty() ? "default" : scope)});
    }
    rules.push_back({&gate.policy()->standard, "default"});
  }
  if (context.json()) {
    codec::json::Writer out = context.json_writer();
    out.begin_object().field("policy", gate.file()).key("rules").begin_array();
    for (const policy::Rule& rule : rules) {
      out.begin_object().field("place", rule.place);
      describe_requirements(out, *rule.requirements);
      out.end_object();
    }
    out.end_array().end_object();
    return print_json(out);
  }
  if (rules.empty()) return print("There is no policy: every image is taken.\n");
  Table table({"IMAGES", "REQUIREMENTS"});
  for (const policy::Rule& rule : rules) table.add({printable(rule.place), printable(words_of(*rule.requirements))});
  return print("policy " + printable(gate.file()) + "\n" + table.text());
}

Status show_one(const Context& context, const policy::Gate& gate, const Question& question) {
  const auto rule = gate.rule(question.subject);
  policy::Places places;
  if (question.reference) {
    ASSIGN_OR_RETURN(places, gate.places(*question.reference));
  }
  if (context.json()) {
    codec::json::Writer out = context.json_writer();
    out.begin_object().field("image", question.shown).field("policy", gate.file());
    if (rule) {
      out.field("place", rule->place);
      describe_requirements(out, *rule->requirements);
    }
    if (question.reference)
      out.field("lookaside", places.lookaside).field("sigstore_attachments", places.sigstore_attachments);
    out.end_object();
    return print_json(out);
  }
  Table table({"IMAGE", printable(question.shown)});
  table.add({"POLICY", gate.file().empty() ? "none: every image is taken" : printable(gate.file())});
  if (rule) {
    table.add({"RULE", printable(rule->place)});
    for (const policy::Requirement& requirement : *rule->requirements)
      table.add({"REQUIRES", printable(policy::describe(requirement))});
  }
  if (question.reference) {
    table.add({"LOOKASIDE", places.lookaside.empty() ? "none" : printable(places.lookaside)});
    table.add({"SIGSTORE", places.sigstore_attachments ? "attachments beside the image" : "not looked for"});
  }
  return print(table.text());
}

}  // namespace

Result<policy::Gate> open_gate(const Context& context, const std::string& file) {
  const Settings& settings = context.settings();
  policy::GateOptions options;
  options.file = file.empty() ? settings.signature_policy : file;
  add_home_file(options.files, "/.config/containers/policy.json");
  options.files.insert(options.files.end(), {"/etc/cooper/policy.json", "/etc/containers/policy.json"});
  if (!settings.registries.signatures_dir.empty()) {
    options.directories = {settings.registries.signatures_dir};
  } else {
    add_home_file(options.directories, "/.config/containers/registries.d");
    options.directories.insert(options.directories.end(), {"/etc/cooper/registries.d", "/etc/containers/registries.d"});
  }
  const std::string own = home_file("/.local/share/containers/sigstore");
  options.standard_lookaside = "file://" + (own.empty() ? "/var/lib/containers/sigstore" : own);
  options.fetch_program = io::find_helper("cooper-fetch", settings.registries.fetch_path, "fetch_path").value_or("");
  options.gpgv_program = settings.trust.gpgv_path;
  auto gate = policy::Gate::open(std::move(options));
  if (!gate.ok()) return std::move(gate).error().with("signature policy");
  return gate;
}

Result<UniqueFd> guard(image::LoadOptions& options, const policy::Gate& gate) {
  UniqueFd file;
  std::string path;
  if (options.path != "-") {
    ASSIGN_OR_RETURN(file, sys::openat(sys::kCwd, options.path, O_RDONLY | O_NOCTTY | O_NONBLOCK));
    ASSIGN_OR_RETURN(path, path_of(file));
    options.file = file;
  }
  options.admit = [&gate, path](image::Transport transport) -> Status {
    const auto known = std::ranges::find(kTransports, transport, &TransportWord::transport);
    COOPER_ASSERT(known != kTransports.end());
    RETURN_IF_ERROR(gate.enter(policy::path_subject(known->word, path), false));
    return {};
  };
  return file;
}

void guard(image::BuildOptions& options, const policy::Gate& gate) {
  options.admit = [&gate](BorrowedFd directory) -> Status {
    ASSIGN_OR_RETURN(const std::string path, path_of(directory));
    RETURN_IF_ERROR(gate.enter(policy::path_subject(kDirectoryWord, path), false));
    return {};
  };
}

Status admit_file(const Context& context, const image::FileImage& file) {
  ASSIGN_OR_RETURN(const policy::Gate gate, open_gate(context, ""));
  auto entered = gate.enter(policy::path_subject(file.format, file.filesystem.file), false);
  if (!entered.ok()) return std::move(entered).error().with("image file " + quoted(file.filesystem.file));
  return {};
}

Status admit_aci(const policy::Gate& gate, BorrowedFd file) {
  std::string path;
  if (file.get() >= 0) {
    ASSIGN_OR_RETURN(path, path_of(file));
  }
  RETURN_IF_ERROR(gate.enter(policy::path_subject(kAciWord, path), false));
  return {};
}

Result<int> show_policy(const Context& context, const Args& args) {
  std::optional<Question> question;
  if (!args.positional().empty()) {
    ASSIGN_OR_RETURN(question, question_of(args.positional().front()));
  }
  context.command_line_is_read();
  ASSIGN_OR_RETURN(const policy::Gate gate, open_gate(context, args.last("signature-policy").value_or("")));
  RETURN_IF_ERROR(question ? show_one(context, gate, *question) : show_all(context, gate));
  return 0;
}

}  // namespace cooper::cli
