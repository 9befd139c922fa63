// The manifest on disk, and finding and listing pods by it.
#include "pod/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "pod/names.h"
#include "pod/query.h"
#include "pod/remove.h"
#include "pod/state.h"
#include "pod/testing.h"

namespace cooper::pod {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

PodManifest full_manifest(const PodUuid& uuid) {
  PodManifest out{uuid, "web",   "host",       Network::kHost, true, true, 1700000000123,
                  5000, 1 << 20, {{"l", "1"}}, {{"a", "2"}},   {},   {}};
  out.id_maps = {{{0, 100000, 65536}, {65536, 1, 1}}, {{0, 4294967200, 95}}};
  AppManifest& entry = out.apps.emplace_back();
  entry.image = "busybox";
  entry.image_id = "sha256:aa";
  entry.chain = "c0ffee";
  entry.labels = {{"k", "v"}};
  stage1::App& app = entry.app;
  app.name = "web";
  app.args = {"sh", "-c", "echo \"hi\"\n"};
  app.env = {"A=b", "ÄÖ=ü"};
  app.working_dir = "/srv";
  app.uid = 4294967294;
  app.gid = 7;
  app.additional_gids = {1, 2};
  app.stop_signal = 3;
  app.volumes = {{"/d", "/s", "", false, {"ro"}}, {"/e", "", "0", false, {}}, {"/t", "", "", true, {"size=1m"}}};
  app.cap_add = {"NET_RAW"};
  app.cap_drop = {"ALL"};
  app.security_opts = {"seccomp=/p"};
  app.seccomp_profile = "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}";
  app.privileged = app.read_only = app.terminal = app.stdin_open = app.init = true;
  app.ulimits = {{"nofile", 1, 18446744073709551615ULL}};
  app.memory_bytes = 1 << 20;
  app.memory_swap_bytes = -1;
  app.cpus = 0.25;
  app.cpu_shares = 512;
  app.oom_score_adj = -5;
  app.pre_start = {"/bin/prepare", "x"};
  app.post_stop = {"tidy", "-v"};
  app.cpuset_cpus = "0-1";
  app.pids_limit = 0;
  app.annotations = {{"x", "y"}};
  app.tree_rootfs = "/trees/c0ffee/rootfs";
  app.root_image = {"/images/a.sif", "squashfs", 36864, 18446744073709551615ULL, 12, 40960, -1, false};
  app.own_copy = true;
  return out;
}

TEST(Manifest, RoundTrip) {
  const PodUuid uuid = PodUuid::random();
  const std::string text = print_manifest(full_manifest(uuid));
  const auto parsed = parse_manifest(text);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message();
  EXPECT_EQ(print_manifest(*parsed), text);
  EXPECT_EQ(parsed->uuid, uuid);
  const stage1::App& app = parsed->apps[0].app;
  const PodManifest original = full_manifest(uuid);
  EXPECT_EQ(app.volumes, original.apps[0].app.volumes);
  EXPECT_EQ(app.root_image, original.apps[0].app.root_image);
  EXPECT_TRUE(app.own_copy);
  EXPECT_EQ(app.ulimits, original.apps[0].app.ulimits);
  EXPECT_EQ(app.cpus, 0.25);
  EXPECT_EQ(app.uid, 4294967294U);
  EXPECT_EQ(app.args, original.apps[0].app.args);
  EXPECT_EQ(app.seccomp_profile, original.apps[0].app.seccomp_profile);
  EXPECT_EQ(parsed->network, Network::kHost);
  EXPECT_EQ(parsed->log_max_bytes, std::uint64_t{1} << 20);
}

TEST(Manifest, Hostile) {
  const std::string good = print_manifest(full_manifest(PodUuid::random()));
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return parse_manifest(text.replace(at, from.size(), to));
  };
  EXPECT_EQ(with("\"version\":1", "\"version\":2").error().code(), Errc::kUnsupported);
  EXPECT_FALSE(with("\"version\":1", "\"version\":0").ok());
  EXPECT_FALSE(with("\"name\":\"web\",\"image\"", "\"name\":\"../x\",\"image\"").ok());
  EXPECT_FALSE(with("\"podVolume\":\"0\"", "\"podVolume\":\"../..\"").ok());
  EXPECT_FALSE(with("\"uid\":4294967294", "\"uid\":-1").ok());
  EXPECT_FALSE(with("\"network\":\"host\"", "\"network\":\"mesh\"").ok());
  EXPECT_FALSE(with("\"size\":65536", "\"size\":0").ok());
  EXPECT_FALSE(with("\"uidMappings\"", "\"otherMappings\"").ok()) << "never a namespace without users";
  EXPECT_FALSE(with("\"cpus\":0.25", "\"cpus\":\"many\"").ok());
  for (const char* bad : {"", "{}", "[]", "null", "{\"version\":1}"}) EXPECT_FALSE(parse_manifest(bad).ok()) << bad;
  // A later minor addition is no reason to fail.
  EXPECT_TRUE(with("\"version\":1", "\"version\":1,\"future\":{\"a\":[1]}").ok());
}

class QueryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto engine = Engine::open(roots_.options());
    ASSERT_TRUE(engine.ok()) << engine.error().message();
    engine_.emplace(std::move(engine).value());
  }
  // A pod with a manifest, in the given place, unlocked.
  PodUuid add(Place place, const std::string& name, const char* uuid_text = nullptr) {
    PodUuid uuid = uuid_text == nullptr ? PodUuid::random() : *PodUuid::parse(uuid_text);
    auto pod = create_pod(layout_, uuid);
    EXPECT_TRUE(pod.ok());
    PodManifest manifest = full_manifest(uuid);
    manifest.name = name;
    manifest.created_unix_ms = ++clock_;
    const std::string directory = layout_.pod(Place::kPrepare, uuid);
    EXPECT_TRUE(io::write_file_atomic(directory + "/pod", print_manifest(manifest)).ok());
    EXPECT_EQ(::mkdir((directory + "/status").c_str(), 0700), 0);
    EXPECT_EQ(::mkdir((directory + "/logs").c_str(), 0700), 0);
    EXPECT_TRUE(take_name(layout_, name, uuid).ok());
    EXPECT_TRUE(place == Place::kPrepare || move_pod(layout_, *pod, place, io::Durability::kNone).ok());
    return uuid;
  }
  void write(const PodUuid& uuid, Place place, const std::string& name, const std::string& text) {
    EXPECT_TRUE(io::write_file_atomic(layout_.pod(place, uuid) + "/" + name, text).ok());
  }
  TempRoots roots_;
  Layout layout_ = roots_.layout();
  std::optional<Engine> engine_;
  std::int64_t clock_ = 1000;
};

TEST_F(QueryTest, FindByNameUuidAndPrefix) {
  const PodUuid a = add(Place::kRun, "alpha", "0f6b1b1e-2f0c-4a51-9d0e-3a1f2b4c5d6e");
  const PodUuid b = add(Place::kPrepared, "beta", "0f6b1b1e-3f0c-4a51-9d0e-3a1f2b4c5d6e");
  EXPECT_EQ(*engine_->find("alpha"), a);
  EXPECT_EQ(*engine_->find(b.str()), b);
  EXPECT_EQ(*engine_->find("0F6B1B1E-2"), a);
  EXPECT_EQ(*engine_->find("0f6b1b1e3"), b);  // a container's host name is written without dashes
  const auto both = engine_->find("0f6b");
  EXPECT_EQ(both.error().code(), Errc::kInvalidArgument);
  EXPECT_THAT(both.error().message(), HasSubstr("ambiguous"));
  for (const char* missing : {"gamma", "1", "../x", "0f6b1b1e-2f0c-4a51-9d0e-3a1f2b4c5d6f"}) {
    EXPECT_EQ(engine_->find(missing).error().code(), Errc::kNotFound) << missing;
  }
  EXPECT_EQ(engine_->find("").error().code(), Errc::kInvalidArgument);
}

TEST_F(QueryTest, GarbageIsNotFound) {
  const PodUuid uuid = add(Place::kGarbage, "dead");
  EXPECT_EQ(engine_->find("dead").error().code(), Errc::kNotFound);
  EXPECT_EQ(engine_->find(uuid.str()).error().code(), Errc::kNotFound);
}

TEST_F(QueryTest, ListIsSortedByCreation) {
  add(Place::kRun, "one");
  add(Place::kPrepared, "two");
  add(Place::kExitedGarbage, "three");
  const auto pods = engine_->list();
  ASSERT_TRUE(pods.ok());
  std::vector<std::string> words;
  for (const PodInfo& pod : *pods) words.push_back(pod.name + " " + std::string(to_string(pod.state)));
  EXPECT_THAT(words, ElementsAre("one exited", "two prepared", "three exited garbage"));
}

TEST_F(QueryTest, AnUnreadableManifestStillLists) {
  const PodUuid uuid = add(Place::kRun, "broken");
  write(uuid, Place::kRun, "pod", std::string(100, '\0'));
  const auto info = engine_->info(uuid);
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->state, State::kExited);
  EXPECT_THAT(info->apps, IsEmpty());
  EXPECT_EQ(engine_->app_config(uuid, "").error().code(), Errc::kCorrupt);
}

TEST_F(QueryTest, ExitRecordsAndTheirAbsence) {
  const PodUuid uuid = add(Place::kRun, "a");
  auto info = engine_->info(uuid);
  ASSERT_TRUE(info.ok());
  ASSERT_TRUE(info->apps[0].exit.has_value());
  EXPECT_TRUE(info->apps[0].exit->unknown);
  EXPECT_EQ(info->apps[0].exit->error, kNoRecord);
  // The monitor had taken room for it.
  write(uuid, Place::kRun, "status/.web.reserve", " ");
  info = engine_->info(uuid);
  EXPECT_FALSE(info->apps[0].exit->unknown);
  EXPECT_EQ(info->apps[0].exit->exit_code, 137);
  EXPECT_EQ(info->apps[0].exit->error, kMonitorDied);
  monitor::ExitRecord record;
  record.app = "web";
  record.exit_code = 3;
  record.started_unix_ms = 5;
  write(uuid, Place::kRun, "status/web", monitor::print_exit_record(record));
  info = engine_->info(uuid);
  EXPECT_EQ(info->apps[0].exit->exit_code, 3);
  EXPECT_EQ(info->apps[0].state, "exited");
  EXPECT_EQ(info->started_unix_ms, 5);
  EXPECT_EQ(engine_->wait(uuid, "")->exit_code, 3);
  // Lost in a power cut.
  write(uuid, Place::kRun, "status/web", std::string(64, '\0'));
  EXPECT_EQ(engine_->wait(uuid, "web")->error, kMonitorDied);
}

TEST_F(QueryTest, RunningWhileLocked) {
  const PodUuid uuid = add(Place::kRun, "a");
  auto pod = open_pod(layout_, uuid);
  ASSERT_TRUE(lock_pod(layout_, *pod, 100).ok());
  auto info = engine_->info(uuid);
  EXPECT_EQ(info->state, State::kRunning);
  EXPECT_EQ(info->apps[0].state, "created");
  EXPECT_EQ(engine_->remove(uuid, {}).error().code(), Errc::kWrongState);
  EXPECT_THAT(engine_->remove(uuid, {}).error().hint(), HasSubstr("--force"));
  // Over as soon as the records are there, although the monitor still tidies up.
  write(uuid, Place::kRun, "status/web", monitor::print_exit_record({"web", 0, 0, false, false, 0, 0, ""}));
  EXPECT_EQ(engine_->info(uuid)->state, State::kExited);
}

TEST_F(QueryTest, StopAndKillNeedARunningPod) {
  const PodUuid prepared = add(Place::kPrepared, "p");
  EXPECT_EQ(engine_->stop(prepared, 0).error().code(), Errc::kWrongState);
  EXPECT_EQ(engine_->kill(prepared, "", 9).error().code(), Errc::kWrongState);
  EXPECT_EQ(engine_->monitor_socket(prepared).error().code(), Errc::kWrongState);
  EXPECT_EQ(engine_->container(prepared, "").error().code(), Errc::kWrongState);
  EXPECT_EQ(engine_->container(prepared, "db").error().code(), Errc::kNotFound);
  const PodUuid exited = add(Place::kRun, "e");
  EXPECT_TRUE(engine_->stop(exited, 0).ok());
  EXPECT_EQ(engine_->run_prepared(exited, {}).error().code(), Errc::kWrongState);
  EXPECT_EQ(engine_->stop(PodUuid::random(), 0).error().code(), Errc::kNotFound);
}

TEST_F(QueryTest, LogFilesOldestFirst) {
  const PodUuid uuid = add(Place::kRun, "a");
  for (const char* name :
       {"logs/web.log", "logs/web.log.2", "logs/web.log.10", "logs/web.log.x", "logs/other.log", "logs/web.log.1"}) {
    write(uuid, Place::kRun, name, "");
  }
  const auto files = engine_->log_files(uuid, "");
  ASSERT_TRUE(files.ok());
  std::vector<std::string> names;
  for (const std::string& path : *files) names.push_back(path.substr(path.rfind('/') + 1));
  EXPECT_THAT(names, ElementsAre("web.log.10", "web.log.2", "web.log.1", "web.log"));
}

TEST_F(QueryTest, RemoveGivesEverythingBack) {
  const PodUuid uuid = add(Place::kRun, "a");
  const Status removed = engine_->remove(uuid, {});
  ASSERT_TRUE(removed.ok()) << removed.error().message();
  EXPECT_FALSE(engine_->info(uuid).ok());
  EXPECT_EQ(*lookup_name(layout_, "a"), std::nullopt);
  for (const Place place : kPlaces) EXPECT_THAT(*list_place(layout_, place), IsEmpty());
}

TEST_F(QueryTest, GcMarksThenDeletes) {
  const PodUuid uuid = add(Place::kRun, "a");
  const PodUuid aborted = add(Place::kPrepare, "b");
  // remove_on_exit is set in the sample: such a pod goes at once.
  auto actions = engine_->gc({1800, 86400, false});
  ASSERT_TRUE(actions.ok());
  EXPECT_FALSE(engine_->info(uuid).ok()) << ::testing::PrintToString(*actions);
  EXPECT_FALSE(engine_->info(aborted).ok());
  EXPECT_EQ(*lookup_name(layout_, "a"), std::nullopt);
}

TEST_F(QueryTest, GcRepairsLeftovers) {
  const std::string gone = layout_.run_pods() + "/0f6b1b1e-2f0c-4a51-9d0e-3a1f2b4c5d6e";
  ASSERT_EQ(::mkdir(gone.c_str(), 0700), 0);
  ASSERT_EQ(::mkdir((layout_.containers() + "/0f6b1b1e-2f0c-4a51-9d0e-3a1f2b4c5d6e_web").c_str(), 0700), 0);
  ASSERT_EQ(::mkdir((layout_.containers() + "/foreign").c_str(), 0700), 0);
  ASSERT_EQ(::mkdir((layout_.place(Place::kEmbryo) + "/1f6b1b1e-2f0c-4a51-9d0e-3a1f2b4c5d6e").c_str(), 0700), 0);
  ASSERT_TRUE(take_name(layout_, "ghost", PodUuid::random()).ok());
  ASSERT_TRUE(engine_->gc({}).ok());
  EXPECT_FALSE(sys::fstatat(sys::kCwd, gone).ok());
  EXPECT_THAT(*list_place(layout_, Place::kEmbryo), IsEmpty());
  EXPECT_EQ(*lookup_name(layout_, "ghost"), std::nullopt);
  const auto containers = sys::openat(sys::kCwd, layout_.containers(), O_RDONLY | O_DIRECTORY);
  EXPECT_THAT(*sys::list_directory(*containers), ElementsAre("foreign"));
}

TEST_F(QueryTest, GcLeavesTheLivingAlone) {
  const PodUuid uuid = add(Place::kRun, "a");
  auto pod = open_pod(layout_, uuid);
  ASSERT_TRUE(lock_pod(layout_, *pod, 100).ok());
  const auto actions = engine_->gc({0, 0, false});
  ASSERT_TRUE(actions.ok());
  EXPECT_EQ(engine_->info(uuid)->state, State::kRunning);
  EXPECT_EQ(*lookup_name(layout_, "a"), uuid);
}

TEST(Timestamps, Parse) {
  EXPECT_EQ(parse_timestamp_ms("1970-01-01T00:00:01.5Z"), 1500);
  EXPECT_EQ(parse_timestamp_ms("2026-11-21T22:48:53.971618476Z"), 1795301333971);
  for (const char* bad : {"", "yesterday", "2026-11-21 22:48:53Z", "2026-11-21T22:48:53+01:00"})
    EXPECT_EQ(parse_timestamp_ms(bad), 0) << bad;
}

}  // namespace
}  // namespace cooper::pod
