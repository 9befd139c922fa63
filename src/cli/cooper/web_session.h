// Files of the web: pages, keys, signatures, images of the App Container kind. cooper-fetch fetches them, one program
// for each server, because what is trusted and who we say we are is the server's.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "cli/cooper/command.h"
#include "cli/cooper/image_progress.h"
#include "cli/cooper/registry_session.h"
#include "cli/cooper/stop_signals.h"
#include "fetch/client.h"

namespace cooper::cli {

struct WebAccess {
  RegistryAccess registry = {};  // credentials, certificates, whether people see anything
  bool any_certificate = false;
  // host[:port] that --creds are for: whoever else a page leads to does not see them. Empty: nobody.
  std::string credentials_for = {};
};

// "host[:port]" of an address.
Result<std::string> server_of(const std::string& url);

class WebSession {
 public:
  WebSession(const Context& context, WebAccess access);
  WebSession(const WebSession&) = delete;
  WebSession& operator=(const WebSession&) = delete;

  // kTls: neither the address nor a redirect may be one of plain http.
  enum class Over { kTls, kAnything };
  // Errc::kNotFound: there is no such file, or no such host. Errc::kBusy: there will be.
  Result<std::string> text(const std::string& url, std::size_t max_bytes, Over over);
  // What a server says of a file besides its bytes.
  struct Note {
    std::string etag = {};
    std::uint64_t max_age_s = 0;
  };
  // Into a file that is open for writing at its end, and holds what `from` says. Shows progress on standard error.
  Result<Note> file(const std::string& url, std::uint64_t max_bytes, BorrowedFd file, Over over,
                    fetch::Resumption from = {});
  // Of a file that has this ETag still. Nothing: it has another one, or that cannot be found out.
  Result<std::optional<Note>> unchanged(const std::string& url, const std::string& etag, Over over);

  // Readable when a signal has come; for other work of the same verb.
  Result<BorrowedFd> cancel();
  // Errc::kCancelled never comes back: the process ends by the signal that cancelled it.
  void end_if_cancelled(const Error& error);

 private:
  // `lines`: where its transfers are shown, if at all.
  Result<std::unique_ptr<fetch::Client>> start(const std::string& url, Over over, LayerLines* lines);
  Result<fetch::Client*> client_for(const std::string& url, Over over);

  const Context& context_;
  WebAccess access_;
  std::optional<StopSignals> signals_;
  std::map<std::string, std::unique_ptr<fetch::Client>> clients_;  // by scheme, host and port, and how
};

}  // namespace cooper::cli
