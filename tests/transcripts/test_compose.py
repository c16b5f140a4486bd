"""compose.yaml without containers: its parts fit together, and each service's own command and environment does what it should on
this machine against a real Postgres."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import pytest
import yaml
from transcript import BIN, ROOT, Machine


def interpolated(settings):
    text = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda m: settings.get(m[1], m[2]), (ROOT / "compose.yaml").read_text())
    assert "${" not in text, "every variable has a default"
    return yaml.safe_load(text)


@pytest.fixture(scope="module")
def compose():
    return interpolated({})


def test_parts_fit_together(compose):
    services = compose["services"]
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in services, (name, needed)
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[needed], needed
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source.startswith(("/", ".")) or source in compose["volumes"], (name, volume)
        if "build" in service:
            assert (ROOT / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    assert services["migrate"]["restart"] == "no"
    assert (ROOT / "examples/compose/config.yaml").is_file()


def test_the_image_copies_only_what_its_context_holds():
    dockerfile = ROOT / "hack/images/local/Dockerfile"
    allowed = [line[1:] for line in (dockerfile.parent / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")]
    for path in allowed:
        assert (ROOT / path).exists(), path
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile.read_text(), re.MULTILINE):
        for source in sources.split():
            assert source == "." or any(source == path or source.startswith(path + "/") for path in allowed), source
    included = set(re.findall(r"add_subdirectory\((\w+)", (ROOT / "CMakeLists.txt").read_text())) - {"tests"}
    assert included - {"lib"} <= set(allowed), "every folder that the build enters"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def psql(folder, sql):
    password = (folder / "postgres/password").read_text()
    program = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/psql"))[-1]
    subprocess.run([program, "-h", folder / "postgres/socket", "-U", "ybis", "-d", "ybis", "-qc", sql], check=True,
                   env={"PGPASSWORD": password, "PATH": "/usr/bin:/bin"})
    return f"host='{folder}/postgres/socket' user=ybis dbname=composed password={password}"


def test_each_service_does_what_it_should(compose):
    machine = Machine()
    try:
        assert machine.run("db", "start").returncode == 0
        url = psql(machine.folder / "data", "CREATE DATABASE composed")
        settings = (ROOT / "examples/compose/config.yaml").read_text().replace(
            "/usr/local/share/ybis/recordings", str(ROOT / "examples/recordings"))
        (machine.folder / "compose.config.yaml").write_text(settings)
        port = free_port()

        def environment(service):
            given = {key: str(value) for key, value in compose["services"][service]["environment"].items()}
            given["DATABASE_URL"] = url
            given["YBIS_CONFIG"] = given["YBIS_CONFIG"].replace("/etc/ybis/config.yaml", str(machine.folder / "compose.config.yaml"))
            base = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "YBIS_CONFIG_DIR": str(machine.folder / "none"),
                    "YBIS_DATA_DIR": str(machine.folder / "container")}
            return base | given

        def command(service, *words):
            spoken = list(words) or compose["services"][service]["command"]
            return [str(BIN / "ybis"), *[word.replace(":8080", f"127.0.0.1:{port}") for word in spoken]]

        def run(service, *words):
            return subprocess.run(command(service, *words), env=environment(service), capture_output=True, text=True, timeout=120)

        early = run("worker")
        assert early.returncode == 1 and "migrate" in early.stderr, early.stderr
        first, again = run("migrate"), run("migrate")
        assert first.returncode == again.returncode == 0 and "applied 0001" in first.stdout, first.stderr
        assert again.stdout == "nothing to do\n"

        worker = subprocess.Popen(command("worker"), env=environment("worker"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            probe = [word.replace(":8080", f":{port}") for word in compose["services"]["worker"]["healthcheck"]["test"][1:]]
            until = time.monotonic() + 60
            while subprocess.run(probe, capture_output=True).returncode != 0:
                assert time.monotonic() < until and worker.poll() is None, "the worker did not become healthy"
                time.sleep(0.2)
            shown = run("ybis", "config", "show")
            assert re.search(r"limits\.maxRuns +1000 ", shown.stdout), "workers beside this one have room: " + shown.stdout
            repository = machine.repository("hello")
            made = run("ybis", "task", "create", "-f", str(ROOT / "examples/tasks/hello.yaml"), "--repo", str(repository))
            assert made.returncode == 0, made.stderr
            watched = run("ybis", "watch", "hello")
            assert watched.returncode == 0 and "Completed" in watched.stdout, watched.stdout + watched.stderr
            worker.send_signal(signal.SIGTERM)
            grace = int(compose["services"]["worker"]["stop_grace_period"].removesuffix("s"))
            assert worker.wait(grace) == 0
        finally:
            if worker.poll() is None:
                os.kill(worker.pid, signal.SIGKILL)
                worker.wait()
    finally:
        machine.close()
