#define ZLIB_CONST
#include <bzlib.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "codec/compression.h"
#include "codec/digest.h"
#include "codec/gzip.h"
#include "codec/zstd.h"

namespace cooper::codec {
namespace {

std::string gzip(const std::string& plain) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, plain.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<const Bytef*>(plain.data());
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(out.size() - stream.avail_out);
  (void)deflateEnd(&stream);
  return out;
}

std::string zstd(const std::string& plain) {
  std::string out(ZSTD_compressBound(plain.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), plain.data(), plain.size(), 3));
  return out;
}

std::string bzip2(std::string plain) {
  std::string out(plain.size() + plain.size() / 50 + 700, '\0');
  auto size = static_cast<unsigned>(out.size());
  EXPECT_EQ(BZ2_bzBuffToBuffCompress(out.data(), &size, plain.data(), static_cast<unsigned>(plain.size()), 1, 0, 0),
            BZ_OK);
  out.resize(size);
  return out;
}

std::string xz(const std::string& plain) {
  std::string out(lzma_stream_buffer_bound(plain.size()), '\0');
  std::size_t size = 0;
  EXPECT_EQ(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, nullptr, reinterpret_cast<const std::uint8_t*>(plain.data()),
                                    plain.size(), reinterpret_cast<std::uint8_t*>(out.data()), &size, out.size()),
            LZMA_OK);
  out.resize(size);
  return out;
}

std::string sample() {
  std::string text;
  for (int i = 0; i < 60000; ++i) text += std::to_string(i * 7919) + "\n";
  return text;
}

// Gives bytes in small pieces, as a pipe may.
class Trickle final : public ByteSource {
 public:
  Trickle(std::string_view bytes, std::size_t piece) : memory_(bytes), piece_(piece) {}
  Result<std::size_t> read(std::span<char> buffer) override {
    return memory_.read(buffer.first(std::min(piece_, buffer.size())));
  }

 private:
  MemorySource memory_;
  std::size_t piece_;
};

Result<std::string> decompress(std::string_view bytes, std::size_t piece = 7000, std::size_t buffer_bytes = 5000) {
  Trickle source(bytes, piece);
  ASSIGN_OR_RETURN(const auto plain, Decompressor::create(source, Accept::kArchives));
  std::string out;
  std::vector<char> buffer(buffer_bytes);
  while (true) {
    ASSIGN_OR_RETURN(const std::size_t n, plain->read(buffer));
    if (n == 0) return out;
    out.append(buffer.data(), n);
  }
}

TEST(Digest, KnownValues) {
  EXPECT_EQ(digest_of("abc").str(), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(digest_of("", Hasher::Algorithm::kSha512).hex().substr(0, 16), "cf83e1357eefb8bd");
  Hasher hasher;
  hasher.update("a");
  hasher.update("bc");
  EXPECT_EQ(hasher.finish(), digest_of("abc"));
}

TEST(Digest, MismatchNamesBoth) {
  EXPECT_TRUE(check_digest("abc", digest_of("abc"), "blob").ok());
  EXPECT_TRUE(check_digest("abc", digest_of("abc", Hasher::Algorithm::kSha512), "blob").ok());
  const Status wrong = check_digest("abd", digest_of("abc"), "blob");
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().code(), Errc::kCorrupt);
  EXPECT_THAT(wrong.error().message(), ::testing::HasSubstr(digest_of("abd").str()));
}

TEST(Compression, Sniffs) {
  EXPECT_EQ(sniff(gzip("x")), Compression::kGzip);
  EXPECT_EQ(sniff(zstd("x")), Compression::kZstd);
  EXPECT_EQ(sniff("\x50\x2a\x4d\x18"), Compression::kZstd);
  EXPECT_EQ(sniff("BZh91AY"), Compression::kBzip2);
  EXPECT_EQ(sniff(std::string("\xfd"
                              "7zXZ\0",
                              6)),
            Compression::kXz);
  EXPECT_EQ(sniff(""), Compression::kNone);
  // A tar whose first member is called BZh...
  std::string tar(512, '\0');
  tar.replace(0, 3, "BZh");
  tar.replace(257, 5, "ustar");
  EXPECT_EQ(sniff(tar), Compression::kNone);
}

TEST(Compression, RoundTrips) {
  const std::string text = sample();
  for (const std::size_t piece : {1U, 513U, 1000000U}) {
    for (const std::string& bytes : {text, gzip(text), zstd(text), bzip2(text), xz(text)}) {
      const auto plain = decompress(bytes, piece);
      ASSERT_TRUE(plain.ok()) << plain.error().message();
      EXPECT_EQ(*plain, text);
    }
  }
  for (const std::string& bytes : {std::string(), gzip(""), zstd(""), bzip2(""), xz("")}) {
    const auto plain = decompress(bytes);
    ASSERT_TRUE(plain.ok()) << plain.error().message();
    EXPECT_EQ(*plain, "");
  }
}

TEST(Compression, SeveralMembersAndFrames) {
  const auto streams = decompress(bzip2("one") + bzip2("") + bzip2("two"));
  ASSERT_TRUE(streams.ok());
  EXPECT_EQ(*streams, "onetwo");
  EXPECT_EQ(*decompress(xz("one") + std::string(8, '\0') + xz("two")), "onetwo");
  const auto members = decompress(gzip("one") + gzip("") + gzip("two"));
  ASSERT_TRUE(members.ok()) << members.error().message();
  EXPECT_EQ(*members, "onetwo");
  const std::string skippable("\x50\x2a\x4d\x18\x03\0\0\0abc", 11);
  const auto frames = decompress(skippable + zstd("one") + zstd("two") + skippable);
  ASSERT_TRUE(frames.ok()) << frames.error().message();
  EXPECT_EQ(*frames, "onetwo");
}

TEST(Compression, TheWindowOfZstdHasALimit) {
  // A magic number, no flags, a window of 2^25 bytes, and one last raw block: "one".
  const std::string frame("\x28\xb5\x2f\xfd\0\x78\x19\0\0one", 12);
  const auto read = [&](std::size_t max_window_bytes) -> Result<std::string> {
    MemorySource source(frame);
    ASSIGN_OR_RETURN(const auto plain, Decompressor::create(source, Accept::kLayers, max_window_bytes));
    std::string out(8, '\0');
    ASSIGN_OR_RETURN(const std::size_t n, read_full(*plain, out));
    out.resize(n);
    return out;
  };
  EXPECT_EQ(*read(kMaxWindowBytes), "one");
  EXPECT_EQ(*read(std::size_t{1} << 25), "one");
  const auto refused = read(std::size_t{1} << 24);
  EXPECT_EQ(refused.error().code(), Errc::kLimit);
  EXPECT_THAT(refused.error().message(), testing::HasSubstr("more than 16 MiB"));
}

TEST(Compression, GzipMayBePaddedButNotFollowed) {
  EXPECT_EQ(*decompress(gzip("one") + std::string(700, '\0')), "one");
  EXPECT_EQ(decompress(gzip("one") + "junk").error().code(), Errc::kCorrupt);
  EXPECT_EQ(decompress(gzip("one") + std::string(3, '\0') + gzip("two")).error().code(), Errc::kCorrupt);
}

TEST(Compression, EveryCutIsAnError) {
  const std::string text = sample().substr(0, 3000);
  for (const std::string& bytes : {gzip(text), zstd(text), bzip2(text), xz(text)}) {
    for (std::size_t size = 6; size < bytes.size(); size += size < 40 || size + 40 > bytes.size() ? 1 : 37) {
      const auto plain = decompress(bytes.substr(0, size));
      ASSERT_FALSE(plain.ok()) << size;
      EXPECT_EQ(plain.error().code(), Errc::kCorrupt);
    }
  }
}

TEST(Compression, DamageIsAnError) {
  for (std::string bytes : {gzip(sample()), bzip2(sample()), xz(sample())}) {
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x55);
    EXPECT_EQ(decompress(bytes).error().code(), Errc::kCorrupt);
  }
  EXPECT_EQ(decompress(bzip2("one") + "junk").error().code(), Errc::kCorrupt);
  EXPECT_EQ(decompress(xz("one") + "junk").error().code(), Errc::kCorrupt);
}

TEST(Compression, ForALayerOnlyWhatLayersCannotHaveIsUndone) {
  const std::string text = sample();
  for (const auto& [bytes, expected] : {std::pair(bzip2(text), text), std::pair(xz(text), text), std::pair(text, text),
                                        std::pair(gzip(text), gzip(text)), std::pair(zstd(text), zstd(text))}) {
    Trickle source(bytes, 7000);
    const auto layer = Decompressor::for_layer(source);
    ASSERT_TRUE(layer.ok()) << layer.error().message();
    std::string out(bytes.size() + text.size(), '\0');
    const auto n = read_full(**layer, out);
    ASSERT_TRUE(n.ok()) << n.error().message();
    EXPECT_EQ(out.substr(0, *n), expected);
  }
  MemorySource lz4(std::string_view("\x04\x22\x4d\x18", 4));
  EXPECT_EQ(Decompressor::for_layer(lz4).error().code(), Errc::kUnsupported);
}

TEST(Compression, OthersAreNamed) {
  const std::vector<std::pair<std::string, std::string>> cases = {{bzip2("x"), "bzip2"}, {xz("x"), "xz"}};
  for (const auto& [bytes, word] : cases) {
    MemorySource source(bytes);
    const auto plain = Decompressor::create(source);
    ASSERT_FALSE(plain.ok());
    EXPECT_EQ(plain.error().code(), Errc::kUnsupported);
    EXPECT_THAT(plain.error().message(), ::testing::HasSubstr(word));
  }
  EXPECT_EQ(decompress(std::string("\x04\x22\x4d\x18", 4)).error().code(), Errc::kUnsupported);
}

}  // namespace
}  // namespace cooper::codec
