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
  ServerTlsTest() { Start({.header_timeout = milliseconds(300)}); }
  void Start(ServerSettings settings) {
    Router router;
    router.Add("GET", "/hello", [](const Request& request, std::stop_token) {
      return TextResponse(request.peer.tls ? "hello over tls" : "hello");
    });
    settings.listen = {{.address = "127.0.0.1", .tls = true}};
    settings.tls = ServerTls{identity_.server.certificate_pem, identity_.server.key_pem};
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

TEST_F(ServerTlsTest, WhoNeverShakesHandsMakesRoom) {
  Start({.max_connections = 8, .header_timeout = seconds(60)});
  std::vector<ybis::testing::RawClient> silent;
  for (int i = 0; i < 8; ++i) silent.emplace_back(server_->Port());
  const auto began = std::chrono::steady_clock::now();
  EXPECT_TRUE(Get(identity_.authority.certificate_pem));
  EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(1));
}

TEST_F(ServerTlsTest, StopsWithConnectionsOpen) {
  ybis::testing::RawClient silent(server_->Port());
  const auto began = std::chrono::steady_clock::now();
  server_->Stop(milliseconds(1000));
  EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(3));
}

class ClientCertificates : public ::testing::Test {
 protected:
  ClientCertificates() {
    Router router;
    router.Add("GET", "/who", [this](const Request& request, std::stop_token) {
      const auto name = VerifyClientCertificate(request.peer.certificate_pem,
                                                trusted_.authority.certificate_pem, SystemClock().Now());
      return name ? TextResponse(*name) : TextResponse(name.error().message, 401);
    });
    ServerSettings settings;
    settings.listen = {{.address = "127.0.0.1", .tls = true}};
    settings.tls = ServerTls{trusted_.server.certificate_pem, trusted_.server.key_pem, true};
    auto server = Server::Start(settings, router);
    EXPECT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }

  ClientResponse Ask(const std::optional<CertificateAndKey>& own) {
    ClientSettings settings;
    settings.tls.system_roots = false;
    settings.tls.ca_pem = trusted_.authority.certificate_pem;
    if (own) {
      settings.tls.client_certificate = [own]() -> Result<ClientCertificate> {
        return ClientCertificate{own->certificate_pem, own->key_pem};
      };
    }
    ClientRequest request;
    request.url = fmt::format("https://localhost:{}/who", server_->Port());
    request.timeout = seconds(5);
    auto response = Client(settings).Send(request, {});
    EXPECT_TRUE(response) << response.error().message;
    return response ? *response : ClientResponse{};
  }
  static CertificateAndKey ClientOf(const Identity& identity,
                                    std::chrono::hours lifetime = std::chrono::hours(1),
                                    std::chrono::hours age = std::chrono::hours(0)) {
    return *MakeServerCertificate(identity.authority, {.common_name = "front-proxy",
                                                       .not_before = SystemClock().Now() - age,
                                                       .lifetime = lifetime,
                                                       .for_client = true});
  }

  Identity trusted_ = MakeIdentity();
  std::unique_ptr<Server> server_;
};

TEST_F(ClientCertificates, NameTheirHolder) {
  const ClientResponse response = Ask(ClientOf(trusted_));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "front-proxy");
}

TEST_F(ClientCertificates, AreNotNeededForTheConnection) {
  const ClientResponse response = Ask(std::nullopt);
  EXPECT_EQ(response.status, 401);
  EXPECT_THAT(response.body, HasSubstr("no client certificate"));
}

TEST_F(ClientCertificates, OfAnotherAuthorityAreWorthNothing) {
  const ClientResponse response = Ask(ClientOf(MakeIdentity()));
  EXPECT_EQ(response.status, 401);
}

TEST_F(ClientCertificates, OfAServerOrOutOfDateAreWorthNothing) {
  EXPECT_EQ(Ask(trusted_.server).status, 401);
  const ClientResponse old = Ask(ClientOf(trusted_, std::chrono::hours(1), std::chrono::hours(3)));
  EXPECT_EQ(old.status, 401);
  EXPECT_THAT(old.body, HasSubstr("expired"));
}

TEST(VerifyClientCertificate, TakesAnyAuthorityOfTheBundle) {
  const Identity first = MakeIdentity();
  const Identity second = MakeIdentity();
  const std::string bundle = first.authority.certificate_pem + second.authority.certificate_pem;
  const auto client = MakeServerCertificate(
      second.authority, {.common_name = "c", .not_before = SystemClock().Now(), .for_client = true});
  ASSERT_TRUE(client);
  EXPECT_EQ(VerifyClientCertificate(client->certificate_pem, bundle, SystemClock().Now()), "c");
  EXPECT_FALSE(VerifyClientCertificate(client->certificate_pem, "", SystemClock().Now()));
  EXPECT_FALSE(VerifyClientCertificate("nonsense", bundle, SystemClock().Now()));
}

}  // namespace
}  // namespace ybis::http
