// What checkpoint and restore share: decisions as values (criu_parts.cpp), and the files around criu (criu_files.cpp).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "container/checkpoint.h"
#include "container/container.h"
#include "container/plan.h"
#include "criu/rpc.h"
#include "criu/session.h"

namespace cooper::container {

// ---- decisions
// A container that CRIU could save but nobody could restore as it was is refused: Errc::kUnsupported names the member.
Status check_restorable(const oci::Config& config, const Plan& plan);

// A mount of the container that shows something of the host: CRIU saves the name, and mounts the source at a restore.
struct HostMount {
  std::string destination, source;
  bool tree = false;  // with what is mounted below the source
  bool operator==(const HostMount&) const = default;
};
// Bind mounts and bound devices, in the order of the plan.
std::vector<HostMount> host_mounts(const Plan& plan);
// Of cgroup v1 without a cgroup namespace, where the hierarchies are bound into the container.
std::vector<HostMount> cgroup_binds(const oci::Config& config, const Plan& plan, const cgroup::Layout& layout,
                                    const std::string& cgroup_path);
// Files of the container that hide behind the host's null device have this name in the images.
inline constexpr std::string_view kMaskedName = "/dev/null";

// In the directory of the images, beside CRIU's files.
// descriptors.json, as runc writes it: what 0, 1 and 2 of the init were ("pipe:[123]", "/dev/null").
inline constexpr std::string_view kDescriptorsFile = "descriptors.json";
// What only we need at a restore: absent in images of other runtimes.
inline constexpr std::string_view kNotesFile = "cooper.json";
struct CheckpointNotes {
  // Standard streams that lie outside of the container: number -> CRIU's name of the file.
  std::map<int, std::string> streams;
  // Mounts below bind mounts: name in the images -> (destination of the bind mount, path below it).
  std::map<std::string, std::pair<std::string, std::string>> below;
  bool operator==(const CheckpointNotes&) const = default;
};
std::string print_notes(const CheckpointNotes& notes);
Result<CheckpointNotes> parse_notes(std::string text, std::string_view what);
std::string print_descriptors(const std::vector<std::string>& links);
Result<std::vector<std::string>> parse_descriptors(std::string text, std::string_view what);
// What criu gets for the standard streams: ours, in the place of what the images name.
std::vector<criu::InheritedFd> inherited_streams(const std::vector<std::string>& links, const CheckpointNotes& notes);
// Names and sources of everything that comes from the host.
std::vector<criu::ExternalMount> restored_mounts(const std::vector<HostMount>& mounts, const CheckpointNotes& notes,
                                                 bool masked);

// The members that checkpoint and restore have in common.
criu::Options common_options(const CriuOptions& options);
// What helps against the errors in a log of criu, "try --file-locks", or why nothing does; empty when it is not known.
std::string_view advice_for(std::string_view log);
// org.criu.config of the configuration ("" is none), else the system's, if it is there.
std::string criu_config_file(const oci::Config& config, std::string_view system_file = "/etc/criu/runc.conf");

// ---- files
// The two directories, which criu opens for itself.
struct CriuDirectories {
  UniqueFd images, work;
  std::string log;  // path
  bool made_images = false, made_work = false;
  std::string images_path, work_path;
};
enum class ImagesDirectory { kMustExist, kMake };
// `log` is the file's name. Directories that are missing are made, that of the images only when asked for.
Result<CriuDirectories> open_criu_directories(const CriuOptions& options, std::string_view log, ImagesDirectory images);
// Processes of a user namespace read their images themselves, as its root: the files, and those of the checkpoints that
// they build on, become readable (not writable) to that group of the host.
Status show_images_to(const CriuDirectories& directories, gid_t group);
// After a failure: what was made here goes away again, except for the log, if there is one.
void discard_criu_directories(const CriuDirectories& directories);
// The error, what criu's log says about it, and where that is.
Error explain_criu_failure(Error error, const CriuDirectories& directories);

// Descriptors of criu: the directories first.
inline constexpr int kImagesOfCriu = criu::Session::kFirstDirectory;
inline constexpr int kWorkOfCriu = kImagesOfCriu + 1;
inline constexpr int kFirstPassedToCriu = kWorkOfCriu + 1;
// Starts criu and asks what is needed: its version, and features of criu and the kernel. The program and the
// directories are filled in.
Result<criu::Session> start_criu(criu::SessionOptions options, const CriuDirectories& directories,
                                 const criu::Features& needed);

}  // namespace cooper::container
