#include "fetch/thread.h"

#include <pthread.h>

namespace cooper::fetch {

struct Thread::State {
  std::function<void()> body;
  pthread_t id{};
};

Thread::Thread(std::unique_ptr<State> state) : state_(std::move(state)) {}
Thread::Thread(Thread&& other) noexcept = default;
Thread::~Thread() {
  join();
}

Result<Thread> Thread::start(std::function<void()> body) {
  auto state = std::make_unique<State>();
  state->body = std::move(body);
  const auto entry = [](void* argument) -> void* {
    static_cast<State*>(argument)->body();
    return nullptr;
  };
  const int e = ::pthread_create(&state->id, nullptr, entry, state.get());
  if (e != 0) return Error::from_errno(e, "start a thread");
  return Thread(std::move(state));
}

void Thread::join() {
  if (!state_) return;
  (void)::pthread_join(state_->id, nullptr);
  state_.reset();
}

}  // namespace cooper::fetch
