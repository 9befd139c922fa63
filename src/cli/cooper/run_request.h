// From the flags of `run`, `plan` and `pod run` to a PodRequest. Nothing here touches the system except env files,
// which are read.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/cooper/args.h"
#include "cli/cooper/settings.h"
#include "pod/pod.h"

namespace cooper::cli {

// Flags that describe one app; for `run` and for each image of `pod run`.
std::span<const Flag> app_flags();
// Flags of the pod as a whole: name, network, hostname ...
std::span<const Flag> sandbox_flags();
// rkt's spellings, understood after the images of `pod run` in addition.
std::span<const Flag> rkt_app_flags();
// --volume and --mount of the pod, before the first image of `pod run`.
std::span<const Flag> rkt_pod_flags();

// What requests need from outside; faked in tests.
struct Surroundings {
  std::function<std::optional<std::string>(const std::string& name)> environment;
  std::string working_directory;
  // Asked only when a flag needs them; none: unknown.
  std::function<std::string()> processors = {};  // those online, as the kernel lists them: "0-3"
  std::function<bool()> apparmor = {};           // whether the kernel takes AppArmor profiles
};
Surroundings real_surroundings();

// words: IMAGE [COMMAND [ARG...]]
Result<pod::PodRequest> run_request(const Args& args, const Settings& settings, const Surroundings& around);
// words: IMAGE [app flags] [IMAGE ...] [-- ARG...] [--- IMAGE ...]. `signatures`: what --signature says of each app.
Result<pod::PodRequest> pod_request(const Args& args, const Settings& settings, const Surroundings& around,
                                    std::vector<std::string>* signatures = nullptr);
// "pod run busybox true" asks for two images: when the second is not there, the hint says where a command goes.
Error explain_image(Error error, const pod::PodRequest& request);

// "--label 'x': must be NAME=VALUE"
Error flag_error(std::string_view flag, std::string_view value, const std::string& why);
// Every value of a flag of the form NAME=VALUE, or NAME where the value may be missing; the last of a name counts.
enum class PairValue { kOptional, kRequired };
Status add_pairs(const Args& args, std::string_view flag, PairValue value, std::map<std::string, std::string>& out);

// Single values, exposed for tests.
std::optional<bool> parse_field_switch(std::string_view value);  // true false 1 0
// --cpuset-cpus: a list of processors that are among those of `online`, or any when that is empty.
Status check_processors(std::string_view list, std::string_view online);
Result<pod::VolumeMount> parse_volume(std::string_view text, const std::string& working_directory);
Result<pod::VolumeMount> parse_mount(std::string_view text, const std::string& working_directory);
Result<pod::VolumeMount> parse_tmpfs(std::string_view text);
Result<pod::Ulimit> parse_ulimit(std::string_view text);
Result<std::vector<std::string>> parse_env_file(std::string_view text, std::string_view what,
                                                const Surroundings& around);
Result<std::vector<std::string>> parse_entrypoint(std::string_view text);

}  // namespace cooper::cli
