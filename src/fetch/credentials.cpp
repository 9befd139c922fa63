#include "fetch/credentials.h"

#include <poll.h>
#include <signal.h>

#include <algorithm>

#include "base/chars.h"
#include "base/strings.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "fetch/spawn.h"
#include "io/event_loop.h"
#include "io/file.h"
#include "spec/oci_image/reference.h"
#include "spec/oci_image/types.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cooper::fetch {
namespace {

using codec::json::Cursor;
using codec::json::Document;

constexpr std::size_t kMaxFileBytes = std::size_t{4} << 20;
constexpr std::size_t kMaxAnswerBytes = std::size_t{64} << 10;
constexpr std::int64_t kHelperTimeoutMs = 60'000;
constexpr std::string_view kHubKey = "https://index.docker.io/v1/";

// "https://Registry.example/v1/" -> "registry.example". An address is that of a registry, whatever path it has; without
// a scheme the path is the beginning of a repository, but for a version with its slash.
std::string clean_name(std::string_view name) {
  bool address = false;
  for (const std::string_view scheme : {std::string_view("https://"), std::string_view("http://")}) {
    if (!name.starts_with(scheme)) continue;
    name.remove_prefix(scheme.size());
    address = true;
  }
  const std::size_t end = std::min(name.find('/'), name.size());
  if (address || name.substr(end) == "/v1/" || name.substr(end) == "/v2/") name = name.substr(0, end);
  while (name.ends_with('/')) name.remove_suffix(1);
  const std::size_t slash = name.find('/');
  std::string out = to_lower(name.substr(0, slash));
  if (out == "index.docker.io" || out == "registry-1.docker.io") out = oci_image::kDockerHub;
  return slash == std::string_view::npos ? out : out + std::string(name.substr(slash));
}

// The entry that is named as it is looked for wins over one that is so only when cleaned, unless it is empty.
void add_entry(AuthFile& file, std::string_view name, Credentials entry) {
  const std::string clean = clean_name(name);
  const auto [at, added] = file.entries.emplace(clean, entry);
  if (added) return;
  const bool wins = name == clean ? entry != Credentials() : at->second == Credentials();
  if (wins) at->second = std::move(entry);
}

bool is_helper_name(std::string_view name) {
  return !name.empty() && name.size() <= 128 &&
         std::ranges::all_of(name, [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; });
}

Result<std::string> helper_name(const Cursor& at) {
  ASSIGN_OR_RETURN(std::string name, at.string());
  if (!name.empty() && !is_helper_name(name)) return at.error("bad name of a helper program, " + quoted(name));
  return name;
}

Result<Credentials> parse_entry(const Cursor& at) {
  RETURN_IF_ERROR(at.expect_object());
  Credentials out;
  std::string auth;
  RETURN_IF_ERROR(at.read("auth", auth));
  RETURN_IF_ERROR(at.read("username", out.username));
  RETURN_IF_ERROR(at.read("password", out.password));
  RETURN_IF_ERROR(at.read("identitytoken", out.identity_token));
  RETURN_IF_ERROR(at.read("registrytoken", out.bearer_token));
  if (auth.empty()) return out;
  const auto decoded = codec::base64_decode(auth);
  const auto pair = decoded ? split_once(*decoded, ':') : std::nullopt;
  if (!pair) return at.error("'auth' is not the base64 of user:password");
  out.username = std::string(pair->first);
  // docker pads it so.
  out.password = std::string(pair->second.substr(0, pair->second.find('\0')));
  return out;
}

// A file of rkt's, which knows one set of credentials for several hosts.
Result<AuthFile> parse_rkt(const Cursor& root, const std::string& kind) {
  std::string version;
  std::string type = "basic";
  RETURN_IF_ERROR(root.read("rktVersion", version));
  if (version != "v1") return root.error("is of version " + quoted(version) + " of rkt's files, of which v1 is known");
  const bool docker = kind == "dockerAuth";
  if (!docker && kind != "auth")
    return root.error("is of kind " + quoted(kind) + ", of which no credentials come: auth and dockerAuth are known");
  if (!docker) RETURN_IF_ERROR(root.read("type", type));
  const auto secrets = root.get("credentials");
  if (!secrets) return root.error("has no 'credentials'");
  RETURN_IF_ERROR(secrets->expect_object());
  Credentials credentials;
  if (type == "basic") {
    RETURN_IF_ERROR(secrets->read("user", credentials.username));
    RETURN_IF_ERROR(secrets->read("password", credentials.password));
    if (credentials.username.empty()) return secrets->error("has no 'user'");
  } else if (type == "oauth") {
    RETURN_IF_ERROR(secrets->read("token", credentials.bearer_token));
    if (credentials.bearer_token.empty()) return secrets->error("has no 'token'");
  } else {
    return root.error("is of type " + quoted(type) + ": basic and oauth are known");
  }
  std::vector<std::string> hosts;
  const std::string_view key = docker ? "registries" : "domains";
  RETURN_IF_ERROR(root.read(key, hosts));
  if (hosts.empty()) return root.error("names no " + std::string(key));
  AuthFile out;
  for (const std::string& host : hosts) add_entry(out, host, credentials);
  return out;
}

// From the most special name to the registry alone.
std::vector<std::string> names_for(const std::string& registry, const std::string& repository) {
  std::string name = to_lower(registry) + "/" + repository;
  std::vector<std::string> out;
  while (true) {
    out.push_back(name);
    const std::size_t slash = name.rfind('/');
    if (slash == std::string::npos) return out;
    name.resize(slash);
  }
}

// Everything the program prints; Errc::kTimeout when that takes too long.
Result<std::string> read_answer(BorrowedFd pipe) {
  const std::int64_t deadline = io::monotonic_ms() + kHelperTimeoutMs;
  std::string out;
  std::string buffer(4096, '\0');
  while (out.size() <= kMaxAnswerBytes) {
    struct pollfd one = {pipe.get(), POLLIN, 0};
    const std::int64_t left = deadline - io::monotonic_ms();
    if (left <= 0 || ::poll(&one, 1, static_cast<int>(left)) == 0)
      return Error(Errc::kTimeout, "no answer within a minute", ETIMEDOUT);
    ASSIGN_OR_RETURN(const std::size_t n, sys::read(pipe, buffer));
    if (n == 0) return out;
    out.append(buffer, 0, n);
  }
  return Error(Errc::kLimit, "its answer is larger than " + format_bytes(kMaxAnswerBytes));
}

Result<std::optional<Credentials>> ask_helper(const std::string& name, const std::string& registry,
                                              const std::vector<std::string>& environment) {
  const std::string program = "docker-credential-" + name;
  ASSIGN_OR_RETURN(auto input, sys::pipe2());
  ASSIGN_OR_RETURN(auto output, sys::pipe2());
  ASSIGN_OR_RETURN(const pid_t pid,
                   spawn({.program = program,
                          .args = {"get"},
                          .env = environment,
                          .descriptors = {{input.read.get(), STDIN_FILENO}, {output.write.get(), STDOUT_FILENO}}}));
  output.write.reset();
  // A few bytes into an empty pipe; a program that does not read them is judged by its answer. It may have ended: our
  // own end for reading keeps that from being SIGPIPE.
  (void)!sys::write_all(input.write, registry == oci_image::kDockerHub ? kHubKey : std::string_view(registry)).ok();
  input.read.reset();
  input.write.reset();
  auto answer = read_answer(output.read);
  if (!answer.ok()) (void)::kill(pid, SIGKILL);
  ASSIGN_OR_RETURN(const auto status, sys::waitpid(pid));
  if (!answer.ok()) return std::move(answer).error().with("helper program " + quoted(program));
  if (status.shell_code() != 0) {
    // In the words of the protocol of helper programs.
    if (answer->find("not found") != std::string::npos) return std::optional<Credentials>();
    return Error(Errc::kSystem, "helper program " + quoted(program) + " failed with status " +
                                    std::to_string(status.shell_code()) + ": " + quoted(trim(*answer)));
  }
  ASSIGN_OR_RETURN(Credentials credentials, parse_helper_answer(std::move(*answer), program));
  return std::optional(std::move(credentials));
}

std::optional<Credentials> entry_of(const AuthFile& file, const std::string& name) {
  const auto entry = file.entries.find(name);
  if (entry == file.entries.end() || entry->second == Credentials()) return std::nullopt;
  return entry->second;
}

Result<std::optional<Credentials>> find_in(const AuthFile& file, const CredentialSearch& search,
                                           const std::string& registry, const std::string& repository) {
  const auto own_helper = file.helpers.find(to_lower(registry));
  if (own_helper != file.helpers.end()) return ask_helper(own_helper->second, registry, search.environment);
  std::vector<std::string> names = names_for(registry, repository);
  const std::string whole = std::move(names.back());
  names.pop_back();
  // Helper programs know whole registries only.
  for (const std::string& name : names) {
    if (auto found = entry_of(file, name)) return found;
  }
  auto own = entry_of(file, whole);
  if (file.helper.empty()) return own;
  // With a store an entry of the registry is one that docker has left behind.
  auto stored = ask_helper(file.helper, registry, search.environment);
  // A file may have come here without the program that it names.
  const bool no_program = !stored.ok() && stored.error().errno_value() == ENOENT;
  if (own && (no_program || (stored.ok() && !*stored))) return own;
  return stored;
}

Result<std::vector<std::string>> files_of(const CredentialSearch& search) {
  std::vector<std::string> out;
  for (const std::string& directory : search.directories) {
    const auto fd = sys::openat(sys::kCwd, directory, O_RDONLY | O_DIRECTORY);
    if (!fd.ok()) continue;
    ASSIGN_OR_RETURN(auto names, sys::list_directory(*fd));
    std::ranges::sort(names);
    for (const std::string& name : names) {
      if (name.ends_with(".json") && !name.starts_with('.'))
        out.push_back(std::string(directory).append("/").append(name));
    }
  }
  out.insert(out.end(), search.files.begin(), search.files.end());
  return out;
}

}  // namespace

Result<AuthFile> parse_auth_file(std::string text, std::string_view what) {
  ASSIGN_OR_RETURN(const Document document, Document::parse(std::move(text), what));
  const Cursor root(document.root(), what);
  RETURN_IF_ERROR(root.expect_object());
  std::string kind;
  RETURN_IF_ERROR(root.read("rktKind", kind));
  if (!kind.empty()) return parse_rkt(root, kind);
  AuthFile out;
  if (const auto auths = root.get("auths")) {
    RETURN_IF_ERROR(auths->for_each_member([&](std::string_view name, const Cursor& at) -> Status {
      ASSIGN_OR_RETURN(Credentials entry, parse_entry(at));
      add_entry(out, name, std::move(entry));
      return {};
    }));
  }
  if (const auto helpers = root.get("credHelpers")) {
    RETURN_IF_ERROR(helpers->for_each_member([&](std::string_view name, const Cursor& at) -> Status {
      ASSIGN_OR_RETURN(std::string helper, helper_name(at));
      if (!helper.empty()) out.helpers.insert_or_assign(clean_name(name), std::move(helper));
      return {};
    }));
  }
  if (const auto store = root.get("credsStore")) {
    ASSIGN_OR_RETURN(out.helper, helper_name(*store));
  }
  return out;
}

Result<Credentials> parse_helper_answer(std::string text, std::string_view what) {
  ASSIGN_OR_RETURN(const Document document, Document::parse(std::move(text), what));
  const Cursor root(document.root(), what);
  RETURN_IF_ERROR(root.expect_object());
  Credentials out;
  std::string secret;
  RETURN_IF_ERROR(root.read("Username", out.username));
  RETURN_IF_ERROR(root.read("Secret", secret));
  if (secret.empty()) return root.error("no secret");
  if (out.username == "<token>") return Credentials{.identity_token = std::move(secret)};
  out.password = std::move(secret);
  return out;
}

Result<Credentials> parse_credentials(std::string_view text) {
  const auto pair = split_once(text, ':');
  if (!pair || pair->first.empty()) return Error(Errc::kInvalidArgument, "credentials must be USER:PASSWORD");
  return Credentials{.username = std::string(pair->first), .password = std::string(pair->second)};
}

Result<std::optional<Credentials>> find_credentials(const CredentialSearch& search, const std::string& registry,
                                                    const std::string& repository) {
  ASSIGN_OR_RETURN(const auto optional_files, files_of(search));
  std::vector<std::string> files = search.must_files;
  files.insert(files.end(), optional_files.begin(), optional_files.end());
  for (std::size_t i = 0; i < files.size(); ++i) {
    auto text = io::read_regular_file(files[i], kMaxFileBytes);
    if (!text.ok()) {
      const int why = text.error().errno_value();
      if (i >= search.must_files.size() && (why == ENOENT || why == ENOTDIR || why == EACCES)) continue;
      return std::move(text).error().with("credentials");
    }
    auto file = parse_auth_file(std::move(*text), files[i]);
    if (!file.ok()) return std::move(file).error().with("credentials");
    auto found = find_in(*file, search, registry, repository);
    if (!found.ok()) return std::move(found).error().with("credentials for " + quoted(registry));
    if (*found) return found;
  }
  return std::optional<Credentials>();
}

}  // namespace cooper::fetch
