#include "criu/rpc.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace cooper::criu {
namespace {

int digit(char c) {
  return c <= '9' ? c - '0' : c - 'a' + 10;
}

std::string bytes(std::string_view hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) out += static_cast<char>(digit(hex[i]) * 16 + digit(hex[i + 1]));
  return out;
}

Options every_option() {
  Options out;
  out.images_dir_fd = 7;
  out.work_dir_fd = 8;
  out.pid = 4711;
  out.root = "/r";
  out.log_file = "dump.log";
  out.parent_images = "../p";
  out.freeze_cgroup = "/sys/fs/cgroup/c";
  out.config_file = "/etc/x";
  out.lsm_profile = "apparmor:p";
  out.lsm_mount_context = "ctx";
  out.page_server = PageServer{"::1", 27};
  out.cgroup_mode = CgroupMode::kSoft;
  out.empty_namespaces = 0x40000000;
  out.status_fd = 9;
  out.leave_running = out.track_memory = out.auto_dedup = out.lazy_pages = true;
  out.tcp_established = out.tcp_skip_in_flight = out.external_unix_sockets = true;
  out.shell_job = out.file_locks = out.link_remap = out.evasive_devices = true;
  out.notify = out.orphan_pts_master = out.restore_sibling = true;
  out.external_mounts = {{"/a", "/b"}};
  out.external = {"net[5]:extRootNetNS"};
  out.inherited = {{"pipe:[1]", 0}};
  out.cgroup_roots = {{"", "/x"}, {"cpu", "/y"}};
  out.joined = {{"ipc", "/proc/1/ns/ipc"}};
  return out;
}

// The bytes that Google's implementation makes of CRIU's own description of the messages.
TEST(CriuRpc, PrintsRequestsAsOthersDo) {
  Request request;
  request.type = RequestType::kDump;
  request.options = every_option();
  request.notified = false;
  request.keep_open = true;
  request.features = Features{true, true};
  EXPECT_EQ(hex_encode(print_request(request)),
            "080112e001080710e7241801200128013001380140014804520864756d702e6c6f675a070a033a3a31101b60016a022f"
            "7272042e2e2f707801800101880108900101ba01080a022f6112022f62ca010412022f78ca01090a0363707512022f79"
            "d00101da010c0a08706970653a5b315d1000900203aa02136e65745b355d3a657874526f6f744e65744e53b002808080"
            "8004ba02150a03697063120e2f70726f632f312f6e732f697063e202102f7379732f66732f6367726f75702f63f00201"
            "8003018803099003019a03062f6574632f78aa030a61707061726d6f723a70fa0303637478180020012a0408011001");
}

TEST(CriuRpc, SendsNothingThatWasNotAskedFor) {
  Request request;
  request.type = RequestType::kVersion;
  EXPECT_EQ(hex_encode(print_request(request)), "080a");
  request.type = RequestType::kRestore;
  request.options = Options{};
  request.options->images_dir_fd = 3;
  EXPECT_EQ(hex_encode(print_request(request)), "0802120408034804");
}

TEST(CriuRpc, ReadsAnswers) {
  auto answer = parse_answer(bytes("0802100122020863"));
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->type, RequestType::kRestore);
  EXPECT_TRUE(answer->success);
  EXPECT_EQ(*answer->restored_pid, 99);

  answer = parse_answer(bytes("080610012a140a1073657475702d6e616d65737061636573100c"));
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->notification->script, "setup-namespaces");
  EXPECT_EQ(answer->notification->pid, 12);

  // With members that nobody asked for.
  answer = parse_answer(bytes("080110001a02080038344a026e6f5803"));
  ASSERT_TRUE(answer.ok());
  EXPECT_FALSE(answer->success);
  EXPECT_EQ(answer->error, 52);
  EXPECT_EQ(answer->message, "no");

  answer = parse_answer(bytes("080a100142021001520a080310111a0276332001"));
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(to_string(*answer->version), "3.17.1");
  EXPECT_EQ(*answer->version, (Version{3, 17, 1}));
  EXPECT_TRUE(answer->features->lazy_pages);
  EXPECT_FALSE(answer->features->memory_tracking);
}

TEST(CriuRpc, RefusesWhatIsNoAnswer) {
  EXPECT_FALSE(parse_answer("").ok());
  EXPECT_FALSE(parse_answer(bytes("1001")).ok());                      // no type
  EXPECT_FALSE(parse_answer(bytes("08021001220863")).ok());            // short
  EXPECT_FALSE(parse_answer(bytes("080210012001")).ok());              // the pid is no message
  EXPECT_FALSE(parse_answer(bytes("080210012206088080808010")).ok());  // the pid is too large
}

TEST(CriuRpc, ComparesVersions) {
  EXPECT_LT((Version{3, 9, 1}), (Version{3, 16, 0}));
  EXPECT_EQ(to_string(Version{4, 0, 0}), "4.0");
}

}  // namespace
}  // namespace cooper::criu
