#include "cli/cooper/transport_words.h"

#include "base/strings.h"

namespace cooper::cli {

Result<image::Transport> parse_transport(const std::string& word) {
  const auto found = std::ranges::find(kTransportWords, word, &TransportWord::word);
  if (found != kTransportWords.end()) return found->transport;
  return Error(Errc::kInvalidArgument,
               "unknown transport " + quoted(word) + " (use " + std::string(kTransportList.view()) + ")");
}

std::string_view word_of(image::Transport transport) {
  const auto found = std::ranges::find(kTransportWords, transport, &TransportWord::transport);
  COOPER_ASSERT(found != kTransportWords.end());
  return found->word;
}

}  // namespace cooper::cli
