// Images out of the store: the verbs.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/cooper/command.h"
#include "cli/cooper/transport_words.h"
#include "image/save.h"
#include "image/store.h"

namespace cooper::cli {

// --output --transport --quiet
extern const std::array<Flag, 3> kSaveFlags;
// Words of transports that are values of --format too, as for podman save.
extern const std::array<std::string_view, kTransportWords.size()> kSaveFormats;
// --to --quiet
extern const std::array<Flag, 2> kConvertFlags;

// What the words of the command line ask for.
struct SaveTarget {
  enum class Kind { kStandardOutput, kPath, kDevice };  // a device: a pipe and the like, written as it is
  Kind kind = Kind::kStandardOutput;
  std::string path = {};
  image::Transport transport = image::Transport::kDockerArchive;
  bool told = false;    // the words say which transport it is
  std::string as = {};  // see image::SaveOptions
  bool add = false;
};
// `output` and `transport`: empty when not given. Looks at what is at the path.
Result<SaveTarget> save_target(const std::string& output, const std::string& transport);
// What KIND:PATH[:NAME] asks for, if `text` is that: as save_target() says it of a path.
Result<std::optional<SaveTarget>> written_place(const std::string& text);

// Writes them, shows progress, and ends by the signal that cancels it.
Result<image::SaveResult> write_to(const Context& context, const std::vector<std::string>& references,
                                   const SaveTarget& target, bool quiet);
// cooper image save
Result<int> save(const Context& context, const Args& args);
// cooper image export
Result<int> export_image(const Context& context, const Args& args);
// cooper image convert
Result<int> convert_image(const Context& context, const Args& args);

}  // namespace cooper::cli
