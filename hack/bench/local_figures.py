"""Figures of this machine alone: the command line, a whole task, and what the benchmark programs say of the queue."""

import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

from figure import Figure, from_json

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = ROOT / "build/release/bin"


def timed(command, env, count=1):
    """Milliseconds of each run, in order."""
    values = []
    for _ in range(count):
        started = time.monotonic()
        subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
        values.append((time.monotonic() - started) * 1000)
    return values


@contextlib.contextmanager
def machine():
    """The environment of a machine that has never seen YBIS, with the example tasks' recorded answers."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ybis-bench-"))
    folder.chmod(0o711)  # started by root, the database is another user's process
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "YBIS_DATA_DIR": str(folder / "data"),
        "YBIS_CONFIG_DIR": str(folder / "config"),
    }
    (folder / "config").mkdir()
    (folder / "config/config.yaml").write_text(
        f'models:\n  - {{name: recorded, provider: replay, replayDir: "{ROOT}/examples/recordings"}}\n'
    )
    shutil.copytree(ROOT / "examples/repositories/hello", folder / "hello")
    git = ["git", "-C", str(folder / "hello"), "-c", "user.name=Bench", "-c", "user.email=bench@example.com"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "Begin"]):
        subprocess.run(git + arguments, env=env, check=True)
    try:
        yield folder, env
    finally:
        subprocess.run([BIN / "ybis", "db", "stop"], env=env, stdout=subprocess.DEVNULL, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def fill(folder, env, count):
    """Adds finished tasks to the record directly."""
    password = (folder / "data/postgres/password").read_text()
    script = f"""
        INSERT INTO tasks (uid, namespace, name, runs) SELECT 'bench-' || i, 'local', 'bench-' || i, 1 FROM generate_series(1, {count}) i;
        INSERT INTO runs (run_id, task_uid, number, state, attempt, started, finished)
          SELECT 'bench-' || i || '-1', 'bench-' || i, 1, 'Completed', 1, now(), now() FROM generate_series(1, {count}) i;
        INSERT INTO run_orders SELECT 'bench-' || i || '-1', o.spec, o.workflow, o.policy, o.timeout_seconds, o.max_infra
          FROM generate_series(1, {count}) i, (SELECT * FROM run_orders LIMIT 1) o;
    """
    psql = ["psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", str(folder / "data/postgres/socket"), "-U", "ybis", "ybis"]
    subprocess.run(psql, input=script, text=True, env=env | {"PGPASSWORD": password}, check=True)


def command_line():
    with machine() as (folder, env):
        ybis = str(BIN / "ybis")
        yield Figure("ybis --help", statistics.median(timed([ybis, "--help"], env, 20)), "ms", at_most=30)
        run = [ybis, "run", str(ROOT / "examples/tasks/hello.yaml"), "--repo", str(folder / "hello")]
        yield Figure("task created → run finished, on an empty machine", timed(run, env)[0] / 1000, "s", at_most=3)
        yield Figure("the same with the database up", statistics.median(timed(run, env, 5)) / 1000, "s", at_most=3)
        fill(folder, env, 1000)
        listing = [ybis, "task", "list", "--limit", "1000"]
        yield Figure("ybis task list of 1,000", statistics.median(timed(listing, env, 10)), "ms", at_most=150)


def program(name, *arguments):
    with subprocess.Popen([BIN / name, *arguments], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            yield from_json(json.loads(line))
    if process.returncode != 0:
        raise SystemExit(f"{name} ended with {process.returncode}")


def figures():
    yield from command_line()
    yield from program("ybis_pick_up_bench", "500")
    yield from program("ybis_queue_bench")
    yield from program("ybis_backup_bench")
