#include "registry/serve.h"

#include <signal.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <mutex>

#include "base/strings.h"
#include "confine/sandbox.h"
#include "fetch/protocol.h"
#include "fetch/thread.h"
#include "io/file.h"
#include "log/log.h"
#include "registry/http.h"
#include "registry/page.h"
#include "registry/registry.h"
#include "registry/transfer.h"
#include "registry/upload.h"
#include "registry/url.h"
#include "sys/file.h"
#include "sys/socket.h"

namespace cooper::registry {
namespace {

constexpr std::size_t kMaxWaiting = 64;

struct Job {
  fetch::Request request;
  UniqueFd file;  // the pipe that takes what is fetched, or what is sent
};

// To cooper, which puts it into its own words.
void say(const Error& error) {
  (void)!sys::write_all(BorrowedFd(STDERR_FILENO), log::sentence(error) + "\n").ok();
}

// Requests on their way from the socket to the workers.
class Server {
 public:
  Server(BorrowedFd socket, fetch::Setup setup) : socket_(socket), setup_(std::move(setup)) {
    for (const fetch::Endpoint& endpoint : setup_.endpoints)
      registries_.push_back(std::make_unique<Registry>(endpoint, setup_.push ? Access::kPush : Access::kPull));
    if (!setup_.lookaside) return;
    const auto url = parse_url(setup_.lookaside->url);
    lookaside_endpoint_ = {.host = url.ok() ? url->origin() : setup_.lookaside->url,
                           .repository = {},
                           .verify_tls = setup_.lookaside->verify_tls,
                           .ca_pem = setup_.lookaside->ca_pem};
    lookaside_ = std::make_unique<Registry>(lookaside_endpoint_, Access::kPull);
  }

  // Returns when the socket has ended, with an error when it was not used well. The workers may be at work still.
  Status run();

 private:
  Status take_request(sys::Message message);
  void work();
  fetch::Event run(std::vector<Line>& lines, std::vector<Line>& lookaside, const Job& job, const Report& report) const;
  void send(const fetch::Event& event);

  BorrowedFd socket_;
  fetch::Setup setup_;
  std::vector<std::unique_ptr<Registry>> registries_;
  fetch::Endpoint lookaside_endpoint_ = {.host = {}, .repository = {}};
  std::unique_ptr<Registry> lookaside_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  std::vector<fetch::Thread> workers_;
};

void Server::send(const fetch::Event& event) {
  const Status sent = sys::send_message(socket_, fetch::print(event));
  if (sent.ok()) return;
  // What is lost would be waited for without end. When nobody listens any more there is nothing to say: the main thread
  // sees the same and ends the program too.
  const int e = sent.error().errno_value();
  if (e != EPIPE && e != ECONNRESET) say(sent.error());
  ::_exit(1);
}

fetch::Event Server::run(std::vector<Line>& lines, std::vector<Line>& lookaside, const Job& job,
                         const Report& report) const {
  if (setup_.push) return run_upload(setup_, lines.front(), job.request, job.file, report);
  if (setup_.web) {
    Line& line = lines.front();
    return run_page(setup_, line.registry.endpoint(), line.client, job.request, job.file, report);
  }
  const bool signature = job.request.kind == fetch::Request::Kind::kSignature;
  return run_transfer(setup_, signature ? lookaside : lines, job.request, job.file, report);
}

void Server::work() {
  std::vector<Line> lines;
  for (const auto& registry : registries_)
    lines.push_back({*registry, HttpClient(registry->endpoint(), setup_.proxies, setup_.stall_timeout_s)});
  std::vector<Line> lookaside;
  if (lookaside_)
    lookaside.push_back({*lookaside_, HttpClient(lookaside_endpoint_, setup_.proxies, setup_.stall_timeout_s)});
  while (true) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return !jobs_.empty(); });
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    const Report report = [&](const fetch::Event& event) { send(event); };
    const fetch::Event last = run(lines, lookaside, job, report);
    job.file.reset();
    send(last);
  }
}

Status Server::take_request(sys::Message message) {
  ASSIGN_OR_RETURN(fetch::Request request, fetch::parse_request(std::move(message.data)));
  if (fetch::is_push(request.kind) != setup_.push || (request.kind == fetch::Request::Kind::kPage) != setup_.web)
    return Error(Errc::kInvalidArgument, "a request that the setup is not for");
  if (request.kind == fetch::Request::Kind::kSignature && !lookaside_)
    return Error(Errc::kInvalidArgument, "a signature without a place where it is");
  if (message.fds.size() != (fetch::has_descriptor(request.kind) ? 1U : 0U))
    return Error(Errc::kInvalidArgument, "a request with a wrong number of descriptors");
  const std::lock_guard guard(mutex_);
  if (jobs_.size() >= kMaxWaiting) return Error(Errc::kLimit, "too many requests at once");
  jobs_.push_back({std::move(request), message.fds.empty() ? UniqueFd() : std::move(message.fds.front())});
  changed_.notify_one();
  return {};
}

Status Server::run() {
  for (unsigned i = 0; i < setup_.parallel; ++i) {
    ASSIGN_OR_RETURN(fetch::Thread worker, fetch::Thread::start([this] { work(); }));
    workers_.push_back(std::move(worker));
  }
  while (true) {
    ASSIGN_OR_RETURN(sys::Message message, sys::recv_message(socket_, fetch::kMaxMessageBytes));
    if (message.eof) return {};
    RETURN_IF_ERROR(take_request(std::move(message)));
  }
}

Status serve_or_fail() {
  // Before anything is read that somebody else has written.
  RETURN_IF_ERROR(confine::drop_root());
  (void)::signal(SIGPIPE, SIG_IGN);
  RETURN_IF_ERROR(HttpClient::initialise());
  fetch::Setup setup;
  {
    const UniqueFd file(fetch::kSetupFd);
    // The writer has left it at its end.
    std::string text(fetch::kMaxSetupBytes, '\0');
    ASSIGN_OR_RETURN(const std::size_t n, sys::pread(file, text, 0));
    text.resize(n);
    ASSIGN_OR_RETURN(setup, fetch::parse_setup(std::move(text)));
  }
  RETURN_IF_ERROR(confine::enter_sandbox(confine::Purpose::kTransfer));
  Server server(BorrowedFd(fetch::kSocketFd), std::move(setup));
  const Status status = server.run();
  if (!status.ok()) say(status.error());
  // Workers have nothing to put in order, and may wait for a registry.
  ::_exit(status.ok() ? 0 : 1);
}

}  // namespace

int serve() {
  const Status status = serve_or_fail();
  if (!status.ok()) say(status.error());
  return 1;
}

}  // namespace cooper::registry
