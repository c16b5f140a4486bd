"""What people do to a task that is there: cancel, delete, run again, suspend."""

from cluster import branches, condition, describe, events_of, get, jobs_of, kubectl, pods_of, sql, status, until, wait_end

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


def test_few_events_a_run(task):
    name = task("events")
    wait_end(name)
    assert len(events_of(name)) <= 2, [(e["reason"], e["note"]) for e in events_of(name)]
    assert get("ybistask", name)["metadata"].get("finalizers", []) == []
