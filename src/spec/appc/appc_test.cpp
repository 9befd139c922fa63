#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "spec/appc/cimd.h"
#include "spec/appc/isolators.h"
#include "spec/appc/names.h"
#include "spec/appc/parse.h"
#include "spec/appc/print.h"

namespace cooper::spec::appc {
namespace {

using ::testing::HasSubstr;

constexpr const char* kFull = R"({
  "acKind": "ImageManifest", "acVersion": "0.8.11", "name": "example.com/reduce-worker",
  "labels": [{"name": "version", "value": "1.0.0"}, {"name": "arch", "value": "amd64"}, {"name": "os", "value": "linux"}],
  "app": {
    "exec": ["/usr/bin/reduce-worker", "--quiet"], "user": "100", "group": "300", "supplementaryGIDs": [400, 500],
    "eventHandlers": [{"exec": ["/usr/bin/data-downloader"], "name": "pre-start"},
                      {"exec": ["/usr/bin/deregister-worker", "--verbose"], "name": "post-stop"}],
    "workingDirectory": "/opt/work",
    "environment": [{"name": "REDUCE_WORKER_DEBUG", "value": "true"}],
    "isolators": [{"name": "resource/cpu", "value": {"request": "250m", "limit": "300m"}},
                  {"name": "resource/memory", "value": {"limit": "2Gi"}},
                  {"name": "os/linux/capabilities-retain-set", "value": {"set": ["CAP_NET_BIND_SERVICE"]}},
                  {"name": "example.com/made-up", "value": {"deep": [1, null]}}],
    "mountPoints": [{"name": "work", "path": "/var/lib/work", "readOnly": true}],
    "ports": [{"name": "health", "port": 4000, "protocol": "tcp", "socketActivated": true}],
    "userAnnotations": {"acme/checksum": "29"}, "userLabels": {"owner": "me"}
  },
  "dependencies": [{"imageName": "example.com/reduce-worker-base",
    "imageID": "sha512-0c45e8c0ab2b3cdb9ec6649073d5c6c4aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "size": 22,
    "labels": [{"name": "env", "value": "canary"}]}],
  "pathWhitelist": ["/etc/ca/example.com/crt", "/usr/bin/map-reduce-worker", "/opt/libs/"],
  "annotations": [{"name": "authors", "value": "Carly"}, {"name": "created", "value": "2014-10-27T19:32:27.67021798Z"},
                  {"name": "homepage", "value": "https://example.com"}]
})";

// kFull's bare frame with further members.
std::string manifest(const std::string& more) {
  return R"({"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/app")" +
         (more.empty() ? "" : "," + more) + "}";
}
std::string app(const std::string& more) {
  return manifest(R"("app":{"user":"0","group":"0")" + (more.empty() ? "" : "," + more) + "}");
}
std::string failure(const std::string& text) {
  const auto parsed = parse_image_manifest(text, "manifest");
  return parsed.ok() ? "accepted" : parsed.error().message();
}

TEST(AppcManifest, ReadsEveryField) {
  const auto parsed = parse_image_manifest(kFull, "manifest");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message();
  EXPECT_EQ(parsed->name, "example.com/reduce-worker");
  EXPECT_EQ(find_value(parsed->labels, "arch"), "amd64");
  ASSERT_TRUE(parsed->app);
  const App& app = *parsed->app;
  EXPECT_EQ(app.exec, (std::vector<std::string>{"/usr/bin/reduce-worker", "--quiet"}));
  EXPECT_EQ(app.supplementary_gids, (std::vector<std::uint32_t>{400, 500}));
  EXPECT_EQ(app.event_handlers.at(1).exec.at(1), "--verbose");
  EXPECT_EQ(app.environment.at(0), (NameValue{"REDUCE_WORKER_DEBUG", "true"}));
  EXPECT_TRUE(app.mount_points.at(0).read_only);
  EXPECT_EQ(app.ports.at(0).count, 1);
  EXPECT_EQ(app.isolators.at(3).value_json, R"({"deep":[1,null]})");
  EXPECT_EQ(parsed->dependencies.at(0).image_id.size(), 64U);
  EXPECT_EQ(parsed->dependencies.at(0).size_bytes, 22U);
  EXPECT_EQ(parsed->path_whitelist.at(2), "/opt/libs/");
  const auto isolation = read_isolators(app.isolators);
  ASSERT_TRUE(isolation.ok());
  EXPECT_EQ(isolation->memory_limit_bytes, std::uint64_t{2} << 30);
  EXPECT_EQ(isolation->cpu_limit_milli, 300U);
  EXPECT_TRUE(isolation->capabilities->retain);
  EXPECT_EQ(isolation->others, std::vector<std::string>{"example.com/made-up"});
}

TEST(AppcManifest, PrintsWhatItRead) {
  const auto parsed = parse_image_manifest(kFull, "manifest");
  ASSERT_TRUE(parsed.ok());
  const std::string printed = print(*parsed);
  const auto again = parse_image_manifest(printed, "manifest");
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(print(*again), printed);
  for (const char* word : {"data-downloader", "made-up", "readOnly", "sha512-0c45", "canary", "userAnnotations"})
    EXPECT_THAT(printed, HasSubstr(word));
}

TEST(AppcManifest, AcceptsTheLeast) {
  EXPECT_EQ(failure(manifest("")), "accepted");
  EXPECT_EQ(failure(app("")), "accepted");
  EXPECT_EQ(failure(manifest(R"("somethingNew":{"a":1})")), "accepted");
  EXPECT_EQ(failure(manifest(R"("labels":[{"name":"os","value":"linux"},{"name":"arch","value":"aarch64_be"}])")),
            "accepted");
  EXPECT_EQ(failure(manifest(R"("labels":[{"name":"version","value":""}])")), "accepted");
}

struct Refused {
  const char* text;
  const char* pointer;
  const char* why;
};

TEST(AppcManifest, RefusesAndSaysWhere) {
  const std::vector<Refused> cases = {
      {R"("labels":[{"name":"os","value":"plan9"}])", "/labels", "bad os 'plan9'"},
      {R"("labels":[{"name":"os","value":"linux"},{"name":"arch","value":"x86_64"}])", "/labels", "bad arch 'x86_64'"},
      {R"("labels":[{"name":"a","value":"1"},{"name":"a","value":"2"}])", "/labels/1", "there twice"},
      {R"("labels":[{"name":"name","value":"x"}])", "/labels", "cannot be called"},
      {R"("labels":[{"name":"Big","value":"x"}])", "/labels/0/name", "lower-case"},
      {R"("dependencies":[{}])", "/dependencies/0", "imageName"},
      {R"("dependencies":[{"imageName":"a","imageID":"sha256-00"}])", "/dependencies/0/imageID", "sha512-"},
      {R"("dependencies":[{"imageName":"a","imageID":"sha512-00"}])", "/dependencies/0/imageID", "64 to 128"},
      {R"("dependencies":[{"imageName":"a/"}])", "/dependencies/0/imageName", "lower-case"},
      {R"("pathWhitelist":["etc"])", "/pathWhitelist/0", "not absolute"},
      {R"("pathWhitelist":["/etc/../../x"])", "/pathWhitelist/0", "holds"},
      {R"("annotations":[{"name":"created","value":"yesterday"}])", "/annotations/0", "RFC 3339"},
      {R"("annotations":[{"name":"homepage","value":"ftp://x"}])", "/annotations/0", "address"},
      {R"("annotations":[{"name":"a","value":""},{"name":"a","value":""}])", "/annotations/1", "there twice"},
      {R"("app":{"group":"0"})", "/app", "user"},
      {R"("app":{"user":"0","group":""})", "/app/group", "is empty"},
      {R"("app":{"user":"0:1","group":"0"})", "/app", "no user"},
  };
  for (const Refused& one : cases) {
    const std::string message = failure(manifest(one.text));
    EXPECT_THAT(message, HasSubstr(std::string("manifest: ") + one.pointer)) << one.text;
    EXPECT_THAT(message, HasSubstr(one.why)) << one.text;
  }
  EXPECT_THAT(failure(R"({"acKind":"PodManifest","acVersion":"0.8.11","name":"a"})"), HasSubstr("/acKind"));
  EXPECT_THAT(failure(R"({"acKind":"ImageManifest","acVersion":"0.8","name":"a"})"), HasSubstr("/acVersion"));
  EXPECT_THAT(failure(R"({"acKind":"ImageManifest","acVersion":"0.8.11","name":"a--b"})"), HasSubstr("/name"));
  EXPECT_THAT(failure("[]"), HasSubstr("object"));
}

TEST(AppcManifest, RefusesBadApps) {
  const std::vector<Refused> cases = {
      {R"("exec":["", "x"])", "/app/exec/0", "empty"},
      {R"("supplementaryGIDs":[1,1])", "/app/supplementaryGIDs/1", "there twice"},
      {R"("supplementaryGIDs":[-1])", "/app/supplementaryGIDs/0", ""},
      {R"("eventHandlers":[{"name":"pre-stop","exec":["a"]}])", "/app/eventHandlers/0", "neither"},
      {R"("eventHandlers":[{"name":"pre-start","exec":["a"]},{"name":"pre-start","exec":["b"]}])",
       "/app/eventHandlers/1", "there twice"},
      {R"("eventHandlers":[{"name":"pre-start"}])", "/app/eventHandlers/0", "no exec"},
      {R"("workingDirectory":"opt")", "/app/workingDirectory", "not absolute"},
      {R"("environment":[{"name":"A","value":""},{"name":"A","value":""}])", "/app/environment/1", "there twice"},
      {R"("environment":[{"name":"A=B","value":""}])", "/app/environment/0", "holds"},
      {R"("environment":[{"value":""}])", "/app/environment/0", "name"},
      {R"("mountPoints":[{"name":"a","path":"x"}])", "/app/mountPoints/0", "not absolute"},
      {R"("mountPoints":[{"name":"a_b","path":"/x"}])", "/app/mountPoints/0/name", "single dashes"},
      {R"("mountPoints":[{"name":"a","path":"/x"},{"name":"a","path":"/y"}])", "/app/mountPoints/1", "there twice"},
      {R"("ports":[{"name":"a","protocol":"sctp","port":1}])", "/app/ports/0", "neither tcp nor udp"},
      {R"("ports":[{"name":"a","protocol":"tcp","port":0}])", "/app/ports/0", "between"},
      {R"("ports":[{"name":"a","protocol":"tcp","port":65000,"count":1000}])", "/app/ports/0", "between"},
      {R"("ports":[{"name":"a","protocol":"tcp","port":70000}])", "/app/ports/0/port", ""},
      {R"("isolators":[{"name":"resource/memory","value":{"limit":"lots"}}])", "/app/isolators/0/value/limit",
       "amount"},
      {R"("isolators":[{"name":"resource/cpu","value":{"limit":"1","request":"2"}}])", "/app/isolators/0/value",
       "above"},
      {R"("isolators":[{"name":"os/linux/capabilities-retain-set","value":{"set":[]}}])", "/app/isolators/0/value/set",
       "empty"},
      {R"("isolators":[{"name":"os/linux/seccomp-remove-set","value":{"set":["a"]}},)"
       R"({"name":"os/linux/seccomp-retain-set","value":{"set":["a"]}}])",
       "/app/isolators/1/value", "both"},
      {R"("isolators":[{"name":"os/linux/oom-score-adj","value":1001}])", "/app/isolators/0/value", "1000"},
      {R"("isolators":[{"name":"os/linux/cpu-shares","value":1}])", "/app/isolators/0/value", "262144"},
      {R"("isolators":[{"name":"os/linux/no-new-privileges","value":"yes"}])", "/app/isolators/0/value", ""},
      {R"("userLabels":{"a":1})", "/app/userLabels/a", ""},
  };
  for (const Refused& one : cases) {
    const std::string message = failure(app(one.text));
    EXPECT_THAT(message, HasSubstr(std::string("manifest: ") + one.pointer)) << one.text;
    EXPECT_THAT(message, HasSubstr(one.why)) << one.text;
  }
}

TEST(AppcManifest, RefusesHugeOnes) {
  const auto parsed = parse_image_manifest(std::string(kMaxManifestBytes + 1, ' '), "manifest");
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().code(), Errc::kLimit);
}

TEST(AppcManifest, OneTrueForbidsNewPrivileges) {
  const std::string name = "os/linux/no-new-privileges";
  const auto isolation = read_isolators({{name, "true"}, {name, "false"}, {"os/linux/oom-score-adj", "-50"}});
  ASSERT_TRUE(isolation.ok());
  EXPECT_EQ(isolation->no_new_privileges, true);
  EXPECT_EQ(isolation->oom_score_adj, -50);
}

TEST(AppcNames, FollowTheRules) {
  for (const char* good : {"a", "a-b", "0db", "a1-2"}) EXPECT_TRUE(is_ac_name(good)) << good;
  for (const char* bad : {"", "-a", "a-", "a--b", "A", "a.b", "a b"}) EXPECT_FALSE(is_ac_name(bad)) << bad;
  for (const char* good : {"example.com/app", "a~b", "a_b.c-d/e"}) EXPECT_TRUE(is_ac_identifier(good)) << good;
  for (const char* bad : {"", "/a", "a/", "a//b", "a./b", "a:b", "A"}) EXPECT_FALSE(is_ac_identifier(bad)) << bad;
  for (const char* good : {"0.8.11", "1.0.0-rc.1", "0.8.11+git", "1.2.3-a+b.c"})
    EXPECT_TRUE(is_semantic_version(good)) << good;
  for (const char* bad : {"", "1", "1.2", "01.2.3", "1.2.3-", "1.2.3+", "v1.2.3", "1.2.3.4"})
    EXPECT_FALSE(is_semantic_version(bad)) << bad;
}

TEST(AppcNames, ReadsWhatPeopleWrite) {
  const auto name = parse_image_name("example.com/app:1.0+git,os=linux,arch=amd64");
  ASSERT_TRUE(name.ok());
  EXPECT_EQ(name->name, "example.com/app");
  EXPECT_EQ(find_value(name->labels, "version"), "1.0+git");
  EXPECT_EQ(find_value(name->labels, "arch"), "amd64");
  EXPECT_EQ(print_image_name(name->name, name->labels), "example.com/app:1.0+git,os=linux,arch=amd64");
  for (const char* bad : {"", "App", "a:", "a,b", "a,b=1,b=2", "a:1,version=2", "a,name=x", "a,version="})
    EXPECT_FALSE(parse_image_name(bad).ok()) << bad;
  const std::vector<NameValue> labels = {{"os", "linux"}, {"version", "1"}};
  EXPECT_TRUE(has_labels(labels, {{"version", "1"}}));
  EXPECT_FALSE(has_labels(labels, {{"version", "2"}}));
}

TEST(AppcNames, ReadsRktsCanonicalForm) {
  const std::map<std::string, std::string> words = {
      {"cimd:appc:v=0:coreos.com%2Fetcd?version=v3.1.7&arch=amd64", "coreos.com/etcd,version=v3.1.7,arch=amd64"},
      {"cimd:appc:v=0:coreos.com/etcd?version=v3.1.7", "coreos.com/etcd,version=v3.1.7"},
      {"cimd:appc:v=0:coreos.com/etcd", "coreos.com/etcd,os=linux"},
      {"cimd:appc:v=0:coreos.com/etcd?", "coreos.com/etcd,os=linux"},
      {"cimd:docker:v=0:registry-1.docker.io/library/busybox:latest", "docker://docker.io/library/busybox:latest"},
      {"cimd:docker:v=0:quay.io/team/app@sha256:0", "docker://quay.io/team/app@sha256:0"},
      {"cimd:aci-archive:v=0:https%3A%2F%2Fexample.com%2Fa.aci", "https://example.com/a.aci"},
      {"cimd:aci-archive:v=0:file%3A%2F%2F%2Fsrv%2Fa%20b.aci", "file:///srv/a b.aci"},
  };
  for (const auto& [text, word] : words) {
    const auto read = word_of_cimd(text);
    ASSERT_TRUE(read.ok()) << text << ": " << read.error().message();
    EXPECT_EQ(*read, word);
  }
  for (const char* bad :
       {"cimd:", "cimd:appc:v=1:example.com/a", "cimd:oci:v=0:x", "cimd:appc:v=0:", "cimd:appc:v=0:EXAMPLE.com/a",
        "cimd:appc:v=0:a?version=1%2Cos=x", "cimd:appc:v=0:a?version", "cimd:appc:v=0:a%2", "cimd:appc:v=0:a?b=%00",
        "cimd:appc:v=0:a%2Cb=1", "cimd:docker:v=0:", "cimd:aci-archive:v=0:%2Fetc%2Fshadow",
        "cimd:aci-archive:v=0:docker%3A%2F%2Fbusybox", "cimd:aci-archive:v=0:https%3A%2F%2F"})
    EXPECT_EQ(word_of_cimd(bad).error().code(), Errc::kInvalidArgument) << bad;
  EXPECT_THAT(word_of_cimd("cimd:oci:v=0:x").error().hint(), HasSubstr("cimd:docker:v=0:REFERENCE"));
}

TEST(AppcNames, KnowsMachines) {
  EXPECT_EQ(machine_of("aarch64"), (Machine{"arm64", ""}));
  EXPECT_EQ(machine_of("armv7l"), (Machine{"arm", "v7"}));
  EXPECT_EQ(machine_of("x86_64"), std::nullopt);
  EXPECT_EQ(arch_of({"386", ""}), "i386");
  EXPECT_EQ(arch_of({"arm", "v6"}), "armv6l");
  EXPECT_EQ(arch_of({"mips", ""}), std::nullopt);
}

TEST(AppcQuantity, CountsInUnits) {
  EXPECT_EQ(*parse_quantity("0"), 0U);
  EXPECT_EQ(*parse_quantity("42Mi"), std::uint64_t{42} << 20);
  EXPECT_EQ(*parse_quantity("1.5Gi"), std::uint64_t{3} << 29);
  EXPECT_EQ(*parse_quantity("1.5k"), 1500U);
  EXPECT_EQ(*parse_quantity("1m"), 1U);
  EXPECT_EQ(*parse_quantity("900m", 1000), 900U);
  EXPECT_EQ(*parse_quantity("0.25", 1000), 250U);
  EXPECT_EQ(*parse_quantity("15Ei"), std::uint64_t{15} << 60);
  for (const char* bad : {"", "M", "-1", "1.2.3", "1X", "1 M", ".", "1."})
    EXPECT_FALSE(parse_quantity(bad).ok()) << bad;
  EXPECT_EQ(parse_quantity("16Ei").error().code(), Errc::kLimit);
  EXPECT_EQ(parse_quantity("18446744073709551615E").error().code(), Errc::kLimit);
}

}  // namespace
}  // namespace cooper::spec::appc
