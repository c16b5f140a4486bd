"""How often the operator writes to the API server, counted from the audit log."""

import json
import os
import pathlib
import time

import pytest
from cluster import condition, describe, kubectl, status, until, wait_end

USER = "system:serviceaccount:ybis-system:ybis-operator"
WRITES = {"create", "update", "patch", "delete"}


def audit_log():
    path = os.environ.get("YBIS_AUDIT_LOG", "")
    if not path or not pathlib.Path(path).exists():
        pytest.skip("this cluster has no audit log to count from (YBIS_AUDIT_LOG)")
    return pathlib.Path(path)


def writes_since(offset):
    """The operator's writes of objects: its lease is a heartbeat and reviews are questions."""
    found = []
    with audit_log().open("rb") as log:
        log.seek(offset)
        for line in log:
            if not line.endswith(b"\n"):
                break  # the API server is writing it
            entry = json.loads(line)
            reference = entry.get("objectRef", {})
            if entry["user"]["username"] == USER and entry["verb"] in WRITES and entry["stage"] == "ResponseComplete":
                if reference.get("resource") not in ("leases", "tokenreviews"):
                    found.append((entry["verb"], "/".join(filter(None, [reference.get("resource"), reference.get("subresource")]))))
    return found


def test_three_writes_a_run_and_at_most_two_events(task):
    before = audit_log().stat().st_size
    name = task("writes")
    assert wait_end(name)["phase"] == "Completed", describe(name)
    time.sleep(2)
    writes = writes_since(before)
    events = [w for w in writes if w[1] == "events"]
    rest = sorted(w for w in writes if w[1] != "events")
    assert rest == [("create", "jobs"), ("patch", "ybistasks/status"), ("patch", "ybistasks/status")]
    assert len(events) <= 2


def test_five_writes_more_for_a_wait_that_is_approved(task):
    before = audit_log().stat().st_size
    name = task("writes-wait", like="protected-path", delivery={"mode": "None"})
    until("it waits", lambda: condition(name, "AwaitingApproval").get("status") == "True", timeout=120)
    me = kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}").stdout
    now = status(name)
    kubectl("create", "-f", "-", input=json.dumps({
        "apiVersion": "ybis.dev/v1alpha1", "kind": "YbisApproval", "metadata": {"name": name},
        "spec": {"taskRef": {"name": name}, "runID": now["run"]["id"], "subjectDigest": now["approval"]["subjectDigest"],
                 "decision": "Approve", "approver": me}}))
    until("it goes on", lambda: status(name)["phase"] != "Blocked")
    assert wait_end(name)["phase"] == "Completed", describe(name)
    time.sleep(2)
    writes = writes_since(before)
    kubectl("delete", "ybisapproval", name)
    rest = sorted(w for w in writes if w[1] != "events")
    assert rest == [("create", "jobs"), ("patch", "jobs"), ("patch", "jobs"), ("patch", "ybisapprovals/status")] + 4 * [
        ("patch", "ybistasks/status")]
    assert len(writes) - len(rest) <= 4


def test_no_writes_in_steady_state():
    before = audit_log().stat().st_size
    time.sleep(15)
    assert writes_since(before) == []
