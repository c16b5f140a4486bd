#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <fstream>

#include "http/client.h"
#include "tests/http/client_raw_server.h"
#include "tests/support/temp_dir.h"

namespace ybis::http {
namespace {

/// A key and a certificate made on the spot: a CA, or a leaf signed by one.
struct Identity {
  std::shared_ptr<EVP_PKEY> key;
  std::shared_ptr<X509> certificate;

  std::string CertificatePem() const {
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, certificate.get());
    return Drain(bio);
  }
  std::string KeyPem() const {
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    return Drain(bio);
  }
  static std::string Drain(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    std::string text(data, static_cast<size_t>(size));
    BIO_free(bio);
    return text;
  }
};

Identity MakeIdentity(const std::string& name, const Identity* issuer,
                      const std::string& subject_alternatives) {
  Identity made{{EVP_EC_gen("P-256"), EVP_PKEY_free}, {X509_new(), X509_free}};
  X509* cert = made.certificate.get();
  X509_set_version(cert, 2);
  static long serial = 1;
  ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
  X509_gmtime_adj(X509_getm_notBefore(cert), -60);
  X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(cert, X509_get_subject_name(issuer != nullptr ? issuer->certificate.get() : cert));
  X509_set_pubkey(cert, made.key.get());
  const auto extend = [&](int nid, const std::string& value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
    X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
  };
  extend(NID_basic_constraints, issuer == nullptr ? "critical,CA:TRUE" : "CA:FALSE");
  if (!subject_alternatives.empty()) extend(NID_subject_alt_name, subject_alternatives);
  X509_sign(cert, issuer != nullptr ? issuer->key.get() : made.key.get(), EVP_sha256());
  return made;
}

int AcceptAny(int, X509_STORE_CTX*) { return 1; }

/// A server context; with `ask` it demands a client certificate.
SSL_CTX* ServerContext(const Identity& identity, bool ask = false) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_use_certificate(context, identity.certificate.get());
  SSL_CTX_use_PrivateKey(context, identity.key.get());
  if (ask) SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, AcceptAny);
  return context;
}

class ClientTlsTest : public ::testing::Test {
 protected:
  Result<ClientResponse> Get(const RawServer& server, TlsSettings tls) {
    Client client({.tls = std::move(tls)});
    return client.Send({.url = server.Url(), .timeout = std::chrono::seconds(5)}, {});
  }
  static void Answer(RawConnection& connection) {
    while (!connection.ReadRequest().empty()) connection.Respond(200, "hello");
  }
  Identity ca_ = MakeIdentity("test ca", nullptr, "");
  Identity leaf_ = MakeIdentity("server", &ca_, "IP:127.0.0.1,DNS:localhost");
  ybis::testing::TempDir folder_;
};

TEST_F(ClientTlsTest, TrustsTheGivenAuthority) {
  RawServer server(Answer, ServerContext(leaf_));
  const auto response = Get(server, {.system_roots = false, .ca_pem = ca_.CertificatePem()});
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, "hello");
}

TEST_F(ClientTlsTest, SaysThatACertificateIsNotTrusted) {
  RawServer server(Answer, ServerContext(leaf_));
  const Identity other = MakeIdentity("another ca", nullptr, "");
  for (const TlsSettings& tls : {TlsSettings{.system_roots = true}, TlsSettings{.system_roots = false},
                                 TlsSettings{.system_roots = false, .ca_pem = other.CertificatePem()}}) {
    const auto response = Get(server, tls);
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().code, ErrorCode::kUnavailable);
    EXPECT_NE(response.error().message.find("certificate is not trusted"), std::string::npos)
        << response.error().message;
    EXPECT_NE(response.error().message.find(std::to_string(server.Port())), std::string::npos);
  }
}

TEST_F(ClientTlsTest, RefusesACertificateForAnotherName) {
  RawServer server(Answer, ServerContext(MakeIdentity("server", &ca_, "DNS:elsewhere.example,IP:127.0.0.2")));
  const auto response = Get(server, {.system_roots = false, .ca_pem = ca_.CertificatePem()});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kUnavailable);
}

TEST_F(ClientTlsTest, RefusesOldProtocolVersions) {
  SSL_CTX* context = ServerContext(leaf_);
  SSL_CTX_set_security_level(context, 0);
  SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
  SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
  RawServer server(Answer, context);
  EXPECT_FALSE(Get(server, {.system_roots = false, .ca_pem = ca_.CertificatePem()}));
}

TEST_F(ClientTlsTest, PresentsItsClientCertificate) {
  RawServer server(Answer, ServerContext(leaf_, true));
  const Identity client = MakeIdentity("client", &ca_, "");
  std::ofstream(folder_.path() / "tls.crt") << client.CertificatePem();
  std::ofstream(folder_.path() / "tls.key") << client.KeyPem();
  TlsSettings tls{.system_roots = false, .ca_pem = ca_.CertificatePem()};
  EXPECT_FALSE(Get(server, tls)) << "the server demands one";
  tls.client_cert_file = folder_.path() / "tls.crt";
  tls.client_key_file = folder_.path() / "tls.key";
  const auto response = Get(server, tls);
  ASSERT_TRUE(response) << response.error().message;
  tls.client_cert_file.clear();
  tls.client_certificate = [&]() -> Result<ClientCertificate> {
    return ClientCertificate{client.CertificatePem(), client.KeyPem()};
  };
  EXPECT_TRUE(Get(server, tls));
}

TEST_F(ClientTlsTest, NamesTheFileThatIsMissingOrWrong) {
  RawServer server(Answer, ServerContext(leaf_));
  std::ofstream(folder_.path() / "garbage.crt") << "not a certificate";
  for (const TlsSettings& tls :
       {TlsSettings{.system_roots = false, .ca_file = folder_.path() / "absent.crt"},
        TlsSettings{.system_roots = false, .ca_file = folder_.path() / "garbage.crt"},
        TlsSettings{.system_roots = false,
        .ca_pem = ca_.CertificatePem(),
        .client_cert_file = folder_.path() / "garbage.crt",
        .client_key_file = folder_.path() / "garbage.crt"}}) {
    const auto response = Get(server, tls);
    ASSERT_FALSE(response);
    EXPECT_NE(response.error().message.find(".crt"), std::string::npos) << response.error().message;
  }
}

TEST_F(ClientTlsTest, PicksUpARotatedAuthorityFile) {
  const Identity next_ca = MakeIdentity("next ca", nullptr, "");
  const auto file = folder_.path() / "ca.crt";
  std::ofstream(file) << ca_.CertificatePem();
  Client client({.tls = {.system_roots = false, .ca_file = file}});
  RawServer next(Answer, ServerContext(MakeIdentity("server", &next_ca, "IP:127.0.0.1")));
  EXPECT_FALSE(client.Send({.url = next.Url()}, {}));
  std::ofstream(file) << next_ca.CertificatePem();
  const auto response = client.Send({.url = next.Url()}, {});
  EXPECT_TRUE(response) << response.error().message;
}

}  // namespace
}  // namespace ybis::http
