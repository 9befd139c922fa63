// Name service files of a pod: what its apps see as /etc/hosts, /etc/hostname and /etc/resolv.conf.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::network {

inline constexpr const char* kHostsFile = "hosts";
inline constexpr const char* kHostnameFile = "hostname";
inline constexpr const char* kResolvFile = "resolv.conf";

enum class Mode {
  kNone,  // loopback only: nothing to resolve, so an empty resolv.conf (the image's would only make every lookup time
          // out)
  kHost,  // the host's network: the host's own names and servers
};

// The lines of a hosts file. Loopback names first; with the host's network its entries are kept and only a missing
// hostname is added.
std::string hosts_text(Mode mode, std::string_view hostname, std::string_view host_file);

// Writes the three files (0644) into `dir`, which must be new: existing files are an error. A host file that does not
// exist counts as empty. Not flushed to disk: they are of use only while the pod runs.
Status write_support_files(BorrowedFd dir, Mode mode, std::string_view hostname);

// Name of this machine's UTS namespace.
Result<std::string> host_name();

// RFC 1123 as the kernel takes it: 1 to 64 bytes of letters, digits, '-' and '.', no empty label, no label that starts
// or ends with '-'.
Status check_hostname(std::string_view name);

}  // namespace cooper::network
