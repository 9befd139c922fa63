// The policy about images on the command line: which one holds, what stands before a pull or a load, and the verb that
// shows it.
#pragma once

#include <array>
#include <string>

#include "base/error.h"
#include "cli/cooper/command.h"
#include "image/build.h"
#include "image/file_image.h"
#include "image/store.h"
#include "policy/gate.h"

namespace cooper::cli {

// --signature-policy
inline constexpr std::array<Flag, 1> kPolicyFlags = {{
    {"signature-policy", 0, "FILE", "which images are taken (default: /etc/cooper/policy.json or containers' own)",
     Flag::Complete::kFile},
}};

// `file` is the flag's; empty: the configuration's, or else where policies are.
Result<policy::Gate> open_gate(const Context& context, const std::string& file);

// Makes a load or an import ask the gate, which must outlive the options. What is named is opened here, once, so that
// what is judged by its path is what will be read; the descriptor must outlive the options, too.
Result<UniqueFd> guard(image::LoadOptions& options, const policy::Gate& gate);
void guard(image::BuildOptions& options, const policy::Gate& gate);
// An image that is run where it lies.
Status admit_file(const Context& context, const image::FileImage& file);
// An ACI that is fetched, from a file that was opened or, without one, from elsewhere.
Status admit_aci(const policy::Gate& gate, BorrowedFd file);

// cooper image policy
Result<int> show_policy(const Context& context, const Args& args);

}  // namespace cooper::cli
