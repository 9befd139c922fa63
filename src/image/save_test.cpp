#include "image/save.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/internal/tar_fixture.h"
#include "image/internal/paths.h"
#include "image/internal/records.h"
#include "image/internal/test_fixture.h"
#include "image/usage.h"

namespace cooper::image {
namespace {

using codec::tar::TarFixture;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

std::string layer(const std::string& path, const std::string& data) {
  return TarFixture().add({.path = path, .data = data, .uid = ::geteuid(), .gid = ::getegid()}).finish();
}

const std::vector<std::pair<Transport, std::string>> kForms = {
    {Transport::kOciDirectory, "dir"}, {Transport::kOciArchive, "oci.tar"}, {Transport::kDockerArchive, "docker.tar"}};

std::string little_endian(std::uint32_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
  return out;
}

// A gzip member that stores its bytes as they are.
std::string gzip(const std::string& plain) {
  std::uint32_t crc = ~std::uint32_t{0};
  for (const char c : plain) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320U : 0U);
  }
  const auto size = static_cast<std::uint32_t>(plain.size());
  COOPER_ASSERT(size < 65536);
  return std::string("\x1f\x8b\x08\0\0\0\0\0\0\xff\x01", 11) + little_endian(size, 2) + little_endian(~size, 2) +
         plain + little_endian(~crc, 4) + little_endian(size, 4);
}

class SaveTest : public ::testing::Test {
 protected:
  SaveTest() : layout_(scratch_ / "layout"), store_(std::move(*Store::open(scratch_ / "store"))) {}

  // Two images that share their first layer, which is compressed in the layout.
  void load_two() {
    const std::string base = layer("a", "A");
    layout_.index({LayoutFixture::named(packed({base}), "q.io/one:1"),
                   LayoutFixture::named(packed({base, layer("b", "B")}), "q.io/two:2")});
    load(layout_.dir(), store_);
  }
  oci_image::Descriptor packed(const std::vector<std::string>& layers) {
    oci_image::ImageConfig config;
    config.platform = oci_image::host_platform();
    for (const std::string& one : layers) config.diff_ids.push_back(codec::digest_of(one));
    oci_image::Manifest manifest{.media_type = {},
                                 .artifact_type = {},
                                 .config = layout_.blob(oci_image::print(config), oci_image::kMediaTypeConfig),
                                 .layers = {},
                                 .annotations = {}};
    for (const std::string& one : layers)
      manifest.layers.push_back(layout_.blob(gzip(one), oci_image::kMediaTypeLayerGzip));
    return layout_.blob(oci_image::print(manifest), oci_image::kMediaTypeManifest);
  }
  static std::vector<Image> load(const std::string& path, Store& store) {
    auto images = store.load({.path = path, .name = {}, .platform = {}, .progress = {}});
    EXPECT_TRUE(images.ok()) << (images.ok() ? "" : images.error().message());
    return images.ok() ? *images : std::vector<Image>();
  }
  Result<SaveResult> save(const std::vector<std::string>& references, Transport transport, const std::string& name) {
    return store_.save({.references = references, .transport = transport, .path = scratch_ / name});
  }
  std::vector<std::string> names_in(const std::string& name) const {
    return *sys::list_directory(*sys::openat(sys::kCwd, scratch_ / name, O_RDONLY | O_DIRECTORY));
  }
  std::string blob_of(const Digest& digest) const { return scratch_ / ("store/" + blob_path(digest)); }

  ScratchDir scratch_;
  LayoutFixture layout_;
  Store store_;
};

TEST_F(SaveTest, EveryFormComesBackAsItWas) {
  load_two();
  const std::vector<std::string> both = {"q.io/one:1", "q.io/two:2"};
  for (const auto& [transport, name] : kForms) {
    const auto saved = save(both, transport, name);
    ASSERT_TRUE(saved.ok()) << name << ": " << saved.error().message();
    Store other = std::move(*Store::open(scratch_ / ("again-" + name)));
    const auto images = load(scratch_ / name, other);
    ASSERT_EQ(images.size(), 2U) << name;
    for (const std::string& one : both) {
      const Image before = *store_.find(one);
      const Image after = *other.find(one);
      EXPECT_EQ(after.id, before.id) << name;
      EXPECT_EQ(after.chain, before.chain) << name;
      EXPECT_EQ(after.size_bytes, before.size_bytes) << name;
      EXPECT_EQ(after.manifest_digest == before.manifest_digest, transport != Transport::kDockerArchive) << name;
    }
  }
  EXPECT_THAT(names_in("store/tmp"), IsEmpty());
}

TEST_F(SaveTest, SharedBlobsAreWrittenOnce) {
  load_two();
  ASSERT_TRUE(save({"q.io/one:1", "q.io/two:2"}, Transport::kOciDirectory, "dir").ok());
  // Two manifests, two configurations, two layers.
  EXPECT_EQ(names_in("dir/blobs/sha256").size(), 6U);
  codec::MemorySink sink;
  ASSERT_TRUE(store_.save({.references = {"q.io/one:1", "q.io/two:2"}, .stream = &sink}).ok());
  const std::string file(store_.config(*store_.find("q.io/one:1"))->diff_ids.at(0).hex());
  std::size_t headers = 0;
  for (std::size_t at = 0; at + 512 <= sink.text().size(); at += 512) {
    if (std::string_view(sink.text()).substr(at, 68) == file + ".tar") ++headers;
  }
  EXPECT_EQ(headers, 1U);
}

TEST_F(SaveTest, EqualImagesGiveEqualBytes) {
  load_two();
  codec::MemorySink first;
  codec::MemorySink second;
  ASSERT_TRUE(store_.save({.references = {"q.io/two:2"}, .stream = &first}).ok());
  // Without the sizes of its record, too: layers are measured first.
  Image image = *store_.find("q.io/two:2");
  image.layer_bytes.clear();
  write_test_file(scratch_ / ("store/" + image_record_path(image.id)), print_record(image));
  ASSERT_TRUE(store_.save({.references = {"q.io/two:2"}, .stream = &second}).ok());
  EXPECT_EQ(first.text(), second.text());
}

TEST_F(SaveTest, NamesThatWereAskedFor) {
  load_two();
  ASSERT_TRUE(store_.tag("q.io/one:1", std::vector<std::string>{"q.io/more:3"}).ok());
  const Image one = *store_.find("q.io/one:1");
  const auto by_name = save({"q.io/more:3"}, Transport::kOciDirectory, "name");
  EXPECT_THAT(by_name->images.at(0).given_names, ElementsAre("q.io/more:3"));
  const auto by_id = save({one.id.str()}, Transport::kOciDirectory, "id");
  EXPECT_THAT(by_id->images.at(0).given_names, ElementsAre("q.io/more:3", "q.io/one:1"));
  const auto twice = save({"q.io/more:3", "q.io/one:1"}, Transport::kDockerArchive, "twice");
  ASSERT_EQ(twice->images.size(), 1U);
  Store other = std::move(*Store::open(scratch_ / "again"));
  EXPECT_THAT(load(scratch_ / "twice", other).at(0).names, ElementsAre("q.io/more:3", "q.io/one:1"));
  EXPECT_THAT(load(scratch_ / "id", other).at(0).names, ElementsAre("q.io/more:3", "q.io/one:1"));
}

TEST_F(SaveTest, AnImageWithoutAName) {
  layout_.index({packed({layer("a", "A")}), packed({layer("b", "B")})});
  const auto images = load(layout_.dir(), store_);
  ASSERT_EQ(images.size(), 2U);
  for (const auto& [transport, name] : kForms) {
    ASSERT_TRUE(save({images[0].id.str(), images[1].id.str()}, transport, name).ok());
    Store other = std::move(*Store::open(scratch_ / ("again-" + name)));
    const auto again = load(scratch_ / name, other);
    ASSERT_EQ(again.size(), 2U) << name;
    EXPECT_THAT(again[0].names, IsEmpty());
  }
}

TEST_F(SaveTest, BrokenBytesAreNotWritten) {
  load_two();
  const Image one = *store_.find("q.io/one:1");
  const std::string blob = blob_of(one.layers.at(0));
  const std::string good = *io::read_file(blob);
  std::string bad = good;
  bad[40] = static_cast<char>(bad[40] ^ 1);
  const auto fails = [&](const std::string& bytes, Errc code, const std::string& word) {
    ASSERT_TRUE(io::write_file_atomic(blob, bytes).ok());
    for (const Transport transport : {Transport::kOciArchive, Transport::kDockerArchive, Transport::kOciDirectory}) {
      const auto saved = save({"q.io/one:1"}, transport, "out");
      ASSERT_FALSE(saved.ok());
      EXPECT_EQ(saved.error().code(), code) << saved.error().message();
      EXPECT_THAT(saved.error().message(), HasSubstr(word));
      EXPECT_THAT(saved.error().message(), HasSubstr("layer 1 of 1"));
      EXPECT_THAT(saved.error().hint(), HasSubstr("load"));
      EXPECT_THAT(names_in("."), UnorderedElementsAre("layout", "store"));
    }
  };
  fails(bad, Errc::kCorrupt, "digest");
  fails(good.substr(1), Errc::kCorrupt, "bytes");
  ASSERT_TRUE(sys::unlinkat(sys::kCwd, blob).ok());
  EXPECT_EQ(save({"q.io/one:1"}, Transport::kDockerArchive, "out").error().code(), Errc::kCorrupt);
  EXPECT_THAT(names_in("."), UnorderedElementsAre("layout", "store"));
  EXPECT_THAT(names_in("store/tmp"), IsEmpty());
}

TEST_F(SaveTest, NothingIsWrittenOver) {
  load_two();
  ASSERT_TRUE(save({"q.io/one:1"}, Transport::kOciDirectory, "dir").ok());
  EXPECT_EQ(save({"q.io/two:2"}, Transport::kOciDirectory, "dir").error().code(), Errc::kAlreadyExists);
  EXPECT_EQ(save({"q.io/two:2"}, Transport::kDockerArchive, "dir").error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(save({"q.io/none:1"}, Transport::kDockerArchive, "x").error().code(), Errc::kNotFound);
  EXPECT_EQ(store_.save({.references = {}}).error().code(), Errc::kInvalidArgument);
}

TEST_F(SaveTest, CancelledAtOnce) {
  load_two();
  const auto saved = store_.save(
      {.references = {"q.io/one:1"}, .transport = Transport::kOciDirectory, .path = scratch_ / "out", .cancelled = [] {
         return true;
       }});
  EXPECT_EQ(saved.error().code(), Errc::kCancelled);
  EXPECT_THAT(names_in("."), UnorderedElementsAre("layout", "store"));
}

TEST_F(SaveTest, ARemovalMeanwhileTakesNothing) {
  load_two();
  bool removed = false;
  const auto saved = store_.save({.references = {"q.io/one:1", "q.io/two:2"},
                                  .transport = Transport::kDockerArchive,
                                  .path = scratch_ / "out",
                                  .progress = [&](std::string_view, std::uint64_t, std::uint64_t) {
                                    if (std::exchange(removed, true)) return;
                                    for (const char* name : {"q.io/one:1", "q.io/two:2"})
                                      EXPECT_TRUE(store_.remove(name, false).ok());
                                    EXPECT_TRUE(store_.gc({}).ok());
                                  }});
  ASSERT_TRUE(saved.ok()) << saved.error().message();
  EXPECT_TRUE(removed);
  EXPECT_EQ(load(scratch_ / "out", store_).size(), 2U);
}

TEST_F(SaveTest, LayerSizes) {
  load_two();
  Image image = *store_.find("q.io/two:2");
  const auto sizes = store_.layer_sizes(image);
  ASSERT_TRUE(sizes.ok()) << sizes.error().message();
  ASSERT_EQ(sizes->size(), 2U);
  EXPECT_EQ(sizes->at(0).size_bytes + sizes->at(1).size_bytes, image.size_bytes);
  EXPECT_GT(sizes->at(0).stored_bytes, sizes->at(0).size_bytes);
  image.layer_bytes.clear();
  EXPECT_EQ(store_.layer_sizes(image)->at(1).size_bytes, sizes->at(1).size_bytes);
}

TEST_F(SaveTest, UsageTellsWhatGcWouldFree) {
  load_two();
  auto usage = store_.usage();
  ASSERT_TRUE(usage.ok()) << usage.error().message();
  EXPECT_EQ(usage->images.count, 2U);
  EXPECT_EQ(usage->shared_blobs.count, 1U);
  EXPECT_EQ(usage->unique_blobs.count, 5U);
  EXPECT_EQ(usage->trees.count, 2U);
  EXPECT_EQ(usage->images.reclaimable_bytes, 0U);

  // Another image takes the name of the second one; a blob and a directory that nobody knows.
  ASSERT_TRUE(store_.tag("q.io/one:1", std::vector<std::string>{"q.io/two:2"}).ok());
  write_test_file(blob_of(codec::digest_of("stray")), "stray");
  write_test_file(scratch_ / "store/tmp/dead/file", "left over");
  usage = store_.usage();
  EXPECT_EQ(usage->stray_blobs.count, 1U);
  EXPECT_EQ(usage->unfinished.count, 1U);
  EXPECT_GT(usage->images.reclaimable_bytes, 0U);
  const auto collected = store_.gc({});
  ASSERT_TRUE(collected.ok());
  EXPECT_EQ(collected->freed_bytes, usage->images.reclaimable_bytes);
  usage = store_.usage();
  EXPECT_EQ(usage->images.count, 1U);
  EXPECT_EQ(usage->images.reclaimable_bytes, 0U);
  ASSERT_TRUE(store_.acquire_tree(*store_.find("q.io/one:1"), "pod").ok());
  EXPECT_EQ(store_.usage()->images.in_use, 1U);
  EXPECT_EQ(store_.usage()->trees.in_use, 1U);
}

}  // namespace
}  // namespace cooper::image
