// Owning and borrowed file descriptors, and a typed handle for everything else that must be released.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace cooper {

// A file descriptor somebody else owns and keeps open for the duration of the call.
class BorrowedFd {
 public:
  constexpr explicit BorrowedFd(int fd) : fd_(fd) {}
  constexpr int get() const { return fd_; }
  constexpr bool valid() const { return fd_ >= 0; }

 private:
  int fd_;
};

// Owns one file descriptor. Closing preserves errno and never retries (Linux has released the number even on EINTR).
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  explicit operator bool() const { return valid(); }
  operator BorrowedFd() const { return BorrowedFd(fd_); }
  BorrowedFd borrow() const { return BorrowedFd(fd_); }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1) {
    const int old = std::exchange(fd_, fd);
    if (old >= 0) {
      const int saved = errno;
      (void)::close(old);
      errno = saved;
    }
  }

 private:
  int fd_ = -1;
};

// UniqueHandle<Traits>: Traits has `type`, `static type null()`, `static void release(type)`.
template <typename Traits>
class UniqueHandle {
 public:
  using type = typename Traits::type;
  UniqueHandle() = default;
  explicit UniqueHandle(type handle) : handle_(handle) {}
  UniqueHandle(UniqueHandle&& other) noexcept : handle_(other.release()) {}
  UniqueHandle& operator=(UniqueHandle&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  UniqueHandle(const UniqueHandle&) = delete;
  UniqueHandle& operator=(const UniqueHandle&) = delete;
  ~UniqueHandle() { reset(); }

  type get() const { return handle_; }
  explicit operator bool() const { return handle_ != Traits::null(); }
  type release() { return std::exchange(handle_, Traits::null()); }
  void reset(type handle = Traits::null()) {
    type old = std::exchange(handle_, handle);
    if (old != Traits::null()) Traits::release(old);
  }

 private:
  type handle_ = Traits::null();
};

}  // namespace cooper
