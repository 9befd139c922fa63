#include "criu/page_server.h"

#include "base/strings.h"

namespace cooper::criu {

Result<PageServer> parse_page_server(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  PageServer out;
  if (colon != std::string_view::npos) {
    std::string_view address = text.substr(0, colon);
    if (address.starts_with('[') && address.ends_with(']')) address = address.substr(1, address.size() - 2);
    out.address = address;
    out.port = parse_number<std::uint16_t>(text.substr(colon + 1)).value_or(0);
  }
  if (out.address.empty() || out.port == 0)
    return Error(Errc::kInvalidArgument, "page server " + quoted(text) + " must be ADDRESS:PORT");
  return out;
}

}  // namespace cooper::criu
