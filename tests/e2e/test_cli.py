"""`ybis --backend cluster` and `kubectl ybis`: the verbs of one machine on tasks of a cluster, as its owner and as people with less."""

import json
import os
import subprocess

import pytest
from cluster import DEMO, ROOT, SYSTEM, TERMINAL, describe, get, kubectl, manifest, run, until, wait_end

YBIS = ROOT / "build/release/bin/ybis"
PLUGIN = ROOT / "build/release/bin/kubectl-ybis"


def ybis(*argv, check=True, kubeconfig=None, timeout=180, env=None):
    variables = {**os.environ, "YBIS_BACKEND": "cluster", "NO_COLOR": "1", **(env or {})}
    if kubeconfig:
        variables["KUBECONFIG"] = str(kubeconfig)
    done = subprocess.run([YBIS, *argv, "-n", DEMO], capture_output=True, text=True, timeout=timeout, cwd=ROOT, env=variables)
    if check and done.returncode != 0:
        raise AssertionError(f"ybis {' '.join(map(str, argv))}\nexit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def record_ready():
    conditions = json.loads(run("kubectl", "get", "apiservice", "v1alpha1.record.ybis.dev", "-o", "json").stdout)["status"]["conditions"]
    return any(c["type"] == "Available" and c["status"] == "True" for c in conditions)


@pytest.fixture(scope="module", autouse=True)
def record():
    until("the record's APIService is available", record_ready, timeout=60)


@pytest.fixture
def person(tmp_path):
    """Makes a kubeconfig of a service account with some cluster roles in the demo's namespace."""
    made = []

    def make(name, *roles):
        kubectl("create", "serviceaccount", name)
        made.append(name)
        for role in roles:
            kubectl("create", "rolebinding", f"{name}-{role}", f"--clusterrole={role}", f"--serviceaccount={DEMO}:{name}")
            made.append(f"{name}-{role}")
        config = json.loads(run("kubectl", "config", "view", "--raw", "--minify", "-o", "json").stdout)
        config["users"][0]["user"] = {"token": kubectl("create", "token", name).stdout.strip()}
        file = tmp_path / f"{name}.kubeconfig"
        file.write_text(json.dumps(config))
        return file

    yield make
    for name in made:
        kubectl("delete", "serviceaccount,rolebinding", name, "--ignore-not-found", check=False)


@pytest.fixture(scope="module")
def done_task():
    """A task that has ended, to read from."""
    name = f"cli-{os.urandom(3).hex()}"
    kubectl("apply", "-f", "-", input=json.dumps(manifest(name)))
    assert wait_end(name)["phase"] == "Completed", describe(name)
    yield name
    kubectl("delete", "ybistask", name, "--ignore-not-found")


def test_run_applies_follows_and_ends_as_the_run_does(tmp_path):
    name = f"cli-run-{os.urandom(3).hex()}"
    file = tmp_path / "task.yaml"
    file.write_text(json.dumps(manifest(name)))
    try:
        done = ybis("run", str(file))
        assert "Result    Completed" in done.stdout and "verify" in done.stdout, done.stdout
        assert get("ybistask", name)["status"]["phase"] == "Completed"
        again = ybis("run", str(file))
        assert "Result    Completed" in again.stdout
        assert get("ybistask", name)["status"]["run"]["number"] == 2
        over = ybis("run", name, check=False)
        assert over.returncode == 2 and f"retry {name}" in over.stderr, over.stderr
    finally:
        kubectl("delete", "ybistask", name, "--ignore-not-found")


def test_create_shows_the_fields_that_the_server_refuses(tmp_path):
    task = manifest("cli-bad")
    task["spec"]["limits"] = {"maxRepairs": 99}
    task["spec"]["objektive"] = "x"
    file = tmp_path / "task.yaml"
    file.write_text(json.dumps(task))
    refused = ybis("task", "create", "-f", str(file), check=False)
    assert refused.returncode == 2 and "spec.objektive" in refused.stderr, refused.stderr
    del task["spec"]["objektive"]
    file.write_text(json.dumps(task))
    refused = ybis("task", "create", "-f", str(file), check=False)
    assert refused.returncode == 2 and "spec.limits.maxRepairs" in refused.stderr, refused.stderr


def test_create_list_status_cancel_retry(tmp_path):
    name = f"cli-life-{os.urandom(3).hex()}"
    file = tmp_path / "task.yaml"
    file.write_text(json.dumps(manifest(name, suspend=True)))
    try:
        assert ybis("task", "create", "-f", str(file), "-o", "name").stdout == f"{name}\n"
        assert ybis("task", "create", "-f", str(file), check=False).returncode == 1
        uid = get("ybistask", name)["metadata"]["uid"]
        listed = json.loads(ybis("task", "list", "-o", "json", "--status", "Pending").stdout)
        assert uid in {row["uid"] for row in listed}
        assert f"{name} ({uid[:8]})" in ybis("task", "status", uid[:8]).stdout
        assert json.loads(ybis("task", "status", name, "-o", "json").stdout)["metadata"]["uid"] == uid
        ybis("cancel", name, "--reason", "not needed")
        until("it is cancelled", lambda: ybis("task", "status", name).stdout.find("Cancelled") > 0)
        kubectl("patch", "ybistask", name, "--type", "merge", "-p", '{"spec":{"suspend":false}}')
        assert "is queued again" in ybis("retry", name).stdout
        assert wait_end(name)["phase"] == "Completed", describe(name)
        assert ybis("cancel", name).stdout.endswith("is over already: Completed\n")
    finally:
        kubectl("delete", "ybistask", name, "--ignore-not-found")


def test_reads_the_record_of_a_run(done_task):
    status = ybis("task", "status", done_task).stdout
    for node in ("spec", "plan", "verify", "gate"):
        assert f"  {node} " in status, status
    events = [json.loads(line)["type"] for line in ybis("events", done_task, "-o", "json").stdout.splitlines()]
    assert events[0] == "RUN_QUEUED" and "RUN_COMPLETED" in events, events
    names = ybis("artifacts", done_task, "-o", "name").stdout.split()
    assert {"plan.json", "patch.diff", "gate.json"} <= set(names), names
    for name in names:
        assert ybis("artifacts", done_task, "get", name).stdout, name
    assert json.loads(ybis("artifacts", done_task, "get", "gate.json").stdout)["decision"] == "approved"
    assert "+++ b/hello.py" in ybis("diff", done_task).stdout
    assert ybis("artifacts", done_task, "get", "none", check=False).returncode == 3
    assert ybis("task", "status", "nobody", check=False).returncode == 3


def test_decides_about_a_run_that_waits(task, person):
    name = task("cli-decide", like="protected-path")
    assert wait_end(name)["phase"] == "Blocked", describe(name)
    assert "deploy/production.yaml" in ybis("diff", name).stdout
    viewer = person("cli-judge", "ybis-viewer")
    until("the role is in force", lambda: ybis("task", "status", name, kubeconfig=viewer, check=False).returncode == 0)
    denied = ybis("approve", name, "--yes", kubeconfig=viewer, check=False)
    assert denied.returncode == 1 and "cannot create" in denied.stderr and "ybis-approver" in denied.stderr, denied.stderr
    ybis("reject", name, "--yes", "--reason", "not before the release")
    ended = until("it has failed", lambda: get("ybistask", name)["status"] if get("ybistask", name)["status"]["phase"] == "Failed" else None)
    assert ended["failure"]["class"] == "Rejected", ended["failure"]
    late = ybis("approve", name, "--yes", check=False)
    assert late.returncode == 5 and "waits for nobody" in late.stderr, late.stderr
    made = [a for a in json.loads(kubectl("get", "ybisapprovals", "-o", "json").stdout)["items"] if a["spec"]["taskRef"]["name"] == name]
    assert len(made) == 1 and made[0]["spec"]["approver"] == "admin" and made[0]["status"]["phase"] == "Applied", made
    kubectl("delete", "ybisapproval", made[0]["metadata"]["name"])


def test_logs_of_the_pod_and_followed(done_task, task):
    assert "node finished" in ybis("logs", done_task).stdout
    name = task("cli-logs")
    followed = ybis("logs", "-f", name).stdout
    assert "node finished" in followed
    assert get("ybistask", name)["status"]["phase"] in TERMINAL


def test_workflows_and_workers():
    names = run("kubectl", "-n", SYSTEM, "get", "ybisworkflows", "-o", "name").stdout
    listed = subprocess.run([YBIS, "workflow", "list", "--backend", "cluster", "-n", SYSTEM, "-o", "name"], capture_output=True, text=True)
    assert listed.returncode == 0 and {f"ybisworkflow.ybis.dev/{n}" for n in listed.stdout.split()} == set(names.split())
    assert ybis("worker", "status").returncode == 0


def test_is_a_plugin_of_kubectl(done_task):
    path = f"{PLUGIN.parent}:{os.environ['PATH']}"
    done = run("env", f"PATH={path}", "kubectl", "ybis", "task", "list", "-n", DEMO, "-o", "name")
    assert done_task in done.stdout.split()
    everywhere = run("env", f"PATH={path}", "kubectl", "ybis", "task", "list", "-A")
    assert everywhere.stdout.startswith("NAMESPACE"), everywhere.stdout
    assert "kubectl ybis" in run("env", f"PATH={path}", "kubectl", "ybis", "--help").stdout


def test_without_rights_it_says_which(done_task, person):
    nobody = person("cli-nobody")
    listed = ybis("task", "list", kubeconfig=nobody, check=False)
    assert listed.returncode == 1 and "cannot list" in listed.stderr and "ybis-task-viewer" in listed.stderr, listed.stderr
    viewer = person("cli-viewer", "view")
    until("the role is in force", lambda: ybis("task", "list", kubeconfig=viewer, check=False).returncode == 0)
    assert "RUN_COMPLETED" in ybis("events", done_task, kubeconfig=viewer).stdout
    denied = ybis("diff", done_task, kubeconfig=viewer, check=False)
    assert denied.returncode == 1 and "runs/artifacts" in denied.stderr and "ybis-viewer" in denied.stderr, denied.stderr
    denied = ybis("cancel", done_task, kubeconfig=viewer, check=False)
    assert denied.returncode == 0 and "over already" in denied.stdout
    denied = ybis("retry", done_task, kubeconfig=viewer, check=False)
    assert denied.returncode == 1 and "cannot patch" in denied.stderr and "ybis-task-editor" in denied.stderr, denied.stderr
    reader = person("cli-reader", "ybis-viewer")
    until("the role is in force", lambda: ybis("diff", done_task, kubeconfig=reader, check=False).returncode == 0)


def test_the_record_is_served_to_the_api_server_alone(done_task):
    """Straight to the operator, with the headers of the front proxy but without its certificate."""
    run_id = get("ybistask", done_task)["status"]["run"]["id"]
    address = kubectl("get", "service", "ybis-operator", "-o", "jsonpath={.spec.clusterIP}", namespace=SYSTEM).stdout
    url = f"https://{address}:8443/apis/record.ybis.dev/v1alpha1/namespaces/{DEMO}/runs/{run_id}"
    asked = run("curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "-H", "X-Remote-User: admin", "-H",
                "X-Remote-Group: system:masters", url)
    assert asked.stdout == "401"


def test_no_cluster_is_one_clear_line(tmp_path):
    config = tmp_path / "config"
    config.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "k", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": "t"}}], "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}]}))
    done = ybis("task", "list", kubeconfig=config, check=False)
    assert done.returncode == 1 and done.stderr.startswith("error: no cluster answers at https://127.0.0.1:1"), done.stderr
    assert done.stderr.count("\n") == 1
