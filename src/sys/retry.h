// Repeats a call that failed with EINTR.
#pragma once

#include <cerrno>

namespace cooper::sys {

template <typename F>
auto retry(F call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result == -1 && errno == EINTR);
  return result;
}

// As retry(), for receiving from AF_UNIX sockets that keep the borders of messages. A peer that went with words of ours
// unread is told of by ECONNRESET, once, ahead of what it has sent and we have not read: that is passed over, and what
// comes is its words, or its end.
template <typename Call>
auto retry_receive(Call call) {
  const auto result = retry(call);
  return result < 0 && errno == ECONNRESET ? retry(call) : result;
}

}  // namespace cooper::sys
