"""Bad input: refused by the API server with the field named, or told in a condition and an event with what to do."""

import pytest
from cluster import apply, condition, describe, events_of, kubectl, manifest, pods_of, status, until, wait_end

LONG = "x" * 32769


@pytest.mark.parametrize("change, field", [
    ({"objective": None}, "spec.objective"),
    ({"objective": ""}, "spec.objective"),
    ({"objective": LONG}, "spec.objective"),
    ({"repository": None}, "spec.repository"),
    ({"repository": {"url": ""}}, "spec.repository.url"),
    ({"repository": {"url": "ext::sh -c id"}}, "spec.repository.url"),
    ({"repository": {"url": "https://user:secret@git.example.com/r.git"}}, "spec.repository.url"),
    ({"repository": {"url": "https://git.example.com/\x1b[2Jr.git"}}, "spec.repository.url"),
    ({"repository": {"url": "https://git.example.com/\u009b2Jr.git"}}, "spec.repository.url"),
    ({"repository": {"url": "https://git.example.com/r.git", "ref": "--upload-pack=id"}}, "spec.repository.ref"),
    ({"repository": {"url": "https://git.example.com/r.git", "ref": "main\x1b[2J"}}, "spec.repository.ref"),
    ({"priority": "URGENT"}, "spec.priority"),
    ({"limits": {"maxRepairs": 99}}, "spec.limits.maxRepairs"),
    ({"verification": {"commands": [[]]}}, "spec.verification.commands[0]"),
    ({"delivery": {"mode": "Branch", "branch": "a..b"}}, "spec.delivery.branch"),
    ({"workspace": {"medium": "EmptyDir", "storageClassName": "x"}}, "spec.workspace"),
    ({"approval": {"reminderSeconds": 9}}, "spec.approval.reminderSeconds"),
])
def test_api_server_refuses_and_names_the_field(change, field):
    bad = manifest("bad-manifest", **change)
    bad["spec"] = {k: v for k, v in bad["spec"].items() if v is not None}
    refused = apply(bad, check=False)
    assert refused.returncode != 0
    assert field in refused.stderr, refused.stderr


def test_a_name_that_fits_no_label_is_refused():
    refused = apply(manifest("x" * 64), check=False)
    assert refused.returncode != 0 and "at most 63 characters" in refused.stderr, refused.stderr
    apply(manifest("x" * 63), "--dry-run=server")


@pytest.mark.parametrize("edge", ["", "x" * 64, {"to": "end", "when": {}, "more": 1}])
def test_an_edge_of_a_workflow_is_bounded(edge):
    graph = {"entryPoint": "work", "exitPoints": ["end"],
             "nodes": [{"name": "work", "type": "passthrough", "next": [edge]}, {"name": "end", "type": "passthrough"}]}
    bad = {"apiVersion": "ybis.dev/v1alpha1", "kind": "YbisWorkflow", "metadata": {"name": "bad-edge"}, "spec": graph}
    refused = apply(bad, check=False)
    assert refused.returncode != 0 and "spec.nodes[0].next[0]" in refused.stderr, refused.stderr


def test_unknown_field_is_refused():
    refused = apply(manifest("bad-field", objektive="x"), check=False)
    assert refused.returncode != 0 and "objektive" in refused.stderr


def not_accepted(name, reason, *words):
    found = until(f"{name} is refused", lambda: condition(name, "Accepted").get("status") == "False" and condition(name, "Accepted"))
    assert found["reason"] == reason, found
    for word in words:
        assert word in found["message"], found
    assert condition(name, "Stalled")["status"] == "True"
    until("an event", lambda: [e for e in events_of(name) if e["type"] == "Warning" and e["reason"] == reason], timeout=20)
    assert not pods_of(name)


def test_unknown_workflow(task):
    not_accepted(task("unknown-workflow", workflowRef={"name": "no-such-workflow"}), "WorkflowNotFound", "no-such-workflow")


def test_unknown_model(task):
    not_accepted(task("unknown-model", model={"name": "no-such-model"}), "ModelNotAllowed", "no-such-model")


def test_image_that_is_not_allowed(task):
    not_accepted(task("bad-image", runner={"image": "registry.example.com/evil:1"}), "ImageNotAllowed", "registry.example.com/evil:1")


def failed(name, klass, reason, *words, timeout=150):
    done = wait_end(name, timeout)
    assert done["phase"] == "Failed", describe(name)
    assert (done["failure"]["class"], done["failure"]["reason"]) == (klass, reason), done["failure"]
    for word in words:
        assert word in done["failure"]["message"], done["failure"]
    assert condition(name, "Succeeded")["status"] == "False"
    assert condition(name, "Succeeded")["reason"] == reason
    until("an event", lambda: [e for e in events_of(name) if e["type"] == "Warning" and e["reason"] == reason], timeout=20)
    return done


def repository(**changes):
    return {**manifest("x")["spec"]["repository"], **changes}


def test_unknown_ref(task):
    failed(task("unknown-ref", repository=repository(ref="no-such-branch")), "Invalid", "RefNotFound", "no-such-branch")


def test_unknown_repository(task):
    url = "https://git.ybis-demo.svc:8443/git/nothing.git"
    failed(task("unknown-repository", repository=repository(url=url)), "Invalid", "RepositoryNotFound", "nothing.git")


def test_bad_credential(task):
    kubectl("create", "secret", "generic", "git-wrong", "--from-literal=username=ybis", "--from-literal=password=wrong-password",
            check=False)
    name = task("bad-credential", repository=repository(credentialsSecretRef={"name": "git-wrong"}))
    done = failed(name, "Invalid", "CredentialsRejected")
    assert "wrong-password" not in str(done)


def test_unreachable_repository_is_retried_and_then_fails(task):
    url = "https://git.ybis-demo.svc:9/git/hello.git"
    name = task("unreachable", repository=repository(url=url), limits={"maxInfraRetries": 1})
    done = failed(name, "Infra", "RepositoryUnreachable", "git.ybis-demo.svc", timeout=240)
    assert done["run"]["attempt"] == 2


def test_missing_secret_is_named(task):
    name = task("missing-secret", repository=repository(credentialsSecretRef={"name": "no-such-secret"}))
    until("the Secret is named", lambda: "no-such-secret" in str(status(name).get("conditions")) + str(events_of(name)), timeout=90)
    assert status(name)["phase"] not in ("Completed", "Failed")


def test_model_that_is_down(task):
    failed(task("model-down", model={"name": "down"}, limits={"maxInfraRetries": 0}), "Infra", "ModelUnavailable", timeout=240)


def test_model_that_answers_nonsense(task):
    failed(task("nonsense", objective="Answer nonsense (marker e2e-nonsense)."), "Agent", "ModelAnswerInvalid")


@pytest.mark.parametrize("marker, path", [
    ("dotdot", "../outside.txt"), ("absolute", "/etc/passwd"), ("gitdir", ".git/hooks/pre-commit")])
def test_edit_outside_the_worktree_is_refused_with_the_path_named(task, marker, path):
    failed(task(f"escape-{marker}", objective=f"Escape the worktree (marker e2e-escape-{marker})."), "Agent", "EditsRejected", path)
