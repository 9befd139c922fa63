// cooper's end: starts cooper-fetch, asks it for documents and blobs, and takes in what comes. A thread of its own
// writes blobs to files that only the caller has, so that cooper-fetch can change nothing it has sent, and other
// threads read them while they grow. Nothing is verified here but sizes: whoever reads checks digests. What is pushed
// cooper-fetch reads from descriptors that it is given: whoever gives them has checked what is in there.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/ids.h"
#include "fetch/protocol.h"

namespace cooper::fetch {

struct TransferProgress {
  // kPresent: the registry has it already.
  enum class State { kWaiting, kRunning, kPausing, kDone, kPresent, kFailed };
  std::string digest;
  State state = State::kWaiting;
  std::uint64_t had_bytes = 0;   // of an earlier transfer
  std::uint64_t done_bytes = 0;  // with those
  std::uint64_t total_bytes = 0;
  std::uint64_t attempts_failed = 0;
  std::string note = {};  // why it pauses
};

struct ClientOptions {
  std::string program;  // absolute path of cooper-fetch
  Setup setup;
  // Readable when the work shall end: everything fails with Errc::kCancelled. Must outlive the client.
  BorrowedFd cancel{-1};
  // The blobs asked for so far, in order; called by the client's thread, at most ten times a second.
  std::function<void(std::span<const TransferProgress>)> progress = {};
};

// What an earlier fetch of a file of the web has left of it.
struct Resumption {
  std::uint64_t had_bytes = 0;
  std::string validator = {};  // as `note` was told it then
  // Called by the client's thread before anything is written: what the rest of the file can be asked for by, if that
  // becomes necessary; empty: nothing.
  std::function<Status(const std::string& validator)> note = {};
};

class Client {
 public:
  static Result<std::unique_ptr<Client>> start(ClientOptions options);
  // Ends cooper-fetch.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  struct Document {
    std::string bytes;
    std::string media_type;
    std::string endpoint;
    // Of a page.
    std::string etag = {};
    std::uint64_t max_age_s = 0;
    bool unchanged = false;
  };
  // By tag or digest; blocks.
  Result<Document> manifest(const std::string& reference, std::uint64_t max_bytes);
  // What a tag names, as far as the registry tells without sending it; blocks.
  Result<std::optional<Digest>> digest(const std::string& tag);
  // A small blob; blocks.
  Result<Document> document(const Digest& digest, std::uint64_t size_bytes);

  // A signature of that manifest from the setup's lookaside, by its number from 1; none: there are no more. Blocks.
  Result<std::optional<std::string>> signature(const Digest& manifest, std::uint32_t number, std::uint64_t max_bytes);

  // Begins to write a blob to `file`, which is open for reading and for writing at its end, and holds the first
  // `had_bytes` of it: fewer than all. The number of the transfer.
  std::size_t begin(const Digest& digest, std::uint64_t size_bytes, UniqueFd file, std::uint64_t had_bytes = 0);
  // Bytes of it from `offset` on; blocks until there are some. 0: its end, which is as far off as was said.
  Result<std::size_t> read(std::size_t transfer, std::uint64_t offset, std::span<char> buffer);
  // Of a setup for a push. Begins to ask whether the registry has a blob; to send one from a
  // file, which another repository of the registry may have (`from`, else empty). The number of the transfer.
  std::size_t begin_check(const Digest& digest, std::uint64_t size_bytes);
  std::size_t begin_send(const Digest& digest, std::uint64_t size_bytes, UniqueFd file, const std::string& from);
  // Blocks until such a transfer has ended. True: nothing was sent, the registry has it.
  Result<bool> present(std::size_t transfer);
  // Blocks until it is there. True: it was before.
  Result<bool> send_manifest(const std::string& reference, const std::string& media_type, const std::string& bytes);
  // Whether bytes that have another digest came from another place than the registry itself: it may have the right
  // ones.
  bool mirror_was_wrong() const;
  // A transfer has failed, or was interrupted: what came of blobs until then may be gone on with.
  bool transfers_failed() const;
  // Of a setup for the web. A small file by its address; blocks. One that has the ETag `if_changed` still does not
  // come.
  Result<Document> page(const std::string& url, std::uint64_t max_bytes, const std::string& if_changed = {});
  // Begins to write one to `file`, which is open for writing at its end and holds what `from` says, or nothing; when
  // that is not of the same file any more it is taken away first. Then blocks until all of it is there, and tells all
  // but bytes.
  std::size_t begin_page(const std::string& url, std::uint64_t max_bytes, UniqueFd file, Resumption from = {});
  Result<Document> wait_page(std::size_t transfer);
  // Errc::kCancelled when the caller's descriptor says so; for work that reads no transfer.
  Status check_cancelled() const;

 private:
  struct Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cooper::fetch
