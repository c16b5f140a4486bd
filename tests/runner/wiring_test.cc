#include "runner/wiring.h"

#include <gtest/gtest.h>

namespace ybis::runner {
namespace {

TEST(CheckApiUrl, LetsTheTokenGoOnlyWhereNobodyElseReadsIt) {
  for (const char* good : {"https://ybis-operator.ybis.svc:8443", "https://10.0.0.1", "http://127.0.0.1:8080",
                           "http://127.0.0.1", "unix:/run/ybis/api.sock"}) {
    EXPECT_TRUE(CheckApiUrl(good)) << good;
  }
  for (const char* bad : {"http://127.0.0.1.evil.example", "http://127.0.0.1.evil.example:8080",
                          "http://127.0.0.1@evil.example", "http://127.0.0.10x", "http://example.com",
                          "https://", "ftp://127.0.0.1", "unix:relative", "127.0.0.1", ""}) {
    const Status checked = CheckApiUrl(bad);
    ASSERT_FALSE(checked) << bad;
    EXPECT_EQ(checked.error().code, ErrorCode::kInvalid) << bad;
  }
}

}  // namespace
}  // namespace ybis::runner
