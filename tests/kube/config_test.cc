#include "kube/config.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/file.h"
#include "kube/token_source.h"
#include "tests/support/temp_dir.h"

namespace ybis::kube {
namespace {

using std::chrono::seconds;

class ConfigTest : public ::testing::Test {
 protected:
  Result<Connection> Load(const std::string& yaml, const std::string& context = "") {
    const auto file = folder_.Write("config", yaml);
    return KubeconfigConnection({.files = {file}, .context = context}, env_, clock_, {});
  }
  /// A kubeconfig of one context whose cluster and user hold these lines.
  static std::string Config(const std::string& cluster, const std::string& user) {
    return "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- name: c\n  context: {cluster: k, "
           "user: u, "
           "namespace: team}\nclusters:\n- name: k\n  cluster:\n" +
           cluster + "users:\n- name: u\n  user:\n" + user;
  }
  void ExpectRefused(const std::string& cluster, const std::string& user, ErrorCode code,
                     const std::string& names) {
    const auto connection = Load(Config(cluster, user));
    ASSERT_FALSE(connection) << cluster << user;
    EXPECT_EQ(connection.error().code, code) << connection.error().message;
    EXPECT_NE(connection.error().message.find(names), std::string::npos) << connection.error().message;
    EXPECT_NE(connection.error().message.find("config"), std::string::npos) << "names the file";
  }
  const std::string server_ = "    server: https://api.test:6443\n";
  ybis::testing::TempDir folder_;
  FakeClock clock_{TimePoint(std::chrono::hours(500'000))};
  Environment env_{{"PATH", "/usr/bin:/bin"}, {"HOME", "/nowhere"}};
};

TEST_F(ConfigTest, ReadsServerCaTokenAndNamespace) {
  const auto connection =
      Load(Config(server_ + "    certificate-authority-data: " + Base64Encode("PEM") + "\n",
                  "    token: the-token-1234\n"));
  ASSERT_TRUE(connection) << connection.error().message;
  EXPECT_EQ(connection->server, "https://api.test:6443");
  EXPECT_EQ(connection->tls.ca_pem, "PEM");
  EXPECT_FALSE(connection->tls.system_roots) << "a named CA is the only one";
  EXPECT_EQ(connection->default_namespace, "team");
  EXPECT_EQ(connection->token->Token({}).value(), "the-token-1234");
}

TEST_F(ConfigTest, TakesFilesRelativeToTheKubeconfig) {
  folder_.Write("pki/ca.crt", "CA");
  folder_.Write("pki/me.crt", "CERT");
  folder_.Write("pki/me.key", "KEY");
  folder_.Write("token", " from-file \n");
  const auto connection =
      Load(Config("    server: https://h/\n    certificate-authority: pki/ca.crt\n",
                  "    client-certificate: pki/me.crt\n    client-key: pki/me.key\n    tokenFile: token\n"));
  ASSERT_TRUE(connection) << connection.error().message;
  EXPECT_EQ(connection->server, "https://h") << "no slash at the end";
  EXPECT_EQ(connection->tls.ca_file, (folder_.path() / "pki/ca.crt").string());
  EXPECT_EQ(connection->tls.client_key_file, (folder_.path() / "pki/me.key").string());
  EXPECT_EQ(connection->token->Token({}).value(), "from-file");
}

TEST_F(ConfigTest, MixesCertificateDataWithAKeyFile) {
  folder_.Write("me.key", "KEY");
  const auto connection = Load(
      Config(server_, "    client-certificate-data: " + Base64Encode("CERT") + "\n    client-key: me.key\n"));
  ASSERT_TRUE(connection) << connection.error().message;
  const auto identity = connection->tls.client_certificate();
  EXPECT_EQ(identity->certificate_pem, "CERT");
  EXPECT_EQ(identity->key_pem, "KEY");
}

TEST_F(ConfigTest, RefusesWhatIsUnsafeOrUnsupportedByName) {
  ExpectRefused(server_ + "    insecure-skip-tls-verify: true\n", "    token: t\n", ErrorCode::kUnsupported,
                "clusters[0].cluster.insecure-skip-tls-verify");
  ExpectRefused(server_ + "    proxy-url: http://p\n", "    token: t\n", ErrorCode::kUnsupported,
                "proxy-url");
  ExpectRefused(server_ + "    tls-server-name: x\n", "    token: t\n", ErrorCode::kUnsupported,
                "tls-server-name");
  ExpectRefused(server_, "    username: a\n", ErrorCode::kUnsupported, "users[0].user.username");
  ExpectRefused(server_, "    as: admin\n", ErrorCode::kUnsupported, "users[0].user.as");
  ExpectRefused(server_, "    auth-provider: {name: gcp}\n", ErrorCode::kUnsupported, "auth-provider");
  ExpectRefused("    server: http://far.example\n", "    token: t\n", ErrorCode::kUnsupported, "https://");
  ExpectRefused("    server: http://127.0.0.1.far.example\n", "    token: t\n", ErrorCode::kUnsupported,
                "https://");
  EXPECT_TRUE(Load(Config(server_ + "    insecure-skip-tls-verify: false\n", "    token: t\n")));
  EXPECT_TRUE(Load(Config("    server: http://127.0.0.1:8001\n", "    token: t\n"))) << "kubectl proxy";
}

TEST_F(ConfigTest, NamesTheFieldThatIsWrong) {
  ExpectRefused("    server: 5\n", "    token: t\n", ErrorCode::kInvalid, "clusters[0].cluster.server");
  ExpectRefused("    server: https://[::1]:6443\n", "    token: t\n", ErrorCode::kInvalid, "IPv6");
  ExpectRefused("    nothing: x\n", "    token: t\n", ErrorCode::kInvalid, "clusters[0].cluster.server");
  ExpectRefused(server_ + "    certificate-authority-data: '***'\n", "    token: t\n", ErrorCode::kInvalid,
                "certificate-authority-data");
  ExpectRefused(server_, "    client-key-data: a2V5\n", ErrorCode::kInvalid, "client-certificate");
  ExpectRefused(server_, "    token: [1]\n", ErrorCode::kInvalid, "users[0].user.token");
  ExpectRefused(server_, "    exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: x}\n",
                ErrorCode::kInvalid, "users[0].user.exec.apiVersion");
  ExpectRefused(server_ + "    certificate-authority: absent.crt\n", "    token: t\n", ErrorCode::kNotFound,
                "absent.crt");
}

TEST_F(ConfigTest, NamesContextsThatAreNotThere) {
  const auto absent = Load(Config(server_, "    token: t\n"), "other");
  ASSERT_FALSE(absent);
  EXPECT_NE(absent.error().message.find("'other'"), std::string::npos);
  EXPECT_FALSE(Load("contexts: []\n"));
  EXPECT_FALSE(Load("current-context: a\ncontexts:\n- name: a\n  context: {cluster: gone, user: u}\n"));
  EXPECT_FALSE(Load("- a\n"));
  EXPECT_FALSE(Load("contexts: [5]\ncurrent-context: a\n"));
}

TEST_F(ConfigTest, MergesAListOfFilesFirstOneWins) {
  const auto one =
      folder_.Write("one", "current-context: a\ncontexts:\n- name: a\n  context: {cluster: k, user: u}\n");
  const auto two = folder_.Write("two",
                                 "current-context: b\nclusters:\n- name: k\n  cluster: {server: "
                                 "'https://two'}\nusers:\n- name: u\n  user: {token: t2}\n"
                                 "contexts:\n- name: a\n  context: {cluster: wrong, user: wrong}\n");
  env_["KUBECONFIG"] = one.string() + ":/does/not/exist:" + two.string();
  const auto connection = KubeconfigConnection({}, env_, clock_, {});
  ASSERT_TRUE(connection) << connection.error().message;
  EXPECT_EQ(connection->server, "https://two");
  EXPECT_EQ(connection->default_namespace, "default");
}

TEST_F(ConfigTest, SaysWhereItLookedWhenThereIsNone) {
  env_.erase("HOME");
  const auto none = KubeconfigConnection({}, env_, clock_, {});
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("KUBECONFIG"), std::string::npos);
}

TEST_F(ConfigTest, ConnectsFromInsideAPod) {
  folder_.Write("sa/ca.crt", "CA");
  folder_.Write("sa/token", "pod-token-1");
  folder_.Write("sa/namespace", "ybis-system\n");
  env_["KUBERNETES_SERVICE_HOST"] = "10.96.0.1";
  env_["KUBERNETES_SERVICE_PORT"] = "443";
  const auto connection = InClusterConnection(env_, clock_, folder_.path() / "sa");
  ASSERT_TRUE(connection) << connection.error().message;
  EXPECT_EQ(connection->server, "https://10.96.0.1:443");
  EXPECT_EQ(connection->default_namespace, "ybis-system");
  EXPECT_FALSE(connection->tls.system_roots);
  EXPECT_EQ(connection->token->Token({}).value(), "pod-token-1");

  env_["KUBERNETES_SERVICE_HOST"] = "fd00::1";
  const auto v6 = InClusterConnection(env_, clock_, folder_.path() / "sa");
  ASSERT_TRUE(v6) << v6.error().message;
  EXPECT_EQ(v6->server, "https://kubernetes.default.svc:443");
  env_.erase("KUBERNETES_SERVICE_PORT");
  EXPECT_FALSE(InClusterConnection(env_, clock_, folder_.path() / "sa"));
}

TEST_F(ConfigTest, ReadsARotatedTokenAgain) {
  const auto path = folder_.Write("token", "first-token");
  FileToken token(path, clock_);
  EXPECT_EQ(token.Token({}).value(), "first-token");
  folder_.Write("token", "second-token");
  EXPECT_EQ(token.Token({}).value(), "first-token") << "within the minute";
  clock_.Advance(seconds(61));
  EXPECT_EQ(token.Token({}).value(), "second-token");
  folder_.Write("token", "third-token");
  token.Refused();
  EXPECT_EQ(token.Token({}).value(), "third-token") << "at once after a refusal";
  std::filesystem::remove(path);
  token.Refused();
  EXPECT_EQ(token.Token({}).value(), "third-token") << "the last one goes on being used";
}

class ExecTokenTest : public ConfigTest {
 protected:
  /// A connection whose user asks a shell script; each run adds a line to the file `runs`.
  Result<Connection> WithPlugin(const std::string& script, const std::string& more = "",
                                const std::string& cluster = "") {
    const auto path = folder_.Write(
        "plugin", "#!/bin/sh\necho run >> " + (folder_.path() / "runs").string() + "\n" + script);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return Load(
        Config(server_ + cluster,
               "    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: ./plugin\n"
               "      args: [get, token]\n      env:\n      - {name: WHO, value: me}\n" +
                   more));
  }
  int Runs() {
    std::ifstream file(folder_.path() / "runs");
    return static_cast<int>(std::count(std::istreambuf_iterator<char>(file), {}, '\n'));
  }
  static std::string Credential(const std::string& status) {
    return "echo "
           "'{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":" +
           status + "}'\n";
  }
};

TEST_F(ExecTokenTest, RunsThePluginOnceUntilTheTokenExpires) {
  const std::string expires = FormatRfc3339(clock_.Now() + seconds(600));
  const auto connection =
      WithPlugin(Credential(R"({"token":"exec-'"$WHO-$1-$2"'","expirationTimestamp":")" + expires + "\"}"));
  ASSERT_TRUE(connection) << connection.error().message;
  EXPECT_EQ(Runs(), 0) << "not before it is needed";
  const auto token = connection->token->Token({});
  ASSERT_TRUE(token) << token.error().message;
  EXPECT_EQ(*token, "exec-me-get-token");
  EXPECT_TRUE(connection->token->Token({}));
  EXPECT_EQ(Runs(), 1);
  clock_.Advance(seconds(595));
  EXPECT_TRUE(connection->token->Token({}));
  EXPECT_EQ(Runs(), 2) << "a little before it expires";
  connection->token->Refused();
  EXPECT_TRUE(connection->token->Token({}));
  EXPECT_EQ(Runs(), 3);
}

TEST_F(ExecTokenTest, TakesAClientCertificate) {
  const auto connection = WithPlugin(Credential(R"({"clientCertificateData":"CERT","clientKeyData":"KEY"})"));
  ASSERT_TRUE(connection);
  EXPECT_EQ(connection->token->Token({}).value(), "");
  EXPECT_EQ(connection->tls.client_certificate()->key_pem, "KEY");
}

/// What the plugin was told, as it found it in its environment.
class ExecInfoTest : public ExecTokenTest {
 protected:
  nlohmann::json Told(const std::string& more, const std::string& cluster = "") {
    const std::string file = (folder_.path() / "info").string();
    const auto connection =
        WithPlugin("printf %s \"$KUBERNETES_EXEC_INFO\" > " + file + "\n" + Credential(R"({"token":"t"})"),
                   more, cluster);
    if (!connection || !connection->token->Token({})) return nullptr;
    return nlohmann::json::parse(ReadFile(file).value());
  }
};

TEST_F(ExecInfoTest, TellsOfTheClusterOnlyWhenAsked) {
  const nlohmann::json info = Told("", "    certificate-authority-data: " + Base64Encode("PEM") + "\n");
  EXPECT_EQ(info, (nlohmann::json{{"apiVersion", "client.authentication.k8s.io/v1"},
                                  {"kind", "ExecCredential"},
                                  {"spec", {{"interactive", false}}}}));
}

TEST_F(ExecInfoTest, TellsOfTheClusterAsGkesPluginAsks) {
  const nlohmann::json info =
      Told("      provideClusterInfo: true\n",
           "    certificate-authority-data: " + Base64Encode("PEM") +
               "\n    extensions:\n    - {name: other, extension: {a: 1}}\n"
               "    - {name: client.authentication.k8s.io/exec, extension: {audience: me}}\n");
  EXPECT_EQ(info["spec"], (nlohmann::json{{"interactive", false},
                                          {"cluster",
                                           {{"server", "https://api.test:6443"},
                                            {"certificate-authority-data", Base64Encode("PEM")},
                                            {"config", {{"audience", "me"}}}}}}));
}

TEST_F(ExecInfoTest, HandsTheCasFileOverAsData) {
  folder_.Write("ca.crt", "FROM-FILE");
  const nlohmann::json info = Told("      provideClusterInfo: true\n", "    certificate-authority: ca.crt\n");
  EXPECT_EQ(info["spec"]["cluster"]["certificate-authority-data"], Base64Encode("FROM-FILE"));
}

TEST_F(ExecTokenTest, TellsWhatThePluginDidWrong) {
  const std::map<std::string, std::string> cases = {{"echo oops >&2; exit 3\n", "oops"},
                                                    {"echo not json secret-token\n", "is not JSON"},
                                                    {"echo '{}'\n", "apiVersion"},
                                                    {Credential("{}"), "neither"},
                                                    {Credential("{\"token\":5}"), "status.token"}};
  for (const auto& [script, words] : cases) {
    const auto token = WithPlugin(script)->token->Token({});
    ASSERT_FALSE(token) << script;
    EXPECT_NE(token.error().message.find(words), std::string::npos) << token.error().message;
    EXPECT_NE(token.error().message.find("users[0].user.exec"), std::string::npos) << token.error().message;
    EXPECT_EQ(token.error().message.find("secret-token"), std::string::npos);
  }
}

TEST_F(ExecTokenTest, NamesAPluginThatIsNotInstalled) {
  const auto connection = Load(
      Config(server_,
             "    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: no-such-plugin\n"
             "      installHint: install it from the shop\n"));
  ASSERT_TRUE(connection);
  const auto token = connection->token->Token({});
  ASSERT_FALSE(token);
  EXPECT_NE(token.error().message.find("no-such-plugin"), std::string::npos);
  EXPECT_NE(token.error().message.find("install it from the shop"), std::string::npos);
}

}  // namespace
}  // namespace ybis::kube
