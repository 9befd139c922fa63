// What pulling and pushing an image have in common: how the registry is reached, whom it is told we are, what people
// see meanwhile, and how a signal ends it.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/error.h"
#include "cli/cooper/command.h"
#include "cli/cooper/image_progress.h"
#include "cli/cooper/stop_signals.h"
#include "fetch/client.h"
#include "fetch/sources.h"
#include "image/store.h"
#include "spec/oci_image/reference.h"
#include "spec/oci_image/types.h"

namespace cooper::cli {

// --creds --authfile --cert-dir --tls-verify --retry --retry-delay --quiet
extern const std::array<Flag, 7> kRegistryFlags;

struct RegistryAccess {
  std::string credentials = {};  // USER:PASSWORD
  std::string auth_file = {};
  std::string certificate_directory = {};
  std::optional<bool> verify_tls = {};
  std::optional<unsigned> retries = {};
  std::uint64_t retry_delay_ms = 0;  // 0: it grows
  bool quiet = false;
};
Result<RegistryAccess> registry_access(const Args& args);

// Credentials and certificates of whoever is asked; where those are searched for.
Result<fetch::SourceOptions> source_options(const RegistryAccess& access);
// Proxies, limits, and no endpoint yet.
fetch::Setup session_setup(const RegistrySettings& settings, const RegistryAccess& access);
// Writes what there is to see of transfers to standard error.
void show_transfers(LayerLines& lines, std::span<const fetch::TransferProgress> transfers);

// One pull or push. Shows progress on standard error.
class RegistrySession {
 public:
  enum class For { kPull, kPush };
  RegistrySession(const Context& context, oci_image::Reference reference, RegistryAccess access, For purpose);
  RegistrySession(const RegistrySession&) = delete;
  RegistrySession& operator=(const RegistrySession&) = delete;

  // The place of the image's signatures that is asked as well, an http or https URL.
  void also_ask(std::string lookaside) { lookaside_ = std::move(lookaside); }
  // From here on signals cancel the client, which must not outlive the session. May be called again.
  Result<std::unique_ptr<fetch::Client>> start(image::FetchFrom from);
  // Readable when a signal has come, as soon as start() was called.
  BorrowedFd cancel() const { return signals_ ? signals_->fd() : BorrowedFd(-1); }
  // Errc::kCancelled never comes back: the process ends by the signal that cancelled it.
  void end_if_cancelled(const Error& error);

 private:
  const Context& context_;
  oci_image::Reference reference_;
  RegistryAccess access_;
  For purpose_;
  std::string lookaside_;
  LayerLines lines_;
  std::optional<StopSignals> signals_;
};

// registries.conf, with its directories: $CONTAINERS_REGISTRIES_CONF, or that of the user or of the system.
Result<fetch::RegistriesConfig> read_registries_conf();
// Full names that what a person types as the name of an image in a registry stands for, in the order they are tried.
Result<std::vector<oci_image::Reference>> registry_names(const std::string& text);
// Lets the stores of this process know them.
void know_short_names();
// The same of an image that is sent; docker.io's when it names no registry.
Result<oci_image::Reference> full_reference(const std::string& text);

}  // namespace cooper::cli
