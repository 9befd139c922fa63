// A thread whose creation may fail (a pids limit) and that is always joined.
#pragma once

#include <functional>
#include <memory>

#include "base/error.h"

namespace cooper::fetch {

class Thread {
 public:
  static Result<Thread> start(std::function<void()> body);
  Thread(Thread&& other) noexcept;
  Thread& operator=(Thread&&) = delete;
  ~Thread();
  void join();

 private:
  struct State;
  explicit Thread(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace cooper::fetch
