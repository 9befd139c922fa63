// Flags of `run` in Apptainer's words, where they mean something here.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/cooper/args.h"
#include "pod/pod.h"

namespace cooper::cli {

inline constexpr std::array<Flag, 10> kApptainerFlags = {{
    {"bind", 'B', "SOURCE[:TARGET[:ro|rw]],...", "as --volume, several by commas; without TARGET in the same place",
     Flag::Complete::kFile},
    {"pwd", 0, "PATH", "as --workdir"},
    {"cwd", 0, "PATH", "as --workdir"},
    {"home", 0, "SOURCE[:TARGET]", "as --bind, and TARGET is the home directory", Flag::Complete::kDirectory},
    {"no-home", 0, "", "no home directory of the host: there is none unless --home says so"},
    {"contain", 0, "", "a /tmp, /dev and home of its own: always so"},
    {"containall", 0, "", "the same, and IPC, processes and environment of its own: always so"},
    {"cleanenv", 0, "", "nothing of the caller's environment: always so"},
    {"writable-tmpfs", 0, "", "what is written is gone at the end: with --rm, or when the container is removed"},
    {"no-init", 0, "", "the program is process 1 itself: always so without --init"},
}};

// "SOURCE[:TARGET[:OPTIONS]],..."; a comma that belongs to a path has a backslash before it.
Result<std::vector<pod::VolumeMount>> parse_binds(std::string_view text, const std::string& working_directory);

// What they say of an app.
Status add_apptainer_words(const Args& args, const std::string& working_directory, pod::AppRequest& app);

}  // namespace cooper::cli
