// What a container is, by its record and its init.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container/container.h"
#include "container/record_file.h"
#include "container/state.h"
#include "io/file.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cooper::container {
namespace {

class StatusTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/status-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    options_.root = name;
    path_ = state_paths(options_.root, "box").record();
  }
  void TearDown() override { (void)!io::remove_tree(sys::kCwd, options_.root).ok(); }

  // The init of which is this process, as if it were the runtime's.
  StateRecord own() const {
    StateRecord record;
    record.id = "box";
    record.oci_version = "1.0.0";
    record.pid = ::getpid();
    record.start_time = sys::process_start_time(record.pid).value();
    record.boot_id = boot_id().value();
    record.created = timestamp_now();
    struct stat exe = {};
    EXPECT_EQ(::stat("/proc/self/exe", &exe), 0);
    record.exe_dev = exe.st_dev;
    record.exe_ino = exe.st_ino;
    return record;
  }
  void write(const StateRecord& record) const {
    ASSERT_TRUE(RecordFile::create(options_.root, path_)->append(RecordPart::kState, print_state_record(record)).ok());
  }
  Container load() const { return Factory(options_).load("box").value(); }

  FactoryOptions options_;
  std::string path_;
};

TEST_F(StatusTest, AnInitThatHasGotToItsProgramRuns) {
  StateRecord record = own();
  ++record.exe_ino;
  write(record);
  const auto lock = RecordFile::lock(path_);
  EXPECT_EQ(load().status().value(), RunStatus::kRunning);
}

TEST_F(StatusTest, WhatIsCompletedAfterItWasReadHasNotStopped) {
  StateRecord record;
  record.id = "box";
  {
    auto file = RecordFile::create(options_.root, path_);
    ASSERT_TRUE(file->append(RecordPart::kState, print_state_record(record)).ok());
    const Container early = load();
    EXPECT_EQ(early.status().value(), RunStatus::kCreating);
    ASSERT_TRUE(file->append(RecordPart::kState, print_state_record(own())).ok());
    ASSERT_TRUE(file->unlock().ok());
    EXPECT_EQ(early.status().value(), RunStatus::kCreating);
    EXPECT_EQ(load().status().value(), RunStatus::kRunning);
  }
}

}  // namespace
}  // namespace cooper::container
