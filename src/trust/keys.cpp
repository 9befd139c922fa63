#include "trust/keys.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/chars.h"
#include "base/strings.h"
#include "codec/sha1.h"
#include "trust/armor.h"

namespace cooper::trust {
namespace {

constexpr std::size_t kMaxKeys = 256;
constexpr std::size_t kFingerprintDigits = 40;
constexpr std::size_t kKeyIdDigits = 16;

// RFC 4880, section 4.3.
constexpr unsigned kSecretKey = 5, kPublicKey = 6, kSecretSubkey = 7, kUserId = 13;
// What a key consists of besides: signatures, subkeys, user attributes.
constexpr std::array<unsigned, 3> kParts = {2, 14, 17};
// Of one program for itself: markers, trust, padding.
constexpr std::array<unsigned, 3> kPassedOver = {10, 12, 21};

struct Packet {
  unsigned tag = 0;
  std::string_view body;
  std::string_view whole;
};

std::uint32_t big_endian(std::string_view bytes) {
  std::uint32_t out = 0;
  for (const char c : bytes) out = out << 8 | static_cast<unsigned char>(c);
  return out;
}

class PacketReader {
 public:
  PacketReader(std::string_view bytes, std::string_view what) : rest_(bytes), what_(what) {}

  // nullopt at the end.
  Result<std::optional<Packet>> next() {
    if (rest_.empty()) return std::optional<Packet>();
    const auto first = static_cast<unsigned char>(rest_.front());
    if ((first & 0x80) == 0) return broken("is no OpenPGP data");
    const bool new_format = (first & 0x40) != 0;
    std::size_t header = 0;
    std::size_t length = 0;
    if (!(new_format ? read_new_length(header, length) : read_old_length(first & 3U, header, length)))
      return broken("is no OpenPGP key: a packet has no length");
    if (length > rest_.size() - header) return broken("ends within a packet");
    const Packet packet = {.tag = new_format ? first & 0x3fU : first >> 2 & 0xfU,
                           .body = rest_.substr(header, length),
                           .whole = rest_.substr(0, header + length)};
    rest_.remove_prefix(header + length);
    return std::optional<Packet>(packet);
  }

  Error broken(const std::string& how) const { return {Errc::kCorrupt, std::string(what_) + " " + how}; }

 private:
  bool read_new_length(std::size_t& header, std::size_t& length) const {
    if (rest_.size() < 2) return false;
    const auto one = static_cast<unsigned char>(rest_[1]);
    header = one < 192 ? 2 : one < 224 ? 3 : 6;
    // Lengths in parts are for data, which a key does not hold.
    if ((one >= 224 && one < 255) || rest_.size() < header) return false;
    if (one < 192) length = one;
    if (one >= 192 && one < 224) length = (std::size_t{one} - 192) * 256 + static_cast<unsigned char>(rest_[2]) + 192;
    if (one == 255) length = big_endian(rest_.substr(2, 4));
    return true;
  }
  bool read_old_length(unsigned type, std::size_t& header, std::size_t& length) const {
    if (type == 3) return false;
    header = 1 + (std::size_t{1} << type);
    if (rest_.size() < header) return false;
    length = big_endian(rest_.substr(1, header - 1));
    return true;
  }

  std::string_view rest_;
  std::string_view what_;
};

Result<Key> begin_key(std::string_view body, std::string_view what) {
  if (body.size() < 6 || body.size() > 0xffff) return Error(Errc::kCorrupt, std::string(what) + ": a key is too short");
  if (body[0] != 4) {
    return Error(Errc::kUnsupported, std::string(what) + ": a key of version " +
                                         std::to_string(static_cast<unsigned char>(body[0])) + " is not understood");
  }
  // RFC 4880, section 12.2.
  std::string hashed = "\x99";
  hashed += static_cast<char>(body.size() >> 8);
  hashed += static_cast<char>(body.size() & 0xff);
  hashed += body;
  return Key{.fingerprint = codec::sha1_hex(hashed),
             .created_unix_s = big_endian(body.substr(1, 4)),
             .user_ids = {},
             .packets = {}};
}

}  // namespace

Result<std::vector<Key>> parse_keys(std::string_view file, std::string_view what) {
  if (file.size() > kMaxKeyFileBytes)
    return Error(Errc::kLimit, std::string(what) + " is larger than " + format_bytes(kMaxKeyFileBytes));
  // Said before anything is decoded: private blocks have a name of their own.
  const auto is_private = [&] {
    return Error(Errc::kPermission, std::string(what) + " holds a private key")
        .with_hint("it belongs to nobody but its owner: export the public key alone (gpg --export --armor)");
  };
  if (file.find("-----BEGIN PGP PRIVATE KEY") != std::string_view::npos) return is_private();
  ASSIGN_OR_RETURN(const std::string bytes, dearmor(file, what));
  PacketReader reader(bytes, what);
  std::vector<Key> out;
  while (true) {
    ASSIGN_OR_RETURN(const auto packet, reader.next());
    if (!packet) break;
    if (packet->tag == kSecretKey || packet->tag == kSecretSubkey) return is_private();
    if (packet->tag == kPublicKey) {
      if (out.size() == kMaxKeys) return Error(Errc::kLimit, std::string(what) + " holds too many keys");
      ASSIGN_OR_RETURN(Key key, begin_key(packet->body, what));
      out.push_back(std::move(key));
    }
    if (std::ranges::find(kPassedOver, packet->tag) != kPassedOver.end()) continue;
    if (out.empty()) return reader.broken("does not begin with a public key");
    if (packet->tag == kUserId) {
      out.back().user_ids.emplace_back(packet->body);
    } else if (packet->tag != kPublicKey && std::ranges::find(kParts, packet->tag) == kParts.end()) {
      return reader.broken("holds what is no part of a key (a packet of kind " + std::to_string(packet->tag) + ")");
    }
    out.back().packets += packet->whole;
  }
  if (out.empty()) return Error(Errc::kInvalidArgument, std::string(what) + " holds no key");
  std::vector<Key> unique;
  for (Key& key : out) {
    if (std::ranges::find(unique, key.fingerprint, &Key::fingerprint) == unique.end()) unique.push_back(std::move(key));
  }
  return unique;
}

Result<std::string> parse_fingerprint(std::string_view text) {
  std::string out = to_lower(trim(text));
  std::erase(out, ' ');
  if (out.starts_with("0x")) out.erase(0, 2);
  if ((out.size() != kFingerprintDigits && out.size() != kKeyIdDigits) || !all_lower_hex(out)) {
    return Error(Errc::kInvalidArgument, quoted(text) + " is no fingerprint of a key")
        .with_hint("a fingerprint has 40 hexadecimal digits; the last 16 will do as well");
  }
  return out;
}

std::string print_fingerprint(std::string_view fingerprint) {
  std::string out;
  for (std::size_t i = 0; i < fingerprint.size(); ++i) {
    if (i != 0 && i % 4 == 0) out += ' ';
    out += to_upper(fingerprint[i]);
  }
  return out;
}

}  // namespace cooper::trust
