#include "runner/edit/path_rules.h"

#include <gtest/gtest.h>

namespace ybis::runner {
namespace {

TEST(CheckEditPath, TakesPlainRelativePaths) {
  for (const char* path : {"a", "src/main.cc", ".gitignore", ".github/workflows/ci.yaml", "a b/c",
                           "ünïcode/ß", "..a", "a..b", ".gitx", "git", "...", "a:b"}) {
    EXPECT_TRUE(CheckEditPath(path)) << path;
  }
}

TEST(CheckEditPath, RefusesWhatIsHostile) {
  using std::string_literals::operator""s;
  const std::string hostile[] = {"",
                                 "/etc/passwd",
                                 "..",
                                 "../x",
                                 "a/../b",
                                 "a/..",
                                 "./a",
                                 "a/./b",
                                 "a//b",
                                 "a/",
                                 ".git",
                                 ".git/hooks/x",
                                 ".GIT/config",
                                 ".GiT/config",
                                 "sub/.git/config",
                                 ".git /config",
                                 ".git./config",
                                 ".git. ./config",
                                 ".git::$INDEX_ALLOCATION/config",
                                 ".git:x",
                                 "git~1/config",
                                 "GIT~1",
                                 "a\\b",
                                 "..\\x",
                                 "a\nb",
                                 "a\0b"s,
                                 "a\x7f",
                                 std::string(256, 'a'),
                                 std::string(200, 'a') + "/" + std::string(4000, '/')};
  for (const std::string& path : hostile) EXPECT_FALSE(CheckEditPath(path)) << path;
}

}  // namespace
}  // namespace ybis::runner
