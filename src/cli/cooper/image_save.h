// Images out of the store: the verbs.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/error.h"
#include "cli/cooper/command.h"
#include "cli/cooper/transport_words.h"
#include "image/store.h"

namespace cooper::cli {

// --output --transport --quiet
extern const std::array<Flag, 3> kSaveFlags;
// Words of transports that are values of --format too, as for podman save; and one of podman's that we refuse.
extern const std::array<std::string_view, kTransportWords.size() + 1> kSaveFormats;
// --to --quiet
extern const std::array<Flag, 2> kConvertFlags;

// What the words of the command line ask for.
struct SaveTarget {
  enum class Kind { kStandardOutput, kPath, kDevice };  // a device: a pipe and the like, written as it is
  Kind kind = Kind::kStandardOutput;
  std::string path = {};
  image::Transport transport = image::Transport::kDockerArchive;
};
// `output` and `transport`: empty when not given. Looks at what is at the path.
Result<SaveTarget> save_target(const std::string& output, const std::string& transport);

// cooper image save
Result<int> save(const Context& context, const Args& args);
// cooper image convert
Result<int> convert_image(const Context& context, const Args& args);

}  // namespace cooper::cli
