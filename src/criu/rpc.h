// The messages of criu's service protocol (images/rpc.proto of CRIU), as far as they are used: requests are printed,
// answers are parsed. Field numbers are CRIU's for good; what an older CRIU does not know it passes over in silence, so
// whoever needs a newer one asks for its version first.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace cooper::criu {

enum class RequestType { kEmpty = 0, kDump = 1, kRestore = 2, kPreDump = 4, kNotify = 6, kFeatures = 9, kVersion = 10 };
enum class CgroupMode { kIgnore = 0, kSoft = 3, kFull = 4, kStrict = 5 };

struct PageServer {
  std::string address;
  std::uint16_t port = 0;
  bool operator==(const PageServer&) const = default;
};
// Dump: where in the container, and the name in the images. Restore: that name, and what is mounted from the host.
struct ExternalMount {
  std::string key, value;
  bool operator==(const ExternalMount&) const = default;
};
// A descriptor of criu that takes the place of an external resource.
struct InheritedFd {
  std::string key;  // "pipe:[123]", "extRootNetNS"
  int fd = -1;
  bool operator==(const InheritedFd&) const = default;
};
struct CgroupRoot {
  std::string controller;  // empty: of all hierarchies
  std::string path;
  bool operator==(const CgroupRoot&) const = default;
};
struct JoinedNamespace {
  std::string type, file;
  bool operator==(const JoinedNamespace&) const = default;
};

// Members that are false, empty or none are not sent.
struct Options {
  int images_dir_fd = -1;  // of the process that made the socket, as work_dir_fd
  int work_dir_fd = -1;
  pid_t pid = 0;
  std::string root;
  int log_level = 4;
  std::string log_file;  // in the work directory
  std::string parent_images;
  std::string freeze_cgroup;
  std::string config_file;
  std::string lsm_profile, lsm_mount_context;
  std::optional<PageServer> page_server;
  std::optional<CgroupMode> cgroup_mode;
  std::uint32_t empty_namespaces = 0;  // CLONE_NEW*
  int status_fd = -1;                  // of criu
  bool leave_running = false, track_memory = false, auto_dedup = false, lazy_pages = false;
  bool tcp_established = false, tcp_skip_in_flight = false, external_unix_sockets = false;
  bool shell_job = false, file_locks = false, link_remap = false, evasive_devices = false;
  bool notify = false, orphan_pts_master = false, restore_sibling = false;
  std::vector<ExternalMount> external_mounts;
  std::vector<std::string> external;  // "net[4026532000]:extRootNetNS"
  std::vector<InheritedFd> inherited;
  std::vector<CgroupRoot> cgroup_roots;
  std::vector<JoinedNamespace> joined;
  bool operator==(const Options&) const = default;
};

struct Features {
  bool memory_tracking = false, lazy_pages = false;
};

struct Request {
  RequestType type = RequestType::kEmpty;
  std::optional<Options> options;
  std::optional<bool> notified;  // answer to a notification: whether it went well
  bool keep_open = false;        // another request follows
  std::optional<Features> features;
};
std::string print_request(const Request& request);

struct Version {
  int major = 0, minor = 0, sub = 0;
  auto operator<=>(const Version&) const = default;
};
std::string to_string(const Version& version);

struct Notification {
  std::string script;  // "setup-namespaces", "post-restore", "orphan-pts-master" ...
  pid_t pid = 0;       // of the root task, where there is one
};

struct Answer {
  RequestType type = RequestType::kEmpty;
  bool success = false;
  std::optional<pid_t> restored_pid;
  std::optional<Notification> notification;
  std::optional<Features> features;
  std::optional<Version> version;
  int error = 0;  // errno
  std::string message;
};
// Errc::kCorrupt for what is no answer.
Result<Answer> parse_answer(std::string_view text);

}  // namespace cooper::criu
