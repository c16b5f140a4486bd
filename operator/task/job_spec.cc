#include "operator/task/job_spec.h"

#include <nlohmann/json.hpp>

#include "control/token_auth.h"
#include "operator/task/snapshot.h"

namespace ybis::op {
namespace {

using nlohmann::json;

constexpr int kUser = 10001;        // the runner image's user
constexpr int kReadByGroup = 0440;  // files of Secrets: root's, readable by the pod's group alone
constexpr int kTaskFailed = 10;     // the runner's exit codes (runner/engine/exit_code.h)
constexpr int kBlocked = 40;
constexpr int kUsage = 64;
constexpr char kWaitWhenBlocked[] = "30";  // seconds: for the operator to suspend the Job
constexpr int kTokenSeconds = 3600;
constexpr int kDeadlineSlack = 120;  // the record's own deadline comes first and tells more
constexpr char kIdentityDir[] = "/var/run/ybis/identity";
constexpr char kGitCredentialsDir[] = "/var/run/ybis/git-credentials";
constexpr char kGitCaDir[] = "/var/run/ybis/git-ca";
constexpr char kWorkspaceDir[] = "/workspace";

json Labels(const JobInputs& in) {
  return {{"app.kubernetes.io/name", "ybis-runner"},
          {"app.kubernetes.io/part-of", "ybis"},
          {"app.kubernetes.io/component", "runner"},
          {"app.kubernetes.io/instance", in.task.meta.name},
          {std::string(api::kManagedByLabel), api::kManagedBy},
          {std::string(api::kTaskNameLabel), in.task.meta.name},
          {std::string(api::kTaskUidLabel), in.task.meta.uid},
          {std::string(api::kRunIdLabel), in.run.run_id}};
}

json Metadata(const JobInputs& in) {
  json labels = Labels(in);
  if (!in.task.spec.queue_name.empty()) labels["kueue.x-k8s.io/queue-name"] = in.task.spec.queue_name;
  return {{"name", JobName(in.run.run_id)},
          {"namespace", in.task.meta.namespace_name},
          {"labels", labels},
          {"ownerReferences",
           {{{"apiVersion", api::kApiVersion},
             {"kind", "YbisTask"},
             {"name", in.task.meta.name},
             {"uid", in.task.meta.uid},
             {"controller", true},
             {"blockOwnerDeletion", false}}}}};
}

json Arguments(const JobInputs& in) {
  const std::string identity = kIdentityDir;
  json args = {"--run-id",           in.run.run_id,  "--api-url",         in.run_api_url, "--api-ca",
               identity + "/ca.crt", "--token-file", identity + "/token", "--workspace",  kWorkspaceDir};
  if (!in.task.spec.repository.credentials_secret.empty()) {
    args.push_back("--git-credentials-dir");
    args.push_back(kGitCredentialsDir);
  }
  if (!in.task.spec.repository.ca_bundle_secret.empty()) {
    args.push_back("--git-ca-file");
    args.push_back(std::string(kGitCaDir) + "/ca.crt");
  }
  return args;
}

json Mount(const char* name, const char* path, bool read_only) {
  json mount = {{"name", name}, {"mountPath", path}};
  if (read_only) mount["readOnly"] = true;
  return mount;
}

json Mounts(const JobInputs& in) {
  json mounts = {Mount("identity", kIdentityDir, true), Mount("workspace", kWorkspaceDir, false),
                 Mount("tmp", "/tmp", false)};
  if (!in.task.spec.repository.credentials_secret.empty()) {
    mounts.push_back(Mount("git-credentials", kGitCredentialsDir, true));
  }
  if (!in.task.spec.repository.ca_bundle_secret.empty()) mounts.push_back(Mount("git-ca", kGitCaDir, true));
  return mounts;
}

/// The token proves the pod to the Run API; the authority comes along as an annotation of the pod, so that no
/// namespace needs a ConfigMap of ours.
json IdentityVolume() {
  const json token = {
      {"path", "token"}, {"audience", control::kTokenAudience}, {"expirationSeconds", kTokenSeconds}};
  const json ca = {
      {"path", "ca.crt"},
      {"fieldRef", {{"fieldPath", fmt::format("metadata.annotations['{}']", kRunApiCaAnnotation)}}}};
  return {{"name", "identity"},
          {"projected",
           {{"defaultMode", kReadByGroup},
            {"sources", {{{"serviceAccountToken", token}}, {{"downwardAPI", {{"items", {ca}}}}}}}}}};
}

json WorkspaceVolume(const JobInputs& in) {
  const api::WorkspaceSpec& spec = in.task.spec.workspace;
  const control::RunnerConfig& defaults = in.config.runner;
  const std::string size = spec.size.empty() ? defaults.workspace_size : spec.size;
  const std::string medium = spec.medium.empty() ? defaults.workspace_medium : spec.medium;
  if (medium == "EmptyDir") return {{"name", "workspace"}, {"emptyDir", {{"sizeLimit", size}}}};
  json claim = {{"accessModes", {"ReadWriteOnce"}}, {"resources", {{"requests", {{"storage", size}}}}}};
  const std::string storage_class =
      spec.storage_class_name.empty() ? defaults.storage_class_name : spec.storage_class_name;
  if (!storage_class.empty()) claim["storageClassName"] = storage_class;
  const json claim_template = {{"metadata", {{"labels", Labels(in)}}}, {"spec", claim}};
  return {{"name", "workspace"}, {"ephemeral", {{"volumeClaimTemplate", claim_template}}}};
}

json SecretVolume(const char* name, const std::string& secret) {
  return {{"name", name}, {"secret", {{"secretName", secret}, {"defaultMode", kReadByGroup}}}};
}

json Volumes(const JobInputs& in) {
  json volumes = {
      IdentityVolume(), WorkspaceVolume(in), {{"name", "tmp"}, {"emptyDir", {{"sizeLimit", "1Gi"}}}}};
  const api::RepositorySpec& repository = in.task.spec.repository;
  if (!repository.credentials_secret.empty()) {
    volumes.push_back(SecretVolume("git-credentials", repository.credentials_secret));
  }
  if (!repository.ca_bundle_secret.empty()) {
    json volume = SecretVolume("git-ca", repository.ca_bundle_secret);
    volume["secret"]["items"] = {{{"key", "ca.crt"}, {"path", "ca.crt"}}};
    volumes.push_back(std::move(volume));
  }
  return volumes;
}

json Resources(const JobInputs& in) {
  if (in.task.spec.runner.resources) return *in.task.spec.runner.resources;
  json resources = json::object();
  if (!in.config.runner.requests.empty()) resources["requests"] = in.config.runner.requests;
  if (!in.config.runner.limits.empty()) resources["limits"] = in.config.runner.limits;
  return resources;
}

/// An environment variable, since a runner of an older image would leave over a flag that it does not know.
json Environment() {
  return {{{"name", "HOME"}, {"value", "/tmp"}},
          {{"name", "TMPDIR"}, {"value", "/tmp"}},
          {{"name", "YBIS_WAIT_WHEN_BLOCKED"}, {"value", kWaitWhenBlocked}}};
}

json Container(const JobInputs& in) {
  const std::string& image = in.task.spec.runner.image;
  return {{"name", kRunnerContainer},
          {"image", image.empty() ? in.config.runner.image : image},
          {"imagePullPolicy", in.config.runner.image_pull_policy},
          {"args", Arguments(in)},
          {"env", Environment()},
          {"resources", Resources(in)},
          {"securityContext",
           {{"allowPrivilegeEscalation", false},
            {"readOnlyRootFilesystem", true},
            {"capabilities", {{"drop", {"ALL"}}}}}},
          {"terminationMessagePolicy", "FallbackToLogsOnError"},
          {"volumeMounts", Mounts(in)}};
}

void AddPlacement(const api::RunnerSpec& runner, json& pod) {
  if (!runner.node_selector.empty()) pod["nodeSelector"] = runner.node_selector;
  if (runner.tolerations) pod["tolerations"] = *runner.tolerations;
  if (!runner.priority_class_name.empty()) pod["priorityClassName"] = runner.priority_class_name;
  if (!runner.runtime_class_name.empty()) pod["runtimeClassName"] = runner.runtime_class_name;
}

json PodSpec(const JobInputs& in) {
  json pod = {{"restartPolicy", "Never"},
              {"automountServiceAccountToken", false},
              {"enableServiceLinks", false},
              {"terminationGracePeriodSeconds", 30},
              {"securityContext",
               {{"runAsNonRoot", true},
                {"runAsUser", kUser},
                {"runAsGroup", kUser},
                {"fsGroup", kUser},
                {"fsGroupChangePolicy", "OnRootMismatch"},
                {"seccompProfile", {{"type", "RuntimeDefault"}}}}},
              {"containers", {Container(in)}},
              {"volumes", Volumes(in)}};
  if (!in.config.runner.service_account.empty()) pod["serviceAccountName"] = in.config.runner.service_account;
  for (const std::string& name : in.config.runner.image_pull_secrets) {
    pod["imagePullSecrets"].push_back({{"name", name}});
  }
  AddPlacement(in.task.spec.runner, pod);
  return pod;
}

/// A drained node is nobody's fault, and neither is a run that waits for a person; a task that failed for
/// good is not worth another pod.
json FailurePolicy() {
  const json ignore = {{"action", "Ignore"},
                       {"onPodConditions", {{{"type", "DisruptionTarget"}, {"status", "True"}}}}};
  const json blocked = {
      {"action", "Ignore"},
      {"onExitCodes",
       {{"containerName", kRunnerContainer}, {"operator", "In"}, {"values", json::array({kBlocked})}}}};
  const json fail = {
      {"action", "FailJob"},
      {"onExitCodes",
       {{"containerName", kRunnerContainer}, {"operator", "In"}, {"values", {kTaskFailed, kUsage}}}}};
  return {{"rules", {ignore, blocked, fail}}};
}

}  // namespace

json BuildJob(const JobInputs& in) {
  const json pod_metadata = {{"labels", Labels(in)},
                             {"annotations", {{std::string(kRunApiCaAnnotation), in.run_api_ca}}}};
  return {{"apiVersion", "batch/v1"},
          {"kind", "Job"},
          {"metadata", Metadata(in)},
          {"spec",
           {{"parallelism", 1},
            {"completions", 1},
            {"suspend", false},
            {"backoffLimit", in.task.spec.limits.max_infra_retries},
            {"activeDeadlineSeconds", control::TimeoutSeconds(in.config, in.task.spec) + kDeadlineSlack},
            {"ttlSecondsAfterFinished", in.config.runner.ttl_seconds_after_finished},
            {"podReplacementPolicy", "Failed"},
            {"podFailurePolicy", FailurePolicy()},
            {"template", {{"metadata", pod_metadata}, {"spec", PodSpec(in)}}}}}};
}

}  // namespace ybis::op
