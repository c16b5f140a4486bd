#include "cli/screen.h"

#include <gtest/gtest.h>

namespace ybis::cli {
namespace {

using Lines = std::vector<std::string>;

TEST(FittingLines, AreTheEndOfTheFrameThatMatters) {
  EXPECT_EQ(FittingLines("a\nb\nc\n", 2, 80, FrameEnd::kFirst), (Lines{"a", "b"}));
  EXPECT_EQ(FittingLines("a\nb\nc\n", 2, 80, FrameEnd::kLast), (Lines{"b", "c"}));
  EXPECT_EQ(FittingLines("a\nb", 2, 80, FrameEnd::kLast), (Lines{"a", "b"}));
  EXPECT_EQ(FittingLines("", 2, 80, FrameEnd::kLast), Lines());
}

TEST(FittingLines, AreCutToTheWidthWithColoursToo) {
  EXPECT_EQ(FittingLines("abcde\nabcdef\n", 9, 5, FrameEnd::kFirst), (Lines{"abcde", "abcd…"}));
  EXPECT_EQ(FittingLines("größe\n", 9, 5, FrameEnd::kFirst), Lines{"größe"});
  EXPECT_EQ(FittingLines("a \x1b[32mok\x1b[0m bc\n", 9, 7, FrameEnd::kFirst),
            Lines{"a \x1b[32mok\x1b[0m bc"});
  EXPECT_EQ(FittingLines("a \x1b[32mok\x1b[0m bcd\n", 9, 7, FrameEnd::kFirst),
            Lines{"a \x1b[32mok\x1b[0m b…\x1b[0m"});
  EXPECT_EQ(FittingLines("a \x1b[32mokay\x1b[0m\n", 9, 4, FrameEnd::kFirst), Lines{"a \x1b[32mo…\x1b[0m"});
}

}  // namespace
}  // namespace ybis::cli
