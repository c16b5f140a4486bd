"""What the end-to-end tests share: kubectl, tasks, the record and the git host of the demo's environment."""

import json
import os
import pathlib
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SYSTEM, DEMO = "ybis-system", "ybis-demo"
TERMINAL = {"Completed", "Failed", "Blocked", "Cancelled"}


def run(*argv, input=None, check=True, timeout=120):
    done = subprocess.run(argv, input=input, capture_output=True, text=True, timeout=timeout, cwd=ROOT)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, argv))}\nexit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def kubectl(*argv, namespace=DEMO, **options):
    return run("kubectl", "-n", namespace, *argv, **options)


def get(kind, name, namespace=DEMO):
    return json.loads(kubectl("get", kind, name, "-o", "json", namespace=namespace).stdout)


def items(kind, *argv, namespace=DEMO):
    return json.loads(kubectl("get", kind, "-o", "json", *argv, namespace=namespace).stdout)["items"]


def until(what, probe, timeout=60, pause=0.2):
    """Waits for probe() to give something true, and returns it."""
    deadline = time.monotonic() + timeout
    while True:
        value = probe()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what}: not within {timeout} s"
        time.sleep(pause)


def manifest(name, like="hello", **spec):
    """A task like that example, with other fields on top."""
    import yaml

    task = yaml.safe_load((ROOT / f"examples/tasks/{like}.yaml").read_text())
    task["metadata"]["name"] = name
    task["spec"].update(spec)
    return task


def apply(task, *argv, **options):
    return kubectl("apply", "-f", "-", *argv, input=json.dumps(task), **options)


def delete(name):
    kubectl("delete", "ybistask", name, "--ignore-not-found", "--wait=true")


def status(name):
    return get("ybistask", name).get("status", {})


def condition(name, type):
    for entry in status(name).get("conditions", []):
        if entry["type"] == type:
            return entry
    return {}


def wait_end(name, timeout=180):
    """Waits for a task to end, and returns its status."""
    deadline = time.monotonic() + timeout
    while True:
        now = status(name)
        if now.get("phase") in TERMINAL:
            return now
        assert time.monotonic() < deadline, f"task {name} did not end in {timeout} s:\n{describe(name)}"
        time.sleep(0.3)


def describe(name):
    logs = kubectl("logs", "-l", f"ybis.dev/task={name}", "--tail=40", check=False).stdout
    return kubectl("describe", "ybistask", name, check=False).stdout + logs


def jobs_of(name):
    return items("jobs", "-l", f"ybis.dev/task={name}")


def pods_of(name):
    return items("pods", "-l", f"ybis.dev/task={name}")


def events_of(name):
    return [e for e in items("events.events.k8s.io") if e.get("regarding", {}).get("name") == name]


def sql(query):
    """Rows of a query on the operator's database, as lists of strings."""
    out = run("kubectl", "-n", SYSTEM, "exec", "ybis-postgres-0", "--", "psql", "-X", "-A", "-t", "-F", "\t", "-h", "/tmp", "-U",
              "ybis", "-d", "ybis", "-c", query, check=False)
    if out.returncode != 0:
        out = run("kubectl", "-n", SYSTEM, "exec", "ybis-postgres-0", "--", "psql", "-X", "-A", "-t", "-F", "\t", "-U", "ybis",
                  "-d", "ybis", "-c", query)
    return [line.split("\t") for line in out.stdout.splitlines() if line]


def git(*argv, **options):
    """git against the demo's host, its name resolved to the Service's address."""
    import base64

    state = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "ybis/demo"
    address = kubectl("get", "service", "git", "-o", "jsonpath={.spec.clusterIP}").stdout
    basic = base64.b64encode(f"ybis:{(state / 'password').read_text()}".encode()).decode()
    return run("env", f"GIT_SSL_CAINFO={state}/ca.crt", "git", "-c", f"http.curloptResolve=git.{DEMO}.svc:8443:{address}", "-c",
               f"http.extraHeader=Authorization: Basic {basic}", *argv, **options)


def branches(repository):
    """Branch name to commit, as the git host has them."""
    out = git("ls-remote", "--heads", f"https://git.{DEMO}.svc:8443/git/{repository}.git").stdout
    return {line.split("\t")[1].removeprefix("refs/heads/"): line.split("\t")[0] for line in out.splitlines()}


def clone(repository, branch, folder):
    git("clone", "--quiet", "--branch", branch, f"https://git.{DEMO}.svc:8443/git/{repository}.git", str(folder))
    return folder
