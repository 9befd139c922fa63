// What image ls, gc, verify and diff decide and print.
#include "cli/cooper/image_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/cooper/image_gc.h"
#include "cli/cooper/image_verify.h"
#include "codec/digest.h"

namespace cooper::cli {
namespace {

using image::Aspect;
using image::Image;
using image::PathChange;
using image::TreeState;
using image::VerifiedBlob;
using image::VerifiedImage;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Image make_image(const std::string& word, std::vector<std::string> names) {
  Image image{.id = codec::digest_of(word), .manifest_digest = codec::digest_of("manifest " + word)};
  image.names = std::move(names);
  return image;
}

std::vector<Image> some_images() {
  std::vector<Image> images = {make_image("a", {"docker.io/library/busybox:1", "localhost/mine:1"}),
                               make_image("b", {"quay.io/team/app:1.2", "quay.io/team/app:latest"}),
                               make_image("c", {})};
  for (std::size_t i = 0; i < images.size(); ++i) {
    images[i].size_bytes = 10 * (i + 1);
    images[i].loaded_unix_ms = static_cast<std::int64_t>(i);
    images[i].created = "202" + std::to_string(9 - i) + "-01-01T00:00:00Z";
  }
  return images;
}

std::vector<std::string> names_of(const std::vector<Image>& images) {
  std::vector<std::string> out;
  for (const Image& image : images) {
    out.insert(out.end(), image.names.begin(), image.names.end());
    if (image.names.empty()) out.emplace_back("-");
  }
  return out;
}

std::vector<std::string> kept(const std::string& text) {
  std::vector<Image> images = some_images();
  EXPECT_TRUE(keep_named(images, text).ok()) << text;
  return names_of(images);
}

Args args(std::span<const Flag> flags, const std::vector<std::string>& words) {
  const std::array<std::span<const Flag>, 1> tables = {flags};
  auto parsed = parse_args(tables, words, Order::kAnywhere);
  COOPER_ASSERT(parsed.ok());
  return std::move(*parsed);
}

TEST(ImageListTest, NamesAndPatterns) {
  EXPECT_THAT(kept("busybox"), ElementsAre("docker.io/library/busybox:1"));
  EXPECT_THAT(kept("quay.io/team/app:1.2"), ElementsAre("quay.io/team/app:1.2"));
  EXPECT_THAT(kept("busy*"), ElementsAre("docker.io/library/busybox:1"));
  EXPECT_THAT(kept("*"), ElementsAre("docker.io/library/busybox:1", "localhost/mine:1"));
  EXPECT_THAT(kept("*/app:1.*"), ElementsAre("quay.io/team/app:1.2"));
  EXPECT_THAT(kept("quay.io/*/*"), ElementsAre("quay.io/team/app:1.2", "quay.io/team/app:latest"));
  EXPECT_THAT(kept("m?ne:[0-9]"), ElementsAre("localhost/mine:1"));
  EXPECT_THAT(kept("*:2"), IsEmpty());
  std::vector<Image> images;
  EXPECT_EQ(keep_named(images, "BAD NAME").error().code(), Errc::kInvalidArgument);
}

TEST(ImageListTest, PulledByDigest) {
  const auto images = [] {
    std::vector<Image> some = some_images();
    some.push_back(make_image("d", {}));
    some.back().digest_names = {"quay.io/team/app@" + some.back().manifest_digest.str()};
    return some;
  };
  for (const char* text : {"quay.io/team/app", "*/app", "quay.io/*/*"}) {
    std::vector<Image> some = images();
    ASSERT_TRUE(keep_named(some, text).ok()) << text;
    EXPECT_EQ(some.back().id, codec::digest_of("d")) << text;
  }
  std::vector<Image> tagged = images();
  ASSERT_TRUE(keep_named(tagged, "quay.io/team/app:latest").ok());
  EXPECT_EQ(tagged.size(), 1U);
  std::vector<Image> nameless = images();
  ASSERT_TRUE(filter_images(nameless, {"dangling=true"}).ok());
  ASSERT_EQ(nameless.size(), 1U);
  EXPECT_EQ(nameless.front().id, codec::digest_of("c"));
}

TEST(ImageListTest, Filters) {
  const auto filtered = [](const std::vector<std::string>& filters) {
    std::vector<Image> images = some_images();
    EXPECT_TRUE(filter_images(images, filters).ok());
    return names_of(images);
  };
  EXPECT_THAT(filtered({"dangling=true"}), ElementsAre("-"));
  EXPECT_EQ(filtered({"dangling=false"}).size(), 4U);
  EXPECT_THAT(filtered({"reference=mine", "reference=busybox", "dangling=false"}),
              ElementsAre("docker.io/library/busybox:1", "localhost/mine:1"));
  for (const char* bad : {"dangling", "dangling=maybe", "colour=red", "reference=BAD NAME"}) {
    std::vector<Image> images;
    EXPECT_EQ(filter_images(images, {bad}).error().code(), Errc::kInvalidArgument) << bad;
  }
}

TEST(ImageListTest, Labels) {
  const auto labelled = [](const Image& image) {
    using Labels = std::map<std::string, std::string>;
    return image.id == codec::digest_of("a") ? Labels{{"team", "x"}, {"empty", ""}} : Labels{{"team", "y=z"}};
  };
  const auto filtered = [&](const std::vector<std::string>& filters) {
    std::vector<Image> images = some_images();
    EXPECT_TRUE(filter_images(images, filters, labelled).ok());
    return images.size();
  };
  EXPECT_EQ(filtered({"label=team"}), 3U);
  EXPECT_EQ(filtered({"label=team=x"}), 1U);
  EXPECT_EQ(filtered({"label=team=y=z"}), 2U);
  EXPECT_EQ(filtered({"label=team", "label=empty="}), 1U);
  EXPECT_EQ(filtered({"label=tea"}), 0U);
}

TEST(ImageListTest, OrdersOfRkt) {
  const auto sorted = [](const std::string& keys, const std::string& order) {
    std::vector<Image> images = some_images();
    EXPECT_TRUE(sort_images(images, keys, order).ok());
    return names_of(images).front();
  };
  EXPECT_EQ(sorted("importtime", ""), "-");
  EXPECT_EQ(sorted("importtime", "asc"), "docker.io/library/busybox:1");
  EXPECT_EQ(sorted("size", "asc"), "docker.io/library/busybox:1");
  EXPECT_EQ(sorted("size,name", "desc"), "-");
  EXPECT_EQ(sorted("name", "desc"), "quay.io/team/app:1.2");
  std::vector<Image> none;
  EXPECT_FALSE(sort_images(none, "name", "up").ok());
  EXPECT_FALSE(sort_images(none, "name,used").ok());
}

TEST(ImageListTest, LastUsed) {
  std::vector<Image> images = some_images();
  for (Image& image : images) image.last_used_unix_ms = 1000 - static_cast<std::int64_t>(image.size_bytes);
  ASSERT_TRUE(sort_images(images, "lastused").ok());
  EXPECT_EQ(images.front().size_bytes, 10U);
  ASSERT_TRUE(sort_images(images, "lastused", "asc").ok());
  EXPECT_EQ(images.front().size_bytes, 30U);
}

TEST(ImageListTest, Orders) {
  const auto first = [](const std::string& key) {
    std::vector<Image> images = some_images();
    EXPECT_TRUE(sort_images(images, key).ok()) << key;
    EXPECT_EQ(images.size(), 3U);
    return images.front().size_bytes;
  };
  EXPECT_EQ(first("loaded"), 30U);
  EXPECT_EQ(first("size"), 30U);
  EXPECT_EQ(first("created"), 10U);
  EXPECT_EQ(first("name"), 30U);  // <none>
  std::vector<Image> images = some_images();
  ASSERT_TRUE(sort_images(images, "id").ok());
  EXPECT_LT(images[0].id, images[1].id);
  EXPECT_EQ(sort_images(images, "colour").error().code(), Errc::kInvalidArgument);
}

TEST(ImageListTest, SharedSizes) {
  std::vector<Image> images = some_images();
  const Digest base = codec::digest_of("base");
  for (Image& image : images) image.layers = {base, codec::digest_of(image.id.str())};
  images[0].layer_bytes = {5, 7};
  images[1].layer_bytes = {5, 8};
  const auto shares = size_shares(images);
  EXPECT_EQ(shares.size(), 2U);  // of the third nothing is known
  EXPECT_EQ(shares.at(images[0].id).shared_bytes, 5U);
  EXPECT_EQ(shares.at(images[1].id).unique_bytes, 8U);
}

TEST(ImageGcTest, Options) {
  const auto options = [](const std::vector<std::string>& words) {
    return gc_options(args(kGcFlags, words), 100'000'000);
  };
  EXPECT_FALSE(options({})->named);
  EXPECT_FALSE(options({})->loaded_before_unix_ms);
  EXPECT_EQ(*options({"--older", "12h", "--all"})->loaded_before_unix_ms, 100'000'000 - 43'200'000);
  EXPECT_FALSE(options({"--older", "12h"})->used_before_unix_ms);
  EXPECT_EQ(*options({"--grace-period", "12h"})->used_before_unix_ms, 100'000'000 - 43'200'000);
  EXPECT_FALSE(options({"--grace-period", "12h"})->loaded_before_unix_ms);
  EXPECT_EQ(options({"--keep", "3"})->keep, 3U);
  EXPECT_TRUE(options({"--dry-run"})->dry_run);
  for (const auto& [flag, value] : {std::pair("--older", "soon"),
                                    {"--older", "-1h"},
                                    {"--grace-period", "soon"},
                                    {"--keep", "-1"},
                                    {"--keep", "x"}})
    EXPECT_EQ(options({flag, value}).error().code(), Errc::kInvalidArgument) << flag << value;
}

TEST(ImageVerifyTest, SaysWhatIsWrongAndWhatToDo) {
  VerifiedImage report{.image = make_image("a", {"localhost/mine:1"})};
  report.blobs = {{.what = "layer 1 of 1", .digest = codec::digest_of("l")}};
  report.tree = TreeState::kGood;
  report.tree_entries = 12;
  EXPECT_THAT(print_verified(report, 5, false), HasSubstr("localhost/mine:1 (ca978112ca1b): good, 1 blob, 12 paths\n"));
  EXPECT_EQ(print_verified(report, 5, true), "");
  report.tree = TreeState::kDiffers;
  for (int i = 0; i < 7; ++i)
    report.paths.push_back({.kind = PathChange::Kind::kRemoved, .path = "/p" + std::to_string(i), .type = "file"});
  report.paths[0] = {.kind = PathChange::Kind::kChanged,
                     .path = "/et\nc",
                     .type = "file",
                     .aspects = {{Aspect::kContent}, {Aspect::kMode, "0644", "0666"}}};
  const std::string few = print_verified(report, 5, false);
  EXPECT_THAT(few, HasSubstr("mine:1 (ca978112ca1b): damaged\n  /et\\x0ac: content; mode is 0666, not 0644\n"));
  EXPECT_THAT(few, HasSubstr("  /p4: missing (file)\n  and 2 more paths"));
  EXPECT_THAT(few, HasSubstr("--repair localhost/mine:1 takes the tree away"));
  EXPECT_THAT(print_verified(report, 0, false), HasSubstr("/p6: missing"));
  report.users = {"u1", "u2"};
  EXPECT_THAT(print_verified(report, 5, false), HasSubstr("used by 2 containers (u1 among them): remove them"));
  report.blobs[0].state = VerifiedBlob::State::kCorrupt;
  report.blobs[0].message = "layer 1 of 1 is corrupt: it has only 1 bytes, not 2";
  const std::string broken = print_verified(report, 5, false);
  EXPECT_THAT(broken, HasSubstr("  layer 1 of 1 (sha256:"));
  EXPECT_THAT(broken, HasSubstr(") is corrupt: it has only 1 bytes, not 2\n"));
  EXPECT_THAT(broken, HasSubstr("then pull or load the image again"));
  report.blobs[0].state = VerifiedBlob::State::kUnreadable;
  report.blobs[0].message = "layer 1 of 1: read: input/output error (EIO)";
  const std::string unreadable = print_verified(report, 5, false);
  EXPECT_THAT(unreadable, HasSubstr("): read: input/output error (EIO)\n"));
  EXPECT_THAT(unreadable, HasSubstr("cannot be read is left as it is"));
  EXPECT_THAT(unreadable, ::testing::Not(HasSubstr("load the image again")));
  report.removed = true;
  EXPECT_THAT(print_verified(report, 5, false), HasSubstr("removed meanwhile"));
}

TEST(ImageVerifyTest, ErofsImages) {
  VerifiedImage report{.image = make_image("a", {"localhost/mine:1"})};
  report.erofs = TreeState::kGood;
  EXPECT_THAT(print_verified(report, 5, false), HasSubstr("good, 0 blobs, the erofs image\n"));
  report.erofs = TreeState::kDiffers;
  report.erofs_message = "it has 1 bytes, not 2";
  EXPECT_THAT(print_verified(report, 5, true), HasSubstr("damaged\n  its erofs image is damaged: it has 1 bytes"));
  EXPECT_THAT(print_verified(report, 5, true), HasSubstr("verify --repair localhost/mine:1 makes it anew"));
  report.erofs_users = {"u1"};
  EXPECT_THAT(print_verified(report, 5, true), HasSubstr("used by 1 container (u1): remove them"));
  report.erofs = TreeState::kMadeAnew;
  EXPECT_THAT(print_verified(report, 5, true), HasSubstr("repaired\n  its erofs image was damaged and is made anew"));
  report.erofs = TreeState::kTakenAway;
  EXPECT_THAT(print_verified(report, 5, true), HasSubstr("could not be made anew"));
}

TEST(ImageVerifyTest, AspectsInWords) {
  EXPECT_EQ(print_aspects({{Aspect::kOwner, "0:0", "1:1"}, {Aspect::kModified, "a", "b"}}),
            "owner is 1:1, not 0:0; time is b, not a");
  EXPECT_EQ(print_aspects({{Aspect::kLinkedTo, "/a", std::nullopt}}), "is a file of its own, not with /a");
  EXPECT_EQ(print_aspects({{Aspect::kAttribute, std::nullopt, "00", "user.x"}}), "attribute user.x is new");
  EXPECT_EQ(print_aspects({{Aspect::kUnreadable, std::nullopt, "EIO"}}), "cannot be read: EIO");
  EXPECT_EQ(print_change({.kind = PathChange::Kind::kAdded, .path = "/a", .type = "file"}), "A /a\n");
  EXPECT_EQ(
      print_change(
          {.kind = PathChange::Kind::kChanged, .path = "/a", .type = "file", .aspects = {{Aspect::kSize, "1", "2"}}}),
      "C /a  size is 2, not 1\n");
}

}  // namespace
}  // namespace cooper::cli
