// cooper trust: whose signatures count.
#include <fmt/format.h>

#include "base/strings.h"
#include "cli/cooper/command.h"
#include "cli/cooper/key_review.h"
#include "cli/cooper/output.h"
#include "io/file.h"
#include "trust/store.h"

namespace cooper::cli {
namespace {

constexpr std::array<Flag, 2> kWhereFlags = {{
    {"prefix", 0, "NAME", "for images of that name, and all whose names go on with a slash behind it"},
    {"root", 0, "", "for every image"},
}};
constexpr std::array<Flag, 2> kAddFlags = {{
    {"fingerprint", 0, "FINGERPRINT", "add this key and no other of the files, without a question; may be given again"},
    {"skip-fingerprint-review", 0, "", "do not ask whether the fingerprint is right"},
}};

// nullopt: neither was given. An empty text is root.
Result<std::optional<std::string>> where(const Args& args) {
  const auto prefix = args.last("prefix");
  if (prefix && args.enabled("root")) return Error(Errc::kInvalidArgument, "--prefix and --root exclude each other");
  if (prefix) {
    RETURN_IF_ERROR(trust::check_prefix(*prefix));
    return std::optional<std::string>(*prefix);
  }
  return args.enabled("root") ? std::optional<std::string>("") : std::nullopt;
}

std::string target_of(const std::string& prefix) {
  return prefix.empty() ? "every image" : quoted(prefix);
}

Result<std::vector<std::string>> fingerprints_of(const std::vector<std::string>& words) {
  std::vector<std::string> out;
  for (const std::string& word : words) {
    ASSIGN_OR_RETURN(std::string fingerprint, trust::parse_fingerprint(word));
    out.push_back(std::move(fingerprint));
  }
  return out;
}

Error needs_rights(Error error, const std::string& directory) {
  if (error.code() != Errc::kPermission || error.errno_value() == 0) return error;
  return std::move(error).with_hint(
      "use sudo, or another directory: \"trust.directory\" of the configuration; now it is " + quoted(directory));
}

Status add_keys(const Context& context, const std::vector<trust::Key>& keys, const std::string& prefix) {
  trust::KeyStore store(context.settings().trust.directories);
  for (const trust::Key& key : keys) {
    auto added = store.add(key, prefix);
    const std::string& directory = context.settings().trust.directories.local;
    if (!added.ok()) {
      return needs_rights(std::move(added).error(), directory)
          .with("trust key " + trust::print_fingerprint(key.fingerprint));
    }
    std::string_view how = "Trusted";
    if (*added == trust::KeyStore::Added::kThere) how = "Trusted before";
    if (*added == trust::KeyStore::Added::kRenewed) how = "Renewed";
    RETURN_IF_ERROR(
        print(fmt::format("{}: {} for {}\n", how, trust::print_fingerprint(key.fingerprint), target_of(prefix))));
  }
  return {};
}

Result<int> add(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const auto prefix, where(args));
  if (!prefix) {
    return Error(Errc::kInvalidArgument, "for which images shall the key be good?")
        .with_hint("say --prefix NAME, or --root for all of them");
  }
  KeyReview review{.prefix = *prefix, .fingerprints = {}, .skip = args.enabled("skip-fingerprint-review")};
  ASSIGN_OR_RETURN(review.fingerprints, fingerprints_of(args.all("fingerprint")));
  context.command_line_is_read();
  // All of them are right before one is trusted.
  std::vector<trust::Key> keys;
  for (const std::string& path : args.positional()) {
    auto file = io::read_regular_file(path, trust::kMaxKeyFileBytes);
    if (!file.ok()) return std::move(file).error().with("key file " + quoted(path));
    const std::string what = "key file " + quoted(path);
    ASSIGN_OR_RETURN(std::vector<trust::Key> found, trust::parse_keys(*file, what));
    ASSIGN_OR_RETURN(std::vector<trust::Key> wanted, review_keys(std::move(found), what, review));
    for (trust::Key& key : wanted) keys.push_back(std::move(key));
  }
  RETURN_IF_ERROR(add_keys(context, keys, *prefix));
  return 0;
}

Result<int> ls(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const auto prefix, where(args));
  context.command_line_is_read();
  const trust::KeyStore store(context.settings().trust.directories);
  ASSIGN_OR_RETURN(const auto entries, store.list());
  codec::json::Writer out;
  out.begin_object().key("keys").begin_array();
  Table table({"FOR", "FINGERPRINT", "FROM", "OWNER"});
  for (const trust::TrustedKey& entry : entries) {
    if (prefix && entry.prefix != *prefix) continue;
    // One broken file hides no other.
    const auto key = trust::KeyStore::read(entry);
    const std::vector<std::string> owners =
        key.ok() ? key->user_ids : std::vector<std::string>{"unreadable: " + key.error().message()};
    const char* from = entry.masked ? "vendor, masked" : entry.vendor ? "vendor" : "local";
    table.add({entry.prefix.empty() ? "(all)" : entry.prefix, entry.fingerprint, from, join(owners, ", ")});
    out.begin_object()
        .field("prefix", entry.prefix)
        .field("fingerprint", entry.fingerprint)
        .field("path", entry.path)
        .field("vendor", entry.vendor)
        .field("masked", entry.masked)
        .field("usable", key.ok())
        .field("user_ids", owners)
        .end_object();
  }
  out.end_array().end_object();
  RETURN_IF_ERROR(context.json() ? print_json(out) : print(table.text()));
  return 0;
}

Result<int> rm(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const auto prefix, where(args));
  ASSIGN_OR_RETURN(const auto fingerprints, fingerprints_of(args.positional()));
  context.command_line_is_read();
  const trust::TrustDirectories& directories = context.settings().trust.directories;
  trust::KeyStore store(directories);
  for (const std::string& fingerprint : fingerprints) {
    auto removed = store.remove(fingerprint, prefix);
    if (!removed.ok()) return needs_rights(std::move(removed).error(), directories.local);
    if (removed->empty()) {
      return Error(Errc::kNotFound, "key " + trust::print_fingerprint(fingerprint) + " is not trusted" +
                                        (prefix ? " for " + target_of(*prefix) : ""))
          .with_hint("cooper trust ls");
    }
    for (const trust::TrustedKey& entry : *removed) {
      RETURN_IF_ERROR(print(fmt::format("{}: {} for {}\n", entry.masked ? "Masked" : "Removed",
                                        trust::print_fingerprint(entry.fingerprint), target_of(entry.prefix))));
    }
  }
  return 0;
}

}  // namespace

std::span<const Command> trust_commands() {
  static const std::array<Command, 3> kCommands = {{
      {.path = "trust add",
       .usage = "FILE...",
       .summary = "trust the owners of keys to sign images",
       .description = "FILE holds OpenPGP public keys. Each is shown, and trusted when you say yes: compare the "
                      "fingerprint with one from another source than the file.",
       .flags = {kWhereFlags, kAddFlags},
       .min_args = 1,
       .handler = add,
       .completes = Completes::kFiles},
      {.path = "trust ls",
       .summary = "list the keys that are trusted, and for which images",
       .flags = {kWhereFlags},
       .max_args = 0,
       .handler = ls},
      {.path = "trust rm",
       .usage = "FINGERPRINT...",
       .summary = "trust keys no longer",
       .description =
           "For every image, or those of --prefix, or --root. A key that the distribution brings is masked by "
           "an empty file.",
       .flags = {kWhereFlags},
       .min_args = 1,
       .handler = rm},
  }};
  return kCommands;
}

}  // namespace cooper::cli
