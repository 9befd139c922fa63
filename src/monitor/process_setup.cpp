#include "monitor/process_setup.h"

#include <fcntl.h>
#include <link.h>
#include <linux/prctl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/strings.h"
#include "io/file.h"
#include "monitor/internal/board.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cooper::monitor {

Result<internal::Board*> internal::make_board() {
  void* memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return Error::from_errno(errno, "map shared memory");
  return static_cast<Board*>(memory);  // zeroed atomics of lock-free types are valid objects
}

Status null_stdio(StdError error) {
  ASSIGN_OR_RETURN(const UniqueFd null, sys::openat(sys::kCwd, "/dev/null", O_RDWR));
  for (int fd = 0; fd <= 2; ++fd) {
    if (fd == 2 && error == StdError::kKeep && ::fcntl(2, F_GETFD) >= 0) continue;
    // When the caller had this one closed, null itself may be it: dup3 would refuse, and close-on-exec must go.
    if (null.get() == fd) continue;
    if (::dup3(null.get(), fd, 0) < 0) return Error::from_errno(errno, "redirect standard streams");
  }
  if (null.get() <= 2) {
    const int number = const_cast<UniqueFd&>(null).release();
    RETURN_IF_ERROR(sys::set_cloexec(BorrowedFd(number), false));
  }
  return {};
}

Status close_all_but(std::vector<int> keep) {
  std::ranges::sort(keep);
  unsigned next = 3;
  for (const int fd : keep) {
    if (fd < 3) continue;
    const auto number = static_cast<unsigned>(fd);
    if (number > next) RETURN_IF_ERROR(sys::close_range(next, number - 1, 0));
    next = std::max(next, number + 1);
  }
  return sys::close_range(next, ~0U, 0);
}

Status move_above_stdio(UniqueFd& fd) {
  if (!fd || fd.get() > 2) return {};
  ASSIGN_OR_RETURN(UniqueFd moved, sys::dup_cloexec(fd, 3));
  fd = std::move(moved);
  return {};
}

namespace {

void ignore_signal(int) {}

sigset_t stop_signals() {
  sigset_t set;
  (void)::sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) (void)::sigaddset(&set, signal);
  return set;
}

}  // namespace

void reset_signals() {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) (void)::sigaction(signal, &action, nullptr);
  action.sa_handler = ignore_signal;
  (void)::sigaction(SIGPIPE, &action, nullptr);
  (void)::sigaction(SIGXFSZ, &action,
                    nullptr);  // a log beyond the caller's file size limit is a failed write, not our end
  sigset_t none;
  (void)::sigemptyset(&none);
  (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void block_all_signals() {
  sigset_t all;
  (void)::sigfillset(&all);
  (void)::sigprocmask(SIG_SETMASK, &all, nullptr);
}

Result<UniqueFd> stop_signal_fd() {
  const sigset_t set = stop_signals();
  (void)::sigprocmask(SIG_BLOCK, &set, nullptr);
  UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return Error::from_errno(errno, "create signal descriptor");
  return fd;
}

namespace {

// Fields of /proc/self/stat from the third on (index 0 is field 3).
std::vector<unsigned long> stat_fields() {
  std::vector<unsigned long> out;
  const auto text = io::read_file("/proc/self/stat");
  if (!text.ok()) return out;
  const auto close = text->rfind(')');
  if (close == std::string::npos) return out;
  for (const std::string_view word : split(trim(std::string_view(*text).substr(close + 1)), ' ')) {
    out.push_back(parse_number<unsigned long>(word).value_or(0));
  }
  return out;
}

constexpr std::size_t kTitleSize = 128;

// Points the kernel's idea of the command line at `title`, which must stay where it is; 3.18,
// CONFIG_CHECKPOINT_RESTORE.
bool move_command_line(const char* title, std::size_t size) {
  const auto fields = stat_fields();
  if (fields.size() < 50) return false;
  struct prctl_mm_map map = {};
  map.start_code = fields[26 - 3];
  map.end_code = fields[27 - 3];
  map.start_stack = fields[28 - 3];
  map.start_data = fields[45 - 3];
  map.end_data = fields[46 - 3];
  map.start_brk = fields[47 - 3];
  map.brk = reinterpret_cast<std::uintptr_t>(::sbrk(0));
  map.arg_start = reinterpret_cast<std::uintptr_t>(title);
  map.arg_end = map.arg_start + size;
  map.env_start = fields[50 - 3];
  map.env_end = fields[51 - 3];
  map.auxv = nullptr;
  map.auxv_size = 0;
  map.exe_fd = ~0U;
  return ::prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0) == 0;
}

// COMPAT(kernel without CONFIG_CHECKPOINT_RESTORE): over the original arguments, as much as fits.
void overwrite_command_line(const std::string& title) {
  const auto fields = stat_fields();
  if (fields.size() < 50) return;
  const std::uintptr_t start = fields[48 - 3], end = fields[49 - 3];
  if (start == 0 || end <= start + 1) return;
  char* args = reinterpret_cast<char*>(start);  // NOLINT: an address the kernel gave us
  const std::size_t room = end - start - 1;
  const std::size_t n = std::min(room, title.size());
  std::copy_n(title.begin(), n, args);
  std::memset(args + n, 0, end - start - n);
}

}  // namespace

void set_process_name(const std::string& comm, const std::string& title) {
  (void)::prctl(PR_SET_NAME, comm.substr(0, 15).c_str(), 0, 0, 0);
  if (title.empty()) return;
  // On the heap: the kernel reads command lines from anonymous memory only, which static data is not.
  static std::string memory;
  memory.reserve(kTitleSize);
  memory = title.substr(0, kTitleSize);
  if (!move_command_line(memory.c_str(), memory.size() + 1)) overwrite_command_line(title);
}

void protect_from_oom_killer() {
  (void)!io::write_existing(sys::kCwd, "/proc/self/oom_score_adj", "-999").ok();
}

void prepare_allocator() {
  (void)::mallopt(M_ARENA_MAX, 1);
  (void)::mallopt(M_MMAP_THRESHOLD, 64 << 10);
  (void)::mallopt(M_TRIM_THRESHOLD, 32 << 10);
  (void)::mallopt(M_TOP_PAD, 0);
}

namespace {

// Unmaps code and constants of one loaded object; they come back from the page cache when they are touched. Segments
// that are (or were, before relocation) writable hold data of ours and stay.
int forget_constant_segments(struct dl_phdr_info* object, std::size_t, void*) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const std::uintptr_t start = object->dlpi_addr + segment.p_vaddr;
    // Whole pages of this segment only: its first and last may be shared with a writable neighbour.
    const std::uintptr_t begin = (start + page - 1) & ~(page - 1);
    const std::uintptr_t end = (start + segment.p_memsz) & ~(page - 1);
    if (begin >= end) continue;
    (void)::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);  // NOLINT: an address of the loader
  }
  return 0;
}

}  // namespace

void trim_memory() {
  (void)::malloc_trim(0);
  (void)::dl_iterate_phdr(forget_constant_segments, nullptr);
}

}  // namespace cooper::monitor
