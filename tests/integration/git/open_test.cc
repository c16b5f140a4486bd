// Opening repositories over https: what works, and what each thing that can be wrong is called.
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "base/file.h"
#include "tests/integration/git/fixture.h"

namespace ybis::git {
namespace {

namespace fs = std::filesystem;

class OpenRepository : public GitTest {
 protected:
  Error ErrorOf(const OpenRequest& request, const GitCredentials& credentials) const {
    auto bare = BareRepository::Open(program_, request, credentials, {});
    return bare ? Error{.code = ErrorCode::kInternal, .message = "it opened"} : bare.error();
  }
};

TEST_F(OpenRepository, FetchesTheDefaultBranchWithPasswordAndOwnCa) {
  const auto commit = server_->CreateRepository(Name(), {{"a.txt", "one\n"}});
  ASSERT_TRUE(commit) << commit.error().message;
  const auto bare = Open();
  ASSERT_TRUE(bare) << bare.error().message;
  EXPECT_EQ(bare->base_commit(), *commit);
  EXPECT_EQ(bare->default_branch(), "main");
  EXPECT_EQ(bare->resolved_ref(), "refs/heads/main");
  EXPECT_TRUE(fs::is_empty(volume_.path() / "private"));
}

TEST_F(OpenRepository, FindsTheDefaultBranchAmongVeryMany) {
  const std::string commit = server_->CreateRepository(Name(), {{"a.txt", "one\n"}}).value();
  std::string refs = "# pack-refs with: peeled fully-peeled sorted \n";
  for (int i = 0; i < 20'000; ++i) refs += fmt::format("{} refs/heads/feature/number-{:05}\n", commit, i);
  ASSERT_TRUE(WriteFileAtomic(server_->RepositoryPath(Name()) / "packed-refs", refs));
  const auto bare = Open();
  ASSERT_TRUE(bare) << bare.error().message;
  EXPECT_EQ(bare->base_commit(), commit);
  EXPECT_EQ(bare->resolved_ref(), "refs/heads/main");
}

TEST_F(OpenRepository, OpensAFolderOfAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to give a folder away";
  const std::string commit = server_->CreateRepository(Name(), {{"a.txt", "one\n"}}).value();
  const fs::path path = server_->RepositoryPath(Name());
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    ASSERT_EQ(::lchown(entry.path().c_str(), 12345, 12345), 0);
  }
  ASSERT_EQ(::lchown(path.c_str(), 12345, 12345), 0);
  OpenRequest request = Request();
  request.url = "file://" + path.string();
  const GitProgram program = Program(volume_.path(), true);
  const auto bare = BareRepository::Open(program, request, {}, {});
  ASSERT_TRUE(bare) << bare.error().message;
  EXPECT_EQ(bare->base_commit(), commit);
}

TEST_F(OpenRepository, WorksFromAFolderOfAnyName) {
  const std::string commit = server_->CreateRepository(Name(), {{"a", "1"}}).value();
  const std::filesystem::path odd = volume_.path() / "Zoë's 100%h @home; `x`";
  std::filesystem::create_directories(odd);
  const GitProgram program = Program(odd);
  OpenRequest request = Request();
  request.directory = odd / "repo.git";
  const auto bare = BareRepository::Open(program, request, Right(), {});
  ASSERT_TRUE(bare) << bare.error().message;
  EXPECT_EQ(bare->base_commit(), commit);
}

TEST_F(OpenRepository, TakesBranchesTagsAndCommits) {
  const std::string first = server_->CreateRepository(Name(), {{"a", "1"}}).value();
  const std::string second = server_->AddCommit(Name(), "feature/x", {{"a", "2"}}).value();
  ASSERT_TRUE(server_->Git(
      Name(), {"-c", "user.name=T", "-c", "user.email=t@example.com", "tag", "-a", "-m", "t", "v1", second}));
  EXPECT_EQ(Open("feature/x").value().base_commit(), second);
  EXPECT_EQ(Open("v1").value().base_commit(), second);
  EXPECT_EQ(Open("refs/heads/main").value().base_commit(), first);
  EXPECT_EQ(Open(second).value().base_commit(), second);
}

TEST_F(OpenRepository, FetchesNoHistory) {
  server_->CreateRepository(Name(), {{"a", "1"}}).value();
  server_->AddCommit(Name(), "main", {{"a", "2"}}).value();
  const auto bare = Open().value();
  EXPECT_TRUE(fs::exists(bare.directory() / "shallow"));
}

TEST_F(OpenRepository, OpensTheCommitOfACheckpointAfterTheBranchMovedOn) {
  const std::string first = server_->CreateRepository(Name(), {{"a", "1"}}).value();
  server_->AddCommit(Name(), "main", {{"a", "2"}}).value();
  OpenRequest request = Request();
  request.commit = first;
  EXPECT_EQ(BareRepository::Open(program_, request, Right(), {}).value().base_commit(), first);
}

TEST_F(OpenRepository, NeedsNoServerForACommitThatIsThere) {
  const std::string first = server_->CreateRepository(Name(), {{"a", "1"}}).value();
  ASSERT_TRUE(Open());
  OpenRequest request = Request();
  request.commit = first;
  request.url = "https://127.0.0.1:1/git/gone.git";
  EXPECT_TRUE(BareRepository::Open(program_, request, Right(), {}));
}

TEST_F(OpenRepository, SaysDeniedForAWrongPasswordAndNeverShowsIt) {
  server_->CreateRepository(Name(), {{"a", "1"}}).value();
  GitCredentials wrong = Right();
  wrong.password = "wr0ng-p4ss";
  const Error error = ErrorOf(Request(), wrong);
  EXPECT_EQ(error.code, ErrorCode::kDenied);
  EXPECT_FALSE(error.retryable);
  EXPECT_NE(error.message.find("credentialsSecretRef"), std::string::npos) << error.message;
  EXPECT_EQ(error.message.find("wr0ng"), std::string::npos) << error.message;
  EXPECT_TRUE(fs::is_empty(volume_.path() / "private"));
}

TEST_F(OpenRepository, SaysDeniedWithoutCredentials) {
  server_->CreateRepository(Name(), {{"a", "1"}}).value();
  const Error error = ErrorOf(Request(), GitCredentials::Load("", server_->ca_file()).value());
  EXPECT_EQ(error.code, ErrorCode::kDenied);
  EXPECT_NE(error.message.find("not public"), std::string::npos) << error.message;
}

TEST_F(OpenRepository, SaysDeniedForAnUnknownCa) {
  server_->CreateRepository(Name(), {{"a", "1"}}).value();
  for (const fs::path& ca : {server_->wrong_ca_file(), fs::path()}) {
    const Error error = ErrorOf(Request(), GitCredentials::Load(server_->HttpsSecret(), ca).value());
    EXPECT_EQ(error.code, ErrorCode::kDenied);
    EXPECT_NE(error.message.find("caBundleSecretRef"), std::string::npos) << error.message;
  }
}

TEST_F(OpenRepository, SaysNotFoundForAnUnknownRepository) {
  const Error error = ErrorOf(Request(), Right());
  EXPECT_EQ(error.code, ErrorCode::kNotFound);
  EXPECT_FALSE(error.retryable);
  EXPECT_NE(error.message.find(server_->Url(Name())), std::string::npos) << error.message;
}

TEST_F(OpenRepository, SaysNotFoundForAnUnknownRefOrCommit) {
  server_->CreateRepository(Name(), {{"a", "1"}}).value();
  const Error ref = ErrorOf(Request("no-such-branch"), Right());
  EXPECT_EQ(ref.code, ErrorCode::kNotFound);
  EXPECT_NE(ref.message.find("no-such-branch"), std::string::npos) << ref.message;
  const Error commit = ErrorOf(Request(std::string(40, '1')), Right());
  EXPECT_EQ(commit.code, ErrorCode::kNotFound) << commit.message;
}

TEST_F(OpenRepository, SaysNotFoundForAnEmptyRepository) {
  server_->CreateRepository(Name(), {{"a", "1"}}).value();
  ASSERT_TRUE(server_->Git(Name(), {"update-ref", "-d", "refs/heads/main"}));
  const Error error = ErrorOf(Request(), Right());
  EXPECT_EQ(error.code, ErrorCode::kNotFound);
  EXPECT_NE(error.message.find("empty"), std::string::npos) << error.message;
}

TEST_F(OpenRepository, SaysUnavailableWhenNothingListensOrTheNameIsUnknown) {
  for (const char* url : {"https://127.0.0.1:1/a.git", "https://no-such-host.invalid/a.git"}) {
    OpenRequest request = Request();
    request.url = url;
    const Error error = ErrorOf(request, Right());
    EXPECT_EQ(error.code, ErrorCode::kUnavailable) << error.message;
    EXPECT_TRUE(error.retryable);
  }
}

TEST_F(OpenRepository, SaysUnsupportedForSha256) {
  const fs::path path = server_->RepositoryPath(Name());
  server_->CreateRepository("base-of-sha256", {{"a", "1"}}).value();
  ASSERT_TRUE(server_->Git("base-of-sha256", {"init", "--bare", "--quiet", "--object-format=sha256",
                                              "--initial-branch=main", path}));
  const std::string tree = server_->Git(Name(), {"write-tree"}).value();
  const std::string commit = server_
                                 ->Git(Name(), {"-c", "user.name=T", "-c", "user.email=t@example.com",
                                                "commit-tree", "-m", "x", tree})
                                 .value();
  ASSERT_TRUE(server_->Git(Name(), {"update-ref", "refs/heads/main", commit}));
  const Error error = ErrorOf(Request(), Right());
  EXPECT_EQ(error.code, ErrorCode::kUnsupported) << error.message;
}

TEST_F(OpenRepository, EndsAtTheDeadlineAndAtAStop) {
  server_->CreateRepository(Name(), {{"a", "1"}}).value();
  Settings settings = program_.settings();
  settings.network_timeout = std::chrono::milliseconds(1);
  const auto late = BareRepository::Open(GitProgram::Create(settings).value(), Request(), Right(), {});
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::kTimeout) << late.error().message;
  std::stop_source stop;
  stop.request_stop();
  const auto stopped = BareRepository::Open(program_, Request(), Right(), stop.get_token());
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::kCancelled);
}

TEST_F(OpenRepository, GivesItsPasswordToNoOtherHost) {
  // The second server knows neither user nor password; were they sent, it would take them as wrong and say
  // so.
  server_->CreateRepository(Name(), {{"a", "1"}}).value();
  GitCredentials credentials = Right();
  GitCall call;
  call.git_dir = server_->RepositoryPath(Name());
  call.arguments = {"credential", "fill"};
  const RepositoryUrl url = ParseRepositoryUrl(server_->Url(Name())).value();
  call.input = "url=" + url.Origin() + "\n\n";
  const auto own = program_.RunNetwork(call, url, credentials, {});
  ASSERT_TRUE(own);
  EXPECT_NE(own->output.find("password=" + credentials.password), std::string::npos);
  call.input = "url=https://evil.example:443\n\n";
  const auto other = program_.RunNetwork(call, url, credentials, {});
  ASSERT_TRUE(other);
  EXPECT_NE(other->exit_code, 0);
  EXPECT_EQ(other->output.find("password="), std::string::npos);
}

TEST_F(OpenRepository, MendsLocksAndDamage) {
  const std::string commit = server_->CreateRepository(Name(), {{"a", "1"}}).value();
  { ASSERT_TRUE(Open()); }
  const fs::path bare = volume_.path() / "repo.git";
  for (const char* lock : {"shallow.lock", "config.lock", "refs/ybis/base.lock", "objects/pack/tmp_pack_x"}) {
    volume_.Write(std::string("repo.git/") + lock, "");
  }
  server_->AddCommit(Name(), "main", {{"a", "2"}}).value();
  { ASSERT_TRUE(Open()); }
  std::ofstream(bare / "HEAD") << "nonsense";
  fs::remove_all(bare / "refs");
  const auto again = Open(commit);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->base_commit(), commit);
}

TEST_F(OpenRepository, RefusesAFolderThatIsInUse) {
  server_->CreateRepository(Name(), {{"a", "1"}}).value();
  const auto first = Open();
  ASSERT_TRUE(first);
  const auto second = Open();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kConflict);
}

TEST_F(OpenRepository, OverwritesAConfigurationThatIsNotItsOwn) {
  server_->CreateRepository(Name(), {{"a", "1"}}).value();
  { ASSERT_TRUE(Open()); }
  std::ofstream(volume_.path() / "repo.git/config", std::ios::app)
      << "[url \"ext::evil\"]\n\tinsteadOf = https://\n";
  ASSERT_TRUE(Open());
  EXPECT_EQ(ReadFile(volume_.path() / "repo.git/config")->find("evil"), std::string::npos);
}

TEST_F(OpenRepository, ReadsLocalPathsInLocalModeOnly) {
  const std::string commit = server_->CreateRepository(Name(), {{"a", "1"}}).value();
  OpenRequest request = Request();
  request.url = server_->RepositoryPath(Name());
  EXPECT_EQ(ErrorOf(request, {}).code, ErrorCode::kInvalid);
  const auto bare = BareRepository::Open(Program(volume_.path(), true), request, {}, {});
  ASSERT_TRUE(bare) << bare.error().message;
  EXPECT_EQ(bare->base_commit(), commit);
}

TEST_F(OpenRepository, ReportsProgress) {
  std::map<std::string, std::string> files;
  for (int i = 0; i < 200; ++i) files["f" + std::to_string(i)] = std::to_string(i);
  server_->CreateRepository(Name(), files).value();
  std::vector<std::string> lines;
  ASSERT_TRUE(BareRepository::Open(program_, Request(), Right(), {},
                                   [&](std::string_view line) { lines.emplace_back(line); }));
  EXPECT_FALSE(lines.empty());
}

}  // namespace
}  // namespace ybis::git
