// cooper-inflate: undoes gzip for cooper, which starts it; people have no use for it.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "confine/sandbox.h"
#include "fetch/inflate.h"
#include "inflate/gunzip.h"
#include "inflate/slots.h"
#include "sys/file.h"
#include "sys/mapping.h"

namespace {

using namespace cooper;
using fetch::InflateWord;

InflateWord word_of(const Status& status) {
  if (status.ok()) return InflateWord::kGood;
  for (const InflateWord word : {InflateWord::kTruncated, InflateWord::kFollowed, InflateWord::kCorrupt}) {
    if (status.error().message() == fetch::inflate_error(word).error().message()) return word;
  }
  return InflateWord::kFailed;
}

bool say(InflateWord word) {
  const char one = static_cast<char>(word);
  return sys::write_all(BorrowedFd(fetch::kInflateStatusFd), {&one, 1}).ok();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--version") {
    return sys::write_all(BorrowedFd(STDOUT_FILENO), "cooper-inflate " COOPER_VERSION "\n").ok() ? 0 : 1;
  }
  if (argc != 2 || std::string_view(argv[1]) != fetch::kInflateVersion ||
      ::fcntl(fetch::kInflateStatusFd, F_GETFD) < 0) {
    (void)!sys::write_all(BorrowedFd(STDERR_FILENO),
                          "cooper-inflate: is started by cooper, for which it undoes gzip: use gzip -d\n")
        .ok();
    return 125;
  }
  const auto memory = sys::Mapping::shared(BorrowedFd(fetch::kInflateMemoryFd), fetch::kInflateMemoryBytes);
  if (!memory.ok()) return 1;
  if (!confine::drop_root().ok() || !confine::enter_sandbox(confine::Purpose::kCompute).ok()) return 1;
  if (!say(InflateWord::kReady)) return 1;
  inflate::InputSlots input(memory->bytes(), BorrowedFd(fetch::kInflateInputFd));
  inflate::OutputSlots output(memory->bytes(), BorrowedFd(fetch::kInflateOutputFd));
  const Status status = inflate::gunzip(input, output);
  // The word first: who reads the output sees its end with the end of this process.
  return say(word_of(status)) && status.ok() ? 0 : 1;
}
