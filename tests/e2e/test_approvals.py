"""People who decide: who may, about what, and what comes of it."""

import json
import os
import time

import pytest
from cluster import (SYSTEM, branches, clone, condition, describe, events_of, get, items, jobs_of, kubectl, pods_of, sql, status, until,
                     wait_end)

FEEDBACK = "Leave deploy/ alone and write the wish into README.md"


@pytest.fixture(scope="module", autouse=True)
def people():
    """ada and grace may decide, eve may write tasks alone."""
    for name, role in [("ada", "ybis-approver"), ("grace", "ybis-approver"), ("eve", "edit")]:
        kubectl("delete", "rolebinding", name, "--ignore-not-found")
        kubectl("create", "rolebinding", name, f"--clusterrole={role}", f"--user={name}")
    yield
    kubectl("delete", "rolebinding", "ada", "grace", "eve", "--ignore-not-found")
    kubectl("delete", "ybisapprovals", "--all")


@pytest.fixture
def blocked(task):
    """Makes a task whose change of a protected path waits for a person; its branch is its own."""

    def make(name, **spec):
        made = task(name, like="protected-path", delivery={"mode": "Branch", "branch": f"decided/{name}-{os.urandom(3).hex()}"}, **spec)
        until(f"{made} waits", lambda: condition(made, "AwaitingApproval").get("status") == "True", timeout=120)
        return made

    return make


def approval(task, decision, user, digest=None, run=None, approver=None, **texts):
    now = status(task)
    return {"apiVersion": "ybis.dev/v1alpha1", "kind": "YbisApproval", "metadata": {"generateName": f"{task}-"},
            "spec": {"taskRef": {"name": task}, "runID": run or now["run"]["id"], "decision": decision, "approver": approver or user,
                     "subjectDigest": digest or now["approval"]["subjectDigest"], **texts}}


def create(manifest, user, check=True):
    return kubectl("create", f"--as={user}", "-f", "-", "-o", "name", input=json.dumps(manifest), check=check)


def decide(task, decision, user, **more):
    """Makes the approval and waits until the operator has looked at it; its status."""
    name = create(approval(task, decision, user, **more), user).stdout.strip()
    return until(f"{name} is looked at", lambda: json.loads(kubectl("get", name, "-o", "json").stdout).get("status"))


def nothing_runs(name):
    until("no pod", lambda: not pods_of(name), timeout=60)
    jobs = jobs_of(name)
    assert len(jobs) == 1
    assert jobs[0]["spec"]["suspend"] is True
    assert not {c["type"] for c in jobs[0]["status"].get("conditions", []) if c["status"] == "True"} & {"Complete", "Failed"}
    return jobs[0]


def branch_of(name):
    return get("ybistask", name)["spec"]["delivery"]["branch"]


def audit(name):
    return sql(f"select verdict, approver from approvals where run_id = '{status(name)['run']['id']}' order by created")


def test_a_wait_holds_no_pod_and_says_what_to_do(blocked):
    name = blocked("wait")
    job = nothing_runs(name)
    assert job["status"].get("failed", 0) == 0
    now = status(name)
    assert now["phase"] == "Blocked"
    assert now["approval"]["subjectDigest"].startswith("sha256:") and now["approval"]["required"] == 1 and now["approval"]["approvals"] == 0
    assert now["approval"]["since"] < now["approval"]["expires"]
    waiting = condition(name, "AwaitingApproval")
    assert "deploy/production.yaml" in waiting["message"] and f"kubectl ybis approve {name}" in waiting["message"]
    assert condition(name, "Reconciling")["status"] == "True" and condition(name, "Stalled")["status"] == "False"
    assert sql(f"select count(*) from leases where run_id = '{now['run']['id']}'") == [["0"]]


def test_approve_lets_the_run_go_on_to_its_branch(blocked, tmp_path):
    name = blocked("approve")
    nothing_runs(name)
    since = status(name)["approval"]["since"]
    assert branch_of(name) not in branches("shop")
    came = decide(name, "Approve", "ada", reason="needed")
    assert came["phase"] == "Applied", came
    until("the wait is over", lambda: status(name)["phase"] != "Blocked")
    done = wait_end(name)
    assert done["phase"] == "Completed", describe(name)
    assert done["run"]["attempt"] == 2 and "approval" not in done
    assert branches("shop")[branch_of(name)] == done["result"]["commit"]
    assert "replicas: 4" in (clone("shop", branch_of(name), tmp_path / "r") / "deploy/production.yaml").read_text()
    assert len(jobs_of(name)) == 1 and jobs_of(name)[0]["status"].get("failed", 0) == 0
    assert jobs_of(name)[0]["status"]["startTime"] > since, "activeDeadlineSeconds counts from the resume"
    assert audit(name) == [["Decided", "ada"]]
    assert "Approved" in [e["reason"] for e in events_of(name)]
    assert sql(f"select count(*) from node_executions where run_id = '{done['run']['id']}' and node = 'execute'") == [["1"]]


def test_who_may_not_decide_cannot(blocked):
    name = blocked("rights")
    refused = create(approval(name, "Approve", "eve"), "eve", check=False)
    assert refused.returncode != 0 and 'User "eve" cannot create resource "ybisapprovals"' in refused.stderr, refused.stderr
    refused = create(approval(name, "Approve", "ada", approver="grace"), "ada", check=False)
    assert refused.returncode != 0 and "spec.approver must be ada" in refused.stderr, refused.stderr
    operator = f"system:serviceaccount:{SYSTEM}:ybis-operator"
    assert kubectl("auth", "can-i", "create", "ybisapprovals", f"--as={operator}", check=False).stdout.strip() == "no"
    assert kubectl("auth", "can-i", "update", "ybisapprovals", "--as=ada", check=False).stdout.strip() == "no"
    assert status(name)["phase"] == "Blocked" and audit(name) == []


@pytest.mark.parametrize("decision, texts, said", [
    ("Reject", {}, "reason is required"), ("Revise", {}, "feedback is required"), ("Perhaps", {}, "Unsupported value")])
def test_incomplete_decisions_are_refused_with_the_field_named(decision, texts, said):
    manifest = {"apiVersion": "ybis.dev/v1alpha1", "kind": "YbisApproval", "metadata": {"name": "incomplete"},
                "spec": {"taskRef": {"name": "t"}, "runID": "r", "subjectDigest": "d", "decision": decision, "approver": "ada", **texts}}
    refused = create(manifest, "ada", check=False)
    assert refused.returncode != 0 and said in refused.stderr, refused.stderr


def test_a_decision_about_something_else_is_stale_and_decides_nothing(blocked):
    name = blocked("stale")
    came = decide(name, "Approve", "ada", digest="sha256:" + "0" * 64)
    assert came["phase"] == "Stale", came
    assert {c["type"]: c["status"] for c in came["conditions"]} == {"Accepted": "False", "Stalled": "True"}
    assert "StaleApproval" in until("an event", lambda: [e["reason"] for e in events_of(name) if e["reason"] == "StaleApproval"])
    time.sleep(2)
    assert status(name)["phase"] == "Blocked" and not pods_of(name)
    came = decide(name, "Approve", "ada", run="ffffffff-1")
    assert came["phase"] == "Refused", came
    name_elsewhere = json.loads(kubectl("create", "-f", "-", "-o", "json", namespace="default", input=json.dumps(
        approval(name, "Approve", kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}").stdout))).stdout)["metadata"]["name"]
    until("refused", lambda: get("ybisapproval", name_elsewhere, "default").get("status", {}).get("phase") == "Refused")
    kubectl("delete", "ybisapproval", name_elsewhere, namespace="default")
    assert status(name)["phase"] == "Blocked"


def test_reject_ends_the_run(blocked):
    name = blocked("reject")
    assert decide(name, "Reject", "ada", reason="not in this quarter")["phase"] == "Applied"
    done = until("the end", lambda: status(name)["phase"] == "Failed" and status(name))
    assert done["failure"]["class"] == "Rejected" and "not in this quarter" in done["failure"]["message"]
    assert branch_of(name) not in branches("shop")
    until("its Job is gone", lambda: not jobs_of(name), timeout=60)
    assert decide(name, "Approve", "grace", digest="sha256:" + "0" * 64)["phase"] == "Stale"


def test_revise_goes_to_repair_with_the_feedback(blocked, tmp_path):
    name = blocked("revise")
    assert decide(name, "Revise", "ada", feedback=FEEDBACK)["phase"] == "Applied"
    until("it goes on", lambda: status(name)["phase"] != "Blocked")
    done = wait_end(name)
    assert done["phase"] == "Completed", describe(name)
    folder = clone("shop", branch_of(name), tmp_path / "r")
    assert "four replicas" in (folder / "README.md").read_text()
    assert "replicas: 2" in (folder / "deploy/production.yaml").read_text()
    assert audit(name) == [["Decided", "ada"]]


def test_two_approvals_by_two_people(blocked):
    name = blocked("quorum", approval={"required": 2})
    assert decide(name, "Approve", "ada")["phase"] == "Counted"
    until("it is shown", lambda: status(name)["approval"]["approvers"] == ["ada"])
    assert "1 of 2 approvals" in condition(name, "AwaitingApproval")["message"]
    again = decide(name, "Approve", "ada")
    assert again["phase"] == "Refused" and "another person" in again["message"], again
    assert status(name)["phase"] == "Blocked"
    nothing_runs(name)
    assert decide(name, "Approve", "grace")["phase"] == "Applied"
    until("it goes on", lambda: status(name)["phase"] != "Blocked")
    assert wait_end(name)["phase"] == "Completed", describe(name)


def test_always_asks_before_a_delivery_that_the_gate_would_let_through(task):
    name = task("always", approval={"mode": "Always"})
    until(f"{name} waits", lambda: condition(name, "AwaitingApproval").get("status") == "True", timeout=120)
    assert condition(name, "AwaitingApproval")["reason"] == "ApprovalRequired"
    nothing_runs(name)
    assert not [b for b in branches("hello") if b.startswith(f"ybis/{name}")]
    assert decide(name, "Approve", "grace")["phase"] == "Applied"
    until("it goes on", lambda: status(name)["phase"] != "Blocked")
    done = wait_end(name)
    assert done["phase"] == "Completed", describe(name)
    assert branches("hello")[done["result"]["branch"]] == done["result"]["commit"]


def test_never_fails_instead_of_waiting(task):
    name = task("never", like="protected-path", delivery={"mode": "None"}, approval={"mode": "Never"})
    done = wait_end(name)
    assert done["phase"] == "Failed" and done["failure"]["class"] == "Policy", done
    assert condition(name, "AwaitingApproval")["status"] == "False"


def test_nobody_decides_in_time(blocked):
    name = blocked("expire", approval={"ttlSeconds": 3600, "reminderSeconds": 60})
    run_id = status(name)["run"]["id"]
    digest = status(name)["approval"]["subjectDigest"]
    sql(f"update waits set next_reminder = now() where run_id = '{run_id}'")
    until("a reminder", lambda: [e for e in events_of(name) if e["reason"] == "AwaitingApproval"])
    sql(f"update waits set expires = now() where run_id = '{run_id}'")
    done = until("the end", lambda: status(name)["phase"] == "Failed" and status(name))
    assert done["failure"]["class"] == "Expired", done["failure"]
    assert decide(name, "Approve", "ada", digest=digest)["phase"] == "Stale"
    assert status(name)["phase"] == "Failed"


def test_operator_killed_between_the_decision_and_the_resume(blocked):
    name = blocked("kill")
    made = create(approval(name, "Approve", "ada"), "ada").stdout.strip()
    for pod in items("pods", "-l", "app.kubernetes.io/component=operator", namespace=SYSTEM):
        kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force", namespace=SYSTEM)
    until("it goes on", lambda: status(name)["phase"] != "Blocked", timeout=120)
    assert wait_end(name)["phase"] == "Completed", describe(name)
    assert json.loads(kubectl("get", made, "-o", "json").stdout)["status"]["phase"] == "Applied"
    assert audit(name) == [["Decided", "ada"]]
    assert len(jobs_of(name)) == 1


def test_decision_made_while_no_operator_runs(blocked):
    name = blocked("away")
    kubectl("scale", "deployment", "ybis-operator", "--replicas=0", namespace=SYSTEM)
    until("it is gone", lambda: not items("pods", "-l", "app.kubernetes.io/component=operator", namespace=SYSTEM), timeout=60)
    create(approval(name, "Approve", "ada"), "ada")
    kubectl("delete", "job", jobs_of(name)[0]["metadata"]["name"], "--wait=true")
    kubectl("scale", "deployment", "ybis-operator", "--replicas=1", namespace=SYSTEM)
    until("it goes on", lambda: status(name)["phase"] != "Blocked", timeout=120)
    assert wait_end(name)["phase"] == "Completed", describe(name)
    assert len(jobs_of(name)) == 1, "the Job that somebody deleted was made again"


def test_cancel_while_waiting(blocked):
    name = blocked("cancel")
    digest = status(name)["approval"]["subjectDigest"]
    kubectl("patch", "ybistask", name, "--type=merge", "-p", '{"spec":{"cancel":true}}')
    done = until("the end", lambda: status(name)["phase"] == "Cancelled" and status(name))
    assert "approval" not in done
    until("its Job is gone", lambda: not jobs_of(name), timeout=60)
    assert decide(name, "Approve", "ada", digest=digest)["phase"] == "Stale"


def test_delete_while_waiting(blocked):
    name = blocked("delete")
    run_id = status(name)["run"]["id"]
    manifest = approval(name, "Approve", "ada")
    kubectl("delete", "ybistask", name, "--wait=true")
    until("the record says so", lambda: sql(f"select state from runs where run_id = '{run_id}'") == [["Cancelled"]])
    late = create(manifest, "ada").stdout.strip()
    until("refused", lambda: json.loads(kubectl("get", late, "-o", "json").stdout).get("status", {}).get("phase") == "Refused")
