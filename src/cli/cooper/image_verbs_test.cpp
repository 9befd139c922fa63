// What the verbs of images decide and print: save, history, tree, df.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "cli/cooper/help.h"
#include "cli/cooper/image_build.h"
#include "cli/cooper/image_history.h"
#include "cli/cooper/image_save.h"
#include "cli/cooper/image_usage.h"
#include "codec/digest.h"

namespace cooper::cli {
namespace {

using image::Image;
using image::LayerSize;
using image::Transport;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = SaveTarget::Kind;

LayerSize layer(const std::string& word, std::uint64_t bytes) {
  return {codec::digest_of(word), codec::digest_of("plain " + word), bytes / 2, bytes};
}

Image make_image(const std::string& name, const std::vector<std::string>& layers) {
  Image out{.id = codec::digest_of("id of " + name), .manifest_digest = codec::digest_of("manifest of " + name)};
  out.names = {name};
  for (const std::string& word : layers) {
    out.layers.push_back(codec::digest_of(word));
    out.chain += word;
  }
  return out;
}

TEST(SaveTargetTest, WhatIsAtThePathDecides) {
  const auto target = [](const std::string& output, const std::string& transport) {
    auto found = save_target(output, transport);
    EXPECT_TRUE(found.ok()) << found.error().message();
    return *found;
  };
  EXPECT_EQ(target("", "").kind, Kind::kStandardOutput);
  EXPECT_EQ(target("-", "oci-archive").transport, Transport::kOciArchive);
  EXPECT_EQ(target("/dev/stdout", "").kind, Kind::kStandardOutput);
  EXPECT_EQ(target("/no/such.tar", "").transport, Transport::kDockerArchive);
  EXPECT_EQ(target("/no/such.tar", "").kind, Kind::kPath);
  EXPECT_EQ(target("/tmp", "").transport, Transport::kOciDirectory);
  EXPECT_EQ(target("/no/such/", "").transport, Transport::kOciDirectory);
  EXPECT_EQ(target("/no/such", "oci").transport, Transport::kOciDirectory);
  EXPECT_EQ(target("/dev/null", "").kind, Kind::kDevice);
}

Result<image::BuildOptions> built(std::vector<std::string> words, const std::optional<std::string>& epoch = {}) {
  words.insert(words.end(), {"dir", "name"});
  const std::array<std::span<const Flag>, 1> tables = {kBuildFlags};
  auto args = parse_args(tables, words, Order::kAnywhere);
  if (!args.ok()) return std::move(args).error();
  return build_options(*args, epoch, 5'000'000'000'000);
}

TEST(BuildOptionsTest, WordsAndLists) {
  const auto options =
      built({"--entrypoint", R"(["/a","b"])", "--cmd", "x", "--cmd=-y", "--port", "80", "--expose", "53/udp", "--owner",
             "3:4", "--compression", "zstd", "--label", "a", "--annotation", "b=c=d"});
  ASSERT_TRUE(options.ok()) << options.error().message();
  EXPECT_THAT(*options->config.entrypoint, ElementsAre("/a", "b"));
  EXPECT_THAT(*options->config.cmd, ElementsAre("x", "-y"));
  EXPECT_THAT(options->config.ports, ElementsAre("80", "53/udp"));
  EXPECT_EQ(options->owner, (std::pair<std::uint32_t, std::uint32_t>(3, 4)));
  EXPECT_EQ(options->compression, codec::Compression::kZstd);
  EXPECT_EQ(options->config.labels.at("a"), "");
  EXPECT_EQ(options->annotations.at("b"), "c=d");
  EXPECT_FALSE(built({})->created_s);
  EXPECT_FALSE(built({})->config.entrypoint);
}

TEST(BuildOptionsTest, WhenItWasMade) {
  EXPECT_EQ(built({}, "1234")->created_s, 1234);
  EXPECT_EQ(built({"--created", "2001-09-09T01:46:40Z"}, "1234")->created_s, 1'000'000'000);
  for (const char* epoch : {"", "-1", "1x", "99999999999999999999"}) EXPECT_FALSE(built({}, epoch).ok()) << epoch;
  EXPECT_FALSE(built({}, "253402300800").ok());
}

TEST(BuildOptionsTest, WhatIsRefused) {
  for (const auto& [flag, value] : std::vector<std::pair<std::string, std::string>>{{"owner", "1"},
                                                                                    {"owner", "1:4294967295"},
                                                                                    {"compression", "xz"},
                                                                                    {"entrypoint", "[1"},
                                                                                    {"annotation", "x"},
                                                                                    {"created", "soon"},
                                                                                    {"exclude", "../x"},
                                                                                    {"platform", "a/b/c/d"}})
    EXPECT_EQ(built({"--" + flag, value}).error().code(), Errc::kInvalidArgument) << flag;
  EXPECT_FALSE(built({"--from", "x", "--platform", "linux/arm64"}).ok());
}

TEST(SaveTargetTest, WhatDoesNotGoTogether) {
  EXPECT_EQ(save_target("", "oci-dir").error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(save_target("/tmp", "docker-archive").error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(save_target("x/", "oci-archive").error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(save_target("x", "zip").error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(save_target("", "docker-dir").error().code(), Errc::kInvalidArgument);
  for (const char* text : {"dir:/no/such:name", "aci:x:name", "oci:/no/such:-name", "oci:/no/such:a name",
                           "oci:", "oci::x", "docker-archive:/no/such:Bad Name", "oci-archive:/tmp:x"}) {
    EXPECT_EQ(save_target(text, "").error().code(), Errc::kInvalidArgument) << text;
  }
}

TEST(SaveTargetTest, WordsOfContainers) {
  const auto target = [](const std::string& text) {
    auto found = save_target(text, "");
    EXPECT_TRUE(found.ok()) << found.error().message();
    return *found;
  };
  EXPECT_EQ(target("oci:/no/such:v1.2").path, "/no/such");
  EXPECT_EQ(target("oci:/no/such:v1.2").as, "v1.2");
  EXPECT_TRUE(target("oci:/no/such:v1.2").add);
  EXPECT_EQ(target("oci-archive:/no/such").as, "");
  EXPECT_EQ(target("docker-archive:/no/such:localhost:5000/x/y").as, "localhost:5000/x/y:latest");
  EXPECT_EQ(target("docker-archive:/no/such:web").as, "docker.io/library/web:latest");
  EXPECT_EQ(target("dir:/no/such").transport, Transport::kSkopeoDirectory);
  EXPECT_EQ(target("dir:/no/such").kind, Kind::kPath);
  // A path is one as soon as it does not begin with a kind.
  EXPECT_EQ(target("./oci:x").path, "./oci:x");
  EXPECT_FALSE(target("./oci:x").told);
}

TEST(TransportWordsTest, OneTableForAllVerbs) {
  EXPECT_EQ(kTransportList.view(), "docker-archive, oci-archive, oci-dir, aci or dir");
  EXPECT_EQ(kTransportCompletion.view(), "docker-archive oci-archive oci-dir aci dir");
  EXPECT_EQ(*parse_transport("docker-dir"), Transport::kSkopeoDirectory);
  EXPECT_EQ(*parse_transport("oci"), Transport::kOciDirectory);
  EXPECT_EQ(word_of(Transport::kOciDirectory), "oci-dir");
  EXPECT_THAT(parse_transport("zip").error().message(), HasSubstr("oci-archive, oci-dir, aci or dir"));
  constexpr auto kHelp = transport_help("");
  EXPECT_EQ(kHelp.view(), "docker-archive, oci-archive, oci-dir, aci or dir; oci is oci-dir; docker-dir is dir");
  for (const char* verb : {"image load", "image save"})
    EXPECT_THAT(command_help(*find_command(verb)), HasSubstr("docker-archive, oci-archive, oci-dir, aci or dir; oci"));
}

oci_image::History step(const std::string& by, bool empty) {
  return {.created = {}, .created_by = by, .comment = {}, .empty_layer = empty};
}

TEST(HistoryTest, LayersBelongToTheStepsThatMadeThem) {
  const auto steps =
      history_steps({step("add", false), step("env", true), step("run", false)}, {layer("a", 10), layer("b", 20)});
  ASSERT_EQ(steps.size(), 3U);
  EXPECT_EQ(steps[0].entry.created_by, "run");
  EXPECT_EQ(steps[0].layer->size_bytes, 20U);
  EXPECT_FALSE(steps[1].layer.has_value());
  EXPECT_EQ(steps[2].layer->size_bytes, 10U);
}

TEST(HistoryTest, HistoriesThatAreNotWhole) {
  const auto none = history_steps({}, {layer("a", 10)});
  ASSERT_EQ(none.size(), 1U);
  EXPECT_EQ(none[0].layer->size_bytes, 10U);
  EXPECT_EQ(none[0].entry.created_by, "");
  const auto cut = history_steps({step("add", false)}, {layer("a", 10), layer("b", 20)});
  ASSERT_EQ(cut.size(), 2U);
  EXPECT_EQ(cut[0].layer->size_bytes, 20U);
  EXPECT_EQ(cut[1].entry.created_by, "add");
  const auto lying = history_steps({step("add", false), step("more", false)}, {layer("a", 10)});
  EXPECT_FALSE(lying[0].layer.has_value());
}

TEST(ImageTreeTest, WhoHasTheSameLayers) {
  const std::vector<Image> all = {make_image("q.io/a:1", {"base"}), make_image("q.io/b:1", {"base", "top", "base"}),
                                  make_image("q.io/c:1", {"base"}), make_image("q.io/d:1", {"other"})};
  const Sharing sharing = sharing_of(all);
  const ImageTree first = image_tree(all[0], {layer("base", 1024)}, sharing);
  EXPECT_THAT(first.layers.at(0).others, ElementsAre(&all[1], &all[2]));
  EXPECT_THAT(first.others, ElementsAre(&all[2]));
  const ImageTree second = image_tree(all[1], {layer("base", 1024), layer("top", 1), layer("base", 1024)}, sharing);
  EXPECT_THAT(second.layers.at(1).others, IsEmpty());
  EXPECT_THAT(second.others, IsEmpty());
  const std::string text = print_tree(second, false);
  EXPECT_THAT(text, HasSubstr("q.io/b:1"));
  EXPECT_THAT(text, HasSubstr("also in q.io/a:1, q.io/c:1\n"));
}

TEST(UsageTest, TheTableHasARowForEachKind) {
  image::StoreUsage usage;
  usage.images = {.count = 2, .in_use = 1, .bytes = 2048, .reclaimable_bytes = 1024};
  const std::string text = print_usage(usage);
  EXPECT_THAT(text, HasSubstr("RECLAIMABLE"));
  EXPECT_THAT(text, HasSubstr("2.00 KiB"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 7);
}

}  // namespace
}  // namespace cooper::cli
