"""The chart's CronJob makes backups that are whole: of the installation's own database, by the programs in the image."""

import json
import os

import pytest
from cluster import SYSTEM, get, items, kubectl, run, sql, until

CRONJOB = "ybis-backup"


@pytest.fixture(scope="module")
def cronjob():
    """The same release with backups on, and as it was afterwards; the claim stays in both cases."""
    upgrade = ["helm", "upgrade", "ybis", "charts/ybis", "-n", SYSTEM, "--reuse-values", "--wait", "--timeout", "3m"]
    run(*upgrade, "--set", "backup.enabled=true,backup.keep=2,backup.persistence.size=100Mi", timeout=240)
    yield CRONJOB
    run(*upgrade, "--set", "backup.enabled=false", timeout=240)
    kubectl("delete", "pvc", CRONJOB, "--ignore-not-found", "--wait=false", namespace=SYSTEM)


def ended(name):
    conditions = get("job", name, namespace=SYSTEM).get("status", {}).get("conditions", [])
    return next((c["type"] for c in conditions if c["status"] == "True" and c["type"] in ("Complete", "Failed")), None)


def job_log(name):
    return kubectl("logs", f"job/{name}", namespace=SYSTEM, check=False).stdout


def run_job(from_cronjob, args=None):
    """Runs the CronJob's template, perhaps with other arguments, to its end, and returns what it printed."""
    name = f"backup-{os.urandom(3).hex()}"
    made = kubectl("create", "job", name, f"--from=cronjob/{from_cronjob}", "--dry-run=client", "-o", "json", namespace=SYSTEM)
    job = json.loads(made.stdout)
    if args is not None:
        job["spec"]["template"]["spec"]["containers"][0]["args"] = args
    kubectl("apply", "-f", "-", input=json.dumps(job), namespace=SYSTEM)
    how = until(f"job {name}", lambda: ended(name), timeout=180)
    out = job_log(name)
    described = kubectl("describe", "job", name, namespace=SYSTEM).stdout
    assert how == "Complete", out + described
    kubectl("delete", "job", name, "--wait=false", namespace=SYSTEM)
    return out


def listed(cronjob):
    return json.loads(run_job(cronjob, ["backup", "list", "-o", "json"]))


def test_a_job_from_the_cronjob_makes_a_whole_backup(cronjob):
    made = json.loads(run_job(cronjob))
    assert [part["name"] for part in made["parts"]] == ["database"]
    assert sql(f"select count(*) from _journal where type = 'BACKUP_CREATED' and message = '{made['name']}'") == [["1"]]
    assert int(sql("select max(version) from _migrations")[0][0]) == made["schemaVersion"]
    found = [entry for entry in listed(cronjob) if entry["name"] == made["name"]]
    assert found and found[0]["problem"] == "" and found[0]["parts"] == made["parts"]


def test_a_restore_brings_the_rows_back_and_leaves_a_safety_backup(cronjob):
    name = json.loads(run_job(cronjob))["name"]
    tasks = sql("select count(*) from tasks")
    sql("insert into tasks (uid, namespace, name) values ('made-after-the-backup', 'x', 'x')")
    kubectl("scale", "deployment", "ybis-operator", "--replicas=0", namespace=SYSTEM)
    try:
        args = ["backup", "restore", name, "--component", "database", "--force", "--yes", "-o", "json"]
        report = json.loads(run_job(cronjob, args))
    finally:
        kubectl("scale", "deployment", "ybis-operator", "--replicas=1", namespace=SYSTEM)
        kubectl("rollout", "status", "deployment/ybis-operator", "--timeout=2m", namespace=SYSTEM, timeout=150)
    assert sql("select count(*) from tasks") == tasks
    assert report["components"] == ["database"]
    assert any(entry["path"] == report["safetyBackup"] and entry["problem"] == "" for entry in listed(cronjob))


def made_by(log):
    """What the job printed, without what it said of removals: a pod's log has both streams, a line of one amid the other's."""
    return json.loads("\n".join(line for line in log.splitlines() if not line.startswith("removed ")))


def test_no_more_stay_than_are_to_be_kept(cronjob):
    names = [made_by(run_job(cronjob))["name"] for _ in range(3)]
    assert [entry["name"] for entry in listed(cronjob) if not entry["safety"]] == list(reversed(names))[:2]


def test_its_pods_are_restricted_and_reach_the_database_alone(cronjob):
    pod = get("cronjob", cronjob, namespace=SYSTEM)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["automountServiceAccountToken"] is False and pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert not any("postgresql://" in word for word in container["args"])
    policies = [p["metadata"]["name"] for p in items("networkpolicies", namespace=SYSTEM)]
    assert cronjob in policies, policies
