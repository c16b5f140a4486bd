"""Every command of ybis on the local backend, its output compared with tests/golden/cli."""

import concurrent.futures
import json
import re

import pytest
from transcript import ROOT, Transcript

TASKS = ROOT / "examples/tasks"
WORKFLOWS = ROOT / "examples/workflows"


def verbs_of(machine, *path):
    """The tree of commands, as --help tells it."""
    text = machine.run(*path, "--help").stdout
    yield path, text
    listed = re.search(r"^Subcommands:\n((?:  .*\n)+)", text, re.MULTILINE)
    for name in re.findall(r"^  (\S+)", listed.group(1), re.MULTILINE) if listed else []:
        yield from verbs_of(machine, *path, name)


def test_help_of_every_verb(machine, transcript):
    verbs = list(verbs_of(machine))
    assert len(verbs) > 30
    for path, _ in verbs:
        assert transcript.run(*path, "--help").returncode == 0
    transcript.check("help")


def test_lists(transcript):
    for words in [["task", "list", "--sort", "name"], ["task", "list", "--sort", "name", "-o", "wide"],
                  ["task", "list", "--sort", "name", "-o", "name"], ["task", "list", "--status", "Completed", "--sort", "name"],
                  ["task", "list", "--status", "Failed"], ["task", "list", "--limit", "1", "--sort", "oldest", "-o", "name"],
                  ["task", "list", "--status", "Blocked", "-o", "json"], ["task", "list", "--status", "Blocked", "-o", "yaml"],
                  ["worker", "status"], ["worker", "status", "-o", "json"], ["worker", "status", "-o", "wide"],
                  ["workflow", "list"], ["workflow", "list", "-o", "wide"], ["workflow", "list", "-o", "name"],
                  ["workflow", "list", "-o", "yaml"]]:
        transcript.run(*words)
    transcript.check("lists")


def test_status(transcript):
    for task in ["hello", "ring", "protected-path", "waiting", "dropped"]:
        transcript.run("task", "status", task)
    for form in ["wide", "json", "yaml", "name"]:
        transcript.run("task", "status", "protected-path", "-o", form)
    transcript.check("status")


def test_watch(transcript):
    for words in [["watch", "hello"], ["watch", "ring", "-o", "json"], ["watch", "protected-path"], ["watch", "dropped"]]:
        transcript.run(*words)
    transcript.check("watch")


def test_what_a_run_left(transcript):
    for words in [["diff", "hello"], ["diff", "protected-path"], ["artifacts", "hello", "-o", "name"],
                  ["artifacts", "hello", "get", "spec.json"], ["artifacts", "hello", "get", "gate.json"], ["events", "ring"]]:
        transcript.run(*words)
    transcript.check("artifacts")


def test_wide_has_whole_digests(machine):
    """Sizes and digests differ from run to run."""
    rows = machine.run("artifacts", "hello", "-o", "wide").stdout.splitlines()
    assert rows[0].split() == ["NAME", "SIZE", "DIGEST"] and len(rows) > 10
    assert all(re.fullmatch(r"\S+ +\d+ +sha256:[0-9a-f]{64}", row) for row in rows[1:]), rows


def test_a_run(workshop):
    transcript, repository = Transcript(workshop), workshop.folder / "labels"
    transcript.run("run", TASKS / "bounded-copies.yaml", "--workflow", WORKFLOWS / "codemod.yaml", "--repo", repository, "--dry-run")
    transcript.run("run", TASKS / "bounded-copies.yaml", "--workflow", WORKFLOWS / "codemod.yaml", "--repo", repository)
    transcript.run("task", "create", "-f", TASKS / "bounded-copies.yaml", "--repo", repository)
    transcript.run("run", "bounded-copies", "--dry-run")
    transcript.run("run", "bounded-copies", "--title", "x", "--workflow", WORKFLOWS / "codemod.yaml")
    transcript.run("run", "bounded-copies", "--workflow", WORKFLOWS / "checked-twice.yaml", "--dry-run")
    transcript.run("retry", "bounded-copies")
    transcript.run("run", "bounded-copies", "--workflow", "ybis-native")
    transcript.run("cancel", "bounded-copies")
    transcript.run("cancel", "bounded-copies", "-o", "json")
    transcript.run("run", "bounded-copies")
    transcript.run("run", "bounded-copies", "--workflow", WORKFLOWS / "codemod.yaml")
    transcript.run("retry", "bounded-copies", "-o", "yaml")
    transcript.run("cancel", "bounded-copies", "-o", "name")
    transcript.run("task", "create", "-f", TASKS / "bounded-copies.yaml", "--repo", repository, "--name", "copies",
                   "--workflow", WORKFLOWS / "codemod.yaml", "-o", "yaml")
    transcript.run("cancel", "copies")
    transcript.run("task", "status", "bounded-copies", "-o", "name")
    transcript.check("run")


def test_decisions(workshop):
    """A run that waits is revised, approved and gone on with; another is rejected."""
    transcript = Transcript(workshop)
    create = ["task", "create", "-f", TASKS / "protected-path.yaml", "--repo", workshop.folder / "shop", "--name"]
    for task in ["scale", "drop"]:
        transcript.run(*create, task)
        assert transcript.run("run", task).returncode == 4
    for words in [["approve", "scale"],
                  ["revise", "scale", "--yes"], ["revise", "scale", "--yes", "--feedback", "Three replicas are enough."],
                  ["approve", "scale", "--yes"], ["run", "scale"],
                  ["approve", "scale", "--yes", "--reason", "agreed with operations", "-o", "json"],
                  ["run", "scale"], ["diff", "scale"], ["approve", "scale", "--yes"],
                  ["reject", "drop", "--yes"],
                  ["reject", "drop", "--yes", "--reason", "not this quarter", "-o", "yaml"], ["reject", "drop", "--yes"],
                  ["task", "status", "drop"], ["events", "drop"]]:
        transcript.run(*words)
    transcript.check("decisions")


def test_a_retry_from_a_node(workshop):
    transcript = Transcript(workshop)
    transcript.run("run", TASKS / "hello.yaml", "--repo", workshop.folder / "hello", "--name", "again")
    for words in [["retry", "again", "--from", "nowhere"], ["retry", "again", "--from", "repair"],
                  ["retry", "again", "--from", "verify"], ["run", "again"]]:
        transcript.run(*words)
    transcript.check("retry")


def test_workflows(machine, transcript):
    (machine.folder / "loop.yaml").write_text(
        "name: loop\nentry_point: a\nexit_points: [b]\nnodes:\n  - {name: a, type: passthrough, next: [a, c]}\n"
        "  - {name: b, type: thinker}\n")
    for words in [["workflow", "show", "ybis-native"], ["workflow", "show", "ybis-native", "-o", "wide"],
                  ["workflow", "show", "ybis-native", "-o", "name"], ["workflow", "lint", WORKFLOWS / "codemod.yaml"],
                  ["workflow", "lint", "loop.yaml"], ["workflow", "show", "none"]]:
        transcript.run(*words)
    transcript.check("workflows")


def test_database(transcript):
    for words in [["db", "status"], ["db", "migrate"], ["db", "start"], ["db", "rollback", "0"], ["db", "rollback", "many"],
                  ["db", "rollback", "1"], ["version"], ["db", "stop"], ["db", "status"], ["db", "status", "-o", "json"], ["db", "stop"], ["db", "start"]]:
        transcript.run(*words)
    transcript.check("database")


def test_logs(transcript):
    """What a runner says differs from run to run but for its shape: an object a line, the run's id in each."""
    lines = transcript.run("logs", "hello").stdout.splitlines()
    assert lines and all(json.loads(line)["msg"] for line in lines)
    assert transcript.run("logs", "hello", "-f").stdout.splitlines() == lines, "it is over: nothing is waited for"


def test_backups(workshop):
    transcript = Transcript(workshop)
    folder = workshop.folder / "saved"
    transcript.run("backup", "create", "--to", folder)
    name = workshop.run("backup", "list", "--dir", str(folder), "-o", "name").stdout.strip()
    (workshop.folder / "noise").write_bytes(bytes(range(256)) * 4)
    (workshop.folder / "empty").mkdir()
    for words in [["backup", "list"], ["backup", "list", "--dir", "/nowhere"], ["backup", "list", "--dir", folder],
                  ["backup", "restore", "none"], ["backup", "restore", "none", "--yes"],
                  ["backup", "restore", "noise", "--yes"], ["backup", "restore", "empty", "--yes"],
                  ["backup", "restore", folder / name], ["backup", "restore", folder / name, "--component", "index", "--yes"],
                  ["backup", "restore", "--component", "configs", folder / name, "--yes"], ["backup", "list"],
                  ["backup", "cleanup", "--keep", "-1"], ["backup", "create", "--to", folder, "-o", "name"],
                  ["backup", "cleanup", "--keep", "1", "--dir", folder],
                  ["backup", "cleanup", "--keep", "1", "--dir", folder, "-o", "json"]]:
        transcript.run(*words)
    transcript.check("backups")


def test_a_database_that_goes_back(workshop):
    """By a rollback and migrations, and by a restore: each says what it did, and the task is there as it was."""
    transcript = Transcript(workshop)
    folder = workshop.folder / "kept"
    transcript.run("task", "create", "-f", TASKS / "hello.yaml", "--repo", workshop.folder / "hello", "--name", "kept")
    for words in [["db", "rollback", "1", "--yes"], ["db", "migrate"], ["db", "migrate"], ["db", "status"], ["task", "status", "kept"],
                  ["backup", "create", "--to", folder]]:
        assert transcript.run(*words).returncode == 0
    name = workshop.run("backup", "list", "--dir", str(folder), "-o", "name").stdout.strip()
    for words in [["cancel", "kept"], ["task", "status", "kept"],
                  ["backup", "restore", folder / name, "--component", "database", "--yes"], ["task", "status", "kept"]]:
        assert transcript.run(*words).returncode == 0
    transcript.check("database_back")


def test_health(machine, transcript):
    transcript.run("health")
    transcript.run("health", "-o", "json")
    broken = machine.folder / "broken.yaml"
    broken.write_text("models:\n  - {name: far, endpoint: 'http://127.0.0.1:1/v1'}\n"
                      "  - {name: keyless, endpoint: 'http://127.0.0.1:1/v1', apiKeyFile: /nowhere/key}\n"
                      "health: {minFreeDiskMiB: 999999999, maxBackupAgeHours: 24}\n")
    transcript.run("health", "--config", broken)
    transcript.check("health")


def test_configuration(machine, transcript):
    transcript.run("config", "show")
    transcript.run("config", "show", "--profile", "prod", YBIS_CONFIG__LIMITS__MAX_RUNS="7")
    transcript.run("config", "show", "-o", "json")
    transcript.run("config", "show", "--database-url", "postgresql://me:very-secret@db.example.com/ybis")
    files = {"unknown.yaml": "limits:\n  maxRuns: 3\n  maxRunz: 3\n", "type.yaml": "limits: {maxRuns: many}\n",
             "sense.yaml": "lease: {leaseSeconds: 10, heartbeatSeconds: 9}\n", "alias.yaml": "a: &x 1\nb: *x\n",
             "model.yaml": "models: [{name: m}]\ndefaultModel: n\n"}
    for name, text in files.items():
        (machine.folder / name).write_text(text)
        transcript.run("config", "show", "--config", name)
    transcript.run("config", "show", "--profile", "production")
    transcript.run("config", "show", YBIS_CONFIG__LIMITS__MAX_RUNZ="7")
    transcript.run("config", "show", YBIS_CONFIG__LIMITS__MAX_RUNS="a: [")
    assert transcript.text.count("very-secret") == 1, "only in the command as it was typed"
    transcript.check("configuration")


NEEDS_ID = [["task", "status"], ["cancel"], ["retry"], ["approve", "--yes"], ["reject", "--yes", "--reason", "x"],
            ["revise", "--yes", "--feedback", "x"], ["diff"], ["artifacts"], ["events"], ["logs"], ["watch"], ["run"]]


def test_ids_that_name_nothing(transcript):
    for verb in NEEDS_ID:
        assert transcript.run(*verb, "nobody").returncode == 3
    for odd in ["", "../../etc/passwd", "x' OR '1'='1", "hello\nring", "ü" * 300]:
        assert transcript.run("task", "status", odd).returncode == 3
    transcript.run("artifacts", "hello", "get", "none.json")
    transcript.run("artifacts", "hello", "get", "../../password")
    transcript.check("unknown_ids")


def test_command_lines_that_are_wrong(machine, transcript):
    for path, _ in verbs_of(machine):
        result = machine.run(*path, "--no-such-flag")
        assert result.returncode == 2, (path, result.stdout, result.stderr)
    for words in [[], ["tusk"], ["task"], ["task", "status"], ["task", "list", "--status", "Sleeping"],
                  ["task", "list", "--limit", "0"], ["task", "list", "--sort", "size"], ["task", "list", "-o", "xml"],
                  ["task", "create"], ["task", "create", "--objective", "x"], ["run"], ["run", "--dry-run", "--repo", "."],
                  ["worker", "start", "--count", "-1"], ["worker", "start", "--health-address", "nowhere"],
                  ["watch", "--interval", "0"], ["completion", "tcsh"], ["completion"], ["events", "hello", "-o", "yaml"],
                  ["health", "--backend", "moon"]]:
        transcript.run(*words)
    transcript.check("wrong_command_lines")


def test_manifests_that_are_wrong(machine, transcript):
    files = {"binary.yaml": bytes(range(256)) * 4, "empty.yaml": b"", "list.yaml": b"- 1\n",
             "kind.yaml": b"apiVersion: ybis.dev/v1alpha1\nkind: Pod\nmetadata: {name: x}\nspec: {}\n",
             "unknown.yaml": (TASKS / "hello.yaml").read_bytes().replace(b"  title:", b"  titel: x\n  title:"),
             "bomb.yaml": b"a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "huge.yaml": b"x" * 50_000_000}
    (machine.folder / "folder.yaml").mkdir(exist_ok=True)
    for name, content in files.items():
        (machine.folder / name).write_bytes(content)
    for name in [*files, "folder.yaml", "missing.yaml"]:
        for verb in (["task", "create", "-f", name], ["run", "--dry-run", name]):
            assert transcript.run(*verb).returncode in (1, 2, 3)
        if name in ("binary.yaml", "huge.yaml", "folder.yaml"):
            transcript.run("workflow", "lint", name)
            transcript.run("config", "show", "--config", name)
    (machine.folder / "huge.yaml").unlink()
    transcript.check("wrong_manifests")


DEAD = "postgresql://ybis:not-told@127.0.0.1:1/ybis"


def test_a_database_that_is_dead(machine, transcript):
    repository = str(machine.folder / "hello")
    calls = [[*verb, "hello"] for verb in NEEDS_ID]
    calls += [["task", "list"], ["task", "create", "-f", str(TASKS / "hello.yaml"), "--name", "new", "--repo", repository],
              ["worker", "start"], ["worker", "status"], ["db", "status"], ["db", "migrate"], ["db", "stop"], ["health"]]
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        results = list(pool.map(lambda words: machine.run(*words, DATABASE_URL=DEAD), calls))
    for words, result in zip(calls, results):
        assert result.returncode in (1, 2), words
        assert "not-told" not in result.stdout + result.stderr, words
        transcript.write(words, result)
    transcript.check("dead_database")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(machine, shell):
    result = machine.run("completion", shell)
    assert result.returncode == 0 and "ybis" in result.stdout
