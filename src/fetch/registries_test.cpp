#include "fetch/registries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "fetch/sources.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::fetch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

oci_image::Reference reference(std::string_view text) {
  return *oci_image::parse_reference(text);
}

RegistriesConfig config_of(std::string_view text) {
  RegistriesConfig out;
  const Status added = add_registries(out, text, "a.conf");
  EXPECT_TRUE(added.ok()) << added.error().message();
  return out;
}

std::string refusal(std::string_view text) {
  RegistriesConfig out;
  const Status added = add_registries(out, text, "a.conf");
  return added.ok() ? "" : added.error().message();
}

// "host/repository" of each endpoint, "!" after insecure ones.
std::vector<std::string> asked(std::string_view name, const SourceOptions& options) {
  const auto endpoints = endpoints_of(reference(name), options);
  if (!endpoints.ok()) return {endpoints.error().message()};
  std::vector<std::string> out;
  for (const Endpoint& one : *endpoints)
    out.push_back(std::string(one.host).append("/").append(one.repository) + (one.verify_tls ? "" : "!"));
  return out;
}

std::vector<std::string> names(const RegistriesConfig& config, std::string_view name) {
  const auto full = full_names(config, reference(name));
  if (!full.ok()) return {full.error().message()};
  std::vector<std::string> out;
  for (const oci_image::Reference& one : *full) out.push_back(one.str());
  return out;
}

TEST(RegistriesTest, PrefixesCoverWholeComponents) {
  const auto matches = [](std::string_view name, std::string_view prefix) {
    return matching_bytes(reference(name), prefix).has_value();
  };
  EXPECT_TRUE(matches("r.example/a/b:1", "r.example"));
  EXPECT_TRUE(matches("r.example/a/b:1", "r.example/a"));
  EXPECT_TRUE(matches("r.example/a/b:1", "r.example/a/b"));
  EXPECT_TRUE(matches("r.example/a/b:1", "r.example/a/b:1"));
  EXPECT_FALSE(matches("r.example/a/b:12", "r.example/a/b:1"));
  EXPECT_FALSE(matches("r.example/ab", "r.example/a"));
  EXPECT_TRUE(matches("r.example:5000/a", "r.example")) << "whatever the port, as podman reads it";
  EXPECT_TRUE(matches("[::1]:5000/a", "[::1]"));
  EXPECT_FALSE(matches("r.example:5000/a/b", "r.example/a"));
  EXPECT_FALSE(matches("r.example:5000/a", "r.example:500"));
  EXPECT_FALSE(matches("r.example/a", "r.example:443"));
  EXPECT_TRUE(matches("x.r.example:5000/a", "*.r.example"));
  EXPECT_TRUE(matches("x.r.example:5000/a", "*.r.example:5000"));
  EXPECT_FALSE(matches("x.r.example:5000/a", "*.r.example:500"));
  EXPECT_FALSE(matches("x.r.example/a", "*.r.example:443"));
  EXPECT_FALSE(matches("r.example:5000/a", "*.r.example"));
  EXPECT_TRUE(matches("x.r.example/a", "*.r.example"));
  EXPECT_TRUE(matches("y.x.r.example/a/b", "*.r.example/a"));
  EXPECT_FALSE(matches("r.example/a", "*.r.example"));
  EXPECT_FALSE(matches("xr.example/a", "*.r.example"));
  EXPECT_FALSE(matches("x.r.example/ab", "*.r.example/a"));
  EXPECT_FALSE(matches("evil.example/x.r.example", "*.r.example"));
}

TEST(RegistriesTest, TheLongestPrefixSaysWhere) {
  const SourceOptions options{.containers = config_of(R"(
[[registry]]
prefix = "r.example"
location = "wide.example/all"
[[registry]]
prefix = "r.example/team"
location = "narrow.example"
insecure = true
[[registry]]
prefix = "*.lab.example"
location = "lab.example/x"
)")};
  EXPECT_THAT(asked("r.example/a:1", options), ElementsAre("wide.example/all/a"));
  EXPECT_THAT(asked("r.example/team/a:1", options), ElementsAre("narrow.example/a!"));
  EXPECT_THAT(asked("b.lab.example/a", options), ElementsAre("lab.example/x/a"));
  EXPECT_THAT(asked("r.example/team", options), ElementsAre(HasSubstr("no repository")));
  SourceOptions push = options;
  push.push = true;
  EXPECT_THAT(asked("r.example/team/a:1", push), ElementsAre("r.example/team/a!")) << "a push goes where it is told";
}

TEST(RegistriesTest, ThePortOfANameStays) {
  SourceOptions options{.containers = config_of(R"(
[[registry]]
location = "r.example"
insecure = true
[[registry.mirror]]
location = "m.example:8080/copies"
[[registry]]
prefix = "*.lab.example"
location = "lab.example/x"
[[registry]]
prefix = "r.example:5001"
location = "other.example"
)")};
  EXPECT_THAT(asked("r.example:5000/a", options), ElementsAre("m.example:8080/copies/a", "r.example:5000/a!"));
  EXPECT_THAT(asked("r.example:5001/a", options), ElementsAre("other.example/a"));
  EXPECT_THAT(asked("b.lab.example:443/a", options), ElementsAre("lab.example:443/x/a"));
  options.mirrors = {{"r.example", "own.example"}};
  EXPECT_THAT(asked("r.example/a", options), ElementsAre("own.example/a", "r.example/a!"));
  EXPECT_THAT(asked("r.example:5001/a", options), ElementsAre("other.example/a")) << "our own mirrors are of one port";
}

TEST(RegistriesTest, MirrorsForTagsAndDigests) {
  const std::string digest = "@sha256:" + std::string(64, 'a');
  SourceOptions options{.containers = config_of(R"(
[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "m1.example/hub"
[[registry.mirror]]
location = "m2.example"
insecure = true
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "m3.example"
pull-from-mirror = "tag-only"
[[registry]]
location = "q.example"
mirror-by-digest-only = true
[[registry.mirror]]
location = "m4.example"
)")};
  EXPECT_THAT(asked("docker.io/library/x:1", options),
              ElementsAre("m1.example/hub/library/x", "m3.example/library/x", "registry-1.docker.io/library/x"));
  EXPECT_THAT(asked("docker.io/library/x" + digest, options),
              ElementsAre("m1.example/hub/library/x", "m2.example/library/x!", "registry-1.docker.io/library/x"));
  EXPECT_THAT(asked("q.example/x:1", options), ElementsAre("q.example/x"));
  EXPECT_THAT(asked("q.example/x" + digest, options), ElementsAre("m4.example/x", "q.example/x"));
  options.mirrors = {{"docker.io/library", "own.example/l"}, {"docker.io", "wide.example"}};
  EXPECT_THAT(asked("docker.io/library/x:1", options), ElementsAre("own.example/l/x", "registry-1.docker.io/library/x"))
      << "the settings' own mirrors win, and of those the ones for the longest beginning";
  EXPECT_THAT(asked("docker.io/other/x:1", options),
              ElementsAre("wide.example/other/x", "registry-1.docker.io/other/x"));
  options.mirrors_too = false;
  EXPECT_THAT(asked("docker.io/library/x:1", options), ElementsAre("registry-1.docker.io/library/x"));
}

TEST(RegistriesTest, WhatIsBlockedIsNotAsked) {
  SourceOptions options{.containers = config_of("[[registry]]\nprefix = \"r.example/bad\"\nblocked = true\n")};
  EXPECT_THAT(asked("r.example/bad/x", options), ElementsAre(HasSubstr("a.conf: line 1")));
  EXPECT_THAT(asked("r.example/good/x", options), ElementsAre("r.example/good/x"));
  options.push = true;
  EXPECT_THAT(asked("r.example/bad/x", options), ElementsAre(HasSubstr("blocked")));
}

TEST(RegistriesTest, APortIsNoWayRoundWhatIsBlocked) {
  const SourceOptions options{.containers = config_of(R"(
[[registry]]
prefix = "bad.example"
blocked = true
[[registry]]
prefix = "bad.example:5000"
[[registry]]
prefix = "*.evil.example"
blocked = true
[[registry]]
prefix = "r.example/bad"
blocked = true
[[registry]]
location = "r.example"
)")};
  for (const char* name : {"bad.example/x", "bad.example:443/x", "a.evil.example/x", "a.evil.example:443/x",
                           "r.example/bad/x", "r.example:443/bad/x"})
    EXPECT_THAT(asked(name, options), ElementsAre(HasSubstr("blocked"))) << name;
  for (const char* name : {"bad.example:5000/x", "evil.example:443/x", "r.example:443/good/x"})
    EXPECT_THAT(asked(name, options), ElementsAre(name)) << "its own rule says otherwise, or none is for it";
}

TEST(RegistriesTest, ShortNames) {
  RegistriesConfig config = config_of(R"(
[aliases]
"fedora" = "r.fedora.example/fedora"
"team/app" = "q.example/team/app"
)");
  EXPECT_THAT(names(config, "fedora:9"), ElementsAre("r.fedora.example/fedora:9"));
  EXPECT_THAT(names(config, "team/app"), ElementsAre("q.example/team/app"));
  EXPECT_THAT(names(config, "busybox:1"), ElementsAre("docker.io/library/busybox:1"));
  EXPECT_THAT(names(config, "r.example/fedora"), ElementsAre("r.example/fedora"));
  ASSERT_TRUE(add_registries(config, "unqualified-search-registries = [\"a.example\", \"docker.io\"]", "b.conf").ok());
  EXPECT_THAT(names(config, "fedora:9"), ElementsAre("r.fedora.example/fedora:9"));
  EXPECT_THAT(names(config, "x:1"), ElementsAre("a.example/x:1", "docker.io/library/x:1"));
  ASSERT_TRUE(add_registries(config, "short-name-mode = \"enforcing\"\n[aliases]\nfedora = \"\"", "c.conf").ok());
  EXPECT_THAT(names(config, "fedora"), ElementsAre(HasSubstr("a.example/fedora or docker.io/library/fedora")));
  EXPECT_THAT(names(config, "fedora"), ElementsAre(HasSubstr("b.conf: line 1")));
}

TEST(RegistriesTest, ErrorsNameTheLine) {
  EXPECT_THAT(refusal("\n\n[[registry]]\nlocation = 3"), HasSubstr("a.conf: line 4: 'location' must be text"));
  EXPECT_THAT(refusal("\nx = ["), HasSubstr("a.conf: line 2"));
  EXPECT_THAT(refusal("\n[(aliases]"), HasSubstr("a.conf: line 2"));
  EXPECT_THAT(refusal("\nsearch\u0250 = 1"), HasSubstr("a.conf: line 2"));
  EXPECT_EQ(refusal("# f\u00fcr \u0250lle\nx = \"\u0250\""), "");
  EXPECT_THAT(refusal("[[registry]]\nlocation = \"https://r.example\""), HasSubstr("line 2"));
  EXPECT_THAT(refusal("[[registry]]\nlocation = \"word\""), HasSubstr("a dot or a port"));
  EXPECT_THAT(refusal("[[registry]]\nprefix = \"a.*.example\""), HasSubstr("prefix"));
  EXPECT_THAT(refusal("[[registry]]\nblocked = \"true\"\nlocation = \"r.example\""), HasSubstr("true or false"));
  EXPECT_THAT(refusal("[[registry]]\nblocked = true"), HasSubstr("neither"));
  EXPECT_THAT(refusal("[registry]\nlocation = \"r.example\""), HasSubstr("[[registry]]"));
  EXPECT_THAT(refusal("[[registry]]\nlocation = \"r.example\"\n[[registry]]\nlocation = \"r.example\""),
              HasSubstr("line 3"));
  EXPECT_THAT(refusal("[[registry]]\nlocation = \"r.example\"\npull-from-mirror = \"all\""), HasSubstr("mirror"));
  EXPECT_THAT(refusal("[registries.search]\nregistries = []"), HasSubstr("version 1"));
  EXPECT_THAT(refusal("[aliases]\n\"a:1\" = \"r.example/a\""), HasSubstr("short name"));
  EXPECT_THAT(refusal("[aliases]\na = \"b/c\""), HasSubstr("REGISTRY/NAME"));
  EXPECT_THAT(refusal("short-name-mode = \"maybe\""), HasSubstr("maybe"));
  EXPECT_EQ(
      refusal("future-key = 1979-05-27\ncredential-helpers = []\n[[registry]]\nlocation = \"r.example\"\nnew = {}"),
      "");
}

TEST(RegistriesTest, HostileNesting) {
  std::string dotted;
  for (int i = 0; i < 100'000; ++i) dotted += "a.";
  EXPECT_THAT(refusal(dotted + "a = 1"), HasSubstr("dots"));
  EXPECT_NE(refusal("a = " + std::string(100'000, '[')), "");
}

TEST(RegistriesTest, FilesInTheirOrder) {
  std::string folder = "/tmp/cooper-registries-test-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const auto write = [&](const std::string& name, std::string_view text) {
    ASSERT_TRUE(io::make_directories(folder + "/d").ok());
    ASSERT_TRUE(io::write_file_atomic(std::string(folder).append("/").append(name), text).ok());
  };
  write("main.conf", "[[registry]]\nlocation = \"r.example\"\nblocked = true\n");
  write("d/10.conf", "[[registry]]\nlocation = \"r.example\"\n[aliases]\na = \"r.example/ten\"\n");
  write("d/20.conf", "[aliases]\na = \"r.example/twenty\"\n");
  write("d/30.other", "not read");
  const auto config = read_registries(
      {.files = {folder + "/missing", folder + "/main.conf"}, .directories = {folder + "/none", folder + "/d"}});
  ASSERT_TRUE(config.ok());
  EXPECT_FALSE(config->rules.at("r.example").blocked) << "a later file wins";
  EXPECT_EQ(config->aliases.at("a").name, "r.example/twenty");
  EXPECT_FALSE(read_registries({.must_file = folder + "/missing"}).ok());
  EXPECT_TRUE(io::remove_tree(sys::kCwd, folder).ok());
}

}  // namespace
}  // namespace cooper::fetch
