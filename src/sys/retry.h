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

}  // namespace cooper::sys
