#include "cli/cluster/cluster_backend.h"

#include <gtest/gtest.h>

#include <sstream>

#include "base/digest.h"
#include "cli/follow.h"
#include "cli/wait_view.h"
#include "tests/cli/cluster/fake_cluster.h"
#include "tests/support/temp_dir.h"

namespace ybis::cli {
namespace {

using nlohmann::json;

class OnCluster : public ::testing::Test {
 protected:
  TaskView Find(const std::string& name) {
    auto task = backend_->Find(name, {});
    EXPECT_TRUE(task) << (task ? "" : task.error().message);
    return task ? *task : TaskView{};
  }
  json& TaskObject(const std::string& name) {
    return fake_.objects[std::string(FakeCluster::kTasks) + "/" + name];
  }
  NewTask FromFlags() {
    NewTask task;
    task.flags.name = "fresh";
    task.flags.objective = "Do it";
    task.flags.repo = "https://git.example.com/x.git";
    return task;
  }

  FakeCluster fake_;
  std::unique_ptr<ClusterBackend> backend_ = fake_.Backend();
};

TEST_F(OnCluster, CreatesTheTaskInTheNamespaceWithStrictFields) {
  const auto made = backend_->Create(FromFlags(), {});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->name, "fresh");
  EXPECT_EQ(TaskObject("fresh")["spec"]["objective"], "Do it");
  EXPECT_EQ(fake_.asked[0].path, std::string(FakeCluster::kTasks) + "?fieldValidation=Strict");
  EXPECT_NE(made->next.find("ybis run fresh --backend cluster"), std::string::npos) << made->next;
}

TEST_F(OnCluster, CreateRefusesANameThatIsTaken) {
  fake_.AddTask("fresh", "Running");
  const auto made = backend_->Create(FromFlags(), {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kExists);
}

TEST_F(OnCluster, CreateShowsTheFieldsThatTheServerRefuses) {
  fake_.answer = [](const FakeCluster::Asked& call) -> std::optional<http::ClientResponse> {
    if (call.method != "POST") return std::nullopt;
    return FakeCluster::Refuse(
        422, "Invalid",
        "YbisTask.ybis.dev \"fresh\" is invalid: spec.limits.maxRepairs: Invalid value: 99: "
        "should be less than or equal to 20");
  };
  const auto made = backend_->Create(FromFlags(), {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(made.error().message.find("YbisTask.ybis.dev"), 0U) << made.error().message;
  EXPECT_NE(made.error().message.find("spec.limits.maxRepairs"), std::string::npos);
}

TEST_F(OnCluster, AFolderIsNoRepositoryOfACluster) {
  NewTask task = FromFlags();
  task.flags.repo = ".";
  const auto made = backend_->Create(task, {});
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("https://"), std::string::npos) << made.error().message;
  EXPECT_TRUE(fake_.asked.empty());
}

TEST_F(OnCluster, AManifestOfAnotherNamespaceIsRefused) {
  testing::TempDir dir;
  NewTask task;
  task.file =
      dir.Write("t.yaml",
                "apiVersion: ybis.dev/v1alpha1\nkind: YbisTask\nmetadata: {name: x, namespace: other}\n"
                "spec: {objective: o, repository: {url: 'https://h/x'}}\n");
  const auto made = backend_->Create(task, {});
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("-n other"), std::string::npos) << made.error().message;
}

TEST_F(OnCluster, ListsByPhaseSortedAndLimitedOverPages) {
  fake_.AddTask("a", "Completed", "aaaa0000");
  fake_.AddTask("b", "Running", "bbbb0000")["spec"]["priority"] = "LOW";
  fake_.AddTask("c", "Running", "cccc0000")["spec"]["priority"] = "HIGH";
  const auto running =
      backend_->List({.phases = {"Running"}, .limit = 10, .order = control::TaskOrder::kPriority}, {});
  ASSERT_TRUE(running);
  ASSERT_EQ(running->size(), 2U);
  EXPECT_EQ((*running)[0].name, "c");
  const auto first = backend_->List({.limit = 1, .order = control::TaskOrder::kName}, {});
  ASSERT_EQ(first->size(), 1U);
  EXPECT_EQ((*first)[0].name, "a");
  EXPECT_EQ((*first)[0].run_id, "aaaa0000-1");
}

TEST_F(OnCluster, AllNamespacesAsksForAll) {
  (void)backend_->List({.all_namespaces = true}, {});
  EXPECT_TRUE(fake_.asked[0].path.starts_with("/apis/ybis.dev/v1alpha1/ybistasks?")) << fake_.asked[0].path;
}

TEST_F(OnCluster, FindsByNameUidAndRun) {
  fake_.AddTask("one", "Running", "abcd1234");
  fake_.AddTask("two", "Running", "abce5678");
  for (const char* reference : {"one", "abcd", "abcd1234", "abcd1234-1"})
    EXPECT_EQ(Find(reference).name, "one");
  for (const char* reference : {"abcd1234-2", "abcd1234-01"})
    EXPECT_EQ(backend_->Find(reference, {}).error().code, ErrorCode::kNotFound) << reference;
  const auto both = backend_->Find("abc", {});
  EXPECT_EQ(both.error().code, ErrorCode::kNotFound) << "three characters are too few";
  fake_.AddTask("three", "Running", "abcd9999");
  const auto several = backend_->Find("abcd", {});
  ASSERT_FALSE(several);
  EXPECT_EQ(several.error().code, ErrorCode::kInvalid);
  EXPECT_NE(several.error().message.find("one (abcd1234)"), std::string::npos) << several.error().message;
}

TEST_F(OnCluster, AStatusOfAnOlderSpecIsNotTheEnd) {
  json& task = fake_.AddTask("one", "Completed");
  EXPECT_TRUE(IsOver(Find("one")));
  task["metadata"]["generation"] = 2;
  EXPECT_FALSE(IsOver(Find("one")));
}

TEST_F(OnCluster, CancelSetsTheFieldAndRetryTakesItBack) {
  fake_.AddTask("one", "Running");
  const auto cancelled = backend_->Cancel(Find("one"), "why not", {});
  ASSERT_TRUE(cancelled);
  EXPECT_EQ(TaskObject("one")["spec"]["cancel"], true);
  EXPECT_EQ(TaskObject("one")["metadata"]["annotations"]["ybis.dev/cancel-reason"], "why not");
  ASSERT_TRUE(backend_->Retry(Find("one"), "plan", {}));
  EXPECT_FALSE(TaskObject("one")["spec"].contains("cancel"));
  const std::string token = TaskObject("one")["spec"]["rerun"]["token"];
  EXPECT_EQ(token.size(), 16U);
  EXPECT_EQ(TaskObject("one")["spec"]["rerun"]["fromNode"], "plan");
  ASSERT_TRUE(backend_->Retry(Find("one"), "", {}));
  EXPECT_NE(TaskObject("one")["spec"]["rerun"]["token"], token);
  EXPECT_FALSE(TaskObject("one")["spec"]["rerun"].contains("fromNode"));
}

TEST_F(OnCluster, ApplyStartsANewRunOnlyWhenTheLastIsOver) {
  ASSERT_TRUE(backend_->Apply(FromFlags(), {}));
  EXPECT_FALSE(TaskObject("fresh")["spec"].contains("rerun"));
  fake_.AddTask("fresh", "Running");
  const auto busy = backend_->Apply(FromFlags(), {});
  ASSERT_FALSE(busy);
  EXPECT_EQ(busy.error().code, ErrorCode::kConflict);
  fake_.AddTask("fresh", "Failed");
  const auto again = backend_->Apply(FromFlags(), {});
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_FALSE(IsOver(*again)) << "the operator has not looked yet";
  EXPECT_EQ(TaskObject("fresh")["spec"]["rerun"]["token"].get<std::string>().size(), 16U);
  EXPECT_NE(fake_.asked.back().path.find("fieldManager=ybis"), std::string::npos);
}

TEST_F(OnCluster, ApplyBeginsAtTheBeginningAfterARetryFromANode) {
  json& task = fake_.AddTask("fresh", "Failed");
  task["spec"]["rerun"] = {{"token", "t"}, {"fromNode", "verify"}};
  ASSERT_TRUE(backend_->Apply(FromFlags(), {}));
  EXPECT_EQ(TaskObject("fresh")["spec"]["rerun"].value("fromNode", ""), "")
      << "server-side apply leaves what another field manager set and this one does not name";
}

TEST_F(OnCluster, RunsAgainByAnotherWorkflow) {
  fake_.AddTask("one", "Failed")["spec"]["rerun"] = {{"token", "t"}, {"fromNode", "verify"}};
  const auto again = backend_->RunAgain(Find("one"), "codemod", {});
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->workflow, "codemod");
  EXPECT_FALSE(IsOver(*again)) << "the operator has not looked yet";
  EXPECT_NE(TaskObject("one")["spec"]["rerun"]["token"], "t");
  EXPECT_FALSE(TaskObject("one")["spec"]["rerun"].contains("fromNode"));
}

TEST_F(OnCluster, ReadsATaskThatIsNotThereWithoutAskingForIt) {
  const auto task = backend_->Read(FromFlags());
  ASSERT_TRUE(task) << task.error().message;
  EXPECT_EQ(task->spec.objective, "Do it");
  EXPECT_EQ(task->workflow, "ybis-native");
  EXPECT_TRUE(fake_.asked.empty());
}

class WaitingOnCluster : public OnCluster {
 protected:
  static constexpr const char* kDigest =
      "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
  WaitingOnCluster() {
    fake_.AddTask("one", "Blocked")["status"]["approval"] = {{"subjectDigest", kDigest}, {"required", 1}};
  }
  void Decided(const char* phase) {
    fake_.objects["/apis/ybis.dev/v1alpha1/namespaces/team/ybisapprovals/a"] = {
        {"apiVersion", "ybis.dev/v1alpha1"},
        {"kind", "YbisApproval"},
        {"metadata", {{"name", "a"}, {"namespace", "team"}, {"uid", "u"}}},
        {"spec",
         {{"taskRef", {{"name", "one"}}},
          {"runID", "abcd1234-1"},
          {"subjectDigest", kDigest},
          {"decision", "Approve"},
          {"approver", "me"}}},
        {"status", {{"phase", phase}}}};
  }
};

TEST_F(WaitingOnCluster, AWaitThatIsDecidedIsLookedAtUntilItEnds) {
  Decided("Applied");
  int looks = 0;
  fake_.answer = [&](const FakeCluster::Asked& call) -> std::optional<http::ClientResponse> {
    const bool looked = call.method == "GET" && call.path.ends_with("/ybistasks/one");
    if (looked && ++looks == 3) TaskObject("one")["status"]["phase"] = "Running";
    return std::nullopt;
  };
  const auto task = backend_->AfterDecisions(Find("one"), {});
  ASSERT_TRUE(task) << task.error().message;
  EXPECT_FALSE(IsOver(*task)) << "it goes on";
}

TEST_F(WaitingOnCluster, AWaitThatNobodyEndedComesBackAtOnce) {
  Decided("Counted");
  const TaskView before = Find("one");
  const size_t asked = fake_.asked.size();
  const auto task = backend_->AfterDecisions(before, {});
  ASSERT_TRUE(task) << task.error().message;
  EXPECT_TRUE(IsOver(*task));
  EXPECT_EQ(fake_.asked.size(), asked + 1);
}

TEST_F(OnCluster, ReadsTheRecord) {
  fake_.AddTask("one", "Completed");
  const std::string run = std::string(FakeCluster::kRuns) + "abcd1234-1";
  fake_.texts[run + "/events?after=0&limit=10"] =
      R"({"items":[{"id":3,"runID":"abcd1234-1","time":"2026-01-01T00:00:00Z","type":"RUN_QUEUED","message":"m"}]})";
  fake_.texts[run + "/nodes?after=0"] =
      R"({"items":[{"seq":1,"node":"plan","outcome":"ok","startTime":"2026-01-01T00:00:00Z","completionTime":"2026-01-01T00:00:01Z"}]})";
  fake_.texts[run + "/artifacts"] =
      R"({"items":[{"name":"nodes/1-plan/input.json","digest":"sha256:0","size":4}]})";
  fake_.texts[run + "/artifacts/nodes/1-plan/input.json"] = "{}";
  const TaskView task = Find("one");
  const auto events = backend_->Events(task, 0, 10, {});
  ASSERT_TRUE(events) << events.error().message;
  EXPECT_EQ(events->at(0).type, "RUN_QUEUED");
  const auto nodes = backend_->Nodes(task, 0, {});
  ASSERT_TRUE(nodes) << nodes.error().message;
  EXPECT_EQ(nodes->at(0).node, "plan");
  EXPECT_EQ(backend_->Artifacts(task, {})->at(0).name, "nodes/1-plan/input.json");
  EXPECT_EQ(*backend_->Artifact(task, "nodes/1-plan/input.json", {}), "{}");
}

TEST_F(OnCluster, AnOlderRunIsReadByItsIdAndNothingIsDoneToTheNewest) {
  json& object = fake_.AddTask("one", "Blocked");
  object["status"]["run"]["id"] = "abcd1234-2";
  object["status"]["run"]["number"] = 2;
  object["status"]["artifacts"] = json::array({{{"name", "plan.json"}, {"digest", "sha256:0"}, {"size", 2}}});
  fake_.texts[std::string(FakeCluster::kRuns) + "abcd1234-1/nodes?after=0"] =
      R"({"items":[{"seq":1,"node":"plan","outcome":"ok","startTime":"2026-01-01T00:00:00Z","completionTime":"2026-01-01T00:00:01Z"}]})";
  const TaskView older = Find("abcd1234-1");
  EXPECT_EQ(backend_->Nodes(older, 0, {})->at(0).node, "plan");
  EXPECT_TRUE(IsOver(older));
  EXPECT_FALSE(backend_->Artifacts(older, {})) << "the task names the newest run's";
  const Status newest = CheckNewest(older, ErrorCode::kConflict);
  EXPECT_EQ(newest.error().code, ErrorCode::kConflict);
  EXPECT_NE(newest.error().message.find("abcd1234-2"), std::string::npos) << newest.error().message;
  for (const char* reference : {"one", "abcd", "abcd1234-2"})
    EXPECT_TRUE(CheckNewest(Find(reference), ErrorCode::kConflict)) << reference;
}

TEST_F(OnCluster, ATaskWithoutARunHasNoRecord) {
  fake_.AddTask("one", "Pending")["status"].erase("run");
  const TaskView task = Find("one");
  const size_t before = fake_.asked.size();
  EXPECT_TRUE(backend_->Nodes(task, 0, {})->empty());
  EXPECT_TRUE(backend_->Events(task, 0, 10, {})->empty());
  EXPECT_EQ(fake_.asked.size(), before);
  EXPECT_EQ(backend_->Artifact(task, "patch.diff", {}).error().code, ErrorCode::kNotFound);
}

TEST_F(OnCluster, WithoutTheRecordSaysSoAndWhatToDo) {
  json& task = fake_.AddTask("one", "Completed");
  task["status"]["result"] = {{"decision", "approved"}, {"branch", "ybis/one"}, {"commit", "c"}};
  task["status"]["artifacts"] = json::array({{{"name", "plan.json"}, {"digest", "sha256:0"}, {"size", 2}}});
  const TaskView view = Find("one");
  const auto diff = backend_->Artifact(view, "patch.diff", {});
  ASSERT_FALSE(diff);
  EXPECT_EQ(diff.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(diff.error().message.find("recordApi.enabled"), std::string::npos) << diff.error().message;
  EXPECT_NE(diff.error().message.find("git fetch https://git.example.com/x.git ybis/one"), std::string::npos)
      << diff.error().message;
  EXPECT_EQ(backend_->Artifacts(view, {})->at(0).name, "plan.json");
  EXPECT_NE(backend_->Events(view, 0, 1, {}).error().message.find("kubectl -n team events"),
            std::string::npos);
}

TEST_F(OnCluster, OnlyTheChangeThatWaitsIsShownAsSuch) {
  json& task = fake_.AddTask("one", "Blocked");
  task["status"]["result"] = {{"decision", "blocked"}, {"patchDigest", Digest("waits\n")}};
  const std::string shown = std::string(FakeCluster::kRuns) + "abcd1234-1/artifacts/patch.diff";
  EXPECT_TRUE(CheckShown(*backend_, Find("one"))) << "what cannot be read is not judged";
  fake_.texts[shown] = "waits\n";
  EXPECT_TRUE(CheckShown(*backend_, Find("one")));
  fake_.texts[shown] = "of an attempt that died\n";
  const Status other = CheckShown(*backend_, Find("one"));
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message.find("not the change that waits"), std::string::npos);
  TaskObject("one")["status"]["phase"] = "Running";
  EXPECT_TRUE(CheckShown(*backend_, Find("one"))) << "a run under way is ahead of its report";
}

TEST_F(OnCluster, LogsComeFromTheNewestPodElseFromTheRecord) {
  fake_.AddTask("one", "Completed");
  const std::string run = std::string(FakeCluster::kRuns) + "abcd1234-1";
  fake_.texts[run + "/artifacts/logs.jsonl"] = "from the record\n";
  std::string out;
  const auto write = [&out](std::string_view text) { out += text; };
  ASSERT_TRUE(backend_->Logs(Find("one"), false, write, {}));
  EXPECT_EQ(out, "from the record\n");
  const std::string pods = "/api/v1/namespaces/team/pods/";
  fake_.objects[pods + "old"] = {
      {"metadata", {{"name", "old"}, {"creationTimestamp", "2026-01-01T00:00:00Z"}}}};
  fake_.objects[pods + "new"] = {
      {"metadata", {{"name", "new"}, {"creationTimestamp", "2026-01-01T00:00:09Z"}}}};
  fake_.texts[pods + "new/log?container=runner"] = "from the pod\n";
  fake_.texts[pods + "new/log?container=runner&follow=true"] = "followed\n";
  out.clear();
  ASSERT_TRUE(backend_->Logs(Find("one"), true, write, {}));
  EXPECT_EQ(out, "from the pod\n") << "a run that is over is not followed";
}

TEST_F(OnCluster, FollowsLogsUntilTheRunIsOver) {
  json& task = fake_.AddTask("one", "Running");
  const std::string pods = "/api/v1/namespaces/team/pods/";
  fake_.objects[pods + "p"] = {{"metadata", {{"name", "p"}, {"creationTimestamp", "2026-01-01T00:00:00Z"}}}};
  int tries = 0;
  fake_.answer = [&](const FakeCluster::Asked& call) -> std::optional<http::ClientResponse> {
    if (call.path.find("/log?") == std::string::npos) return std::nullopt;
    if (++tries == 1) return FakeCluster::Refuse(400, "BadRequest", "container is waiting to start");
    task["status"]["phase"] = "Completed";
    return http::ClientResponse{200, {}, "line\n"};
  };
  std::string out;
  const Status done = backend_->Logs(Find("one"), true, [&out](std::string_view text) { out += text; }, {});
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(out, "line\n");
  EXPECT_EQ(tries, 2);
}

TEST_F(OnCluster, FollowingATaskAsksNothingOfATerminal) {
  fake_.AddTask("one", "Completed");
  TaskView task = Find("one");
  task.spec.repository.url = "https://h/\x1b[2Jx";  // as a record from before such were refused has it
  std::ostringstream out, err;
  Context context{out, err, {}};
  EXPECT_EQ(FollowTask(context, *backend_, task, {}), kExitOk);
  EXPECT_EQ(out.str().find('\x1b'), std::string::npos) << out.str();
}

TEST_F(OnCluster, LeasesAreTheRunningOnes) {
  fake_.AddTask("one", "Running");
  fake_.AddTask("two", "Queued");
  const auto leases = backend_->Leases({});
  ASSERT_TRUE(leases);
  ASSERT_EQ(leases->size(), 1U);
  EXPECT_EQ((*leases)[0].lease.task, "team/one");
  EXPECT_EQ((*leases)[0].lease.holder, "job/j");
}

TEST_F(OnCluster, WorkflowsCarryWhyTheyAreNotAccepted) {
  fake_.objects["/apis/ybis.dev/v1alpha1/namespaces/team/ybisworkflows/w"] = {
      {"metadata",
       {{"name", "w"}, {"namespace", "team"}, {"uid", "u"}, {"creationTimestamp", "2026-01-01T00:00:00Z"}}},
      {"spec", {{"entryPoint", "a"}, {"exitPoints", {"a"}}, {"nodes", {{{"name", "a"}, {"type", "magic"}}}}}},
      {"status",
       {{"conditions",
         {{{"type", "Accepted"},
           {"status", "False"},
           {"reason", "Invalid"},
           {"message", "unknown type 'magic'"},
           {"lastTransitionTime", "2026-01-01T00:00:00Z"}}}}}}};
  const auto all = backend_->Workflows({});
  ASSERT_TRUE(all) << all.error().message;
  ASSERT_EQ(all->size(), 1U);
  EXPECT_NE(all->at(0).problem.find("magic"), std::string::npos) << all->at(0).problem;
  EXPECT_EQ(backend_->Workflow("none", {}).error().code, ErrorCode::kNotFound);
}

class Deciding : public OnCluster {
 protected:
  Deciding() {
    json& task = fake_.AddTask("one", "Blocked");
    task["status"]["approval"] = {{"subjectDigest", "sha256:77"},
                                  {"node", "gate"},
                                  {"required", 2},
                                  {"approvals", 1},
                                  {"approvers", {"bob"}},
                                  {"since", "2026-01-01T00:00:00Z"},
                                  {"expires", "2026-01-08T00:00:00Z"}};
    task["status"]["failure"] = {
        {"class", "Policy"}, {"reason", "ProtectedPath"}, {"message", "deploy/x.yaml"}};
    fake_.answer = [this](const FakeCluster::Asked& call) -> std::optional<http::ClientResponse> {
      if (call.path.find("selfsubjectreviews") != std::string::npos)
        return http::ClientResponse{201, {}, R"({"status":{"userInfo":{"username":"ada"}}})"};
      if (call.method != "POST") return std::nullopt;
      made_ = call.body;
      json stored = call.body;
      stored["metadata"]["uid"] = "u";
      stored["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z";
      stored["status"] = {{"phase", phase_}, {"message", "as the operator says"}};
      fake_.objects["/apis/ybis.dev/v1alpha1/namespaces/team/ybisapprovals/" +
                    call.body["metadata"]["name"].get<std::string>()] = stored;
      return http::ClientResponse{201, {}, stored.dump()};
    };
  }
  Result<control::ApprovalResult> Decide(const std::string& phase) {
    phase_ = phase;
    const TaskView task = Find("one");
    const auto wait = backend_->WaitOf(task, {});
    if (!wait) return Fail(wait.error());
    control::ApprovalRequest request;
    request.key = "0123abcd";
    request.run_id = (*wait)->run_id;
    request.subject_digest = (*wait)->subject_digest;
    request.decision = api::DecisionKind::kRevise;
    request.feedback = "smaller";
    request.approver = "somebody else";
    return backend_->Decide(task, request, {});
  }
  std::string phase_;
  json made_;
};

TEST_F(Deciding, ReadsWhatWaitsFromTheTask) {
  const auto wait = *backend_->WaitOf(Find("one"), {});
  ASSERT_TRUE(wait);
  EXPECT_EQ(wait->subject_digest, "sha256:77");
  EXPECT_EQ(wait->required, 2);
  EXPECT_EQ(wait->approvers, std::vector<std::string>{"bob"});
  EXPECT_EQ(wait->reason, "ProtectedPath");
  EXPECT_EQ(FormatRfc3339(wait->expires), "2026-01-08T00:00:00Z");
  fake_.AddTask("two", "Running", "ffff0000");
  EXPECT_FALSE(*backend_->WaitOf(Find("two"), {}));
}

TEST_F(Deciding, MakesAnApprovalInOurOwnNameAboutWhatWasLookedAt) {
  const auto result = Decide("Applied");
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->verdict, control::ApprovalVerdict::kDecided);
  EXPECT_EQ(result->message, "as the operator says");
  EXPECT_EQ(made_["metadata"]["name"], "one-0123abcd");
  const json expected = {{"taskRef", {{"name", "one"}}}, {"runID", "abcd1234-1"},
                         {"subjectDigest", "sha256:77"}, {"decision", "Revise"},
                         {"feedback", "smaller"},        {"approver", "ada"}};
  EXPECT_EQ(made_["spec"], expected) << made_;
  const json owner = {{"apiVersion", "ybis.dev/v1alpha1"},
                      {"kind", "YbisTask"},
                      {"name", "one"},
                      {"uid", "abcd1234-0000-4000-8000-000000000000"}};
  EXPECT_EQ(made_["metadata"]["ownerReferences"], json::array({owner})) << "it goes with its task";
}

TEST_F(Deciding, TellsWhatCameOfIt) {
  EXPECT_EQ(Decide("Counted")->verdict, control::ApprovalVerdict::kCounted);
  EXPECT_EQ(Decide("Stale")->verdict, control::ApprovalVerdict::kStale);
  EXPECT_EQ(Decide("Refused")->verdict, control::ApprovalVerdict::kRefused);
}

TEST_F(OnCluster, ForbiddenNamesVerbResourceAndRole) {
  fake_.answer = [](const FakeCluster::Asked&) {
    return std::optional(FakeCluster::Refuse(403, "Forbidden",
                                             "ybistasks.ybis.dev is forbidden: User \"eve\" cannot list "
                                             "resource \"ybistasks\" in API group \"ybis.dev\" "
                                             "in the namespace \"team\""));
  };
  const auto tasks = backend_->List({}, {});
  ASSERT_FALSE(tasks);
  EXPECT_EQ(tasks.error().code, ErrorCode::kDenied);
  EXPECT_EQ(tasks.error().message,
            "not allowed: ybistasks.ybis.dev is forbidden: User \"eve\" cannot list resource \"ybistasks\" "
            "in API group "
            "\"ybis.dev\" in the namespace \"team\"; ask for the ClusterRole ybis-task-viewer in that "
            "namespace (chart "
            "ybis)");
}

TEST_F(OnCluster, ARefusedCredentialAndAMissingKindAreExplained) {
  fake_.answer = [](const FakeCluster::Asked&) {
    return std::optional(FakeCluster::Refuse(401, "Unauthorized", "Unauthorized"));
  };
  EXPECT_NE(backend_->List({}, {}).error().message.find("refuses your credentials"), std::string::npos);
  fake_.answer = [](const FakeCluster::Asked&) {
    return std::optional(
        FakeCluster::Refuse(404, "NotFound", "the server could not find the requested resource"));
  };
  const Error missing = backend_->List({}, {}).error();
  EXPECT_EQ(missing.code, ErrorCode::kUnsupported);
  EXPECT_NE(missing.message.find("install the chart"), std::string::npos) << missing.message;
}

TEST(Connect, SaysThatNoClusterAnswersInOneLine) {
  testing::TempDir dir;
  BackendOptions options;
  options.kubeconfig =
      dir.Write("config",
                "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
                "clusters: [{name: k, cluster: {server: 'https://127.0.0.1:1'}}]\n"
                "users: [{name: u, user: {token: t}}]\n"
                "contexts: [{name: c, context: {cluster: k, user: u, namespace: from-context}}]\n");
  const auto backend = ClusterBackend::Open(options, {});
  ASSERT_TRUE(backend) << backend.error().message;
  const auto tasks = (*backend)->List({}, {});
  ASSERT_FALSE(tasks);
  EXPECT_TRUE(tasks.error().message.starts_with("no cluster answers at https://127.0.0.1:1 "))
      << tasks.error().message;
  EXPECT_EQ(tasks.error().message.find('\n'), std::string::npos);
  options.kubeconfig = dir.path() / "none";
  EXPECT_FALSE(ClusterBackend::Open(options, {}));
}

}  // namespace
}  // namespace ybis::cli
