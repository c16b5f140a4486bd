#include "base/utf8.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ybis {
namespace {

constexpr const char* kNone = "\xEF\xBF\xBD";

TEST(ValidUtf8, LeavesWhatIsValid) {
  const std::string text = std::string("a\0b", 3) + "é € \U0001F600 \uD7FF\uE000\U0010FFFF";
  EXPECT_EQ(ValidUtf8(text), text);
  EXPECT_EQ(ValidUtf8(""), "");
}

TEST(ValidUtf8, ReplacesWhatIsNot) {
  EXPECT_EQ(ValidUtf8("caf\xE9!"), std::string("caf") + kNone + "!");
  EXPECT_EQ(ValidUtf8("\xE2\x82"), std::string(kNone) + kNone) << "cut off";
  EXPECT_EQ(ValidUtf8("\x80x"), std::string(kNone) + "x") << "the middle of a character";
}

TEST(ValidUtf8, AgreesWithTheJsonLibraryAboutEveryPairOfBytes) {
  for (int first = 0x80; first < 0x100; ++first) {
    for (int second = 0; second < 0x100; ++second) {
      for (const std::string& tail : {std::string(), std::string("\x80"), std::string("\x80\xBF")}) {
        const std::string text = std::string{static_cast<char>(first), static_cast<char>(second)} + tail;
        bool dumps = true;
        try {
          (void)nlohmann::json(text).dump();
        } catch (const nlohmann::json::exception&) {
          dumps = false;
        }
        EXPECT_EQ(ValidUtf8(text) == text, dumps) << first << " " << second << " " << tail.size();
        EXPECT_NO_THROW((void)nlohmann::json(ValidUtf8(text)).dump());
      }
    }
  }
}

TEST(CutAtCharacter, CutsBetweenCharacters) {
  EXPECT_EQ(CutAtCharacter("abc", 3), "abc");
  EXPECT_EQ(CutAtCharacter("abc", 2), "ab");
  EXPECT_EQ(CutAtCharacter("a€b", 2), "a");
  EXPECT_EQ(CutAtCharacter("a€b", 3), "a");
  EXPECT_EQ(CutAtCharacter("a€b", 4), "a€");
  EXPECT_EQ(CutAtCharacter("\U0001F600", 3), "");
  EXPECT_EQ(CutAtCharacter(std::string(100, '\x80'), 50).size(), 50u);
}

}  // namespace
}  // namespace ybis
