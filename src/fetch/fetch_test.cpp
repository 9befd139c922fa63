#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "fetch/credentials.h"
#include "fetch/hosts.h"
#include "fetch/protocol.h"
#include "fetch/sources.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::fetch {
namespace {

using ::testing::HasSubstr;

class Scratch {
 public:
  Scratch() : path_("/tmp/cooper-fetch-test-XXXXXX") { COOPER_ASSERT(::mkdtemp(path_.data()) != nullptr); }
  ~Scratch() { (void)!io::remove_tree(sys::kCwd, path_).ok(); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::string write(const std::string& name, std::string_view text) const {
    std::string path = std::string(path_).append("/").append(name);
    COOPER_ASSERT(io::make_directories(path.substr(0, path.rfind('/'))).ok());
    COOPER_ASSERT(io::write_file_atomic(path, text).ok());
    return path;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

oci_image::Reference reference(std::string_view text) {
  return *oci_image::parse_reference(text);
}

TEST(ProtocolTest, SetupsComeBack) {
  const fetch::Setup setup{.endpoints = {{.host = "h:1",
                                          .repository = "a/b",
                                          .plain_http = true,
                                          .plain_hosts = {"token.example:81"},
                                          .verify_tls = false,
                                          .ca_pem = "pem",
                                          .certificates_in = "/c",
                                          .username = "u",
                                          .password = "p:\"\n"}},
                           .proxies = {.http = "http://proxy", .https = "", .exceptions = "x"},
                           .parallel = 7};
  EXPECT_EQ(*parse_setup(print(setup)), setup);
}

TEST(ProtocolTest, BadSetupsAreRefused) {
  const fetch::Setup setup{.endpoints = {{.host = "h", .repository = "a"}}};
  const auto refused = [&](auto change) {
    fetch::Setup copy = setup;
    change(copy);
    return !parse_setup(print(copy)).ok();
  };
  EXPECT_FALSE(refused([](fetch::Setup&) {}));
  EXPECT_TRUE(refused([](fetch::Setup& s) { s.endpoints.clear(); }));
  EXPECT_TRUE(refused([](fetch::Setup& s) { s.endpoints[0].host = "h/x"; }));
  EXPECT_TRUE(refused([](fetch::Setup& s) { s.endpoints[0].host = "user@h"; }));
  EXPECT_TRUE(refused([](fetch::Setup& s) { s.endpoints[0].repository = "a/../b"; }));
  EXPECT_TRUE(refused([](fetch::Setup& s) { s.endpoints[0].repository = "a?b"; }));
  EXPECT_TRUE(refused([](fetch::Setup& s) { s.parallel = 0; }));
  EXPECT_TRUE(refused([](fetch::Setup& s) { s.parallel = 1000; }));
  EXPECT_FALSE(refused([](fetch::Setup& s) { s.push = true; }));
  EXPECT_TRUE(refused([](fetch::Setup& s) {
    s.push = true;
    s.endpoints.push_back(s.endpoints.front());
  })) << "a push to two places";
  EXPECT_FALSE(parse_setup("{}").ok());
}

TEST(ProtocolTest, RequestsComeBack) {
  const Request request{.id = 3, .kind = Request::Kind::kManifest, .reference = "latest", .bytes = 9};
  EXPECT_EQ(*parse_request(print(request)), request);
  EXPECT_FALSE(parse_request(print(Request{.kind = Request::Kind::kBlob, .reference = "latest"})).ok());
  EXPECT_FALSE(parse_request(print(Request{.kind = Request::Kind::kManifest, .reference = "../x"})).ok());
  EXPECT_FALSE(parse_request(R"({"id":1,"kind":"file","reference":"x"})").ok());
}

TEST(ProtocolTest, BytesThatAreThereAreOfABlobAndNotAllOfIt) {
  const std::string digest = "sha256:" + std::string(64, 'a');
  const Request request{.reference = digest, .bytes = 9, .had_bytes = 8};
  EXPECT_EQ(*parse_request(print(request)), request);
  EXPECT_FALSE(parse_request(print(Request{.reference = digest, .bytes = 9, .had_bytes = 9})).ok());
  EXPECT_FALSE(
      parse_request(print(Request{.kind = Request::Kind::kManifest, .reference = digest, .bytes = 9, .had_bytes = 1}))
          .ok());
}

TEST(ProtocolTest, Signatures) {
  const fetch::Setup setup{.endpoints = {{.host = "h", .repository = "a"}},
                           .lookaside = fetch::Lookaside{.url = "https://s/a", .verify_tls = false, .ca_pem = "pem"}};
  EXPECT_EQ(*parse_setup(print(setup)), setup);
  fetch::Setup wrong = setup;
  wrong.lookaside->url = "file:///etc/shadow";
  EXPECT_FALSE(parse_setup(print(wrong)).ok());
  const std::string digest = "sha256:" + std::string(64, 'a');
  const Request request{.kind = Request::Kind::kSignature, .reference = digest, .bytes = 9, .number = 1};
  EXPECT_EQ(*parse_request(print(request)), request);
  EXPECT_FALSE(is_push(request.kind));
  EXPECT_TRUE(has_descriptor(request.kind));
  EXPECT_FALSE(parse_request(print(Request{.kind = Request::Kind::kSignature, .reference = digest})).ok());
  EXPECT_FALSE(parse_request(print(Request{.kind = Request::Kind::kSignature, .reference = "tag", .number = 1})).ok());
  EXPECT_FALSE(parse_request(print(Request{.reference = digest, .number = 1})).ok());
}

TEST(SourcesTest, TheLookasideHasCertificatesOfItsHost) {
  const Scratch scratch;
  (void)scratch.write("certs/s.example:8443/ca.crt", "-----BEGIN PEM");
  const SourceOptions options{.insecure = {"other.example"}, .certificate_directories = {scratch.path() + "/certs"}};
  const auto found = lookaside_of("https://s.example:8443/a/b", options);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->url, "https://s.example:8443/a/b");
  EXPECT_TRUE(found->verify_tls);
  EXPECT_THAT(found->ca_pem, HasSubstr("PEM"));
  EXPECT_FALSE(lookaside_of("http://other.example/a", options)->verify_tls);
}

TEST(ProtocolTest, ETagsOfPages) {
  for (const char* tag : {"\"a\"", "W/\"a-1\"", "\"\""}) EXPECT_TRUE(is_etag(tag)) << tag;
  for (const std::string& tag : {std::string("a"), std::string("\""), std::string("\"a\"b\""), std::string("w/\"a\""),
                                 std::string("\"a\r\n\""), std::string("\"a b\""), "\"" + std::string(600, 'x') + "\""})
    EXPECT_FALSE(is_etag(tag)) << tag;
  const Request request{.kind = Request::Kind::kPage, .reference = "https://h/a", .if_changed = "\"a\""};
  EXPECT_EQ(*parse_request(print(request)), request);
  EXPECT_FALSE(
      parse_request(print(Request{.kind = Request::Kind::kPage, .reference = "https://h/a", .if_changed = "a"})).ok());
  EXPECT_FALSE(
      parse_request(print(Request{.kind = Request::Kind::kManifest, .reference = "tag", .if_changed = "\"a\""})).ok());
  const Event event{.present = true, .etag = "\"a\"", .max_age_s = kMaxAgeS};
  EXPECT_EQ(*parse_event(print(event)), event);
  EXPECT_FALSE(parse_event(print(Event{.etag = "a"})).ok());
  EXPECT_FALSE(parse_event(print(Event{.max_age_s = kMaxAgeS + 1})).ok());
}

TEST(ProtocolTest, RequestsOfAPush) {
  const std::string digest = "sha256:" + std::string(64, 'a');
  const Request blob{.id = 1, .kind = Request::Kind::kSendBlob, .reference = digest, .bytes = 9, .from = "a/b"};
  EXPECT_EQ(*parse_request(print(blob)), blob);
  const Request manifest{
      .kind = Request::Kind::kSendManifest, .reference = "1.0", .media_type = "application/vnd.oci.x.v1+json"};
  EXPECT_EQ(*parse_request(print(manifest)), manifest);
  const Request check{.kind = Request::Kind::kHasBlob, .reference = digest};
  EXPECT_EQ(*parse_request(print(check)), check);
  EXPECT_TRUE(is_push(check.kind) && is_push(blob.kind) && is_push(manifest.kind));
  EXPECT_FALSE(is_push(Request::Kind::kBlob) || is_push(Request::Kind::kManifest));
  const auto refused = [](Request request, auto change) {
    change(request);
    return !parse_request(print(request)).ok();
  };
  EXPECT_TRUE(refused(blob, [](Request& r) { r.reference = "latest"; }));
  EXPECT_TRUE(refused(blob, [](Request& r) { r.from = "a/../b"; }));
  EXPECT_TRUE(refused(blob, [](Request& r) { r.from = "a&digest=x"; }));
  EXPECT_TRUE(refused(blob, [](Request& r) { r.media_type = "text/plain"; }));
  EXPECT_TRUE(refused(check, [](Request& r) { r.from = "a"; }));
  EXPECT_TRUE(refused(manifest, [](Request& r) { r.media_type = ""; }));
  EXPECT_TRUE(refused(manifest, [](Request& r) { r.media_type = "a/b\r\nX: y"; }));
  EXPECT_TRUE(refused(manifest, [](Request& r) { r.media_type = std::string(300, 'x'); }));
}

TEST(ProtocolTest, EventsOfAPush) {
  const Event done{.id = 1, .kind = Event::Kind::kDone, .present = true, .endpoint = "h"};
  EXPECT_EQ(*parse_event(print(done)), done);
  const Event progress{.id = 2, .kind = Event::Kind::kProgress, .bytes = 77};
  EXPECT_EQ(*parse_event(print(progress)), progress);
}

TEST(ProtocolTest, WhatTheRestOfAPageIsAskedForBy) {
  for (const char* good : {"\"a\"", "\"\"", "Sun, 06 Nov 1994 08:49:37 GMT"}) EXPECT_TRUE(is_validator(good)) << good;
  for (const char* bad :
       {"", "a", "W/\"a\"", "\"a", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Nov 1994 08:49\r\nX GMT"})
    EXPECT_FALSE(is_validator(bad)) << bad;
  Request request{
      .kind = Request::Kind::kPage, .reference = "https://h/a", .bytes = 9, .had_bytes = 8, .validator = "\"a\""};
  EXPECT_EQ(*parse_request(print(request)), request);
  request.validator = "";
  EXPECT_FALSE(parse_request(print(request)).ok());
  request.validator = "\"a\"";
  request.had_bytes = 9;
  EXPECT_FALSE(parse_request(print(request)).ok());
  request.had_bytes = 0;
  EXPECT_FALSE(parse_request(print(request)).ok());
  Event event{.kind = Event::Kind::kProgress, .bytes = 8, .total = 9, .validator = "\"a\"", .restart = true};
  EXPECT_EQ(*parse_event(print(event)), event);
  event.validator = "a\r\nb";
  EXPECT_FALSE(parse_event(print(event)).ok());
}

TEST(ProtocolTest, PagesOfTheWeb) {
  const fetch::Setup setup{.endpoints = {{.host = "h", .repository = ""}}, .web = true};
  EXPECT_EQ(*parse_setup(print(setup)), setup);
  fetch::Setup two = setup;
  two.endpoints.push_back(two.endpoints.front());
  EXPECT_FALSE(parse_setup(print(two)).ok());
  two = setup;
  two.push = true;
  EXPECT_FALSE(parse_setup(print(two)).ok());
  two = setup;
  two.web = false;
  EXPECT_FALSE(parse_setup(print(two)).ok()) << "a registry without a repository";
  const auto taken = [](const std::string& url) {
    const Request request{.id = 1, .kind = Request::Kind::kPage, .reference = url, .bytes = 5};
    const auto again = parse_request(print(request));
    return again.ok() && *again == request;
  };
  EXPECT_TRUE(taken("https://example.com/a?b=c"));
  EXPECT_TRUE(taken("http://example.com"));
  for (const char* url : {"", "example.com", "file:///etc/shadow", "https://a b", "https://a\n", "gopher://a"})
    EXPECT_FALSE(taken(url)) << url;
  EXPECT_FALSE(taken("https://" + std::string(5000, 'a')));
  EXPECT_FALSE(is_push(Request::Kind::kPage));
  EXPECT_TRUE(has_descriptor(Request::Kind::kPage));
  const Event event{.id = 1, .kind = Event::Kind::kProgress, .bytes = 1, .total = 7};
  EXPECT_EQ(*parse_event(print(event)), event);
}

TEST(ProtocolTest, EventsComeBackFitForATerminal) {
  const Event event{
      .id = 1, .kind = Event::Kind::kFailed, .endpoint = "h", .message = "no", .hint = "try", .code = Errc::kCorrupt};
  EXPECT_EQ(*parse_event(print(event)), event);
  const Event evil{.kind = Event::Kind::kRetry, .message = "a\x1b[2Jb\xc2\x9b" + std::string(9000, 'x'), .wait_ms = 1};
  const auto back = parse_event(print(evil));
  ASSERT_TRUE(back.ok());
  EXPECT_TRUE(back->message.starts_with("a\\x1b[2Jb\\xc2\\x9bx"));
  EXPECT_LE(back->message.size(), 2048U);
  EXPECT_FALSE(parse_event(R"({"id":1,"kind":"failed","message":"x","code":"whatever"})").ok());
}

TEST(HostsTest, Loopback) {
  for (const char* host :
       {"localhost", "LOCALHOST:5000", "127.0.0.1", "127.9.9.9:80", "[::1]", "[::1]:5000", "a.localhost"})
    EXPECT_TRUE(is_loopback(host)) << host;
  for (const char* host :
       {"localhost.example", "127.0.0.1.example", "127.1", "128.0.0.1", "[::2]:1", "example", "127.0.0.256"})
    EXPECT_FALSE(is_loopback(host)) << host;
}

TEST(AuthFileTest, EntriesByCleanName) {
  const auto file = parse_auth_file(R"({"auths":{"https://index.docker.io/v1/":{"auth":"dTpwOnE="},
      "Quay.example/team":{"username":"a","password":"b"},"empty":{}},
      "credHelpers":{"gcr.example":"gcloud"},"credsStore":"pass"})",
                                    "f");
  ASSERT_TRUE(file.ok()) << file.error().message();
  EXPECT_EQ(file->entries.at("docker.io"), (Credentials{.username = "u", .password = "p:q"}));
  EXPECT_EQ(file->entries.at("quay.example/team").username, "a");
  EXPECT_EQ(file->helpers.at("gcr.example"), "gcloud");
  EXPECT_EQ(file->helper, "pass");
}

TEST(AuthFileTest, VersionsArePartsOfRepositories) {
  const auto file = parse_auth_file(R"({"auths":{
      "r.example/team/v2":{"username":"team","password":"1"},
      "s.example/v1":{"username":"v1","password":"1"},
      "t.example/v2/":{"username":"t","password":"1"},
      "https://u.example/team/v2":{"username":"u","password":"1"},
      "x.example":{"username":"own","password":"1"}, "https://x.example/v1/":{"username":"old","password":"1"},
      "https://y.example/v1/":{"username":"old","password":"1"}, "y.example":{"username":"own","password":"1"},
      "z.example":{}, "http://z.example":{"username":"old","password":"1"}}})",
                                    "f");
  ASSERT_TRUE(file.ok()) << file.error().message();
  std::map<std::string, std::string> users;
  for (const auto& [name, entry] : file->entries) users.emplace(name, entry.username);
  EXPECT_EQ(users, (std::map<std::string, std::string>{{"r.example/team/v2", "team"},
                                                       {"s.example/v1", "v1"},
                                                       {"t.example", "t"},
                                                       {"u.example", "u"},
                                                       {"x.example", "own"},
                                                       {"y.example", "own"},
                                                       {"z.example", "old"}}));
}

TEST(AuthFileTest, AStoreWhoseProgramIsNotThere) {
  const Scratch scratch;
  const std::string file = scratch.write("config.json", R"({"credsStore":"cooper-test-no-such-program",
      "auths":{"r":{"username":"all","password":"1"},"r/a":{"username":"a","password":"2"}}})");
  const CredentialSearch search{.files = {file}};
  EXPECT_EQ((*find_credentials(search, "r", "x"))->username, "all");
  EXPECT_EQ((*find_credentials(search, "r", "a/x"))->username, "a");
  EXPECT_FALSE(find_credentials(search, "s", "x").ok()) << "nobody knows whether there are some";
}

TEST(AuthFileTest, WrongOnesAreRefused) {
  for (const char* text :
       {"", "[]", R"({"auths":[]})", R"({"auths":{"x":{"auth":"!"}}})", R"({"auths":{"x":{"auth":"dQ=="}}})",
        R"({"credsStore":"../../bin/sh"})", R"({"credHelpers":{"x":"a/b"}})"})
    EXPECT_FALSE(parse_auth_file(text, "f").ok()) << text;
}

TEST(AuthFileTest, TheMostSpecialEntryWins) {
  const Scratch scratch;
  const std::string file = scratch.write("auth.json", R"({"auths":{"r":{"username":"all","password":"1"},
      "r/a":{"username":"a","password":"2"},"r/a/b":{"username":"ab","password":"3"},"r/e":{}}})");
  const CredentialSearch search{.files = {scratch.path() + "/missing", file}};
  const auto user = [&](const std::string& registry, const std::string& repository) {
    const auto found = find_credentials(search, registry, repository);
    return found.ok() && *found ? (*found)->username : std::string("-");
  };
  EXPECT_EQ(user("r", "x"), "all");
  EXPECT_EQ(user("r", "a/x"), "a");
  EXPECT_EQ(user("r", "a/b"), "ab");
  EXPECT_EQ(user("r", "ab"), "all");
  EXPECT_EQ(user("r", "e"), "all");
  EXPECT_EQ(user("s", "a"), "-");
}

TEST(AuthFileTest, NamedFilesMustBeThereAndComeFirst) {
  const Scratch scratch;
  scratch.write("auth.d/10.json", R"({"auths":{"r":{"username":"d","password":"1"}}})");
  const std::string named = scratch.write("n.json", R"({"auths":{"r":{"username":"n","password":"1"}}})");
  const std::vector<std::string> directories = {scratch.path() + "/auth.d", scratch.path() + "/none"};
  EXPECT_EQ((*find_credentials({.directories = directories}, "r", "x"))->username, "d");
  EXPECT_EQ((*find_credentials({.must_files = {named}, .directories = directories}, "r", "x"))->username, "n");
  const auto missing = find_credentials({.must_files = {scratch.path() + "/no.json"}}, "r", "x");
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message(), HasSubstr("no.json"));
}

TEST(AuthFileTest, FilesOfRkt) {
  const auto docker =
      parse_auth_file(R"({"rktKind":"dockerAuth","rktVersion":"v1","registries":["Quay.example","index.docker.io"],)"
                      R"("credentials":{"user":"u","password":"p"}})",
                      "a.json");
  ASSERT_TRUE(docker.ok());
  EXPECT_EQ(docker->entries.at("quay.example").password, "p");
  EXPECT_EQ(docker->entries.at("docker.io").username, "u");
  const auto web = parse_auth_file(
      R"({"rktKind":"auth","rktVersion":"v1","domains":["w.example"],"type":"oauth","credentials":{"token":"t"}})",
      "a");
  ASSERT_TRUE(web.ok());
  EXPECT_EQ(web->entries.at("w.example"), Credentials{.bearer_token = "t"});
  for (const char* wrong : {R"({"rktKind":"auth","rktVersion":"v2","domains":["w"],"credentials":{}})",
                            R"({"rktKind":"paths","rktVersion":"v1","domains":["w"],"credentials":{}})",
                            R"({"rktKind":"auth","rktVersion":"v1","domains":["w"],"type":"aws","credentials":{}})",
                            R"({"rktKind":"auth","rktVersion":"v1","domains":["w"],"type":"oauth","credentials":{}})",
                            R"({"rktKind":"auth","rktVersion":"v1","credentials":{"user":"u","password":"p"}})",
                            R"({"rktKind":"dockerAuth","rktVersion":"v1","registries":["r"]})"}) {
    EXPECT_FALSE(parse_auth_file(wrong, "a").ok()) << wrong;
  }
}

TEST(AuthFileTest, ATokenOfTheRegistryIsAPasswordOfNobody) {
  const auto file = parse_auth_file(R"({"auths":{"r.example":{"registrytoken":"t"}}})", "a");
  ASSERT_TRUE(file.ok());
  const auto found = endpoints_of(reference("r.example/a"), {.credentials = file->entries.at("r.example")});
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->back().username, "");
  EXPECT_EQ(found->back().password, "t");
}

TEST(AuthFileTest, HelperAnswers) {
  EXPECT_EQ(parse_helper_answer(R"({"Username":"u","Secret":"s"})", "h")->password, "s");
  EXPECT_EQ(parse_helper_answer(R"({"Username":"<token>","Secret":"s"})", "h")->identity_token, "s");
  EXPECT_FALSE(parse_helper_answer(R"({"Username":"u"})", "h").ok());
  EXPECT_EQ(parse_credentials("u:p:q")->password, "p:q");
  EXPECT_FALSE(parse_credentials("user").ok());
  EXPECT_FALSE(parse_credentials(":p").ok());
}

TEST(SourcesTest, WhenPlainHttpIsAllowed) {
  const auto own = [](std::string_view text, const SourceOptions& options = {}) {
    return endpoints_of(reference(text), options)->back();
  };
  EXPECT_TRUE(own("localhost:5000/a").plain_http);
  EXPECT_TRUE(own("localhost:5000/a").verify_tls);
  EXPECT_FALSE(own("localhost:5000/a", {.verify_tls = true}).plain_http);
  EXPECT_FALSE(own("r.example/a").plain_http);
  const Endpoint insecure = own("R.example/a", {.insecure = {"r.Example"}});
  EXPECT_TRUE(insecure.plain_http);
  EXPECT_EQ(insecure.plain_hosts, std::vector<std::string>{"r.Example"});
  EXPECT_FALSE(insecure.verify_tls);
  EXPECT_TRUE(own("r.example/a", {.verify_tls = false}).plain_http);
  EXPECT_FALSE(own("r.example/a", {.insecure = {"r.example"}, .verify_tls = true}).plain_http);
}

TEST(SourcesTest, MirrorsComeFirstWithoutTheRegistrysCredentials) {
  const auto found =
      endpoints_of(reference("docker.io/library/x"), {.mirrors = {{"docker.io", "m:5000/hub"}, {"other", "n"}},
                                                      .credentials = Credentials{.username = "u", .password = "p"}});
  ASSERT_TRUE(found.ok());
  ASSERT_EQ(found->size(), 2U);
  EXPECT_EQ(found->front().host, "m:5000");
  EXPECT_EQ(found->front().repository, "hub/library/x");
  EXPECT_EQ(found->front().username, "");
  EXPECT_EQ(found->back().host, "registry-1.docker.io");
  EXPECT_EQ(found->back().username, "u");
  EXPECT_FALSE(parse_mirror("x").ok());
  EXPECT_FALSE(parse_mirror("x=https://y").ok());
  EXPECT_FALSE(parse_mirror("x/=y").ok());
  EXPECT_EQ(*parse_mirror("x/team=y/z"), std::pair(std::string("x/team"), std::string("y/z")));
}

TEST(SourcesTest, CertificatesOfTheHost) {
  const Scratch scratch;
  scratch.write("certs.d/r:1/ca.crt", "-----BEGIN authority");
  scratch.write("certs.d/r:1/client.cert", "-----BEGIN certificate");
  const SourceOptions options{.certificate_directories = {scratch.path() + "/none", scratch.path() + "/certs.d"}};
  const auto alone = endpoints_of(reference("r:1/a"), options);
  ASSERT_FALSE(alone.ok());
  EXPECT_THAT(alone.error().message(), HasSubstr("'client.cert' is there without 'client.key'"));
  scratch.write("certs.d/r:1/client.key", "-----BEGIN key");
  const auto found = endpoints_of(reference("r:1/a"), options);
  ASSERT_TRUE(found.ok());
  EXPECT_THAT(found->back().ca_pem, HasSubstr("authority"));
  EXPECT_EQ(found->back().key_pem, "-----BEGIN key");
  EXPECT_EQ(found->back().certificates_in, scratch.path() + "/certs.d/r:1");
  EXPECT_EQ(endpoints_of(reference("r:2/a"), options)->back().ca_pem, "");
  EXPECT_EQ(endpoints_of(reference("r:2/a"), options)->back().certificates_in, scratch.path() + "/none/r:2");
  EXPECT_EQ(endpoints_of(reference("r:2/a"), {.certificate_directory = scratch.path()})->back().certificates_in,
            scratch.path());
}

TEST(SourcesTest, ADirectoryOfCertificatesThatIsNone) {
  const Scratch scratch;
  const auto why = [&](const std::string& directory) {
    const auto found = endpoints_of(reference("r:1/a"), {.certificate_directory = scratch.path() + "/" + directory});
    return found.ok() ? std::string() : found.error().message();
  };
  EXPECT_THAT(why("none"), HasSubstr("certificates for 'r:1': "));
  scratch.write("file", "");
  EXPECT_THAT(why("file"), HasSubstr("/file"));
  scratch.write("empty/other", "");
  EXPECT_EQ(why("empty"), "") << "the system's authorities are enough";
  scratch.write("der/ca.crt", "\x30\x82");
  EXPECT_THAT(why("der"), HasSubstr("/der/ca.crt' has nothing in PEM"));
  scratch.write("key/client.key", "-----BEGIN key");
  EXPECT_THAT(why("key"), HasSubstr("'client.key' is there without 'client.cert'"));
}

}  // namespace
}  // namespace cooper::fetch
