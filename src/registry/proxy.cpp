#include "registry/proxy.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "base/strings.h"
#include "fetch/hosts.h"

namespace cooper::registry {
namespace {

constexpr std::string_view kMappedPrefix("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);

// 4 or 16 bytes; an IPv6 address may have its brackets.
std::optional<std::string> parse_address(std::string_view text) {
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  const std::string copy(text);
  std::array<char, 16> bytes{};
  if (::inet_pton(AF_INET, copy.c_str(), bytes.data()) == 1) return std::string(bytes.data(), 4);
  if (::inet_pton(AF_INET6, copy.c_str(), bytes.data()) != 1) return std::nullopt;
  const std::string_view all(bytes.data(), bytes.size());
  return std::string(all.starts_with(kMappedPrefix) ? all.substr(kMappedPrefix.size()) : all);
}

bool is_loopback_address(std::string_view address) {
  const std::string_view one("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
  return address.size() == 4 ? address.front() == 127 : address == one;
}

bool is_in_network(std::string_view address, std::string_view network, unsigned bits) {
  if (address.size() != network.size() || bits > network.size() * 8) return false;
  const std::size_t whole = bits / 8;
  if (address.substr(0, whole) != network.substr(0, whole)) return false;
  if (bits % 8 == 0) return true;
  return static_cast<unsigned char>(address[whole] ^ network[whole]) >> (8 - bits % 8) == 0;
}

struct Place {
  std::string_view host;
  std::string_view port;  // empty: every port
};

Place split_port(std::string_view item) {
  const std::size_t colon = item.rfind(':');
  // An IPv6 address without brackets has no port.
  const bool has_port =
      colon != std::string_view::npos && (item.find(':') == colon || (colon > 0 && item[colon - 1] == ']'));
  return has_port ? Place{item.substr(0, colon), item.substr(colon + 1)} : Place{item, {}};
}

// Names may end with the dot of the root.
std::string_view without_last_dot(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  return name;
}

bool is_of_domain(std::string_view host, std::string_view domain) {
  host = without_last_dot(host);
  domain = without_last_dot(domain);
  if (domain.starts_with("*.")) domain.remove_prefix(1);
  if (domain.empty() || !host.ends_with(domain)) return false;
  if (domain.starts_with('.')) return host.size() > domain.size();
  return host.size() == domain.size() || host[host.size() - domain.size() - 1] == '.';
}

bool matches(std::string_view item, const Url& url, const std::optional<std::string>& address) {
  if (item == "*") return true;
  if (const auto net = split_once(item, '/')) {
    const auto network = parse_address(net->first);
    const auto bits = parse_number<unsigned>(net->second);
    return address && network && bits && is_in_network(*address, *network, *bits);
  }
  const Place place = split_port(item);
  if (!place.port.empty() && place.port != std::to_string(url.port)) return false;
  if (const auto wanted = parse_address(place.host)) return address == wanted;
  return is_of_domain(url.host, place.host);
}

}  // namespace

bool is_direct(const Url& url, std::string_view exceptions) {
  const auto address = parse_address(url.host);
  if (fetch::is_loopback(url.host) || (address && is_loopback_address(*address))) return true;
  const std::string list = to_lower(exceptions);
  std::string_view rest = list;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find_first_of(", \t"), rest.size());
    if (end != 0 && matches(rest.substr(0, end), url, address)) return true;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return false;
}

}  // namespace cooper::registry
