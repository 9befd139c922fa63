// Image defaults and the user's wishes.
#include "pod/resolve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pod/aci_app.h"

namespace cooper::pod {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;

const image::ResolvedUser kRoot{0, 0, {}, "/root"};

image::Image make_image(std::vector<std::string> names) {
  const std::string hex(64, 'a');
  const Digest digest = *Digest::parse("sha256:" + hex);
  return {digest, digest, std::move(names), "", 0, 0, {}};
}

std::vector<std::string> args_of(const AppRequest& request, const oci_image::ImageConfig& image) {
  auto out = resolve_args(request, image);
  return out.ok() ? *out : std::vector<std::string>{"error: " + out.error().message()};
}

TEST(Args, EntrypointAndCommand) {
  oci_image::ImageConfig image;
  image.entrypoint = {"/entry"};
  image.cmd = {"default"};
  AppRequest request;
  EXPECT_THAT(args_of(request, image), ElementsAre("/entry", "default"));
  request.args = {"mine"};
  EXPECT_THAT(args_of(request, image), ElementsAre("/entry", "mine"));
  request.entrypoint = {"/other"};
  EXPECT_THAT(args_of(request, image), ElementsAre("/other", "mine"));
  request.args = {};
  EXPECT_THAT(args_of(request, image), ElementsAre("/other"));
  request.entrypoint = {""};
  request.args = {"sh"};
  EXPECT_THAT(args_of(request, image), ElementsAre("sh"));
}

TEST(Args, NothingToRun) {
  const auto none = resolve_args(AppRequest(), oci_image::ImageConfig());
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code(), Errc::kInvalidArgument);
  AppRequest empty_word;
  empty_word.args = {""};
  AppRequest cleared;
  cleared.entrypoint = std::vector<std::string>();
  oci_image::ImageConfig image;
  image.cmd = {"sh"};
  EXPECT_EQ(resolve_args(cleared, image).error().message(),
            "no command to run: --entrypoint '' drops the image's command as well");
  EXPECT_FALSE(resolve_args(empty_word, oci_image::ImageConfig()).ok());
}

TEST(Env, LaterWins) {
  oci_image::ImageConfig image;
  image.env = {"PATH=/image", "A=1", "B=2", "broken"};
  AppRequest request;
  request.env = {"B=3", "C=", "D", "HOME=/here"};
  const auto env = resolve_env(request, image, "host", "/root");
  EXPECT_THAT(env, ElementsAre("PATH=/image", "TERM=xterm", "container=cooper", "HOSTNAME=host", "HOME=/here", "A=1",
                               "B=3", "C="));
}

TEST(Env, Defaults) {
  const auto env = resolve_env({}, {}, "h", "");
  EXPECT_THAT(env, Contains("TERM=xterm"));
  EXPECT_THAT(env, Contains("HOME=/"));
  EXPECT_THAT(env, Contains("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
}

TEST(AppNames, FromTheImage) {
  const auto name = [](const std::string& reference, const std::set<std::string>& taken = {}) {
    AppRequest request;
    request.image = reference;
    return *choose_app_name(request, make_image({"docker.io/library/my_image:1"}), taken);
  };
  EXPECT_EQ(name("busybox"), "busybox");
  EXPECT_EQ(name("registry:5000/dir/Busy_Box:1.36@sha256:00"), "busy-box");
  EXPECT_EQ(name("aaaaaaaa"), "my-image");
  EXPECT_EQ(name("sha256:aaaaaaaa"), "my-image");
  EXPECT_EQ(name("busybox", {"busybox", "busybox-2"}), "busybox-3");
  EXPECT_EQ(name(std::string(70, 'b'), {std::string(63, 'b')}).size(), 63U);
}

TEST(AppNames, FromAFile) {
  EXPECT_EQ(name_of_file("./My_Image.v2.sif"), "My_Image.v2");
  EXPECT_EQ(name_of_file("/srv/tools"), "tools");
  EXPECT_EQ(name_of_file("../.hidden"), ".hidden");
  EXPECT_EQ(*choose_app_name({}, name_of_file("./My_Image.v2.sif"), {}), "my-image-v2");
  EXPECT_FALSE(choose_app_name({}, name_of_file("/"), {})->empty());
}

TEST(AppNames, AsAsked) {
  AppRequest request;
  request.image = "x";
  request.name = "web";
  EXPECT_EQ(*choose_app_name(request, make_image({}), {}), "web");
  EXPECT_FALSE(choose_app_name(request, make_image({}), {"web"}).ok());
  request.name = "Not Valid";
  EXPECT_FALSE(choose_app_name(request, make_image({}), {}).ok());
}

Result<stage1::App> resolve(const AppRequest& request, const oci_image::ImageConfig& image) {
  int next = 0;
  return resolve_app(request, {image, kRoot}, "app", "host", next);
}

TEST(AciApp, AddsWhatTheConfigurationCannotSay) {
  stage1::App app;
  app.additional_gids = {5};
  app.volumes.resize(2);
  app.volumes[0].destination = "/data";
  app.volumes[1].destination = "/log";
  appc::App section;
  section.supplementary_gids = {5, 6};
  section.mount_points = {{"data", "/data/", true}, {"log", "/log", false}};
  section.isolators = {{"resource/memory", R"({"limit":"1Mi"})"},
                       {"resource/cpu", R"({"limit":"250m"})"},
                       {"os/linux/cpu-shares", "99"},
                       {"os/linux/capabilities-retain-set", R"({"set":["CAP_KILL"]})"},
                       {"os/linux/no-new-privileges", "true"},
                       {"os/linux/oom-score-adj", "5"},
                       {"os/linux/seccomp-remove-set", R"({"set":["mkdir"],"errno":"EXFULL"})"},
                       {"os/unix/sysctl", "{}"}};
  section.event_handlers = {{"pre-start", {"/x", "y"}}, {"post-stop", {"x", "z"}}};
  const auto rest = apply_aci_app(section, AppRequest(), app);
  ASSERT_TRUE(rest.ok()) << rest.error().message();
  EXPECT_EQ(*rest, (std::vector<std::string>{"os/unix/sysctl"}));
  EXPECT_EQ(app.oom_score_adj, 5);
  EXPECT_EQ(app.pre_start, (std::vector<std::string>{"/x", "y"}));
  EXPECT_EQ(app.post_stop, (std::vector<std::string>{"x", "z"}));
  EXPECT_EQ(app.additional_gids, (std::vector<std::uint32_t>{5, 6}));
  EXPECT_EQ(app.volumes[0].options, std::vector<std::string>{"ro"});
  EXPECT_TRUE(app.volumes[1].options.empty());
  EXPECT_EQ(app.memory_bytes, 1 << 20);
  EXPECT_EQ(app.cpus, 0.25);
  EXPECT_EQ(app.cpu_shares, 99);
  EXPECT_EQ(app.cap_drop, std::vector<std::string>{"ALL"});
  EXPECT_EQ(app.cap_add, std::vector<std::string>{"CAP_KILL"});
  EXPECT_EQ(app.security_opts,
            (std::vector<std::string>{"no-new-privileges", "seccomp-set=remove,errno=EXFULL,mkdir"}));
}

TEST(AciApp, WhatConfinesAndCannotBeHadIsAnError) {
  for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{
           {"os/linux/seccomp-retain-set", R"({"set":["@systemd/clock"]})"},
           {"os/linux/seccomp-retain-set", R"({"set":["read"],"errno":"EWRONG"})"},
           {"os/linux/apparmor-profile", R"({"profile":"x"})"},
           {"os/linux/selinux-context", "{}"}}) {
    stage1::App app;
    appc::App section;
    section.isolators = {{name, value}};
    const auto done = apply_aci_app(section, AppRequest(), app);
    ASSERT_FALSE(done.ok()) << name;
    EXPECT_NE(done.error().message().find(name), std::string::npos) << done.error().message();
  }
}

TEST(AciApp, TheUserIsStronger) {
  stage1::App app;
  app.memory_bytes = 5;
  AppRequest request;
  request.cap_add = {"CAP_CHOWN"};
  app.cap_add = request.cap_add;
  appc::App section;
  section.isolators = {{"resource/memory", R"({"limit":"1Mi"})"},
                       {"os/linux/seccomp-retain-set", R"({"set":["read"]})"},
                       {"os/linux/no-new-privileges", "true"},
                       {"os/linux/capabilities-remove-set", R"({"set":["CAP_KILL"]})"}};
  request.security_opts = {"seccomp=unconfined"};
  ASSERT_TRUE(apply_aci_app(section, request, app).ok());
  EXPECT_EQ(app.memory_bytes, 5);
  EXPECT_EQ(app.cap_add, request.cap_add);
  EXPECT_TRUE(app.cap_drop.empty());
  EXPECT_EQ(app.security_opts, std::vector<std::string>{"no-new-privileges"});
}

TEST(Resolve, ImageDefaults) {
  oci_image::ImageConfig image;
  image.cmd = {"run"};
  image.working_dir = "/srv";
  image.stop_signal = "SIGQUIT";
  image.volumes = {"/data", "logs", "/"};
  const auto app = resolve(AppRequest(), image);
  ASSERT_TRUE(app.ok()) << app.error().message();
  EXPECT_EQ(app->working_dir, "/srv");
  EXPECT_EQ(app->stop_signal, 3);
  ASSERT_EQ(app->volumes.size(), 2U);
  EXPECT_EQ(app->volumes[0].destination, "/data");
  EXPECT_EQ(app->volumes[0].pod_volume, "0");
  EXPECT_EQ(app->volumes[1].destination, "/logs");
  EXPECT_EQ(app->volumes[1].pod_volume, "1");
}

TEST(Resolve, WishesWin) {
  oci_image::ImageConfig image;
  image.cmd = {"run"};
  image.working_dir = "/srv";
  image.stop_signal = "SIGQUIT";
  image.volumes = {"/data/"};
  AppRequest request;
  request.working_dir = "/home";
  request.stop_signal = "USR1";
  request.mounts = {{"/host", "/data", {"ro"}, false}, {"", "/empty", {}, false}};
  const auto app = resolve(request, image);
  ASSERT_TRUE(app.ok()) << app.error().message();
  EXPECT_EQ(app->working_dir, "/home");
  EXPECT_EQ(app->stop_signal, 10);
  ASSERT_EQ(app->volumes.size(), 2U);
  EXPECT_EQ(app->volumes[0].source, "/host");
  EXPECT_EQ(app->volumes[1].pod_volume, "0");
}

TEST(Resolve, Refused) {
  oci_image::ImageConfig image;
  image.cmd = {"run"};
  AppRequest named;
  named.mounts = {{"data", "/data", {}, false}};
  EXPECT_EQ(resolve(named, image).error().code(), Errc::kUnsupported);
  AppRequest dotdot;
  dotdot.mounts = {{"/x", "/a/../../b", {}, false}};
  EXPECT_FALSE(resolve(dotdot, image).ok());
  AppRequest signal;
  signal.stop_signal = "SIGNOPE";
  EXPECT_FALSE(resolve(signal, image).ok());
}

PodRequest request_of(AppRequest app) {
  if (app.image.empty()) app.image = "busybox";
  PodRequest request;
  request.apps = {std::move(app)};
  request.single = true;
  return request;
}

TEST(CheckRequest, Refused) {
  EXPECT_TRUE(check_request(request_of({})).ok());
  EXPECT_FALSE(check_request(PodRequest()).ok());
  PodRequest two = request_of({});
  two.apps.push_back(two.apps[0]);
  EXPECT_FALSE(check_request(two).ok());
  two.single = false;
  EXPECT_TRUE(check_request(two).ok());
  two.apps.resize(64, two.apps[0]);
  EXPECT_EQ(check_request(two).error().code(), Errc::kLimit);

  AppRequest app;
  app.args = {std::string("a\0b", 3)};
  EXPECT_FALSE(check_request(request_of(app)).ok());
  app = {};
  app.env = {"=x"};
  EXPECT_FALSE(check_request(request_of(app)).ok());
  app = {};
  app.working_dir = "relative";
  EXPECT_FALSE(check_request(request_of(app)).ok());
  app = {};
  app.security_opts = {"nonsense"};
  EXPECT_FALSE(check_request(request_of(app)).ok());
  PodRequest named = request_of({});
  named.name = "a b";
  EXPECT_FALSE(check_request(named).ok());
  named.name = "";
  named.hostname = "bad host";
  EXPECT_FALSE(check_request(named).ok());
}

}  // namespace
}  // namespace cooper::pod
