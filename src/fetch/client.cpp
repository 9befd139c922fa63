#include "fetch/client.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "base/strings.h"
#include "fetch/spawn.h"
#include "fetch/thread.h"
#include "io/event_loop.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace cooper::fetch {
namespace {

constexpr int kPipeBytes = 1 << 20;
constexpr std::size_t kReadBytes = std::size_t{256} << 10;
constexpr std::uint64_t kWritebackStep = std::uint64_t{8} << 20;
constexpr int kProgressMs = 100;
constexpr int kIdleMs = 1000;  // a wake-up that was lost costs no more
constexpr std::uint64_t kMaxDigestBytes = 200;
constexpr int kEndWaitMs = 1000;
constexpr std::size_t kMaxSaidBytes = 500;

Error copy_of(const Error& error) {
  return Error(error.code(), error.message(), error.errno_value()).with_hint(error.hint());
}

Error cancelled() {
  return Error(Errc::kCancelled, "was interrupted", ECANCELED);
}

// One request, from being queued until its bytes and its last event are here.
struct Transfer {
  Request request;
  UniqueFd file;       // none: bytes go to memory; of a push: what is sent
  std::string memory;  // guarded until `finished`
  UniqueFd pipe;       // the receiver's
  std::uint64_t received = 0;
  std::uint64_t flushed = 0;
  bool sent = false, drained = false, finished = false;
  // Of a page that goes into a file: its bytes wait in the pipe until it is known what they belong to.
  bool waits_for_head = false;
  std::function<Status(const std::string& validator)> note = {};
  std::optional<Event> last;
  std::optional<Error> error;
  TransferProgress progress;
};

// Blobs, each once: of one that is pushed either that it is there, or how it gets there.
bool is_shown(const Transfer& transfer) {
  switch (transfer.request.kind) {
    case Request::Kind::kBlob:
    case Request::Kind::kPage:
      return transfer.file.valid();
    case Request::Kind::kHasBlob:
      return transfer.progress.state == TransferProgress::State::kPresent;
    case Request::Kind::kSendBlob:
      return true;
    default:
      return false;
  }
}

// The last part of an address, for people.
std::string name_in(const std::string& address) {
  std::string path = address.substr(0, address.find_first_of("?#"));
  while (path.ends_with('/')) path.pop_back();
  return for_people(path.substr(path.rfind('/') + 1), 40);
}

}  // namespace

struct Client::Impl {
  explicit Impl(ClientOptions given) : options(std::move(given)) {}

  ClientOptions options;
  UniqueFd socket, wake, pidfd;
  UniqueFd words;  // what the program has to say for itself when it cannot go on
  pid_t pid = -1;
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::unique_ptr<Transfer>> transfers;
  std::optional<Error> broken;  // nothing comes any more
  bool stop = false;
  bool mirror_was_wrong = false;
  std::vector<char> buffer;  // the receiver's
  std::int64_t shown_ms = 0;
  std::optional<Thread> receiver;  // last: joined before the rest goes

  Status launch();
  std::size_t add(Request request, UniqueFd file, std::function<Status(const std::string&)> note = {});
  Result<Document> wait(std::size_t number);
  void wake_receiver() const;

  void receive();
  bool receive_once();
  void send_waiting();
  Status send_one(Transfer& transfer);
  void drain(Transfer& transfer);
  void take_event();
  Status take_head(Transfer& transfer, const Event& head);
  void settle(Transfer& transfer);
  void fail(Transfer& transfer, Error error);
  void break_all(const Error& error);
  Error end_of_program();
  void show(bool now);
};

Status Client::Impl::launch() {
  ASSIGN_OR_RETURN(const UniqueFd setup, sys::memfd_create("cooper-fetch-setup", MFD_CLOEXEC));
  RETURN_IF_ERROR(sys::write_all(setup, print(options.setup)));
  ASSIGN_OR_RETURN(auto pair, sys::socketpair(SOCK_SEQPACKET));
  wake = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return Error::from_errno(errno, "make an event descriptor");
  // Not our own: they may be a terminal.
  ASSIGN_OR_RETURN(const UniqueFd nothing, sys::openat(sys::kCwd, "/dev/null", O_RDWR));
  ASSIGN_OR_RETURN(auto said, sys::pipe2(O_CLOEXEC | O_NONBLOCK));
  ASSIGN_OR_RETURN(pid, spawn({.program = options.program,
                               .args = {},
                               .env = {},
                               .descriptors = {{nothing.get(), STDIN_FILENO},
                                               {nothing.get(), STDOUT_FILENO},
                                               {said.write.get(), STDERR_FILENO},
                                               {pair.second.get(), kSocketFd},
                                               {setup.get(), kSetupFd}},
                               .own_session = true}));
  words = std::move(said.read);
  ASSIGN_OR_RETURN(pidfd, sys::pidfd_open(pid));
  socket = std::move(pair.first);
  buffer.resize(kReadBytes);
  ASSIGN_OR_RETURN(Thread thread, Thread::start([this] { receive(); }));
  receiver.emplace(std::move(thread));
  return {};
}

void Client::Impl::wake_receiver() const {
  const std::uint64_t one = 1;
  // Full means that it is awake already.
  (void)!::write(wake.get(), &one, sizeof one);
}

std::size_t Client::Impl::add(Request request, UniqueFd file, std::function<Status(const std::string&)> note) {
  auto transfer = std::make_unique<Transfer>();
  transfer->note = std::move(note);
  transfer->progress = {.digest = request.reference, .total_bytes = request.bytes};
  if (request.kind == Request::Kind::kPage) transfer->progress = {.digest = name_in(request.reference)};
  transfer->received = transfer->flushed = request.had_bytes;
  transfer->progress.had_bytes = transfer->progress.done_bytes = request.had_bytes;
  transfer->waits_for_head = request.kind == Request::Kind::kPage && file.valid();
  transfer->request = std::move(request);
  transfer->file = std::move(file);
  const std::lock_guard guard(mutex);
  transfer->request.id = static_cast<std::uint32_t>(transfers.size());
  if (broken) {
    transfer->error = copy_of(*broken);
    transfer->finished = true;
  }
  transfers.push_back(std::move(transfer));
  wake_receiver();
  return transfers.size() - 1;
}

Result<Client::Document> Client::Impl::wait(std::size_t number) {
  std::unique_lock lock(mutex);
  Transfer& transfer = *transfers[number];
  changed.wait(lock, [&] { return transfer.finished; });
  if (transfer.error) return copy_of(*transfer.error);
  const Event& last = *transfer.last;
  return Document{std::move(transfer.memory),
                  last.media_type,
                  last.endpoint,
                  last.etag,
                  last.max_age_s,
                  !transfer.request.if_changed.empty() && last.present};
}

// mutex is held.
void Client::Impl::fail(Transfer& transfer, Error error) {
  if (transfer.finished) return;
  transfer.error = std::move(error);
  transfer.finished = true;
  transfer.pipe.reset();
  if (is_push(transfer.request.kind)) transfer.file.reset();
  transfer.progress.state = TransferProgress::State::kFailed;
  changed.notify_all();
}

// mutex is held.
void Client::Impl::break_all(const Error& error) {
  if (!broken) broken = copy_of(error);
  for (const auto& transfer : transfers) fail(*transfer, copy_of(error));
}

// mutex is held. Finished when both the bytes and the word about them are here, in whatever order they came.
void Client::Impl::settle(Transfer& transfer) {
  if (transfer.finished || !transfer.last || !transfer.drained) return;
  const Event& event = *transfer.last;
  const bool blob = transfer.request.kind == Request::Kind::kBlob;
  if (is_push(transfer.request.kind)) {
    transfer.progress.done_bytes = transfer.request.bytes;
    transfer.progress.state = event.present ? TransferProgress::State::kPresent : TransferProgress::State::kDone;
    transfer.file.reset();
    transfer.finished = true;
    changed.notify_all();
    return;
  }
  if (event.bytes != transfer.received || (blob && transfer.received != transfer.request.bytes)) {
    fail(transfer,
         Error(Errc::kCorrupt, transfer.request.reference + " is corrupt: " + std::to_string(transfer.received) +
                                   " bytes came, not " + std::to_string(blob ? transfer.request.bytes : event.bytes)));
    return;
  }
  transfer.finished = true;
  transfer.progress.state = TransferProgress::State::kDone;
  if (transfer.request.kind == Request::Kind::kPage) transfer.progress.total_bytes = transfer.received;
  changed.notify_all();
}

Status Client::Impl::send_one(Transfer& transfer) {
  if (is_push(transfer.request.kind)) {
    const int file = transfer.file.get();
    const std::size_t count = has_descriptor(transfer.request.kind) ? 1 : 0;
    RETURN_IF_ERROR(sys::send_message(socket, print(transfer.request), std::span(&file, count)));
    // cooper-fetch has its own; no bytes come back.
    transfer.drained = true;
    transfer.progress.state = TransferProgress::State::kRunning;
    return {};
  }
  ASSIGN_OR_RETURN(auto pipe, sys::pipe2(O_CLOEXEC));
  // Only faster: what the kernel gives without asking will do.
  (void)::fcntl(pipe.read.get(), F_SETPIPE_SZ, kPipeBytes);
  RETURN_IF_ERROR(sys::fcntl_setfl(pipe.read, O_NONBLOCK));
  const int descriptor = pipe.write.get();
  RETURN_IF_ERROR(sys::send_message(socket, print(transfer.request), std::span(&descriptor, 1)));
  transfer.pipe = std::move(pipe.read);
  transfer.progress.state = TransferProgress::State::kRunning;
  return {};
}

// No more at once than are wanted in parallel: a pipe for each.
void Client::Impl::send_waiting() {
  const std::lock_guard guard(mutex);
  std::size_t running = 0;
  for (const auto& transfer : transfers) running += transfer->sent && !transfer->finished ? 1U : 0U;
  for (const auto& transfer : transfers) {
    if (transfer->sent || transfer->finished) continue;
    if (running >= options.setup.parallel) return;
    transfer->sent = true;
    ++running;
    if (Status sent = send_one(*transfer); !sent.ok()) {
      // The end of the socket tells more than a broken pipe.
      if (sent.error().errno_value() == EPIPE || sent.error().errno_value() == ECONNRESET) return;
      fail(*transfer, std::move(sent).error().with("ask cooper-fetch"));
    }
  }
}

void Client::Impl::drain(Transfer& transfer) {
  const auto n = sys::read(transfer.pipe, buffer);
  if (!n.ok() && n.error().errno_value() == EAGAIN) return;
  Status written;
  if (n.ok() && *n > 0 && transfer.file.valid() && transfer.received + *n <= transfer.request.bytes)
    written = sys::write_all(transfer.file, {buffer.data(), *n});
  if (transfer.file.valid() && transfer.received - transfer.flushed >= kWritebackStep) {
    sys::start_writeback(transfer.file);
    transfer.flushed = transfer.received;
  }
  const std::lock_guard guard(mutex);
  if (transfer.finished) return;
  if (!n.ok()) return fail(transfer, copy_of(n.error()).with("read from cooper-fetch"));
  if (!written.ok()) return fail(transfer, std::move(written).error().with("keep " + transfer.request.reference));
  if (*n == 0) {
    transfer.pipe.reset();
    transfer.drained = true;
    return settle(transfer);
  }
  transfer.received += *n;
  if (transfer.received > transfer.request.bytes) {
    return fail(transfer, Error(Errc::kCorrupt, transfer.request.reference + " is corrupt: more than " +
                                                    std::to_string(transfer.request.bytes) + " bytes came"));
  }
  if (!transfer.file.valid()) transfer.memory.append(buffer.data(), *n);
  transfer.progress.done_bytes = transfer.received;
  transfer.progress.state = TransferProgress::State::kRunning;
  changed.notify_all();
}

// How cooper-fetch ended. mutex is not held.
Error Client::Impl::end_of_program() {
  const auto ended = sys::pidfd_wait(pidfd, kEndWaitMs);
  if (!ended.ok() || !*ended) (void)!sys::pidfd_send_signal(pidfd, SIGKILL).ok();
  const auto status = sys::waitpid(pid);
  pid = -1;
  std::string how = "ended";
  if (status.ok() && status->signal != 0) how = "was killed by signal " + std::to_string(status->signal);
  if (status.ok() && status->signal == 0) how = "ended with status " + std::to_string(status->code);
  std::string said(kMaxSaidBytes, '\0');
  const auto n = sys::read(words, said);
  said.resize(n.ok() ? *n : 0);
  if (!trim(said).empty()) how.append(": ").append(for_people(trim(said), kMaxSaidBytes));
  return Error(Errc::kSystem, "cooper-fetch " + how).with_hint("try again");
}

// What comes goes on with what is there, or begins anew.
Status Client::Impl::take_head(Transfer& transfer, const Event& head) {
  if (head.restart) {
    RETURN_IF_ERROR(sys::ftruncate(transfer.file, 0));
    transfer.received = transfer.flushed = transfer.progress.had_bytes = 0;
  }
  if (head.bytes != transfer.received)
    return Error(Errc::kCorrupt, "cooper-fetch begins with other bytes than it says");
  return transfer.note ? transfer.note(head.validator) : Status();
}

void Client::Impl::take_event() {
  auto message = sys::recv_message(socket, kMaxMessageBytes);
  if (!message.ok() || message->eof) {
    const Error error = end_of_program();
    const std::lock_guard guard(mutex);
    return break_all(error);
  }
  auto event = parse_event(std::move(message->data));
  const std::lock_guard guard(mutex);
  if (!event.ok()) return break_all(std::move(event).error().with("cooper-fetch"));
  if (event->id >= transfers.size() || !transfers[event->id]->sent || transfers[event->id]->last) {
    return break_all(Error(Errc::kCorrupt, "cooper-fetch speaks of what it was not asked for"));
  }
  Transfer& transfer = *transfers[event->id];
  if (transfer.finished) return;
  switch (event->kind) {
    case Event::Kind::kProgress:
      transfer.progress.state = TransferProgress::State::kRunning;
      transfer.progress.done_bytes = std::min(event->bytes, transfer.request.bytes);
      if (transfer.request.kind == Request::Kind::kPage)
        transfer.progress.total_bytes = std::min(event->total, transfer.request.bytes);
      if (!std::exchange(transfer.waits_for_head, false)) return;
      if (Status taken = take_head(transfer, *event); !taken.ok())
        return fail(transfer, std::move(taken).error().with("keep " + transfer.request.reference));
      return;
    case Event::Kind::kRetry:
      transfer.progress.state = TransferProgress::State::kPausing;
      transfer.progress.note = event->message;
      ++transfer.progress.attempts_failed;
      return;
    case Event::Kind::kFailed: {
      if (!event->endpoint.empty() && event->endpoint != options.setup.endpoints.back().host) mirror_was_wrong = true;
      Error error(event->code, event->message);
      if (!event->hint.empty()) error = std::move(error).with_hint(event->hint);
      return fail(transfer, std::move(error));
    }
    case Event::Kind::kDone:
      transfer.waits_for_head = false;
      transfer.last = std::move(*event);
      return settle(transfer);
  }
}

void Client::Impl::show(bool now) {
  if (!options.progress) return;
  const std::int64_t time = io::monotonic_ms();
  if (!now && time - shown_ms < kProgressMs) return;
  shown_ms = time;
  std::vector<TransferProgress> lines;
  {
    const std::lock_guard guard(mutex);
    for (const auto& transfer : transfers) {
      if (is_shown(*transfer)) lines.push_back(transfer->progress);
    }
  }
  options.progress(lines);
}

// False when there is nothing more to wait for.
bool Client::Impl::receive_once() {
  send_waiting();
  std::vector<struct pollfd> fds = {{wake.get(), POLLIN, 0}, {options.cancel.get(), POLLIN, 0}};
  std::vector<Transfer*> active;
  {
    const std::lock_guard guard(mutex);
    if (stop) return false;
    // A broken one is only there to be told to stop.
    fds.push_back({broken ? -1 : socket.get(), POLLIN, 0});
    for (const auto& transfer : transfers) {
      if (!transfer->pipe.valid() || transfer->waits_for_head) continue;
      active.push_back(transfer.get());
      fds.push_back({transfer->pipe.get(), POLLIN, 0});
    }
  }
  const int ready = ::poll(fds.data(), fds.size(), active.empty() ? kIdleMs : kProgressMs);
  if (ready < 0 && errno != EINTR) {
    const int saved = errno;
    const std::lock_guard guard(mutex);
    break_all(Error::from_errno(saved, "wait for cooper-fetch"));
    return false;
  }
  if (ready > 0 && fds[0].revents != 0) {
    std::uint64_t count = 0;
    (void)!::read(wake.get(), &count, sizeof count);
  }
  if (ready > 0 && fds[1].revents != 0) {
    const std::lock_guard guard(mutex);
    break_all(cancelled());
    return false;
  }
  for (std::size_t i = 0; ready > 0 && i < active.size(); ++i) {
    if (fds[i + 3].revents != 0) drain(*active[i]);
  }
  if (ready > 0 && fds[2].revents != 0) take_event();
  show(false);
  return true;
}

void Client::Impl::receive() {
  while (receive_once()) {
  }
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<Client>> Client::start(ClientOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  Impl& it = *impl;
  std::unique_ptr<Client> client(new Client(std::move(impl)));  // ban-ok(new): private constructor
  RETURN_IF_ERROR(it.launch());
  return client;
}

Client::~Client() {
  {
    const std::lock_guard guard(impl_->mutex);
    impl_->stop = true;
  }
  if (impl_->wake.valid()) impl_->wake_receiver();
  if (impl_->receiver) {
    impl_->receiver->join();
    impl_->show(true);
  }
  if (impl_->pid < 0) return;
  // It has nothing to put in order.
  if (::kill(impl_->pid, SIGKILL) == 0) (void)!sys::waitpid(impl_->pid).ok();
}

Result<Client::Document> Client::manifest(const std::string& reference, std::uint64_t max_bytes) {
  return impl_->wait(
      impl_->add({.kind = Request::Kind::kManifest, .reference = reference, .bytes = max_bytes}, UniqueFd()));
}

Result<std::optional<Digest>> Client::digest(const std::string& tag) {
  ASSIGN_OR_RETURN(const Document answer,
                   impl_->wait(impl_->add({.kind = Request::Kind::kDigest, .reference = tag, .bytes = kMaxDigestBytes},
                                          UniqueFd())));
  if (answer.bytes.empty()) return std::optional<Digest>();
  ASSIGN_OR_RETURN(Digest digest, Digest::parse(answer.bytes));
  return std::optional(std::move(digest));
}

Result<Client::Document> Client::document(const Digest& digest, std::uint64_t size_bytes) {
  return impl_->wait(
      impl_->add({.kind = Request::Kind::kBlob, .reference = digest.str(), .bytes = size_bytes}, UniqueFd()));
}

Result<std::optional<std::string>> Client::signature(const Digest& manifest, std::uint32_t number,
                                                     std::uint64_t max_bytes) {
  const std::size_t transfer =
      impl_->add({.kind = Request::Kind::kSignature, .reference = manifest.str(), .bytes = max_bytes, .number = number},
                 UniqueFd());
  ASSIGN_OR_RETURN(Document document, impl_->wait(transfer));
  const std::lock_guard guard(impl_->mutex);
  if (!impl_->transfers[transfer]->last->present) return std::optional<std::string>();
  return std::optional(std::move(document.bytes));
}

std::size_t Client::begin(const Digest& digest, std::uint64_t size_bytes, UniqueFd file, std::uint64_t had_bytes) {
  return impl_->add(
      {.kind = Request::Kind::kBlob, .reference = digest.str(), .bytes = size_bytes, .had_bytes = had_bytes},
      std::move(file));
}

std::size_t Client::begin_check(const Digest& digest, std::uint64_t size_bytes) {
  return impl_->add({.kind = Request::Kind::kHasBlob, .reference = digest.str(), .bytes = size_bytes}, UniqueFd());
}

std::size_t Client::begin_send(const Digest& digest, std::uint64_t size_bytes, UniqueFd file, const std::string& from) {
  return impl_->add({.kind = Request::Kind::kSendBlob, .reference = digest.str(), .bytes = size_bytes, .from = from},
                    std::move(file));
}

Result<bool> Client::present(std::size_t transfer) {
  std::unique_lock lock(impl_->mutex);
  const Transfer& found = *impl_->transfers[transfer];
  impl_->changed.wait(lock, [&] { return found.finished; });
  if (found.error) return copy_of(*found.error);
  return found.last->present;
}

Result<bool> Client::send_manifest(const std::string& reference, const std::string& media_type,
                                   const std::string& bytes) {
  ASSIGN_OR_RETURN(UniqueFd file, sys::memfd_create("cooper-manifest", MFD_CLOEXEC));
  RETURN_IF_ERROR(sys::write_all(file, bytes));
  return present(impl_->add(
      {.kind = Request::Kind::kSendManifest, .reference = reference, .bytes = bytes.size(), .media_type = media_type},
      std::move(file)));
}

Result<std::size_t> Client::read(std::size_t transfer, std::uint64_t offset, std::span<char> buffer) {
  Transfer* found = nullptr;
  {
    std::unique_lock lock(impl_->mutex);
    found = impl_->transfers[transfer].get();
    impl_->changed.wait(lock, [&] { return found->finished || found->received > offset; });
    if (found->error) return copy_of(*found->error);
    if (found->finished && found->received <= offset) return std::size_t{0};
    buffer = buffer.first(std::min<std::uint64_t>(buffer.size(), found->received - offset));
  }
  return sys::pread(found->file, buffer, static_cast<off_t>(offset));
}

Result<Client::Document> Client::page(const std::string& url, std::uint64_t max_bytes, const std::string& if_changed) {
  return impl_->wait(impl_->add(
      {.kind = Request::Kind::kPage, .reference = url, .bytes = max_bytes, .if_changed = if_changed}, UniqueFd()));
}

std::size_t Client::begin_page(const std::string& url, std::uint64_t max_bytes, UniqueFd file, Resumption from) {
  return impl_->add({.kind = Request::Kind::kPage,
                     .reference = url,
                     .bytes = max_bytes,
                     .had_bytes = from.had_bytes,
                     .validator = std::move(from.validator)},
                    std::move(file), std::move(from.note));
}

Result<Client::Document> Client::wait_page(std::size_t transfer) {
  return impl_->wait(transfer);
}

bool Client::mirror_was_wrong() const {
  const std::lock_guard guard(impl_->mutex);
  return impl_->mirror_was_wrong;
}

bool Client::transfers_failed() const {
  const std::lock_guard guard(impl_->mutex);
  return impl_->broken ||
         std::ranges::any_of(impl_->transfers, [](const auto& transfer) { return transfer->error.has_value(); });
}

Status Client::check_cancelled() const {
  const std::lock_guard guard(impl_->mutex);
  if (impl_->broken && impl_->broken->code() == Errc::kCancelled) return copy_of(*impl_->broken);
  return {};
}

}  // namespace cooper::fetch
