#include <fcntl.h>
#include <gtest/gtest.h>

#include <utility>

#include "base/error.h"
#include "base/fd.h"
#include "base/ids.h"
#include "base/scope_exit.h"
#include "base/strings.h"

namespace cooper {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return Error(Errc::kInvalidArgument, "odd");
  return n / 2;
}
Result<int> quarter(int n) {
  ASSIGN_OR_RETURN(const int h, half(n));
  return half(h);
}

TEST(Result, PropagatesAndAddsContext) {
  EXPECT_EQ(*quarter(8), 2);
  auto r = quarter(6);
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(std::move(r).error().with("dividing 6").message(), "dividing 6: odd");
}

// Counts how many there are.
class Counted {
 public:
  explicit Counted(int& alive) : alive_(&alive) { ++*alive_; }
  Counted(Counted&& other) noexcept : alive_(other.alive_) { ++*alive_; }
  Counted& operator=(Counted&&) = delete;
  ~Counted() { --*alive_; }

 private:
  int* alive_;
};

TEST(Result, DestroysExactlyWhatItHolds) {
  int alive = 0;
  {
    Result<Counted> one = Counted(alive);
    EXPECT_EQ(alive, 1);
    Result<Counted> other = Error(Errc::kBusy, "busy");
    other = std::move(one);  // a value in place of an error
    EXPECT_TRUE(other.ok());
    EXPECT_EQ(alive, 2);  // what was moved from is one, too
    other = Result<Counted>(Error(Errc::kBusy, "busy"));
    EXPECT_FALSE(other.ok());
    EXPECT_EQ(alive, 1);
    Result<Counted> third = std::move(other);
    EXPECT_EQ(third.error().message(), "busy");
    third = Result<Counted>(Counted(alive));
    EXPECT_TRUE(third.ok());
    EXPECT_EQ(alive, 2);
  }
  EXPECT_EQ(alive, 0);
}

TEST(Error, FromErrnoKeepsErrnoAndClass) {
  const Error e = Error::from_errno(ENOENT, "open '/x'");
  EXPECT_EQ(e.errno_value(), ENOENT);
  EXPECT_EQ(e.code(), Errc::kNotFound);
  EXPECT_EQ(e.message(), "open '/x': no such file or directory (ENOENT)");
}

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) != -1;
}

TEST(UniqueFd, MoveAndAssignCloseExactlyOnce) {
  UniqueFd a(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  UniqueFd b(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int first = a.get();
  const int second = b.get();
  b = std::move(a);
  EXPECT_FALSE(is_open(second));
  EXPECT_TRUE(is_open(first));
  UniqueFd& alias = b;
  b = std::move(alias);
  EXPECT_TRUE(is_open(first));
  b.reset();
  EXPECT_FALSE(is_open(first));
}

TEST(ScopeExit, RunsUnlessDismissed) {
  int n = 0;
  {
    const ScopeExit e([&] { ++n; });
  }
  {
    ScopeExit e([&] { ++n; });
    e.dismiss();
  }
  EXPECT_EQ(n, 1);
}

TEST(Ids, ContainerIdRefusesPaths) {
  for (const char* bad : {"", ".", "..", "...", ".a", "a/b", "a b", "a\n", "\xc3\xa9"})
    EXPECT_FALSE(ContainerId::parse(bad)) << bad;
  for (const char* good : {"a", "A1_b+c.d-e", "0", "_x", "a...", "-x"}) EXPECT_TRUE(ContainerId::parse(good)) << good;
  EXPECT_TRUE(ContainerId::parse(std::string(1024, 'a')));
  EXPECT_FALSE(ContainerId::parse(std::string(1025, 'a')));
}

TEST(Ids, PodUuidRoundTrip) {
  const PodUuid u = PodUuid::random();
  EXPECT_EQ(*PodUuid::parse(u.str()), u);
  EXPECT_EQ(u.str()[14], '4');
  EXPECT_FALSE(PodUuid::parse("not-a-uuid"));
  EXPECT_FALSE(PodUuid::parse(u.str() + "0"));
}

TEST(Ids, AppNameRules) {
  for (const char* bad : {"", "-a", "a-", "a--b", "A", "a_b", "a.b"}) EXPECT_FALSE(AppName::parse(bad)) << bad;
  EXPECT_TRUE(AppName::parse("a-1-b"));
  EXPECT_EQ(AppName::sanitize("reg.io/Team/My__Image").str(), "my-image");
  EXPECT_EQ(AppName::sanitize("///").str(), "app");
}

TEST(Ids, Digest) {
  EXPECT_TRUE(Digest::parse("sha256:" + std::string(64, 'a')));
  EXPECT_FALSE(Digest::parse("sha256:" + std::string(64, 'A')));
  EXPECT_FALSE(Digest::parse("sha256:" + std::string(63, 'a')));
  EXPECT_FALSE(Digest::parse("md5:" + std::string(32, 'a')));
  EXPECT_FALSE(Digest::parse("sha256:../../../" + std::string(55, 'a')));
}

TEST(Strings, ParseBytes) {
  EXPECT_EQ(*parse_bytes("64k"), 65536U);
  EXPECT_EQ(*parse_bytes("1.5g"), 1610612736U);
  EXPECT_EQ(*parse_bytes("2GiB"), 2147483648U);
  EXPECT_EQ(*parse_bytes("10mb"), 10485760U);
  EXPECT_EQ(*parse_bytes("32Mi"), 33554432U);
  for (const char* bad : {"", "-1", "k", "1x", "1 k", "99999999999999999999", "20000000t", "."})
    EXPECT_FALSE(parse_bytes(bad)) << bad;
}

TEST(Strings, ParseNumberIsStrict) {
  EXPECT_EQ(parse_number<unsigned>("42"), 42U);
  for (const char* bad : {"", " 1", "+1", "0x1", "1 ", "-1", "4294967296"})
    EXPECT_FALSE(parse_number<unsigned>(bad)) << bad;
}

TEST(Strings, QuotedEscapes) {
  EXPECT_EQ(quoted("a'b\n"), "'a\\'b\\x0a'");
  // In parts: whole, they would turn the direction of this text.
  const std::string turned = std::string("\xe2\x80") + "\xae" + "fdp\xe2\x81" + "\xa9";
  EXPECT_EQ(cooper::quoted(turned + " \xe2\x80\xa7\xe2\x82\xac"),
            "'\\xe2\\x80\\xaefdp\\xe2\\x81\\xa9 \xe2\x80\xa7\xe2\x82\xac'");
}

}  // namespace
}  // namespace cooper
