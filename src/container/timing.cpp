#include "container/timing.h"

#include <sys/mman.h>
#include <time.h>

#include <cerrno>
#include <string_view>

#include "base/strings.h"

namespace cooper::container {
namespace {

std::int64_t now_ns() {
  struct timespec now = {};
  (void)::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// " 12 child  mount destination=/proc": number and actor are told otherwise.
std::string without_number(std::string_view line) {
  constexpr std::size_t kWords = 11;
  return std::string(line.size() > kWords ? line.substr(kWords) : std::string_view());
}

}  // namespace

StartTiming::~StartTiming() {
  if (times_ != nullptr) (void)::munmap(times_, count_ * sizeof(StepTime));
}

Status StartTiming::open(const Plan& plan) {
  if (times_ != nullptr || plan.steps.empty()) return Error(Errc::kInternal, "one timing is for one start");
  const std::size_t size = plan.steps.size() * sizeof(StepTime);
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return Error::from_errno(errno, "map shared memory for the times of the steps");
  times_ = static_cast<StepTime*>(memory);
  count_ = plan.steps.size();
  const std::string text = print_text(plan);
  for (const std::string_view line : split(text, '\n')) {
    if (texts_.size() == count_) break;  // warnings follow
    texts_.emplace_back(plan.steps[texts_.size()].actor, without_number(line));
  }
  return {};
}

void StartTiming::begin(std::size_t step) {
  if (step < count_) times_[step].begin_ns = now_ns();
}

void StartTiming::end(std::size_t step) {
  if (step < count_) times_[step].end_ns = now_ns();
}

void StartTiming::mark(std::string what) {
  marks_.push_back({std::move(what), now_ns()});
}

std::vector<StartTiming::TimedStep> StartTiming::steps() const {
  std::vector<TimedStep> out;
  for (std::size_t i = 0; i < texts_.size(); ++i) out.push_back({texts_[i].first, texts_[i].second, times_[i]});
  return out;
}

}  // namespace cooper::container
