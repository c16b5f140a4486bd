"""Figures of a running installation, read from the API server's audit log, the record and /proc: nothing is estimated."""

import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/e2e"))
from cluster import SYSTEM, apply, delete, items, kubectl, manifest, sql, wait_end  # noqa: E402
from figure import Figure  # noqa: E402

OPERATOR = "system:serviceaccount:ybis-system:ybis-operator"


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def audit_since(offset):
    with open(os.environ["YBIS_AUDIT_LOG"], "rb") as log:
        log.seek(offset)
        for line in log:
            entry = json.loads(line)
            if entry["stage"] == "ResponseComplete" and entry["verb"] in ("create", "patch", "update", "delete"):
                yield entry


def operator_rss_kib():
    """Resident memory of the operator's process, found by its pod's uid in the cgroup of each process."""
    pod = items("pods", "-l", "app.kubernetes.io/component=operator", namespace=SYSTEM)[0]["metadata"]["uid"]
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if pod in (process / "cgroup").read_text() and "ybis-operator" in (process / "comm").read_text():
                return int(re.search(r"VmRSS:\s+(\d+)", (process / "status").read_text())[1])
        except OSError:
            continue
    return None


def run_tasks(count):
    """Runs tasks one after the other, each on an idle system; returns their names."""
    names = [f"bench-{os.getpid()}-{i}" for i in range(count)]
    for i, name in enumerate(names):
        apply(manifest(name))
        end = wait_end(name)
        if end["phase"] != "Completed":
            sys.exit(f"task {name} ended as {end['phase']}: {end.get('failure')}")
        print(f"\r{i + 1}/{count} tasks", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    time.sleep(1)
    return names


def job_latency(entries, names):
    """Seconds from the arrival of each task at the API server to that of its Job."""
    applied, created = {}, {}
    for entry in entries:
        reference = entry.get("objectRef", {})
        if entry["verb"] == "create" and reference.get("resource") == "jobs" and entry["user"]["username"] == OPERATOR:
            created[reference["name"]] = moment(entry["requestReceivedTimestamp"])
        if reference.get("resource") == "ybistasks" and not reference.get("subresource") and reference.get("name") in names:
            if entry["verb"] in ("create", "patch"):
                applied.setdefault(reference["name"], moment(entry["requestReceivedTimestamp"]))
    owners = {name: f"ybis-{run_id}" for name, run_id in runs_of(names).items()}
    return [created[owners[name]] - applied[name] for name in names]


def runs_of(names):
    quoted = ", ".join(f"'{name}'" for name in names)
    return dict(sql(f"select t.name, r.run_id from runs r join tasks t on t.uid = r.task_uid where t.name in ({quoted})"))


def terminal_latency(entries, names):
    """Seconds from the record's end of each run to the API server's answer to the last status patch."""
    quoted = ", ".join(f"'{name}'" for name in names)
    finished = dict(sql("select t.name, extract(epoch from r.finished) from runs r join tasks t on t.uid = r.task_uid "
                        f"where t.name in ({quoted})"))
    shown = {}
    for entry in entries:
        reference = entry.get("objectRef", {})
        if reference.get("resource") == "ybistasks" and reference.get("subresource") == "status":
            shown[reference["name"]] = moment(entry["stageTimestamp"])
    return [shown[name] - float(finished[name]) for name in names]


def writes_a_run(entries, count):
    kinds = [entry["objectRef"]["resource"] for entry in entries if entry["user"]["username"] == OPERATOR]
    objects = [kind for kind in kinds if kind in ("jobs", "ybistasks")]
    return len(objects) / count, kinds.count("events") / count


def loading_seconds():
    """What the runner's program takes to be loaded, to say its version and to end."""
    program = pathlib.Path(__file__).resolve().parents[2] / "build/release/bin/ybis-runner"
    started = time.monotonic()
    for _ in range(10):
        subprocess.run([program, "--version"], stdout=subprocess.DEVNULL, check=True)
    return (time.monotonic() - started) / 10


def first_node_seconds(names):
    """From the start of each runner's process to that of its first node, less the fetch and checkout. The part before its
    first line of log is measured by itself."""
    loading, values = loading_seconds(), []
    for name in names:
        out = kubectl("logs", "-l", f"ybis.dev/task={name}", "--tail=-1", check=False).stdout
        lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        at = {}
        for line in lines:
            at.setdefault(line["msg"].split(" of ")[0], moment(line["ts"]))
        pods = items("pods", "-l", f"ybis.dev/task={name}")
        if "run claimed" in at and "worktree" in at and "node started" in at and pods:
            values.append(loading + (at["run claimed"] - min(at.values())) + (at["node started"] - at["worktree"]))
    return values or sys.exit("no runner's log was left to read")


def figures(count):
    """The figures of `count` tasks, one after the other, on the running installation."""
    offset = os.stat(os.environ["YBIS_AUDIT_LOG"]).st_size
    names = run_tasks(count)
    entries = list(audit_since(offset))
    jobs = job_latency(entries, names)
    ends = terminal_latency(entries, names)
    starts = first_node_seconds(names)
    objects, events = writes_a_run(entries, count)
    yield Figure("cluster: task applied → Job created, p50", percentile(jobs, .5) * 1000, "ms")
    yield Figure("cluster: task applied → Job created, p99", percentile(jobs, .99) * 1000, "ms", at_most=250)
    yield Figure("cluster: run finished → status terminal, p50", percentile(ends, .5) * 1000, "ms")
    yield Figure("cluster: run finished → status terminal, p99", percentile(ends, .99) * 1000, "ms", at_most=1000)
    yield Figure("cluster: runner's start → first node, fetch left out, p50", percentile(starts, .5) * 1000, "ms", at_most=200)
    yield Figure("cluster: controller writes a run (Jobs, statuses)", objects, "", at_most=3)
    yield Figure("cluster: events a run", events, "", at_most=2)
    quiet = os.stat(os.environ["YBIS_AUDIT_LOG"]).st_size
    time.sleep(20)
    steady = [e for e in audit_since(quiet) if e["user"]["username"] == OPERATOR and e["objectRef"]["resource"] not in ("leases", "tokenreviews")]
    yield Figure("cluster: writes in 20 s of steady state", len(steady), "", at_most=0)
    yield Figure("cluster: operator's resident memory", (operator_rss_kib() or 0) / 1024, "MiB", at_most=40)
    for name in names:
        delete(name)
