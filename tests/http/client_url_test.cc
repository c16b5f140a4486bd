#include <gtest/gtest.h>

#include "http/url.h"

namespace ybis::http {
namespace {

TEST(ParseUrl, TakesItApart) {
  const auto url = ParseUrl("https://API.example:8443/a/b%2Fc?x=1&y=%20");
  ASSERT_TRUE(url) << url.error().message;
  EXPECT_EQ(url->scheme, "https");
  EXPECT_EQ(url->host, "api.example");
  EXPECT_EQ(url->port, 8443);
  EXPECT_EQ(url->target, "/a/b%2Fc?x=1&y=%20");
  EXPECT_EQ(url->Origin(), "https://api.example:8443");
}

TEST(ParseUrl, FillsInPortAndTarget) {
  EXPECT_EQ(ParseUrl("https://h")->port, 443);
  EXPECT_EQ(ParseUrl("http://h")->port, 80);
  EXPECT_EQ(ParseUrl("http://h")->target, "/");
  EXPECT_EQ(ParseUrl("http://h?q=1")->target, "/?q=1");
}

TEST(ParseUrl, RefusesWhatIsDangerousOrUnreachable) {
  for (const char* bad :
       {"", "ftp://h/", "file:///etc/passwd", "https://user:pw@h/", "https://h/#part", "https:///x",
        "https://[::1]/", "https://h:0/", "https://h:65536/", "https://h:x/", "https://h:/", "https://h/a b",
        "https://h/\r\nX: y", "https://h/\x01", "https://h/\xc3\xa9"}) {
    EXPECT_FALSE(ParseUrl(bad)) << bad;
  }
}

TEST(ParseUrl, NeverRepeatsAPassword) {
  const auto url = ParseUrl("https://user:hunter2@h/");
  ASSERT_FALSE(url);
  EXPECT_EQ(url.error().message.find("hunter2"), std::string::npos);
}

TEST(IsLoopback, TakesAddressesAndNoNamesThatBeginLikeOne) {
  for (const char* here : {"localhost", "127.0.0.1", "127.255.255.254", "::1"})
    EXPECT_TRUE(IsLoopback(here)) << here;
  for (const char* elsewhere : {"127.0.0.1.evil.example", "127.evil.example", "localhost.evil.example",
                                "128.0.0.1", "10.127.0.1", "127.1", "0.0.0.0", "", "::", "127.0.0.1 "}) {
    EXPECT_FALSE(IsLoopback(elsewhere)) << elsewhere;
  }
}

TEST(EncodeQuery, EncodesAndLeavesEmptyValuesOut) {
  EXPECT_EQ(EncodeQuery({{"a", "x=1,y in (b)"}, {"b", ""}, {"c", "é"}}),
            "a=x%3D1%2Cy%20in%20%28b%29&c=%C3%A9");
  EXPECT_EQ(EncodeComponent("a/../b"), "a%2F..%2Fb");
}

}  // namespace
}  // namespace ybis::http
