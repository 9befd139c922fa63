#include "cli/cooper/web_session.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/strings.h"
#include "cli/cooper/relay.h"
#include "fetch/sources.h"
#include "io/full_disk.h"
#include "io/helper_program.h"
#include "sys/file.h"

namespace cooper::cli {
namespace {

// "https://host:port" of an address; the rest of it is cooper-fetch's to judge.
Result<std::pair<std::string, std::string>> split_address(const std::string& url) {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string::npos) return Error(Errc::kInvalidArgument, quoted(url) + " is no address of the web");
  const std::size_t host = scheme + 3;
  const std::size_t end = std::min(url.find_first_of("/?#", host), url.size());
  return std::pair(to_lower(url.substr(0, scheme)), to_lower(url.substr(host, end - host)));
}

}  // namespace

Result<std::string> server_of(const std::string& url) {
  ASSIGN_OR_RETURN(auto address, split_address(url));
  return std::move(address.second);
}

WebSession::WebSession(const Context& context, WebAccess access) : context_(context), access_(std::move(access)) {}

Result<BorrowedFd> WebSession::cancel() {
  if (!signals_) {
    ASSIGN_OR_RETURN(StopSignals opened, StopSignals::open());
    signals_.emplace(std::move(opened));
  }
  return signals_->fd();
}

void WebSession::end_if_cancelled(const Error& error) {
  if (error.code() == Errc::kCancelled && signals_) die_by_signal(signals_->taken());
}

Result<std::unique_ptr<fetch::Client>> WebSession::start(const std::string& url, Over over, LayerLines* lines) {
  ASSIGN_OR_RETURN(const std::string host, server_of(url));
  const RegistrySettings& settings = context_.settings().registries;
  ASSIGN_OR_RETURN(std::string program, io::find_helper("cooper-fetch", settings.fetch_path, "fetch_path"));
  ASSIGN_OR_RETURN(const BorrowedFd stop, cancel());
  ASSIGN_OR_RETURN(fetch::SourceOptions options, source_options(access_.registry));
  if (host != access_.credentials_for) options.credentials.reset();
  // Unencrypted only what was given for this very address.
  const bool in_clear = !options.credentials && split_address(url).value_or({}).first != "https";
  fetch::Setup setup = session_setup(settings, access_.registry);
  setup.web = true;
  ASSIGN_OR_RETURN(fetch::Endpoint endpoint, fetch::web_endpoint(host, options));
  if (in_clear) endpoint.username = endpoint.password = "";
  endpoint.verify_tls = !access_.any_certificate;
  endpoint.plain_http = over == Over::kAnything;
  setup.endpoints.push_back(std::move(endpoint));
  fetch::ClientOptions client{.program = std::move(program), .setup = std::move(setup), .cancel = stop};
  if (lines != nullptr)
    client.progress = [lines](std::span<const fetch::TransferProgress> transfers) {
      show_transfers(*lines, transfers);
    };
  return fetch::Client::start(std::move(client));
}

Result<fetch::Client*> WebSession::client_for(const std::string& url, Over over) {
  ASSIGN_OR_RETURN(const auto address, split_address(url));
  std::unique_ptr<fetch::Client>& client =
      clients_[address.first + "://" + address.second + (over == Over::kTls ? "" : " or not")];
  if (!client) {
    ASSIGN_OR_RETURN(client, start(url, over, nullptr));
  }
  return client.get();
}

Result<std::string> WebSession::text(const std::string& url, std::size_t max_bytes, Over over) {
  ASSIGN_OR_RETURN(fetch::Client * client, client_for(url, over));
  ASSIGN_OR_RETURN(fetch::Client::Document document, client->page(url, max_bytes));
  return std::move(document.bytes);
}

Result<std::optional<WebSession::Note>> WebSession::unchanged(const std::string& url, const std::string& etag,
                                                              Over over) {
  ASSIGN_OR_RETURN(fetch::Client * client, client_for(url, over));
  auto answer = client->page(url, 0, etag);
  if (!answer.ok() && answer.error().code() == Errc::kCancelled) return std::move(answer).error();
  if (!answer.ok() || !answer->unchanged) return std::optional<Note>();
  return std::optional(Note{answer->etag.empty() ? etag : answer->etag, answer->max_age_s});
}

Result<WebSession::Note> WebSession::file(const std::string& url, std::uint64_t max_bytes, BorrowedFd file, Over over,
                                          fetch::Resumption from) {
  // One of its own: what is drawn of it is whole when it has ended, and nothing is drawn after that.
  LayerLines lines(LayerLines::place(access_.registry.quiet));
  ASSIGN_OR_RETURN(const std::unique_ptr<fetch::Client> client, start(url, over, &lines));
  ASSIGN_OR_RETURN(UniqueFd own, sys::dup_cloexec(file));
  const auto page = client->wait_page(client->begin_page(url, max_bytes, std::move(own), std::move(from)));
  if (!page.ok()) {
    Error failed(page.error().code(), page.error().message(), page.error().errno_value());
    return io::explain_full_disk(std::move(failed).with_hint(page.error().hint()),
                                 quoted(context_.settings().engine.root), "cooper image gc, or a larger file system");
  }
  return Note{page->etag, page->max_age_s};
}

}  // namespace cooper::cli
