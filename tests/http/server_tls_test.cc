#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http/client.h"
#include "http/server.h"
#include "http/tls_cert.h"
#include "tests/http/raw_client.h"

namespace ybis::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

struct Identity {
  CertificateAndKey authority;
  CertificateAndKey server;
};

Identity MakeIdentity() {
  Identity made;
  made.authority = *MakeCertificateAuthority("test authority", SystemClock().Now());
  made.server = *MakeServerCertificate(made.authority, {.common_name = "localhost",
                                                        .dns_names = {"localhost"},
                                                        .ip_addresses = {"127.0.0.1"},
                                                        .not_before = SystemClock().Now()});
  return made;
}

class ServerTlsTest : public ::testing::Test {
 protected:
  ServerTlsTest() {
    Router router;
    router.Add("GET", "/hello", [](const Request& request, std::stop_token) {
      return TextResponse(request.peer.tls ? "hello over tls" : "hello");
    });
    ServerSettings settings;
    settings.listen = {{.address = "127.0.0.1", .tls = true}};
    settings.tls = ServerTls{identity_.server.certificate_pem, identity_.server.key_pem};
    settings.header_timeout = milliseconds(300);
    auto server = Server::Start(settings, router);
    EXPECT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }

  Result<ClientResponse> Get(const std::string& authority_pem) {
    ClientSettings settings;
    settings.tls.system_roots = false;
    settings.tls.ca_pem = authority_pem;
    Client client(settings);
    ClientRequest request;
    request.url = fmt::format("https://localhost:{}/hello", server_->Port());
    request.timeout = seconds(5);
    return client.Send(request, {});
  }

  Identity identity_ = MakeIdentity();
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTlsTest, AnswersThoseWhoTrustItsAuthority) {
  const auto answer = Get(identity_.authority.certificate_pem);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->body, "hello over tls");
  EXPECT_FALSE(Get(MakeIdentity().authority.certificate_pem));
}

TEST_F(ServerTlsTest, TakesANewCertificateWhileItServes) {
  const Identity next = MakeIdentity();
  ASSERT_TRUE(server_->ReloadTls({next.server.certificate_pem, next.server.key_pem}));
  EXPECT_TRUE(Get(next.authority.certificate_pem));
  EXPECT_FALSE(Get(identity_.authority.certificate_pem));
}

TEST_F(ServerTlsTest, KeepsTheOldCertificateWhenTheNewPairDoesNotFit) {
  const Identity next = MakeIdentity();
  const auto mixed = server_->ReloadTls({next.server.certificate_pem, identity_.server.key_pem});
  ASSERT_FALSE(mixed);
  EXPECT_THAT(mixed.error().message, HasSubstr("does not belong"));
  EXPECT_FALSE(server_->ReloadTls({"no pem", "at all"}));
  EXPECT_TRUE(Get(identity_.authority.certificate_pem));
}

TEST_F(ServerTlsTest, DropsThoseWhoNeverShakeHands) {
  ybis::testing::RawClient silent(server_->Port());
  ybis::testing::RawClient plain(server_->Port());
  plain.Send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  silent.ReadAll(seconds(3));
  plain.ReadAll(seconds(3));
  EXPECT_TRUE(silent.closed());
  EXPECT_TRUE(plain.closed());
}

TEST_F(ServerTlsTest, StopsWithConnectionsOpen) {
  ybis::testing::RawClient silent(server_->Port());
  const auto began = std::chrono::steady_clock::now();
  server_->Stop(milliseconds(1000));
  EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(3));
}

}  // namespace
}  // namespace ybis::http
