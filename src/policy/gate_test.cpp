#include "policy/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "io/file.h"
#include "sys/file.h"

namespace cooper::policy {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kReject = R"({"default":[{"type":"reject"}]})";
constexpr std::string_view kAccept = R"({"default":[{"type":"insecureAcceptAnything"}]})";

class GateTest : public ::testing::Test {
 protected:
  GateTest() { COOPER_ASSERT(::mkdtemp(folder_.data()) != nullptr); }
  void TearDown() override { (void)!io::remove_tree(sys::kCwd, folder_).ok(); }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string write(const std::string& name, std::string_view text) const {
    std::string out = path(name);
    COOPER_ASSERT(io::make_directories(out.substr(0, out.rfind('/'))).ok());
    COOPER_ASSERT(io::write_file_atomic(out, text).ok());
    return out;
  }
  const Subject image = registry_subject(*oci_image::parse_reference("h.io/a:1"));

 private:
  std::string folder_ = "/tmp/cooper-policy-test-XXXXXX";
};

TEST_F(GateTest, WithoutAFileEverythingIsTaken) {
  const auto gate = Gate::open({.files = {path("a"), path("b")}});
  ASSERT_TRUE(gate.ok());
  EXPECT_EQ(gate->file(), "");
  EXPECT_FALSE(gate->rule(image));
  EXPECT_FALSE(*gate->enter(image, true));
}

TEST_F(GateTest, TheFirstFileHolds) {
  const std::string second = write("b", kReject);
  const std::string third = write("c", kAccept);
  const auto gate = Gate::open({.files = {path("a"), second, third}});
  ASSERT_TRUE(gate.ok());
  EXPECT_EQ(gate->file(), second);
  const auto entered = gate->enter(image, true);
  EXPECT_EQ(entered.error().code(), Errc::kPermission);
  EXPECT_THAT(entered.error().message(), HasSubstr("refused by policy '" + second + "' (default): "));
  EXPECT_TRUE(Gate::open({.file = third, .files = {second}})->enter(image, true).ok());
}

TEST_F(GateTest, AFileThatCannotBeReadIsNotNone) {
  EXPECT_EQ(Gate::open({.file = path("a")}).error().code(), Errc::kNotFound);
  EXPECT_THAT(Gate::open({.files = {write("b", "{}")}}).error().message(), HasSubstr("default"));
  (void)write("c/x", "");
  EXPECT_FALSE(Gate::open({.files = {path("c")}}).ok()) << "a directory";
}

TEST_F(GateTest, TheFirstDirectoryOfPlacesHolds) {
  (void)write("b/x.yaml", "default-docker:\n  lookaside: file:///b\n");
  (void)write("b/ignored.txt", "?");
  (void)write("c/x.yaml", "default-docker:\n  lookaside: file:///c\n");
  const auto reference = oci_image::parse_reference("h.io/a:1");
  const auto gate = Gate::open({.directories = {path("a"), path("b"), path("c")}, .standard_lookaside = "file:///s"});
  EXPECT_EQ(gate->places(*reference)->lookaside, "file:///b/a");
  EXPECT_EQ(Gate::open({.standard_lookaside = "file:///s"})->places(*reference)->lookaside, "file:///s/a");
  (void)write("b/y.yaml", "default-docker:\n  lookaside: file:///again\n");
  EXPECT_THAT(gate->places(*reference).error().message(), HasSubstr("y.yaml"));
}

}  // namespace
}  // namespace cooper::policy
