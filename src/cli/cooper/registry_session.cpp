#include "cli/cooper/registry_session.h"

#include <unistd.h>

#include <cstdlib>

#include "base/strings.h"
#include "cli/cooper/relay.h"
#include "cli/cooper/time_text.h"
#include "fetch/sources.h"
#include "image/short_names.h"
#include "io/event_loop.h"
#include "io/helper_program.h"
#include "io/tty.h"
#include "log/log.h"
#include "sys/file.h"

namespace cooper::cli {

constexpr std::array<Flag, 7> kRegistryFlags = {{
    {"creds", 0, "USER:PASSWORD", "for the registry; others may see it in the list of processes"},
    {"authfile", 0, "FILE", "credentials as podman login and docker login write them", Flag::Complete::kFile},
    {"cert-dir", 0, "DIR", "*.crt: authorities to trust; NAME.cert and NAME.key: what the registry asks for",
     Flag::Complete::kDirectory},
    {"tls-verify", 0, "", "false: plain http and unknown certificates are good enough for this registry"},
    {"retry", 0, "N", "how often a request that failed in a way that passes is sent again (default 4)"},
    {"retry-delay", 0, "DURATION", "the pause before each (default: half a second, and twice as long each time)"},
    {"quiet", 'q', "", "no progress, and no more than the id or the digest"},
}};

namespace {

std::string variable(const char* name) {
  const char* value = ::secure_getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::string first_of(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (std::string value = variable(name); !value.empty()) return value;
  }
  return {};
}

// As curl reads them: HTTP_PROXY in capitals may come from a request (CGI).
fetch::Proxies proxies() {
  return {.http = first_of({"http_proxy", "all_proxy", "ALL_PROXY"}),
          .https = first_of({"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}),
          .exceptions = first_of({"no_proxy", "NO_PROXY"})};
}

fetch::CredentialSearch credential_search(const std::string& auth_file) {
  fetch::CredentialSearch out;
  if (!auth_file.empty()) {
    out.must_files.push_back(auth_file);
  } else if (const std::string named = variable("REGISTRY_AUTH_FILE"); !named.empty()) {
    out.must_files.push_back(named);
  }
  out.directories = {"/etc/cooper/auth.d", "/usr/lib/cooper/auth.d"};
  if (const std::string runtime = variable("XDG_RUNTIME_DIR"); !runtime.empty()) {
    out.files.push_back(runtime + "/containers/auth.json");
  } else {
    out.files.push_back("/run/containers/" + std::to_string(caller_uid()) + "/auth.json");
  }
  const std::string home = variable("HOME");
  if (const std::string config = variable("XDG_CONFIG_HOME"); !config.empty()) {
    out.files.push_back(config + "/containers/auth.json");
  } else if (!home.empty()) {
    out.files.push_back(home + "/.config/containers/auth.json");
  }
  if (const std::string docker = variable("DOCKER_CONFIG"); !docker.empty()) {
    out.files.push_back(docker + "/config.json");
  } else if (!home.empty()) {
    out.files.push_back(home + "/.docker/config.json");
  }
  for (char** word = environ; *word != nullptr; ++word) out.environment.emplace_back(*word);
  return out;
}

Result<fetch::Setup> setup_for(const RegistrySettings& settings, const oci_image::Reference& reference,
                               const RegistryAccess& access, image::FetchFrom from, const std::string& lookaside,
                               RegistrySession::For purpose) {
  ASSIGN_OR_RETURN(fetch::SourceOptions options, source_options(access));
  options.insecure = settings.insecure;
  options.mirrors = settings.mirrors;
  options.mirrors_too = from == image::FetchFrom::kMirrorsToo;
  options.push = purpose == RegistrySession::For::kPush;
  ASSIGN_OR_RETURN(options.containers, read_registries_conf());
  fetch::Setup setup = session_setup(settings, access);
  ASSIGN_OR_RETURN(setup.endpoints, fetch::endpoints_of(reference, options));
  if (!lookaside.empty()) {
    ASSIGN_OR_RETURN(setup.lookaside, fetch::lookaside_of(lookaside, options));
  }
  return setup;
}

}  // namespace

Result<fetch::SourceOptions> source_options(const RegistryAccess& access) {
  fetch::SourceOptions options;
  options.verify_tls = access.verify_tls;
  options.certificate_directory = access.certificate_directory;
  // As with signature policies: what root takes does not hang on the home of whoever calls.
  if (const std::string home = caller_is_root() ? "" : variable("HOME"); home.starts_with('/'))
    options.certificate_directories.push_back(home + "/.config/containers/certs.d");
  options.certificate_directories.insert(options.certificate_directories.end(),
                                         {"/etc/cooper/certs.d", "/etc/containers/certs.d", "/etc/docker/certs.d"});
  options.search = credential_search(access.auth_file);
  if (!access.credentials.empty()) {
    ASSIGN_OR_RETURN(options.credentials, fetch::parse_credentials(access.credentials));
  }
  return options;
}

fetch::Setup session_setup(const RegistrySettings& settings, const RegistryAccess& access) {
  fetch::Setup setup{.endpoints = {}};
  setup.proxies = proxies();
  setup.parallel = settings.parallel;
  setup.stall_timeout_s = settings.stall_timeout_s;
  if (access.retries) setup.attempts = *access.retries + 1;
  setup.pause_ms = access.retry_delay_ms;
  return setup;
}

namespace {

Result<std::uint64_t> retry_delay(const std::string& text) {
  constexpr std::int64_t kNsInMs = 1'000'000;
  const auto ns = parse_seconds_ns(text);
  if (ns.ok() && *ns >= 0 && *ns / kNsInMs <= static_cast<std::int64_t>(fetch::kMaxPauseMs))
    return static_cast<std::uint64_t>(*ns / kNsInMs);
  return Error(Errc::kInvalidArgument, "--retry-delay: " + quoted(text) + " is no duration up to an hour")
      .with_hint("for example 500ms, 5s or 2m");
}

}  // namespace

Result<RegistryAccess> registry_access(const Args& args) {
  RegistryAccess out;
  out.credentials = args.last("creds").value_or("");
  if (args.has("creds")) {
    auto credentials = fetch::parse_credentials(out.credentials);
    if (!credentials.ok()) return std::move(credentials).error().with("--creds");
  }
  out.auth_file = args.last("authfile").value_or("");
  out.certificate_directory = args.last("cert-dir").value_or("");
  if (args.has("tls-verify")) out.verify_tls = args.enabled("tls-verify");
  out.quiet = args.enabled("quiet");
  if (const auto text = args.last("retry")) {
    out.retries = parse_number<unsigned>(*text);
    if (!out.retries || *out.retries >= fetch::kMaxAttempts)
      return Error(Errc::kInvalidArgument,
                   "--retry: " + quoted(*text) + " is no number from 0 to " + std::to_string(fetch::kMaxAttempts - 1));
  }
  if (const auto text = args.last("retry-delay")) {
    ASSIGN_OR_RETURN(out.retry_delay_ms, retry_delay(*text));
  }
  return out;
}

RegistrySession::RegistrySession(const Context& context, oci_image::Reference reference, RegistryAccess access,
                                 For purpose)
    : context_(context),
      reference_(std::move(reference)),
      access_(std::move(access)),
      purpose_(purpose),
      lines_(LayerLines::place(access_.quiet)) {}

void show_transfers(LayerLines& lines, std::span<const fetch::TransferProgress> transfers) {
  const io::WindowSize window = window_to_draw(io::window_size(BorrowedFd(STDERR_FILENO)), ::secure_getenv("COLUMNS"));
  const std::string text = lines.update(transfers, io::monotonic_ms(), window.rows, window.columns);
  // A picture nobody sees.
  (void)!sys::write_all(BorrowedFd(STDERR_FILENO), text).ok();
}

Result<std::unique_ptr<fetch::Client>> RegistrySession::start(image::FetchFrom from) {
  const RegistrySettings& settings = context_.settings().registries;
  ASSIGN_OR_RETURN(std::string program, io::find_helper("cooper-fetch", settings.fetch_path, "fetch_path"));
  ASSIGN_OR_RETURN(fetch::Setup setup, setup_for(settings, reference_, access_, from, lookaside_, purpose_));
  setup.push = purpose_ == For::kPush;
  if (!signals_) {
    ASSIGN_OR_RETURN(StopSignals opened, StopSignals::open());
    signals_.emplace(std::move(opened));
  }
  return fetch::Client::start(
      {.program = std::move(program),
       .setup = std::move(setup),
       .cancel = signals_->fd(),
       .progress = [this](std::span<const fetch::TransferProgress> layers) { show_transfers(lines_, layers); }});
}

void RegistrySession::end_if_cancelled(const Error& error) {
  if (error.code() == Errc::kCancelled && signals_) die_by_signal(signals_->taken());
}

namespace {

Status check_length(const oci_image::Reference& reference) {
  if (reference.name().size() <= oci_image::kMaxNameBytes) return {};
  return Error(Errc::kInvalidArgument, "image name " + quoted(reference.name()) + " is too long");
}

}  // namespace

Result<fetch::RegistriesConfig> read_registries_conf() {
  fetch::RegistriesFiles files;
  // As with signature policies: what root takes does not hang on the home of whoever calls.
  const std::string home = caller_is_root() ? "" : variable("HOME");
  const std::string own = home.starts_with('/') ? home + "/.config/containers/registries.conf" : "";
  files.must_file = variable("CONTAINERS_REGISTRIES_CONF");
  if (!own.empty()) files.files.push_back(own);
  files.files.insert(files.files.end(), {"/etc/cooper/registries.conf", "/etc/containers/registries.conf"});
  files.directories = {"/etc/containers/registries.conf.d", "/etc/cooper/registries.conf.d"};
  if (!own.empty()) files.directories.push_back(own + ".d");
  auto config = fetch::read_registries(files);
  if (!config.ok()) return std::move(config).error().with("registries.conf");
  return config;
}

Result<std::vector<oci_image::Reference>> registry_names(const std::string& text) {
  ASSIGN_OR_RETURN(const oci_image::Reference reference, oci_image::parse_reference(text));
  std::vector<oci_image::Reference> names = {reference};
  if (reference.registry.empty()) {
    ASSIGN_OR_RETURN(const fetch::RegistriesConfig config, read_registries_conf());
    ASSIGN_OR_RETURN(names, fetch::full_names(config, reference));
  }
  for (const oci_image::Reference& name : names) RETURN_IF_ERROR(check_length(name));
  return names;
}

void know_short_names() {
  image::set_short_names([](const oci_image::Reference& reference) {
    const auto config = read_registries_conf();
    if (!config.ok()) log::warning(config.error().message());
    if (!config.ok()) return std::vector<oci_image::Reference>();
    return fetch::full_names(*config, reference).value_or({});
  });
}

Result<oci_image::Reference> full_reference(const std::string& text) {
  ASSIGN_OR_RETURN(oci_image::Reference reference, oci_image::parse_reference(text));
  reference = oci_image::qualify(std::move(reference), oci_image::kDockerHub);
  RETURN_IF_ERROR(check_length(reference));
  return reference;
}

}  // namespace cooper::cli
