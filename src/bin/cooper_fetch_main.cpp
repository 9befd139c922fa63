// cooper-fetch: the program that speaks to registries. cooper starts it; people have no use for it.
#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "fetch/protocol.h"
#include "fetch/verify.h"
#include "registry/http.h"
#include "registry/serve.h"
#include "registry/verify.h"
#include "sys/file.h"

int main(int argc, char** argv) {
  const auto say = [](int fd, const std::string& text) {
    (void)!cooper::sys::write_all(cooper::BorrowedFd(fd), text).ok();
  };
  if (argc == 2 && std::string_view(argv[1]) == "--version") {
    say(STDOUT_FILENO, "cooper-fetch " COOPER_VERSION "\n" + cooper::registry::HttpClient::library_version() + "\n");
    return 0;
  }
  if (argc == 2 && std::string_view(argv[1]) == cooper::fetch::kVerifyWord &&
      ::fcntl(cooper::fetch::kVerifySignatureFd, F_GETFD) >= 0)
    return cooper::registry::verify();
  if (argc != 1 || ::fcntl(cooper::fetch::kSocketFd, F_GETFD) < 0 || ::fcntl(cooper::fetch::kSetupFd, F_GETFD) < 0) {
    say(STDERR_FILENO, "cooper-fetch: is started by cooper, which talks to it: use cooper image pull and push\n");
    return 125;
  }
  return cooper::registry::serve();
}
