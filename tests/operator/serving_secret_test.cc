#include "operator/pki/serving_secret.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "operator/pki/serving_cert.h"
#include "tests/kube/fake_api.h"
#include "tests/operator/world.h"

namespace ybis::op {
namespace {

using namespace testing;
using nlohmann::json;
using std::chrono::hours;

ServingSecretSettings Settings() {
  return {{"ybis-system", "ybis-operator-run-api-tls"}, ServingNames("ybis-operator", "ybis-system", "")};
}

json Made(const json& existing, TimePoint now) {
  return RenewServingSecret(existing, Settings(), now).value().value();
}

TEST(ServingSecret, IsMadeWithEveryNameOfTheService) {
  const json secret = Made(nullptr, kNow);
  EXPECT_EQ(secret["metadata"]["name"], "ybis-operator-run-api-tls");
  EXPECT_EQ(secret["metadata"]["labels"], (json{{"app.kubernetes.io/name", "ybis"},
                                                {"app.kubernetes.io/part-of", "ybis"},
                                                {"app.kubernetes.io/component", "operator"},
                                                {"app.kubernetes.io/instance", "ybis-operator"},
                                                {"app.kubernetes.io/managed-by", "ybis-operator"}}));
  const auto read = ReadServingSecret(secret).value();
  EXPECT_TRUE(
      http::CheckServerCertificate(read.server, read.authority.certificate_pem, Settings().names, kNow));
}

TEST(ServingSecret, IsLeftAloneWhileItIsGood) {
  EXPECT_FALSE(RenewServingSecret(Made(nullptr, kNow), Settings(), kNow + hours(24 * 30)).value());
}

TEST(ServingSecret, GetsANewCertificateOfTheSameAuthorityBeforeItExpires) {
  const json before = Made(nullptr, kNow);
  const json after = Made(before, kNow + hours(24 * 70));
  EXPECT_EQ(before["data"]["ca.crt"], after["data"]["ca.crt"]) << "pods under way trust the old authority";
  EXPECT_NE(before["data"]["tls.crt"], after["data"]["tls.crt"]);
}

TEST(ServingSecret, IsMadeAnewWhenSomebodyBrokeIt) {
  for (const char* key : {"tls.crt", "tls.key", "ca.crt", "ca.key"}) {
    json broken = Made(nullptr, kNow);
    broken["metadata"]["resourceVersion"] = "5";
    broken["data"][key] = "bm9uc2Vuc2U=";
    const auto renewed = RenewServingSecret(broken, Settings(), kNow);
    if (std::string_view(key) == "ca.key") continue;  // noticed when it is needed
    ASSERT_TRUE(renewed) << key;
    ASSERT_TRUE(*renewed) << key;
    EXPECT_EQ((**renewed)["metadata"]["resourceVersion"], "5") << "it is a replacement of that very version";
    const auto read = ReadServingSecret(**renewed).value();
    EXPECT_TRUE(
        http::CheckServerCertificate(read.server, read.authority.certificate_pem, Settings().names, kNow))
        << key;
  }
}

TEST(ServingSecret, IsMadeAnewForANewName) {
  ServingSecretSettings more = Settings();
  more.names.push_back("runs.example.com");
  EXPECT_TRUE(RenewServingSecret(Made(nullptr, kNow), more, kNow).value());
}

TEST(ServingSecret, CoversAnAddressThatRunnersAreToldToUse) {
  for (const char* address : {"10.1.2.3", "fd00::1"}) {
    ServingSecretSettings settings = Settings();
    settings.names = ServingNames("ybis-operator", "ybis-system", address);
    const auto made = RenewServingSecret(nullptr, settings, kNow).value();
    ASSERT_TRUE(made) << address;
    EXPECT_FALSE(RenewServingSecret(*made, settings, kNow).value()) << "not made anew each time: " << address;
  }
}

TEST(ServingCert, KeepsItsAuthorityWhenSomebodyDeletesTheSecret) {
  kube::FakeApi api;
  FakeClock clock{kNow};
  ServingCert certificate{api, clock, Settings()};
  ASSERT_TRUE(certificate.Ensure({}));
  const json before = api.Peek(kube::kSecrets, Settings().key);
  certificate.Follow(before);
  ASSERT_TRUE(api.Delete(kube::kSecrets, Settings().key, {}, {}));
  ASSERT_TRUE(certificate.Ensure({}));
  const json after = api.Peek(kube::kSecrets, Settings().key);
  EXPECT_EQ(after["data"]["ca.crt"], before["data"]["ca.crt"]) << "pods under way trust it";
}

TEST(ServingCert, IsMadeByTheLeaderAndFollowedByAll) {
  kube::FakeApi api;
  FakeClock clock{kNow};
  ServingCert certificate{api, clock, Settings()};
  EXPECT_EQ(certificate.AuthorityPem(), "");
  ASSERT_TRUE(certificate.Ensure({}));
  const json secret = api.Peek(kube::kSecrets, Settings().key);
  int changes = 0;
  certificate.Follow(secret);
  certificate.OnChange([&](const http::CertificateAndKey&) { ++changes; });
  EXPECT_EQ(changes, 1) << "the current one is told at once";
  EXPECT_NE(certificate.AuthorityPem(), "");
  certificate.Follow({{"data", {{"tls.crt", "??"}}}});
  EXPECT_EQ(changes, 1) << "a broken one changes nothing";
  ASSERT_TRUE(certificate.Ensure({}));
  EXPECT_EQ(api.Peek(kube::kSecrets, Settings().key), secret) << "nothing is written while it is good";
}

}  // namespace
}  // namespace ybis::op
