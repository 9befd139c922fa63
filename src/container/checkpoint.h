// Processes of a container saved into files, and a container made of such files, by CRIU. What the command line of
// `coop checkpoint` and `coop restore` asks for.
#pragma once

#include <optional>
#include <string>

#include "criu/rpc.h"

namespace cooper::container {

// Of both. What is said at a checkpoint about connections, sockets, locks and jobs must be said again at the restore.
struct CriuOptions {
  std::string image_path;  // directory, absolute
  std::string work_path;   // directory of the log, absolute; empty: image_path
  bool tcp_established = false;
  bool external_unix_sockets = false;
  bool shell_job = false;
  bool file_locks = false;
  bool lazy_pages = false;
  bool auto_dedup = false;
  bool empty_network = false;  // what the network namespace holds is neither saved nor restored
  criu::CgroupMode cgroup_mode = criu::CgroupMode::kSoft;
};

struct CheckpointOptions : CriuOptions {
  std::string parent_path;  // images of a checkpoint before this one; from image_path
  std::optional<criu::PageServer> page_server;
  int status_fd = -1;  // a descriptor that criu writes a byte to when lazy pages can be asked for
  bool leave_running = false;
  bool pre_dump = false;  // memory only; the container goes on
  bool tcp_skip_in_flight = false;
  bool link_remap = false;
};

struct RestoreOptions : CriuOptions {
  std::string id;
  std::string bundle;  // absolute
  std::string console_socket, pid_file;
  std::string config_text;  // raw bytes for config.json
  std::string lsm_profile, lsm_mount_context;
  std::string cgroup_default_parent = "/coop";
  bool systemd_cgroup = false;
  bool no_pivot = false;
  bool keep_console = false;  // hand the pty master back in Created::console instead of a socket
};

}  // namespace cooper::container
