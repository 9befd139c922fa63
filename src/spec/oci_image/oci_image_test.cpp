#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "spec/oci_image/machine.h"
#include "spec/oci_image/media_types.h"
#include "spec/oci_image/parse.h"
#include "spec/oci_image/platform.h"
#include "spec/oci_image/print.h"
#include "spec/oci_image/reference.h"

namespace cooper::spec::oci_image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kA(64, 'a');
const std::string kB(64, 'b');

std::string name_of(std::string_view text) {
  const auto reference = parse_reference(text);
  return reference.ok() ? reference->str() : "error";
}

TEST(Reference, NotEveryAddressIsAName) {
  EXPECT_EQ(parse_reference("docker://r.example/a:1")->str(), "r.example/a:1");
  EXPECT_FALSE(parse_reference("docker://").ok());
  EXPECT_THAT(parse_reference("https://r.example/a").error().hint(), HasSubstr("leave out 'https://'"));
  EXPECT_THAT(parse_reference("docker://http://a").error().hint(), HasSubstr("leave out 'http://'"));
  for (const char* path : {"/a", "./a", "../a"})
    EXPECT_THAT(parse_reference(path).error().message(), HasSubstr("is the path of a file")) << path;
}

TEST(Reference, SplitsNames) {
  EXPECT_EQ(name_of("busybox"), "busybox");
  EXPECT_EQ(name_of("busybox:1.36"), "busybox:1.36");
  EXPECT_EQ(name_of("docker.io/busybox"), "docker.io/library/busybox");
  EXPECT_EQ(name_of("index.docker.io/library/busybox"), "docker.io/library/busybox");
  EXPECT_EQ(name_of("foo/bar"), "foo/bar");
  EXPECT_EQ(name_of("localhost/bar:x"), "localhost/bar:x");
  EXPECT_EQ(name_of("localhost:5000/a/b_c/d-e:Tag.1"), "localhost:5000/a/b_c/d-e:Tag.1");
  EXPECT_EQ(name_of("[::1]:5000/a"), "[::1]:5000/a");
  EXPECT_EQ(name_of("Q.IO/a:T"), "q.io/a:T");
  EXPECT_EQ(name_of("LOCALHOST:5000/a"), "localhost:5000/a");
  EXPECT_EQ(name_of("[FE80::A]/a"), "[fe80::a]/a");
  EXPECT_EQ(name_of("Docker.io/busybox"), "docker.io/library/busybox");
  EXPECT_EQ(name_of("q.io/a:t@sha256:" + kA), "q.io/a:t@sha256:" + kA);
  const auto reference = parse_reference("localhost:5000/a/b:t");
  ASSERT_TRUE(reference.ok());
  EXPECT_EQ(reference->registry, "localhost:5000");
  EXPECT_EQ(reference->repository, "a/b");
  EXPECT_EQ(reference->tag, "t");
}

TEST(Reference, RefusesBadNames) {
  for (const std::string text :
       {"",    ":",   "a:", "a:-x",        "/a",    "a//b",     "a/",    "A",  "foo/Bar", "a..b",   "a___b", "-a", "a-",
        "a b", "a\n", "a@", "a@sha256:12", "q.io/", "q.io:x/a", "[x]/a", "..", ".",       "a/../b", "a:b:c", "a+b"}) {
    EXPECT_EQ(name_of(text), "error") << text;
  }
  EXPECT_EQ(name_of("Host/a"), "error") << "in small letters it is no registry";
  EXPECT_EQ(name_of(kA), "error");
  EXPECT_EQ(name_of("a:" + std::string(129, 't')), "error");
  EXPECT_EQ(name_of("q.io/" + std::string(300, 'n')), "error");
  EXPECT_EQ(name_of(std::string("a\0b", 3)), "error");
}

TEST(Reference, NoNameReadsAsAnId) {
  for (const std::string& text :
       {"sha256:" + kA, "sha512:" + kA + kB, std::string("sha256:abcdef"), std::string("sha256"),
        "docker.io/library/sha256:" + kA, std::string("q.io/x/sha512:1"), kA + ":1", kA + kB, "sha512-" + kA + kB,
        "localhost/sha512-" + kA + kB}) {
    const auto reference = parse_reference(text);
    ASSERT_FALSE(reference.ok()) << text;
    EXPECT_THAT(reference.error().message(), HasSubstr("like the id of an image")) << text;
  }
  for (const std::string& text : {std::string("sha256/a:1"), std::string("q.io/a:sha256-" + kA + ".sig"), "q.io/" + kA,
                                  std::string("sha512-abc"), std::string("sha1:1")})
    EXPECT_TRUE(parse_reference(text).ok()) << text;
}

TEST(Reference, ShortNamesStandForLocalAndHubNames) {
  std::vector<std::string> names;
  for (const Reference& reference : candidates(*parse_reference("busybox"))) names.push_back(reference.name());
  EXPECT_THAT(names, ElementsAre("localhost/busybox:latest", "docker.io/library/busybox:latest"));
  EXPECT_EQ(candidates(*parse_reference("a/b:1"))[1].name(), "docker.io/a/b:1");
  EXPECT_EQ(candidates(*parse_reference("q.io/b:1")).size(), 1U);
}

TEST(Platform, ParsesWordsOfAllWorlds) {
  EXPECT_EQ(to_string(*parse_platform("linux/aarch64")), "linux/arm64");
  EXPECT_EQ(to_string(*parse_platform("linux/arm")), "linux/arm/v7");
  EXPECT_EQ(to_string(*parse_platform("linux/arm64/v8")), "linux/arm64");
  EXPECT_EQ(to_string(*parse_platform("x86_64")), "linux/amd64");
  EXPECT_EQ(to_string(*parse_platform("riscv64")), "linux/riscv64");
  EXPECT_EQ(to_string(*parse_platform("os/machine")), "os/machine");
  EXPECT_THAT(parse_platform("foo").error().message(), HasSubstr("'foo'"));
  EXPECT_FALSE(parse_platform("a/b/c/d").ok());
  EXPECT_FALSE(parse_platform("").ok());
  EXPECT_FALSE(parse_platform("arm64/").ok());
}

TEST(Platform, WhatAnImageDoesNotNameMayBeAny) {
  const Platform wanted = *parse_platform("linux/arm64");
  const auto offered = [](std::string_view os, std::string_view architecture) {
    return Platform{.architecture = std::string(architecture), .os = std::string(os), .variant = ""};
  };
  for (const Platform& one : {offered("linux", ""), offered("", "arm64"), offered("", "")})
    EXPECT_GE(match_platform(wanted, one).value_or(-1), 1000) << to_string(one);
  for (const Platform& one : {offered("windows", ""), offered("", "amd64")})
    EXPECT_EQ(match_platform(wanted, one), std::nullopt) << to_string(one);
}

TEST(Platform, AConfigurationWithoutAVariantMayBeForAny) {
  const auto configured = [](std::string_view wanted, std::string_view architecture, std::string_view variant = "") {
    return match_configured(
        *parse_platform(wanted),
        {.architecture = std::string(architecture), .os = "linux", .variant = std::string(variant)});
  };
  EXPECT_EQ(configured("linux/arm/v7", "arm"), 0);
  EXPECT_GE(configured("linux/arm/v6", "arm").value_or(-1), 1000);
  EXPECT_EQ(configured("linux/arm/v6", "arm", "v6"), 0);
  EXPECT_EQ(configured("linux/arm/v6", "arm", "v7"), std::nullopt);
  EXPECT_EQ(configured("linux/arm/v6", "arm64"), std::nullopt);
  EXPECT_EQ(configured("linux/amd64/v3", "amd64"), 2);
  EXPECT_EQ(configured("linux/amd64", "386"), std::nullopt);
}

TEST(Platform, LevelsOfAmd64) {
  constexpr std::uint32_t kAll = 0xffffffff;
  constexpr std::uint64_t kState = 0xe7;
  EXPECT_EQ(amd64_level({}), 1);
  EXPECT_EQ(amd64_level({.basic_ecx = kAll & ~(1U << 27U), .structured_ebx = kAll, .extended_ecx = kAll}), 2);
  EXPECT_EQ(amd64_level({.basic_ecx = kAll, .structured_ebx = kAll, .extended_ecx = kAll}), 2) << "nobody saves AVX";
  const CpuWords no_512{.basic_ecx = kAll, .structured_ebx = 0x128, .extended_ecx = kAll, .saved_state = kState};
  EXPECT_EQ(amd64_level(no_512), 3);
  CpuWords all{.basic_ecx = kAll, .structured_ebx = kAll, .extended_ecx = kAll, .saved_state = 7};
  EXPECT_EQ(amd64_level(all), 3) << "nobody saves the masks";
  all.saved_state = kState;
  EXPECT_EQ(amd64_level(all), 4);
  all.extended_ecx = 0;
  EXPECT_EQ(amd64_level(all), 1);
  const Platform machine = machine_platform();
  EXPECT_TRUE(match_platform(machine, host_platform()));
}

TEST(Platform, NewerMachinesRunOlderImages) {
  const auto match = [](std::string_view wanted, std::string_view offered) {
    return match_platform(*parse_platform(wanted), *parse_platform(offered));
  };
  EXPECT_EQ(match("linux/amd64", "linux/amd64"), 0);
  EXPECT_EQ(match("linux/arm/v7", "linux/arm/v6"), 1);
  EXPECT_EQ(match("linux/arm/v6", "linux/arm/v7"), std::nullopt);
  EXPECT_EQ(match("linux/amd64", "linux/amd64/v3"), std::nullopt);
  EXPECT_EQ(match("linux/amd64/v3", "linux/amd64"), 2);
  EXPECT_EQ(match("linux/amd64", "windows/amd64"), std::nullopt);
  EXPECT_EQ(match("linux/arm64/v8", "linux/arm64"), 0);
}

Descriptor descriptor(std::string_view platform) {
  Descriptor out{
      .media_type = {}, .digest = *Digest::parse("sha256:" + kA), .size_bytes = 1, .annotations = {}, .platform = {}};
  if (!platform.empty()) out.platform = *parse_platform(platform);
  return out;
}

TEST(Platform, SelectsTheBestEntry) {
  std::vector<Descriptor> manifests = {descriptor("linux/arm/v5"), descriptor("linux/arm/v6"),
                                       descriptor("linux/amd64")};
  Descriptor attestation = descriptor("");
  attestation.platform = Platform{.architecture = "unknown", .os = "unknown", .variant = ""};
  manifests.insert(manifests.begin(), attestation);
  EXPECT_EQ(*select_platform(manifests, *parse_platform("linux/arm/v7"), "image"), 2U);
  EXPECT_EQ(*select_platform(manifests, *parse_platform("linux/amd64"), "image"), 3U);
  const auto none = select_platform(manifests, *parse_platform("linux/s390x"), "image 'x'");
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code(), Errc::kNotFound);
  EXPECT_THAT(none.error().message(), HasSubstr("linux/amd64, linux/arm/v5, linux/arm/v6"));
  EXPECT_THAT(none.error().message(), ::testing::Not(HasSubstr("unknown")));
}

TEST(Platform, OneUnmarkedEntryIsTaken) {
  EXPECT_EQ(*select_platform({descriptor("")}, host_platform(), "image"), 0U);
  EXPECT_FALSE(select_platform({descriptor(""), descriptor("")}, host_platform(), "image").ok());
  EXPECT_EQ(select_platform({}, host_platform(), "index").error().message(), "index holds no image");
}

std::string manifest_text(const std::string& config_type, const std::string& extra = "") {
  return R"({"schemaVersion":2,"config":{"mediaType":")" + config_type + R"(","digest":"sha256:)" + kA +
         R"(","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:)" + kB +
         R"(","size":3}])" + extra + "}";
}

TEST(Parse, Manifest) {
  const auto manifest =
      parse_manifest(manifest_text(std::string(kMediaTypeConfig), R"(,"annotations":{"a":"b"})"), "manifest");
  ASSERT_TRUE(manifest.ok()) << manifest.error().message();
  EXPECT_EQ(manifest->config.size_bytes, 2U);
  EXPECT_EQ(manifest->layers.at(0).digest.hex(), kB);
  EXPECT_EQ(manifest->annotations.at("a"), "b");
  EXPECT_TRUE(manifest->artifact_type.empty());
  const auto again = parse_manifest(print(*manifest), "manifest");
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(print(*again), print(*manifest));
}

TEST(Parse, ArtifactsAreMarked) {
  EXPECT_EQ(parse_manifest(manifest_text("application/vnd.oci.empty.v1+json", R"(,"artifactType":"x/y")"), "m")
                ->artifact_type,
            "x/y");
  EXPECT_EQ(parse_manifest(manifest_text("application/vnd.cncf.helm.config.v1+json"), "m")->artifact_type,
            "application/vnd.cncf.helm.config.v1+json");
}

Errc manifest_error(std::string text) {
  const auto manifest = parse_manifest(std::move(text), "manifest");
  EXPECT_FALSE(manifest.ok());
  return manifest.ok() ? Errc::kInternal : manifest.error().code();
}

TEST(Parse, RefusesWrongManifests) {
  EXPECT_EQ(manifest_error("{"), Errc::kInvalidArgument);
  EXPECT_EQ(manifest_error("[]"), Errc::kInvalidArgument);
  EXPECT_EQ(manifest_error("{}"), Errc::kInvalidArgument);
  EXPECT_EQ(manifest_error(R"({"schemaVersion":1})"), Errc::kUnsupported);
  EXPECT_EQ(manifest_error(R"({"schemaVersion":"2"})"), Errc::kInvalidArgument);
  EXPECT_EQ(manifest_error(R"({"schemaVersion":2,"manifests":[]})"), Errc::kInvalidArgument);
  EXPECT_EQ(manifest_error(manifest_text(std::string(kMediaTypeConfig), R"(,"manifests":[])")), Errc::kInvalidArgument);
  EXPECT_EQ(manifest_error(manifest_text(std::string(kMediaTypeConfig),
                                         R"(,"mediaType":"application/vnd.oci.image.index.v1+json")")),
            Errc::kInvalidArgument);
  EXPECT_EQ(manifest_error(R"({"schemaVersion":2,"config":{"digest":"sha256:zz","size":2},"layers":[]})"),
            Errc::kInvalidArgument);
  EXPECT_EQ(manifest_error(R"({"schemaVersion":2,"config":{"digest":"sha256:)" + kA + R"(","size":-2},"layers":[]})"),
            Errc::kInvalidArgument);
  EXPECT_EQ(manifest_error(R"({"schemaVersion":2,"config":{"digest":"sha256:)" + kA + R"("},"layers":[]})"),
            Errc::kInvalidArgument);
  EXPECT_EQ(manifest_error(std::string(kMaxDocumentBytes + 1, ' ')), Errc::kLimit);
}

TEST(Parse, Index) {
  const std::string text = R"({"schemaVersion":2,"manifests":[{"mediaType":"m","digest":"sha256:)" + kA +
                           R"(","size":7,"platform":{"architecture":"arm","os":"linux","variant":"v7"}}]})";
  EXPECT_EQ(*document_kind(text, "index"), DocumentKind::kIndex);
  const auto index = parse_index(text, "index");
  ASSERT_TRUE(index.ok()) << index.error().message();
  EXPECT_EQ(index->manifests.at(0).platform->variant, "v7");
  EXPECT_EQ(parse_index(print(*index), "index")->manifests.at(0).size_bytes, 7U);
}

TEST(Parse, Config) {
  const std::string text =
      R"({"created":"2024-01-01T00:00:00Z","architecture":"amd64","os":"linux","config":{"User":"1:2","Env":["A=b"],
    "Entrypoint":null,"Cmd":["sh"],"WorkingDir":"/w","ExposedPorts":{"80/tcp":{}},"Volumes":{"/v":{}},"Labels":{"l":"m"},
    "StopSignal":"SIGINT","Healthcheck":{"Test":[1]}},"rootfs":{"type":"layers","diff_ids":["sha256:)" +
      kA + R"("]},"history":[{"created_by":"x","empty_layer":true}]})";
  const auto config = parse_config(text, "config");
  ASSERT_TRUE(config.ok()) << config.error().message();
  EXPECT_EQ(config->user, "1:2");
  EXPECT_THAT(config->cmd, ElementsAre("sh"));
  EXPECT_TRUE(config->entrypoint.empty());
  EXPECT_THAT(config->exposed_ports, ElementsAre("80/tcp"));
  EXPECT_THAT(config->volumes, ElementsAre("/v"));
  EXPECT_EQ(config->labels.at("l"), "m");
  EXPECT_TRUE(config->history.at(0).empty_layer);
  const auto again = parse_config(print(*config), "config");
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(print(*again), print(*config));
}

TEST(Parse, BoundsHistory) {
  const auto with_steps = [](std::size_t count) {
    std::string steps = "{}";
    for (std::size_t i = 1; i < count; ++i) steps += ",{}";
    return parse_config(R"({"rootfs":{"type":"layers"},"history":[)" + steps + "]}", "config");
  };
  EXPECT_TRUE(with_steps(kMaxHistory).ok());
  EXPECT_EQ(with_steps(kMaxHistory + 1).error().code(), Errc::kLimit);
}

TEST(Parse, BoundsVolumesAndVariables) {
  const auto with = [](std::size_t volumes, std::size_t variables) {
    std::string keys;
    for (std::size_t i = 0; i < volumes; ++i) keys += (i == 0 ? "\"/v" : ",\"/v") + std::to_string(i) + "\":{}";
    std::string words;
    for (std::size_t i = 0; i < variables; ++i) words += i == 0 ? "\"A=b\"" : ",\"A=b\"";
    return parse_config(R"({"rootfs":{"type":"layers"},"config":{"Volumes":{)" + keys + R"(},"Env":[)" + words + "]}}",
                        "config");
  };
  EXPECT_TRUE(with(kMaxVolumes, kMaxVariables).ok());
  EXPECT_EQ(with(kMaxVolumes + 1, 0).error().code(), Errc::kLimit);
  EXPECT_EQ(with(0, kMaxVariables + 1).error().code(), Errc::kLimit);
}

TEST(Parse, ConfigErrorsNameThePlace) {
  const auto config = parse_config(R"({"rootfs":{"diff_ids":["x"]}})", "config");
  ASSERT_FALSE(config.ok());
  EXPECT_THAT(config.error().message(), HasSubstr("/rootfs/diff_ids/0"));
  EXPECT_FALSE(parse_config(R"({"rootfs":{"type":"windows"}})", "config").ok());
  EXPECT_FALSE(parse_config(R"({})", "config").ok());
}

TEST(Parse, DockerArchive) {
  const auto entries = parse_docker_archive_manifest(
      R"([{"Config":"a.json","RepoTags":null,"Layers":["x/layer.tar"]}])", "manifest.json");
  ASSERT_TRUE(entries.ok()) << entries.error().message();
  EXPECT_EQ(entries->at(0).config, "a.json");
  EXPECT_FALSE(parse_docker_archive_manifest("[]", "manifest.json").ok());
  EXPECT_FALSE(parse_docker_archive_manifest("{}", "manifest.json").ok());
}

TEST(Print, DockerArchive) {
  const std::vector<DockerArchiveEntry> entries = {
      {.config = "a.json", .repo_tags = {"localhost/x:1"}, .layers = {"b.tar", "c.tar"}},
      {.config = "d.json", .repo_tags = {}, .layers = {}}};
  const std::string text = print(entries);
  EXPECT_EQ(text, R"([{"Config":"a.json","RepoTags":["localhost/x:1"],"Layers":["b.tar","c.tar"]},)"
                  R"({"Config":"d.json","RepoTags":null,"Layers":[]}])");
  const auto again = parse_docker_archive_manifest(text, "manifest.json");
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(print(*again), text);
  EXPECT_EQ(print_docker_repositories({{"localhost/x", {{"1", "c"}}}}), R"({"localhost/x":{"1":"c"}})");
  EXPECT_TRUE(check_layout_file(print_layout_file(), "oci-layout").ok());
}

TEST(MediaTypes, RefusesWhatIsNoLayer) {
  EXPECT_TRUE(check_layer_media_type(kMediaTypeLayerZstd).ok());
  EXPECT_TRUE(check_layer_media_type("application/vnd.docker.image.rootfs.diff.tar.gzip").ok());
  for (const auto& [type, word] : std::vector<std::pair<std::string, std::string>>{
           {"application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "encrypted"},
           {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "foreign"},
           {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "foreign"},
           {"text/plain", "not a file system layer"}}) {
    const Status status = check_layer_media_type(type);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code(), Errc::kUnsupported);
    EXPECT_THAT(status.error().message(), HasSubstr(word));
  }
}

}  // namespace
}  // namespace cooper::spec::oci_image
