#include "cli/cooper/aci_intake.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.h"
#include "cli/cooper/image_policy.h"
#include "codec/compression.h"
#include "codec/stream.h"
#include "log/log.h"
#include "sys/file.h"

namespace cooper::cli {
namespace {

// Of a size that may be meant uncompressed: what does not get smaller gets a little larger.
std::uint64_t most_of(std::uint64_t size_bytes) {
  const std::uint64_t more = size_bytes / 256 + 4096;
  return size_bytes > UINT64_MAX - more ? UINT64_MAX : size_bytes + more;
}

// Bytes of the archive, as far as it is of interest how many.
Result<std::uint64_t> archive_bytes(BorrowedFd file, std::uint64_t came, std::uint64_t most) {
  codec::RangeSource source(file, 0, came);
  ASSIGN_OR_RETURN(const auto plain, codec::Decompressor::create(source, codec::Accept::kArchives));
  std::vector<char> buffer(std::size_t{256} << 10);
  std::uint64_t total = 0;
  while (total <= most) {
    ASSIGN_OR_RETURN(const std::size_t n, plain->read(buffer));
    if (n == 0) break;
    total += n;
  }
  return total;
}

// What needs it says how large it is: the file as it came, or the archive in it.
Status check_size(const FetchedAci& fetched, const std::string& word, std::uint64_t expected_bytes) {
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(fetched.file));
  const auto came = static_cast<std::uint64_t>(info.st_size);
  if (came == expected_bytes) return {};
  ASSIGN_OR_RETURN(const std::uint64_t plain, archive_bytes(fetched.file, came, expected_bytes));
  if (plain == expected_bytes) return {};
  std::string actual = std::to_string(came) + " bytes";
  if (plain != came)
    actual += ", uncompressed " +
              (plain > expected_bytes ? "more than " + std::to_string(expected_bytes) : std::to_string(plain));
  return Error(Errc::kCorrupt, "image " + quoted(word) + " has " + actual + ", and what needs it says that it has " +
                                   std::to_string(expected_bytes));
}

// Verified bytes become an image of the store, and so does what it depends on and the store lacks.
class Intake {
 public:
  Intake(const Context& context, const policy::Gate& gate, WebSession& web, const AciRequest& request,
         image::Store& store, bool quiet)
      : context_(context), gate_(gate), web_(web), request_(request), store_(store), quiet_(quiet) {}

  Result<std::vector<image::Image>> fetch(const std::string& word, const std::string& signature,
                                          std::vector<appc::ImageName> needed_by,
                                          std::optional<std::uint64_t> expected_bytes) {
    AciRequest wanted = request_;
    wanted.word = word;
    wanted.signature = signature;
    wanted.store = &store_;
    if (expected_bytes) wanted.max_bytes = std::min(wanted.max_bytes, most_of(*expected_bytes));
    UniqueFd file;
    if (classify_image_word(word) == ImageWord::kFile) {
      ASSIGN_OR_RETURN(file, open_image_file(file_of(word)));
      wanted.file = file;
    }
    if (Status admitted = admit_aci(gate_, file); !admitted.ok())
      return std::move(admitted).error().with("image " + quoted(word));
    ASSIGN_OR_RETURN(FetchedAci fetched, fetch_aci(context_, web_, wanted));
    if (fetched.unchanged) return known(*fetched.origin);
    if (!quiet_) RETURN_IF_ERROR(print_signatures(fetched));
    if (expected_bytes) RETURN_IF_ERROR(check_size(fetched, word, *expected_bytes));
    image::LoadOptions options;
    options.path = fetched.from;
    options.file = fetched.file;
    options.transport = image::Transport::kAci;
    options.needed_by = std::move(needed_by);
    ASSIGN_OR_RETURN(options.cancel, web_.cancel());
    options.supply = [&](const appc::Dependency& dependency,
                         const std::vector<appc::ImageName>& dependents) -> Result<bool> {
      const std::string name = appc::print_image_name(dependency.image_name, dependency.labels);
      auto images = fetch(name, "", dependents, dependency.size_bytes);
      if (!images.ok() && images.error().code() == Errc::kLimit && dependency.size_bytes)
        return std::move(images).error().with("image " + quoted(name) + ", which shall have " +
                                              std::to_string(*dependency.size_bytes) + " bytes");
      if (!images.ok()) return std::move(images).error();
      return !images->empty();
    };
    ASSIGN_OR_RETURN(auto images, store_.load(options));
    if (fetched.origin && images.size() == 1) {
      fetched.origin->image = images.front().id;
      remember(*fetched.origin);
    }
    return images;
  }

 private:
  Result<std::vector<image::Image>> known(const image::Origin& origin) {
    remember(origin);
    ASSIGN_OR_RETURN(image::Image image, store_.find(origin.image.str()));
    image.given_names = image.names;
    if (!quiet_) {
      const std::string line = quoted(origin.address) + " is unchanged: nothing is fetched\n";
      RETURN_IF_ERROR(sys::write_all(BorrowedFd(STDERR_FILENO), line));
    }
    std::vector<image::Image> out;
    out.push_back(std::move(image));
    return out;
  }
  // Without it the next fetch is a whole one.
  void remember(const image::Origin& origin) {
    if (Status done = store_.remember(origin); !done.ok())
      log::debug("remember " + quoted(origin.address) + ": " + done.error().message());
  }

  const Context& context_;
  const policy::Gate& gate_;
  WebSession& web_;
  const AciRequest& request_;
  image::Store& store_;
  bool quiet_;
};

}  // namespace

Status print_signatures(const FetchedAci& fetched) {
  if (fetched.signatures.empty()) return {};
  return sys::write_all(BorrowedFd(STDERR_FILENO), describe_signatures(fetched.signatures));
}

Result<std::vector<image::Image>> bring_aci(const Context& context, image::Store& store, AciWish wish) {
  WebAccess access{.registry = wish.registry};
  if (classify_image_word(wish.request.word) == ImageWord::kAddress) {
    ASSIGN_OR_RETURN(access.credentials_for, server_of(wish.request.word));
  }
  const bool anything = wish.registry.verify_tls == false;
  access.any_certificate = wish.request.insecure.tls || anything;
  wish.request.insecure.http = wish.request.insecure.http || anything;
  ASSIGN_OR_RETURN(const policy::Gate gate, open_gate(context, wish.signature_policy));
  WebSession web(context, std::move(access));
  auto images = Intake(context, gate, web, wish.request, store, wish.registry.quiet)
                    .fetch(wish.request.word, wish.request.signature, {}, {});
  if (images.ok()) return images;
  // Not before everything was taken away that was begun.
  if (images.error().code() == Errc::kCancelled && wish.before_end) wish.before_end();
  web.end_if_cancelled(images.error());
  return std::move(images).error();
}

}  // namespace cooper::cli
