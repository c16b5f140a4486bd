#include "base/digest.h"

#include <gtest/gtest.h>

namespace ybis {
namespace {

TEST(Digest, IsSha256WithItsName) {
  EXPECT_EQ(Digest("abc"), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Base64, GoesThereAndBack) {
  for (const std::string& text : {std::string(), std::string("a"), std::string("ab"), std::string("abc"),
                                  std::string("\0\xff\x10", 3)}) {
    EXPECT_EQ(Base64Decode(Base64Encode(text)).value(), text);
  }
  EXPECT_EQ(Base64UrlDecode("_-8").value(), "\xff\xef");
}

TEST(Base64, RefusesWhatIsNot) {
  EXPECT_FALSE(Base64Decode("a"));
  EXPECT_FALSE(Base64Decode("a b="));
  EXPECT_FALSE(Base64Decode("===="));
  EXPECT_FALSE(Base64UrlDecode("a+b"));
}

TEST(NewUuid, IsAVersion4Uuid) {
  const std::string id = NewUuid();
  ASSERT_EQ(id.size(), 36u);
  EXPECT_EQ(id[14], '4');
  EXPECT_NE(id, NewUuid());
}

}  // namespace
}  // namespace ybis
