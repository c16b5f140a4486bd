"""What people do to a task that is there: cancel, delete, run again, suspend."""

import json

from cluster import branches, condition, describe, events_of, get, jobs_of, kubectl, manifest, pods_of, sql, status, until, wait_end

SLOW = {"commands": [["sleep", "60"]], "timeoutSeconds": 120}


def running(name):
    return until(f"{name} runs", lambda: [p for p in pods_of(name) if p["status"]["phase"] == "Running"], timeout=90)


def patch(name, text):
    kubectl("patch", "ybistask", name, "--type=merge", "-p", text)


def test_cancel_stops_the_pod_and_keeps_the_record(task):
    name = task("cancel", verification=SLOW)
    running(name)
    patch(name, '{"spec":{"cancel":true}}')
    done = wait_end(name, 60)
    assert done["phase"] == "Cancelled", describe(name)
    until("the pod is gone", lambda: not [p for p in pods_of(name) if p["status"]["phase"] in ("Running", "Pending")], timeout=60)
    assert sql(f"select state from runs where run_id = '{done['run']['id']}'")[0][0].lower() == "cancelled"
    assert condition(name, "Succeeded")["reason"] == "Cancelled"


def test_delete_kills_the_pod_and_keeps_the_record(task):
    name = task("delete", verification=SLOW)
    running(name)
    run_id = until("a run", lambda: status(name).get("run", {}).get("id"))
    kubectl("delete", "ybistask", name, "--wait=true", timeout=60)
    until("the pod is gone", lambda: not pods_of(name), timeout=60)
    until("the record says so", lambda: sql(f"select state from runs where run_id = '{run_id}'")[0][0].lower() == "cancelled", timeout=60)


def test_a_new_rerun_token_starts_a_new_run(task):
    name = task("rerun")
    first = wait_end(name)
    assert first["phase"] == "Completed", describe(name)
    patch(name, '{"spec":{"rerun":{"token":"again"}}}')
    second = until("a second run", lambda: status(name).get("run", {}).get("number") == 2 and status(name)["phase"] == "Completed" and status(name), timeout=180)
    assert second["run"]["id"] != first["run"]["id"]
    assert len(jobs_of(name)) <= 2
    assert {first["result"]["branch"], second["result"]["branch"]} <= set(branches("hello"))
    assert first["result"]["branch"] != second["result"]["branch"]


def test_suspended_task_starts_when_it_is_let_go(task):
    name = task("suspend", suspend=True)
    until("it is seen", lambda: condition(name, "Accepted").get("status") == "True")
    assert not jobs_of(name)
    patch(name, '{"spec":{"suspend":false}}')
    assert wait_end(name)["phase"] == "Completed", describe(name)


def wait_phase(name, phase, reason):
    until(f"{name} is {phase}, {reason}", lambda: status(name).get("phase") == phase and condition(name, "Succeeded")["reason"] == reason)


def test_a_suspended_run_gives_its_turn_to_those_behind_it(task):
    """All three are of one repository and ref, where one run at a time may work."""
    works, waits, behind = task("works", verification=SLOW), task("waits"), task("behind")
    running(works)
    wait_phase(waits, "Queued", "Queued")
    wait_phase(behind, "Queued", "Queued")
    patch(waits, '{"spec":{"suspend":true}}')
    wait_phase(waits, "Queued", "Suspended")
    patch(works, '{"spec":{"cancel":true}}')
    assert wait_end(behind)["phase"] == "Completed", describe(behind)
    assert status(waits)["phase"] == "Queued" and not jobs_of(waits)
    patch(waits, '{"spec":{"suspend":false}}')
    assert wait_end(waits)["phase"] == "Completed", describe(waits)


def test_a_task_may_change_until_its_run_starts(task):
    """While it waits behind another of its repository it becomes a task of another one, which runs at once."""
    works, waits = task("works", verification=SLOW), task("waits")
    running(works)
    wait_phase(waits, "Queued", "Queued")
    spec = manifest(waits, "ring")["spec"]
    patch(waits, json.dumps({"spec": {field: spec[field] for field in ("objective", "repository", "verification")}}))
    until(f"{waits} started", lambda: status(waits)["run"]["attempt"] == 1)
    refused = kubectl("patch", "ybistask", waits, "--type=merge", "-p", '{"spec":{"objective":"x"}}', check=False)
    assert refused.returncode != 0 and "cannot change once a run has started" in refused.stderr
    done = wait_end(waits)
    assert done["phase"] == "Completed" and done["run"]["number"] == 1, describe(waits)
    assert done["result"]["branch"] in branches("ring")


def test_a_run_that_a_quota_keeps_out_holds_no_place(task):
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "no-jobs"}, "spec": {"hard": {"count/jobs.batch": "0"}}}
    kubectl("apply", "-f", "-", input=json.dumps(quota))
    try:
        until("the quota counts", lambda: get("resourcequota", "no-jobs").get("status", {}).get("hard"))
        name = task("quota")
        wait_phase(name, "Queued", "JobForbidden")
        run_id = status(name)["run"]["id"]
        assert "exceeded quota" in condition(name, "Succeeded")["message"]
        assert sql(f"select 1 from leases where run_id = '{run_id}'") == []
    finally:
        kubectl("delete", "resourcequota", "no-jobs")
    assert wait_end(name)["phase"] == "Completed", describe(name)
    assert len([e for e in events_of(name) if e["reason"] == "JobForbidden"]) == 1


def test_few_events_a_run(task):
    name = task("events")
    wait_end(name)
    assert len(events_of(name)) <= 2, [(e["reason"], e["note"]) for e in events_of(name)]
    assert get("ybistask", name)["metadata"].get("finalizers", []) == []
