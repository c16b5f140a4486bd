"""Kill anything at any time: the same work goes on, and no side effect happens twice."""

import os

from cluster import (DEMO, SYSTEM, branches, describe, get, items, jobs_of, kubectl, pods_of, run, sql, status, until, wait_end)

SLOW = {"commands": [["sleep", "8"], ["python3", "-m", "pytest", "-q"]], "timeoutSeconds": 60}


# Set by `hack/cluster/cluster env`: the cluster runs on this machine, and so its runtime can be told to send a signal.
LOCAL = "CONTAINERD_ADDRESS" in os.environ


def kill(pod, namespace=DEMO):
    """SIGKILL to the first process of the pod's container. On a cluster elsewhere the pod is deleted, which begins with SIGTERM."""
    name = pod["metadata"]["name"]
    if not LOCAL:
        kubectl("delete", "pod", name, "--grace-period=0", "--force", namespace=namespace)
        return
    container = pod["status"]["containerStatuses"][0]["containerID"]
    run("ctr", "tasks", "kill", "--signal", "SIGKILL", container.removeprefix("containerd://"))
    ended = until(f"the end of {name}", lambda: end_of(container, name, namespace))
    assert ended["exitCode"] == 137, ended


def end_of(container, name, namespace):
    """How that container of a pod ended, whether another has taken its place or not."""
    for entry in get("pod", name, namespace)["status"]["containerStatuses"]:
        for state in (entry["state"], entry["lastState"]):
            if state.get("terminated", {}).get("containerID") == container:
                return state["terminated"]
    return None


def running_at(name, node):
    """Waits until the record says that the run is at that node, and returns the run's id."""
    run_id = until("a run", lambda: status(name).get("run", {}).get("id"))
    until(f"{name} at {node}", lambda: sql(f"select 1 from node_executions where run_id = '{run_id}' and node = 'execute'"), timeout=120)
    return run_id


def one_of_everything(name, run_id):
    assert len(jobs_of(name)) == 1
    assert sql(f"select count(*) from runs where run_id = '{run_id}'") == [["1"]]
    doubled = sql(f"select node, visit, count(*) from node_executions where run_id = '{run_id}' group by 1, 2 having count(*) > 1")
    assert doubled == []
    assert len([b for b in branches("hello") if b.startswith(f"ybis/{name}")]) == 1
    calls = sql(f"select count(*), count(distinct (node, visit, call)) from llm_calls where run_id = '{run_id}'")
    assert calls[0][0] == calls[0][1], calls


def test_operator_killed_in_the_middle_of_a_run(task):
    name = task("kill-operator", verification=SLOW)
    run_id = running_at(name, "verify")
    for pod in items("pods", "-l", "app.kubernetes.io/component=operator", namespace=SYSTEM):
        kill(pod, SYSTEM)
    done = wait_end(name, 240)
    assert done["phase"] == "Completed", describe(name)
    assert done["run"]["attempt"] == 1
    one_of_everything(name, run_id)


def test_runner_killed_in_the_middle_of_a_run_goes_on_from_its_checkpoint(task):
    name = task("kill-runner", verification=SLOW)
    run_id = running_at(name, "verify")
    calls = sql(f"select count(*) from llm_calls where run_id = '{run_id}'")
    for pod in pods_of(name):
        kill(pod)
    done = wait_end(name, 240)
    assert done["phase"] == "Completed", describe(name)
    assert done["run"]["attempt"] == 2
    assert sql(f"select count(*) from llm_calls where run_id = '{run_id}'") == calls
    one_of_everything(name, run_id)


def test_database_killed_in_the_middle_of_a_run(task):
    name = task("kill-database", verification=SLOW)
    run_id = running_at(name, "verify")
    kill(get("pod", "ybis-postgres-0", SYSTEM), SYSTEM)
    done = wait_end(name, 300)
    assert done["phase"] == "Completed", describe(name)
    until("the database answers", lambda: sql("select 1") == [["1"]])
    one_of_everything(name, run_id)


def test_job_deleted_by_hand(task):
    name = task("delete-job", verification=SLOW)
    run_id = running_at(name, "verify")
    kubectl("delete", "job", jobs_of(name)[0]["metadata"]["name"], "--wait=true")
    done = wait_end(name, 240)
    assert done["phase"] == "Completed", describe(name)
    assert done["run"]["attempt"] == 2
    one_of_everything(name, run_id)
