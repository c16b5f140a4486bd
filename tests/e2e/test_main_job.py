"""The main job: the example tasks, as they are, from the manifest to the branch on the git host."""

import json
import subprocess

import pytest
from cluster import (DEMO, apply, branches, clone, condition, delete, describe, get, items, jobs_of, kubectl, manifest, run, sql,
                     status, wait_end)


@pytest.fixture(scope="module", autouse=True)
def examples():
    names = ["hello", "ring", "protected-path", "min-count", "bounded-copies"]
    for name in names:
        delete(name)
    kubectl("apply", "-f", "examples/workflows/")
    kubectl("apply", "-f", "examples/tasks/")
    return names


def test_hello_becomes_a_branch_with_a_program_that_works(tmp_path):
    done = wait_end("hello")
    assert done["phase"] == "Completed", describe("hello")
    assert done["result"]["decision"] == "approved"
    assert done["verification"] == {"passed": 1, "failed": 0}
    assert branches("hello")[done["result"]["branch"]] == done["result"]["commit"]
    folder = clone("hello", done["result"]["branch"], tmp_path / "r")
    assert subprocess.run(["python3", "hello.py", "Ada"], cwd=folder, capture_output=True, text=True).stdout == "Hello, Ada!\n"


def test_ring_is_mended_in_a_repair_round(tmp_path):
    done = wait_end("ring")
    assert done["phase"] == "Completed", describe("ring")
    visits = sql(f"select node, outcome from node_executions where run_id = '{done['run']['id']}' order by seq")
    assert [v[0] for v in visits] == ["spec", "plan", "execute", "verify", "gate", "repair", "verify", "gate"]
    folder = clone("ring", done["result"]["branch"], tmp_path / "r")
    assert subprocess.run(["make", "test"], cwd=folder, capture_output=True).returncode == 0
    changed = run("git", "-C", str(folder), "diff", "--name-only", "origin/main...HEAD", check=False).stdout.split()
    assert changed in (["ring.c"], []), changed


@pytest.mark.parametrize("task,nodes", [
    ("min-count", ["before", "spec", "plan", "execute", "after", "gate"]),
    ("bounded-copies", ["codemod", "verify", "repair", "verify", "gate"]),
])
def test_workflows_of_ones_own_are_walked_along_their_edges(task, nodes):
    done = wait_end(task)
    assert done["phase"] == "Completed", describe(task)
    visits = sql(f"select node from node_executions where run_id = '{done['run']['id']}' order by seq")
    assert [v[0] for v in visits] == nodes


def test_protected_path_is_blocked_with_the_rule_named():
    done = wait_end("protected-path")
    assert done["phase"] == "Blocked", describe("protected-path")
    assert done["failure"]["class"] == "Policy"
    assert "deploy/production.yaml" in done["failure"]["message"] and "deploy/**" in done["failure"]["message"]
    assert "branch" not in done["result"]
    assert not [b for b in branches("shop") if b.startswith("ybis/")]
    assert condition("protected-path", "AwaitingApproval")["status"] == "True"


def test_kubectl_wait_get_and_describe_tell_the_story():
    wait_end("hello")
    kubectl("wait", "ybistask/hello", "--for=condition=Succeeded", "--timeout=5s")
    wide = kubectl("get", "yt", "-o", "wide").stdout
    assert "Completed" in wide and "approved" in wide and "Blocked" in wide, wide
    text = kubectl("describe", "ybistask", "hello").stdout
    assert "Succeeded" in text and "Events:" in text, text


def test_conditions_follow_kstatus():
    wait_end("hello")
    assert condition("hello", "Accepted")["status"] == "True"
    assert condition("hello", "Reconciling")["status"] == "False"
    assert condition("hello", "Stalled")["status"] == "False"
    assert status("hello")["observedGeneration"] == get("ybistask", "hello")["metadata"]["generation"]


def test_applying_the_same_manifest_again_starts_nothing():
    before = wait_end("hello")["run"]
    kubectl("apply", "-f", "examples/tasks/hello.yaml")
    assert status("hello")["run"] == before
    assert len(jobs_of("hello")) == 1


def test_artifacts_are_in_the_record_by_digest():
    done = wait_end("hello")
    names = {a["name"] for a in done["artifacts"]}
    assert {"spec.json", "plan.json", "patch.diff", "verifier.json", "gate.json"} <= names
    for artifact in done["artifacts"]:
        rows = sql("select 'sha256:' || encode(sha256(b.bytes), 'hex') from artifacts a join blobs b using (digest) "
                   f"where a.run_id = '{done['run']['id']}' and a.name = '{artifact['name']}'")
        assert rows == [[artifact["digest"]]]


def test_usage_is_measured_and_priced():
    usage = wait_end("ring")["usage"]
    assert usage["llmCalls"] >= 4 and usage["tokensIn"] > 0 and usage["tokensOut"] > 0 and usage["costUSD"] > 0


@pytest.mark.parametrize("field, value", [
    ("objective", "Something else"),
    ("repository", {"url": "https://git.example.com/another.git"}),
    ("workflowRef", {"name": "self-improve"}),
])
def test_a_spec_that_ran_cannot_become_another(field, value):
    wait_end("hello")
    refused = apply(manifest("hello", **{field: value}), check=False)
    assert refused.returncode != 0 and f"spec.{field} cannot change once a run has started" in refused.stderr


def test_runner_pods_are_restricted_and_hold_no_api_token():
    for job in jobs_of("hello"):
        pod = job["spec"]["template"]["spec"]
        container = pod["containers"][0]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert "postgres" not in json.dumps(pod)
    assert items("jobs"), DEMO
