#include "http/tls_cert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ybis::http {
namespace {

using std::chrono::hours;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TlsCertTest : public ::testing::Test {
 protected:
  const TimePoint now_ = *ParseRfc3339("2026-03-01T12:00:00Z");
  const CertificateAndKey authority_ = *MakeCertificateAuthority("ybis", now_);

  ServerCertificateRequest Request() const {
    return {.common_name = "ybis.system.svc",
            .dns_names = {"ybis.system.svc", "ybis.system.svc.cluster.local"},
            .ip_addresses = {"10.0.0.1", "fd00::1"},
            .not_before = now_,
            .lifetime = hours(90)};
  }
};

TEST_F(TlsCertTest, NamesStandInTheCertificate) {
  const auto made = MakeServerCertificate(authority_, Request());
  ASSERT_TRUE(made) << made.error().message;
  const auto info = InspectCertificate(made->certificate_pem);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->common_name, "ybis.system.svc");
  EXPECT_THAT(info->dns_names, ElementsAre("ybis.system.svc", "ybis.system.svc.cluster.local"));
  EXPECT_THAT(info->ip_addresses, ElementsAre("10.0.0.1", "fd00::1"));
  EXPECT_EQ(info->not_after, now_ + hours(90));
  EXPECT_LT(info->not_before, now_);
  EXPECT_FALSE(info->is_ca);
  EXPECT_TRUE(InspectCertificate(authority_.certificate_pem)->is_ca);
}

TEST_F(TlsCertTest, ChecksEveryName) {
  const auto made = *MakeServerCertificate(authority_, Request());
  EXPECT_TRUE(CheckServerCertificate(made, authority_.certificate_pem, {"ybis.system.svc", "fd00::1"}, now_));
  EXPECT_THAT(CheckServerCertificate(made, authority_.certificate_pem, {"other.svc"}, now_).error().message,
              HasSubstr("other.svc"));
  EXPECT_FALSE(CheckServerCertificate(made, authority_.certificate_pem, {}, now_ + hours(91)));
}

TEST_F(TlsCertTest, ChecksWhoSigned) {
  const auto made = *MakeServerCertificate(authority_, Request());
  const auto other = *MakeCertificateAuthority("ybis", now_);
  EXPECT_FALSE(CheckServerCertificate(made, other.certificate_pem, {}, now_));
  const CertificateAndKey mixed{made.certificate_pem, other.key_pem};
  EXPECT_FALSE(CheckServerCertificate(mixed, authority_.certificate_pem, {}, now_));
}

TEST_F(TlsCertTest, RefusesNamesThatAreNone) {
  for (const std::string name : {"", "a b", "a,DNS:evil", "a\nb", "-\"x", ".x", "*"}) {
    auto request = Request();
    request.dns_names = {name};
    EXPECT_FALSE(MakeServerCertificate(authority_, request)) << name;
  }
  auto request = Request();
  request.ip_addresses = {"10.0.0.1,DNS:evil"};
  EXPECT_FALSE(MakeServerCertificate(authority_, request));
  request = Request();
  request.dns_names.clear();
  request.ip_addresses.clear();
  EXPECT_FALSE(MakeServerCertificate(authority_, request));
}

TEST_F(TlsCertTest, RefusesAnAuthorityThatCannotBeRead) {
  EXPECT_FALSE(MakeServerCertificate({"junk", "junk"}, Request()));
  EXPECT_FALSE(MakeServerCertificate(
      {authority_.certificate_pem, MakeCertificateAuthority("x", now_)->key_pem}, Request()));
}

TEST_F(TlsCertTest, RenewalIsDueAtTwoThirds) {
  const auto made = *MakeServerCertificate(authority_, Request());
  EXPECT_FALSE(NeedsRenewal(made.certificate_pem, now_));
  EXPECT_FALSE(NeedsRenewal(made.certificate_pem, now_ + hours(59)));
  EXPECT_TRUE(NeedsRenewal(made.certificate_pem, now_ + hours(60)));
  EXPECT_TRUE(NeedsRenewal(made.certificate_pem, now_ - hours(1)));
  EXPECT_TRUE(NeedsRenewal("junk", now_));
}

TEST_F(TlsCertTest, TwoCertificatesHaveDifferentKeysAndSerials) {
  const auto first = *MakeServerCertificate(authority_, Request());
  const auto second = *MakeServerCertificate(authority_, Request());
  EXPECT_NE(first.key_pem, second.key_pem);
  EXPECT_NE(first.certificate_pem, second.certificate_pem);
}

}  // namespace
}  // namespace ybis::http
