#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/temp_dir.h"

namespace ybis {
namespace {

TEST(WriteFileAtomic, ReplacesWhatWasThereAndLeavesNoTemporary) {
  testing::TempDir dir;
  const auto path = dir.path() / "state.json";
  ASSERT_TRUE(WriteFileAtomic(path, "one"));
  ASSERT_TRUE(WriteFileAtomic(path, "two", 0600));
  EXPECT_EQ(ReadFile(path).value(), "two");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1);
}

TEST(ReadFile, NamesThePathAndTheReason) {
  testing::TempDir dir;
  EXPECT_EQ(ReadFile(dir.path() / "none").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(ReadFile(dir.Write("big", "12345"), 4).error().code, ErrorCode::kTooLarge);
  EXPECT_NE(ReadFile(dir.path()).error().message.find("is not a regular file"), std::string::npos);
}

TEST(ReadFile, DoesNotHangOnAPipe) {
  testing::TempDir dir;
  const auto fifo = dir.path() / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(ReadFile(fifo).error().code, ErrorCode::kInvalid);
}

}  // namespace
}  // namespace ybis
