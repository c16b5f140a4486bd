#include "http/listen_address.h"

#include <gtest/gtest.h>

namespace ybis::http {
namespace {

TEST(ParseListen, ReadsAddressesAndPorts) {
  EXPECT_EQ(ParseListen(":8443")->port, 8443);
  EXPECT_EQ(ParseListen("8443")->address, "::");
  EXPECT_EQ(ParseListen("127.0.0.1:1")->address, "127.0.0.1");
  EXPECT_EQ(ParseListen("[::1]:1")->address, "::1");
  for (const char* bad : {"", ":", ":70000", ":-1", ":80x"}) EXPECT_FALSE(ParseListen(bad)) << bad;
}

}  // namespace
}  // namespace ybis::http
