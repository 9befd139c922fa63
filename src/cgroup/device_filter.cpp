#include "cgroup/internal/device_filter.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/strings.h"
#include "cgroup/cgroup.h"
#include "cgroup/internal/files.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::cgroup {
namespace {

// A rule without strings: -1 is any.
struct Rule {
  bool allow = false;
  std::int32_t type = -1;  // BPF_DEVCG_DEV_BLOCK, BPF_DEVCG_DEV_CHAR
  std::int32_t major = -1, minor = -1;
  std::int32_t access = 0;  // BPF_DEVCG_ACC_*
  bool everything() const { return type < 0 && major < 0 && minor < 0 && access == kAll; }
  static constexpr std::int32_t kAll = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;
};

Error bad_rule(std::string_view what, std::string_view value) {
  return Error(Errc::kInvalidArgument, "device rule has " + std::string(what) + " " + quoted(value), EINVAL);
}

Result<std::int32_t> parse_device_number(const std::optional<std::int64_t>& number, std::string_view what) {
  if (!number || *number == -1) return -1;
  if (*number < 0 || *number > INT32_MAX) return bad_rule(what, std::to_string(*number));
  return static_cast<std::int32_t>(*number);
}

Result<Rule> parse_rule(const oci::DeviceRule& rule) {
  Rule out;
  out.allow = rule.allow;
  if (rule.type == "b") {
    out.type = BPF_DEVCG_DEV_BLOCK;
  } else if (rule.type == "c" || rule.type == "u") {
    out.type = BPF_DEVCG_DEV_CHAR;
  } else if (!rule.type.empty() && rule.type != "a") {
    return bad_rule("the unknown type", rule.type);
  }
  ASSIGN_OR_RETURN(out.major, parse_device_number(rule.major, "the bad major number"));
  ASSIGN_OR_RETURN(out.minor, parse_device_number(rule.minor, "the bad minor number"));
  for (const char c : rule.access) {
    switch (c) {
      case 'r':
        out.access |= BPF_DEVCG_ACC_READ;
        break;
      case 'w':
        out.access |= BPF_DEVCG_ACC_WRITE;
        break;
      case 'm':
        out.access |= BPF_DEVCG_ACC_MKNOD;
        break;
      default:
        return bad_rule("the unknown access", rule.access);
    }
  }
  if (out.access == 0) out.access = Rule::kAll;
  return out;
}

struct bpf_insn insn(int code, int dst, int src, int off, std::int32_t imm) {
  struct bpf_insn out = {};
  out.code = static_cast<std::uint8_t>(code);
  out.dst_reg = static_cast<std::uint8_t>(dst & 0xf);
  out.src_reg = static_cast<std::uint8_t>(src & 0xf);
  out.off = static_cast<std::int16_t>(off);
  out.imm = imm;
  return out;
}

// r1 context, r2 type, r3 access still to be decided, r4 major, r5 minor, r6 scratch.
class Assembler {
 public:
  Assembler() {
    load(2, offsetof(struct bpf_cgroup_dev_ctx, access_type));
    emit(BPF_ALU64 | BPF_MOV | BPF_X, 3, 2, 0, 0);
    emit(BPF_ALU64 | BPF_RSH | BPF_K, 3, 0, 0, 16);
    emit(BPF_ALU64 | BPF_AND | BPF_K, 2, 0, 0, 0xffff);
    load(4, offsetof(struct bpf_cgroup_dev_ctx, major));
    load(5, offsetof(struct bpf_cgroup_dev_ctx, minor));
  }

  void rule(const Rule& rule) {
    std::vector<std::size_t> misses;
    const auto unless_equal = [&](int reg, std::int32_t value) {
      if (value < 0) return;
      misses.push_back(out_.size());
      emit(BPF_JMP | BPF_JNE | BPF_K, reg, 0, 0, value);
    };
    unless_equal(2, rule.type);
    unless_equal(4, rule.major);
    unless_equal(5, rule.minor);
    if (rule.access != Rule::kAll) {
      if (rule.allow) {
        emit(BPF_ALU64 | BPF_AND | BPF_K, 3, 0, 0, ~rule.access & Rule::kAll);
        misses.push_back(out_.size());
        emit(BPF_JMP | BPF_JNE | BPF_K, 3, 0, 0, 0);
      } else {
        emit(BPF_ALU64 | BPF_MOV | BPF_X, 6, 3, 0, 0);
        emit(BPF_ALU64 | BPF_AND | BPF_K, 6, 0, 0, rule.access);
        misses.push_back(out_.size());
        emit(BPF_JMP | BPF_JEQ | BPF_K, 6, 0, 0, 0);
      }
    }
    answer(rule.allow);
    for (const std::size_t at : misses) out_[at].off = static_cast<std::int16_t>(out_.size() - at - 1);
  }

  void answer(bool allow) {
    emit(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, allow ? 1 : 0);
    emit(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  }

  std::vector<struct bpf_insn> take() { return std::move(out_); }

 private:
  void emit(int code, int dst, int src, int off, std::int32_t imm) { out_.push_back(insn(code, dst, src, off, imm)); }
  void load(int reg, std::size_t offset) { emit(BPF_LDX | BPF_MEM | BPF_W, reg, 1, static_cast<int>(offset), 0); }

  std::vector<struct bpf_insn> out_;
};

long bpf(int command, union bpf_attr& attr) {
  return ::syscall(SYS_bpf, command, &attr, sizeof attr);
}

std::uint64_t pointer(const void* p) {
  return reinterpret_cast<std::uintptr_t>(p);
}

Result<UniqueFd> load_program(const std::vector<struct bpf_insn>& program) {
  std::array<char, 4096> words{};
  for (const bool with_log : {false, true}) {
    union bpf_attr attr;
    std::memset(&attr, 0, sizeof attr);
    attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attr.expected_attach_type = BPF_CGROUP_DEVICE;
    attr.insns = pointer(program.data());
    attr.insn_cnt = static_cast<std::uint32_t>(program.size());
    attr.license = pointer("Apache-2.0");
    if (with_log) {
      attr.log_buf = pointer(words.data());
      attr.log_size = words.size();
      attr.log_level = 1;
    }
    const long fd = bpf(BPF_PROG_LOAD, attr);
    if (fd >= 0) return UniqueFd(static_cast<int>(fd));
    const int saved = errno;
    // The verifier's words are worth a second try; a refused right is not.
    if (saved == EPERM || saved == ENOSYS || with_log) {
      std::string what = "load the device filter";
      words.back() = '\0';
      if (words.front() != '\0') what += " (kernel says " + quoted(trim(words.data())) + ")";
      return Error::from_errno(saved, what);
    }
  }
  return Error(Errc::kInternal, "load the device filter");
}

Result<std::vector<std::uint32_t>> attached_programs(BorrowedFd group) {
  std::vector<std::uint32_t> ids(64);
  union bpf_attr attr;
  std::memset(&attr, 0, sizeof attr);
  attr.query.target_fd = static_cast<std::uint32_t>(group.get());
  attr.query.attach_type = BPF_CGROUP_DEVICE;
  attr.query.prog_ids = pointer(ids.data());
  attr.query.prog_cnt = static_cast<std::uint32_t>(ids.size());
  if (bpf(BPF_PROG_QUERY, attr) != 0) return Error::from_errno(errno, "query the device filters of the cgroup");
  ids.resize(attr.query.prog_cnt);
  return ids;
}

Result<UniqueFd> program_by_id(std::uint32_t id) {
  union bpf_attr attr;
  std::memset(&attr, 0, sizeof attr);
  attr.prog_id = id;
  const long fd = bpf(BPF_PROG_GET_FD_BY_ID, attr);
  if (fd < 0) return Error::from_errno(errno, "open device filter " + std::to_string(id));
  return UniqueFd(static_cast<int>(fd));
}

// replaced < 0: beside what is there.
int attach(BorrowedFd group, int program, int replaced) {
  union bpf_attr attr;
  std::memset(&attr, 0, sizeof attr);
  attr.target_fd = static_cast<std::uint32_t>(group.get());
  attr.attach_bpf_fd = static_cast<std::uint32_t>(program);
  attr.attach_type = BPF_CGROUP_DEVICE;
  attr.attach_flags = BPF_F_ALLOW_MULTI;
  if (replaced >= 0) {
    attr.attach_flags |= BPF_F_REPLACE;  // kernel 5.6
    attr.replace_bpf_fd = static_cast<std::uint32_t>(replaced);
  }
  return bpf(BPF_PROG_ATTACH, attr) == 0 ? 0 : errno;
}

int detach(BorrowedFd group, int program) {
  union bpf_attr attr;
  std::memset(&attr, 0, sizeof attr);
  attr.target_fd = static_cast<std::uint32_t>(group.get());
  attr.attach_bpf_fd = static_cast<std::uint32_t>(program);
  attr.attach_type = BPF_CGROUP_DEVICE;
  return bpf(BPF_PROG_DETACH, attr) == 0 ? 0 : errno;
}

}  // namespace

Result<std::vector<std::string>> device_rule_texts(const oci::DeviceRule& rule) {
  ASSIGN_OR_RETURN(const Rule parsed, parse_rule(rule));
  std::vector<std::string> out;
  if (parsed.everything()) {
    out.emplace_back("a");
    return out;
  }
  const auto number = [](std::int32_t n) { return n < 0 ? std::string("*") : std::to_string(n); };
  std::string rest = " " + number(parsed.major) + ":" + number(parsed.minor) + " ";
  if ((parsed.access & BPF_DEVCG_ACC_READ) != 0) rest += 'r';
  if ((parsed.access & BPF_DEVCG_ACC_WRITE) != 0) rest += 'w';
  if ((parsed.access & BPF_DEVCG_ACC_MKNOD) != 0) rest += 'm';
  if (parsed.type != BPF_DEVCG_DEV_CHAR) out.push_back("b" + rest);
  if (parsed.type != BPF_DEVCG_DEV_BLOCK) out.push_back("c" + rest);
  return out;
}

namespace {

using DeviceList = std::map<std::string, std::string>;

// "c 1:3 rw" -> "c 1:3", "rw".
std::pair<std::string, std::string> split_access(std::string_view line) {
  const std::size_t at = line.rfind(' ');
  if (at == std::string_view::npos) return {std::string(line), {}};
  return {std::string(line.substr(0, at)), std::string(line.substr(at + 1))};
}

std::string without(std::string letters, const std::string& taken) {
  std::erase_if(letters, [&](char letter) { return taken.find(letter) != std::string::npos; });
  return letters;
}

// One rule more. The kernel joins rules of one device, and takes a denial from the very same device only.
void put(DeviceList& list, const std::string& device, const std::string& letters, bool allow) {
  std::string& have = list[device];
  have = without(have, letters) + (allow ? letters : "");
  if (have.empty()) list.erase(device);
}

// Of "c 1:3", "c 1:*": whether there are devices that both mean.
bool overlap(std::string_view a, std::string_view b) {
  const auto same = [](std::string_view x, std::string_view y) { return x == "*" || y == "*" || x == y; };
  const auto parts = [](std::string_view device) { return split_once(device.substr(2), ':'); };
  const auto one = parts(a);
  const auto other = parts(b);
  return a.front() == b.front() && one && other && same(one->first, other->first) && same(one->second, other->second);
}

}  // namespace

Status check_device_denials_v1(const std::vector<oci::DeviceRule>& rules) {
  DeviceList allowed;
  bool denies = false;
  for (const oci::DeviceRule& rule : rules) {
    ASSIGN_OR_RETURN(const auto texts, device_rule_texts(rule));
    for (const std::string& text : texts) {
      if (text == "a") {
        denies = !rule.allow;
        allowed.clear();
        continue;
      }
      const auto [device, letters] = split_access(text);
      put(allowed, device, letters, rule.allow);
      if (rule.allow || !denies) continue;
      for (const auto& [other, others_letters] : allowed) {
        const std::string both = without(others_letters, without("rw", letters) + "m");
        if (other == device || both.empty() || !overlap(device, other)) continue;
        return Error(Errc::kUnsupported, "on cgroup v1 the device rule that denies " + quoted(text) +
                                             " takes nothing back from the one before it that allows " +
                                             quoted(other + " " + others_letters))
            .with_hint("allow what is wanted without it; cgroup v2 does what the rules say");
      }
    }
  }
  return {};
}

Status write_device_rules_v1(const std::string& directory, const std::vector<oci::DeviceRule>& rules, Base base) {
  RETURN_IF_ERROR(check_device_denials_v1(rules));
  std::array<UniqueFd, 2> files;
  for (const oci::DeviceRule& rule : rules) {
    const std::string path = directory + (rule.allow ? "/devices.allow" : "/devices.deny");
    UniqueFd& file = files[rule.allow ? 1 : 0];
    if (!file) {
      ASSIGN_OR_RETURN(file, base.openat(path, O_WRONLY));
    }
    ASSIGN_OR_RETURN(const auto texts, device_rule_texts(rule));
    for (const std::string& text : texts) {
      if (auto written = sys::write(file, text); !written.ok()) {
        return std::move(written).error().with("write " + quoted(text) + " to " + quoted(path));
      }
    }
  }
  return {};
}

namespace {

// What is in `list` and not in `other`, as lines to write.
std::vector<std::string> difference(const DeviceList& list, const DeviceList& other) {
  std::vector<std::string> out;
  for (const auto& [device, letters] : list) {
    const auto found = other.find(device);
    const std::string left = found == other.end() ? letters : without(letters, found->second);
    if (!left.empty()) out.push_back(device + " " + left);
  }
  return out;
}

}  // namespace

Result<std::optional<DeviceList>> device_list(const std::vector<oci::DeviceRule>& rules) {
  DeviceList out;
  bool denies = false;
  for (const oci::DeviceRule& rule : rules) {
    ASSIGN_OR_RETURN(const auto texts, device_rule_texts(rule));
    for (const std::string& text : texts) {
      if (text == "a" && rule.allow) return std::optional<DeviceList>();
      if (text == "a") {
        denies = true;
        out.clear();
        continue;
      }
      const auto [device, letters] = split_access(text);
      put(out, device, letters, rule.allow);
    }
  }
  if (!denies) return std::optional<DeviceList>();
  return std::optional(std::move(out));
}

std::optional<DeviceList> parse_device_list(std::string_view text) {
  DeviceList out;
  for (const std::string_view line : split(text, '\n')) {
    if (line.empty()) continue;
    const auto [device, letters] = split_access(line);
    if (device.starts_with("a ")) return std::nullopt;
    out[device] += letters;
  }
  return out;
}

Status update_device_rules_v1(const std::string& directory, const std::vector<oci::DeviceRule>& rules) {
  RETURN_IF_ERROR(check_device_denials_v1(rules));
  ASSIGN_OR_RETURN(const auto wanted, device_list(rules));
  ASSIGN_OR_RETURN(const std::string text, read_control(directory + "/devices.list"));
  const auto current = parse_device_list(text);
  if (!wanted || !current) return write_device_rules_v1(directory, rules);
  struct Write {
    std::string file, undo, line;
  };
  const std::string allow = directory + "/devices.allow", deny = directory + "/devices.deny";
  std::vector<Write> writes;
  for (std::string& line : difference(*wanted, *current)) writes.push_back({allow, deny, std::move(line)});
  for (std::string& line : difference(*current, *wanted)) writes.push_back({deny, allow, std::move(line)});
  for (std::size_t done = 0; done < writes.size(); ++done) {
    Status written = write_control(writes[done].file, writes[done].line);
    if (written.ok()) continue;
    while (done > 0) {
      --done;
      (void)!write_control(writes[done].undo, writes[done].line).ok();
    }
    return written;
  }
  return {};
}

Result<std::vector<struct bpf_insn>> device_program(const std::vector<oci::DeviceRule>& rules) {
  Assembler out;
  for (auto rule = rules.rbegin(); rule != rules.rend(); ++rule) {
    ASSIGN_OR_RETURN(const Rule parsed, parse_rule(*rule));
    out.rule(parsed);
    // Earlier rules cannot be reached, and the verifier refuses instructions that cannot.
    if (parsed.everything()) return out.take();
  }
  out.answer(false);
  return out.take();
}

Status attach_device_filter(BorrowedFd group, const std::vector<oci::DeviceRule>& rules) {
  ASSIGN_OR_RETURN(const auto instructions, device_program(rules));
  ASSIGN_OR_RETURN(const UniqueFd program, load_program(instructions));
  ASSIGN_OR_RETURN(const auto old_ids, attached_programs(group));
  std::vector<UniqueFd> old;
  for (const std::uint32_t id : old_ids) {
    ASSIGN_OR_RETURN(UniqueFd fd, program_by_id(id));
    old.push_back(std::move(fd));
  }
  if (old.size() == 1 && attach(group, program.get(), old.front().get()) == 0) return {};
  // COMPAT(kernel 5.6): without BPF_F_REPLACE both programs are in force for a moment, which only refuses more.
  if (const int e = attach(group, program.get(), -1); e != 0)
    return Error::from_errno(e, "attach the device filter to the cgroup");
  for (const UniqueFd& fd : old) {
    if (const int e = detach(group, fd.get()); e != 0 && e != ENOENT)
      return Error::from_errno(e, "detach the old device filter from the cgroup");
  }
  return {};
}

std::vector<oci::DeviceRule> default_device_rules() {
  const auto allow = [](std::optional<std::int64_t> major, std::optional<std::int64_t> minor, std::string access,
                        std::string type = "c") {
    return oci::DeviceRule{
        .allow = true, .type = std::move(type), .major = major, .minor = minor, .access = std::move(access)};
  };
  const std::optional<std::int64_t> any;
  return {
      allow(any, any, "m"),  allow(any, any, "m", "b"),                      // nodes may be made, not opened
      allow(1, 3, "rwm"),    allow(1, 5, "rwm"),        allow(1, 7, "rwm"),  // null zero full
      allow(1, 8, "rwm"),    allow(1, 9, "rwm"),        allow(5, 0, "rwm"),  // random urandom tty
      allow(5, 1, "rwm"),    allow(136, any, "rwm"),    allow(5, 2, "rwm"),  // console pts ptmx
      allow(10, 200, "rwm"),                                                 // tun: networks of users, VPNs
  };
}

}  // namespace cooper::cgroup
