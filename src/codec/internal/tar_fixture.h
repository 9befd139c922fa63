// Writes small tar archives for tests and fuzz seeds: every header field can be set, also to nonsense.
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

namespace cooper::codec::tar {

struct FixtureEntry {
  std::string path;
  std::string data = {};
  char type = '0';
  std::uint32_t mode = 0644;
  std::uint64_t uid = 0;
  std::uint64_t gid = 0;
  std::int64_t mtime_s = 1'000'000'000;
  std::string link = {};
  unsigned device_major = 0;
  unsigned device_minor = 0;
  std::string magic = std::string(
      "ustar\0"
      "00",
      8);
  std::string pax = {};  // records of an extended header in front
};

class TarFixture {
 public:
  using Block = std::array<char, 512>;

  TarFixture& add(const FixtureEntry& entry) {
    if (!entry.pax.empty()) append("PaxHeaders/x", 'x', entry.pax);
    Block block = header(entry, entry.data.size());
    seal(block);
    raw(block);
    return data(entry.data);
  }
  TarFixture& directory(std::string path, std::uint32_t mode = 0755) {
    return add({.path = std::move(path), .type = '5', .mode = mode});
  }
  TarFixture& file(std::string path, std::string content) {
    return add({.path = std::move(path), .data = std::move(content)});
  }
  TarFixture& symlink(std::string path, std::string target) {
    return add({.path = std::move(path), .type = '2', .mode = 0777, .link = std::move(target)});
  }
  TarFixture& hard_link(std::string path, std::string target) {
    return add({.path = std::move(path), .type = '1', .link = std::move(target)});
  }
  TarFixture& append(std::string path, char type, const std::string& content,
                     std::string magic = std::string("ustar\0"
                                                     "00",
                                                     8)) {
    Block block = header({.path = std::move(path), .type = type, .magic = std::move(magic)}, content.size());
    seal(block);
    raw(block);
    return data(content);
  }
  TarFixture& raw(const Block& block) {
    bytes_.append(block.data(), block.size());
    return *this;
  }
  TarFixture& data(std::string_view content) {
    bytes_ += content;
    bytes_.append((512 - content.size() % 512) % 512, '\0');
    return *this;
  }
  // With the end mark.
  std::string finish() const { return bytes_ + std::string(1024, '\0'); }
  const std::string& bytes() const { return bytes_; }

  static Block header(const FixtureEntry& entry, std::uint64_t size) {
    Block block{};
    put(block, 0, entry.path.substr(0, 100));
    octal(block, 100, 8, entry.mode);
    octal(block, 108, 8, entry.uid);
    octal(block, 116, 8, entry.gid);
    octal(block, 124, 12, size);
    octal(block, 136, 12, static_cast<std::uint64_t>(entry.mtime_s));
    block[156] = entry.type;
    put(block, 157, entry.link.substr(0, 100));
    put(block, 257, entry.magic);
    octal(block, 329, 8, entry.device_major);
    octal(block, 337, 8, entry.device_minor);
    return block;
  }
  // Computes the check sum; after the last change of a header.
  static void seal(Block& block) {
    std::memset(block.data() + 148, ' ', 8);
    unsigned sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    octal(block, 148, 7, sum);
    block[155] = ' ';
  }
  static void put(Block& block, std::size_t at, std::string_view text) {
    std::memcpy(block.data() + at, text.data(), text.size());
  }
  static void octal(Block& block, std::size_t at, std::size_t size, std::uint64_t value) {
    block[at + size - 1] = '\0';
    for (std::size_t i = size - 1; i-- > 0; value /= 8) block[at + i] = static_cast<char>('0' + value % 8);
  }
  // One record of an extended header, with its length in front.
  static std::string pax(std::string_view key, std::string_view value) {
    const std::size_t rest = key.size() + value.size() + 3;
    std::size_t size = rest + 1;
    while (std::to_string(size).size() + rest != size) ++size;
    return std::to_string(size) + " " + std::string(key) + "=" + std::string(value) + "\n";
  }

 private:
  std::string bytes_;
};

}  // namespace cooper::codec::tar
