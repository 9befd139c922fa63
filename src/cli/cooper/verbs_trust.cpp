// cooper trust: whose signatures count.
#include <fmt/format.h>

#include "base/strings.h"
#include "cli/cooper/aci_fetch.h"
#include "cli/cooper/command.h"
#include "cli/cooper/insecure_options.h"
#include "cli/cooper/key_review.h"
#include "cli/cooper/output.h"
#include "cli/cooper/web_session.h"
#include "io/file.h"
#include "trust/store.h"

namespace cooper::cli {
namespace {

constexpr std::array<Flag, 2> kWhereFlags = {{
    {"prefix", 0, "NAME", "for images of that name, and all whose names go on with a slash behind it"},
    {"all-names", 0, "", "for every image (--root of rkt)"},
}};
constexpr std::array<Flag, 2> kListFlags = {{
    {"prefix", 0, "NAME", "only keys that count for images of that name: its own, those of what is above it, of all"},
    {"all-names", 0, "", "only keys that count for every image"},
}};
constexpr std::array<Flag, 5> kAddFlags = {{
    {"fingerprint", 0, "FINGERPRINT", "add this key and no other of the files, without a question; may be given again"},
    {"skip-fingerprint-review", 0, "", "do not ask whether the fingerprint is right"},
    {"cert-dir", 0, "DIR", "*.crt: authorities to trust; NAME.cert and NAME.key: what a server asks for",
     Flag::Complete::kDirectory},
    {"insecure-allow-http", 0, "", "as --insecure-options=pubkey"},
    kInsecureFlag,
}};

// nullopt: neither was given. An empty text is root.
Result<std::optional<std::string>> where(const Args& args) {
  const auto prefix = args.last("prefix");
  if (prefix && args.enabled("all-names"))
    return Error(Errc::kInvalidArgument, "--prefix and --all-names exclude each other");
  if (prefix) {
    RETURN_IF_ERROR(trust::check_prefix(*prefix));
    return std::optional<std::string>(*prefix);
  }
  return args.enabled("all-names") ? std::optional<std::string>("") : std::nullopt;
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
    RETURN_IF_ERROR(print(describe_added(*added, key, prefix)));
  }
  return {};
}

// Of files and addresses; of none, those that the domain of the prefix names.
Result<std::vector<KeyFile>> key_files(WebSession& web, const std::vector<std::string>& words,
                                       const std::string& prefix, WebSession::Over over) {
  if (words.empty()) return discover_keys(web, prefix, over);
  std::vector<KeyFile> out;
  for (const std::string& word : words) {
    const bool address = word.starts_with("https://") || word.starts_with("http://");
    auto bytes =
        address ? web.text(word, trust::kMaxKeyFileBytes, over) : io::read_regular_file(word, trust::kMaxKeyFileBytes);
    if (!bytes.ok())
      return address ? std::move(bytes).error() : std::move(bytes).error().with("key file " + quoted(word));
    out.push_back({word, std::move(*bytes)});
  }
  return out;
}

Result<int> add(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const auto prefix, where(args));
  if (!prefix) {
    return Error(Errc::kInvalidArgument, "for which images shall the key be good?")
        .with_hint("say --prefix NAME, or --all-names for all of them");
  }
  KeyReview review{.prefix = *prefix, .fingerprints = {}, .skip = args.enabled("skip-fingerprint-review")};
  ASSIGN_OR_RETURN(review.fingerprints, fingerprints_of(args.all("fingerprint")));
  if (args.positional().empty() && prefix->empty()) {
    return Error(Errc::kInvalidArgument, "trust add needs a key file or an address")
        .with_hint("only for a prefix its domain can be asked: --prefix NAME");
  }
  ASSIGN_OR_RETURN(InsecureOptions insecure, insecure_options(args));
  insecure.pubkey = insecure.pubkey || args.enabled("insecure-allow-http");
  context.command_line_is_read();
  WebSession web(context, {.registry = {.certificate_directory = args.last("cert-dir").value_or(""), .quiet = true},
                           .any_certificate = insecure.tls});
  auto files = key_files(web, args.positional(), *prefix,
                         insecure.pubkey ? WebSession::Over::kAnything : WebSession::Over::kTls);
  if (!files.ok()) {
    web.end_if_cancelled(files.error());
    return std::move(files).error();
  }
  // All of them are right before one is trusted.
  std::vector<trust::Key> keys;
  for (const KeyFile& file : *files) {
    const std::string what = "key file " + quoted(file.place);
    ASSIGN_OR_RETURN(std::vector<trust::Key> found, trust::parse_keys(file.bytes, what));
    ASSIGN_OR_RETURN(review.cancel, web.cancel());
    auto wanted = review_keys(std::move(found), what, review);
    if (!wanted.ok()) {
      web.end_if_cancelled(wanted.error());
      return std::move(wanted).error();
    }
    for (trust::Key& key : *wanted) keys.push_back(std::move(key));
  }
  RETURN_IF_ERROR(add_keys(context, keys, *prefix));
  return 0;
}

Result<int> ls(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const auto prefix, where(args));
  context.command_line_is_read();
  const trust::KeyStore store(context.settings().trust.directories);
  ASSIGN_OR_RETURN(const auto entries, store.list());
  codec::json::Writer out = context.json_writer();
  out.begin_object().key("keys").begin_array();
  Table table({"FOR", "FINGERPRINT", "FROM", "OWNER"});
  for (const trust::TrustedKey& entry : entries) {
    if (prefix && !trust::is_meant(entry.prefix, *prefix)) continue;
    // One broken file hides no other.
    const auto key = trust::KeyStore::read(entry);
    const std::vector<std::string> owners =
        key.ok() ? key->user_ids : std::vector<std::string>{"unreadable: " + key.error().message()};
    const char* from = entry.masked ? "vendor, masked" : entry.vendor ? "vendor" : "local";
    table.add({entry.prefix.empty() ? "(all)" : entry.prefix, trust::print_fingerprint(entry.fingerprint), from,
               join(owners, ", ")});
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
       .usage = "[FILE|URL...]",
       .summary = "trust the owners of keys to sign images",
       .description =
           "A file holds OpenPGP public keys. Without one the domain of --prefix is asked which keys are its own "
           "(ac-discovery-pubkeys). Each is shown, and trusted when you say yes: compare the "
           "fingerprint with one from another source than the file.",
       .flags = {kWhereFlags, kAddFlags},
       .handler = add,
       .completes = Completes::kFiles},
      {.path = "trust ls",
       .summary = "list the keys that are trusted, and for which images",
       .flags = {kListFlags},
       .max_args = 0,
       .handler = ls},
      {.path = "trust rm",
       .usage = "FINGERPRINT...",
       .summary = "trust keys no longer",
       .description =
           "For every image, or those of --prefix, or --all-names. A key that the distribution brings is masked by "
           "an empty file.",
       .flags = {kWhereFlags},
       .min_args = 1,
       .handler = rm},
  }};
  return kCommands;
}

}  // namespace cooper::cli
