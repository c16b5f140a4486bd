"""Runs `ybis` as a user does and writes down what came out, so that it can be compared with a golden file.

A transcript is the commands with their standard output, their standard error (each line after "! ") and their exit code where it
is not 0. What differs from run to run (ids, times, durations, paths, sizes) is replaced by a word in capitals.
"""

import os
import pathlib
import re
import shlex
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden/cli"
BIN = pathlib.Path(os.environ.get("YBIS_BIN", ROOT / "build/release/bin")).resolve()
REWRITE = os.environ.get("YBIS_REWRITE_GOLDEN") == "1"

# Tables of backups are as wide as their sizes.
PATTERNS_OF_BACKUPS = [
    (r"\bybis-\d{8}T\d{6}Z-[0-9a-f]{6}", "BACKUP"),
    (r"^NAME +AGE +SIZE +SCHEMA +PARTS +KIND +STATE$", "NAME  AGE  SIZE  SCHEMA  PARTS  KIND  STATE"),
    (r"^(BACKUP(?:-safety)?) +\S+ +[0-9.]+ [KM]?B +(\d+|-) +(\S+) +(\S+) +", r"\1  AGE  SIZE  N  \3  \4  "),
]
# In this order: what is long comes before what it contains.
PATTERNS = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
    (r"\b[0-9a-f]{8}-(\d+)\b", r"RUN-\1"),
    (r"(sha256:)?\b[0-9a-f]{64}\b", "DIGEST"),
    (r"\b[0-9a-f]{40}\b", "COMMIT"),
    (r"\(commit [0-9a-f]{12}\)", "(commit COMMIT)"),
    (r"\b[0-9a-f]{32}\b", "TRACE"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?", "TIMESTAMP"),
    (r"\b\d\d:\d\d:\d\d\b", "TIME"),
    (r"\(([0-9a-f]{8})\)", "(UID)"),
    (r"^(\S+ +)[0-9a-f]{8}( )", r"\1UID     \2"),
    (r" +\b(\d+h\d+m|\d+m\d+s|\d+(\.\d+)?s)( {2,})", "  DURATION  "),
    (r"AGE +", "AGE  "),
    (r"^(Time      )\S+$", r"\1DURATION"),
    (r"\b\d+m\d+s\b|\b\d+(\.\d)?s\b(?= ago|$| +\S)", "DURATION"),
    (r"[0-9.]+ GiB free", "N GiB free"),
    (r"PostgreSQL \d+(\.\d+)?( \([^)]*\))?", "PostgreSQL VERSION"),
    (r"git version [0-9.]+", "git version VERSION"),
    (r"\bat version \d+", "at version N"),
    (r"VERSION +NAME +APPLIED\n(\d+ +\w+ +TIMESTAMP\n)+", "VERSION  NAME  APPLIED\nN  NAME  TIMESTAMP\n"),
    (r"^(applied|undone) \d{4} \w+$", r"\1 MIGRATION"),
    (r"\S+/UUID/\d{10}/\d+/\d+", "HOLDER"),
    (r"(\$ROOT\S*) {2,}", r"\1  "),
    (r"\blocal:[A-Za-z0-9_][A-Za-z0-9_.-]*(?<![.-])", "local:USER"),
    (r'("?size"?: )\d+', r"\1N"),
    (r"Landlock version \d+", "Landlock version N"),
    (r'("durationSeconds": ?)[0-9.e-]+', r"\1N"),
    # YAML quotes an id that might be read as a number.
    (r'^(\s*(?:- )?\w+: )"(UUID|RUN-\d+|COMMIT)"$', r"\1\2"),
]


def normalise(text, folder):
    # The programs lie in the checkout as a rule, in a folder named for the way they were built.
    text = text.replace(str(folder), "$DIR").replace(str(BIN), "$BIN").replace(str(ROOT), "$ROOT")
    for pattern, word in PATTERNS_OF_BACKUPS + PATTERNS:
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    return text


class Machine:
    """One user's machine: data, settings and repositories of its own; the built programs."""

    def __init__(self):
        # Always below /tmp: tables are as wide as the paths in them, and those of the checkout may be of any length.
        self._temporary = tempfile.TemporaryDirectory(prefix="ybis-transcript-", dir="/tmp", ignore_cleanup_errors=True)
        self.folder = pathlib.Path(self._temporary.name)
        self.folder.chmod(0o711)
        (self.folder / "config").mkdir()
        (self.folder / "recordings").symlink_to(ROOT / "examples/recordings")
        (self.folder / "config/config.yaml").write_text(
            f'models:\n  - {{name: recorded, provider: replay, replayDir: "{self.folder}/recordings"}}\n')
        self.environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.folder), "LC_ALL": "C.UTF-8", "TZ": "UTC",
            "YBIS_DATA_DIR": str(self.folder / "data"), "YBIS_CONFIG_DIR": str(self.folder / "config"),
        }

    def close(self):
        self.run("db", "stop")
        self._temporary.cleanup()

    def run(self, *words, timeout=120, **environment):
        return subprocess.run([BIN / "ybis", *words], env=self.environment | environment, cwd=self.folder, text=True,
                              capture_output=True, timeout=timeout, errors="replace", stdin=subprocess.DEVNULL)

    def repository(self, example):
        target = self.folder / example
        subprocess.run(["cp", "-R", str(ROOT / "examples/repositories" / example), str(target)], check=True)
        # Hooks, templates and signing are the developer's own.
        settings = os.environ | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
        git = ["git", "-C", str(target), "-c", "user.name=T", "-c", "user.email=t@example.com"]
        for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "Begin"]):
            subprocess.run(git + words, check=True, env=settings)
        return target


class Transcript:
    """What one test writes down; `check` compares it with tests/golden/cli/NAME.txt."""

    def __init__(self, machine):
        self.machine = machine
        self.text = ""

    def write(self, words, result, shown=None):
        self.text += "$ ybis " + (shown or shlex.join(str(word) for word in words)) + "\n" + result.stdout
        if result.stdout and not result.stdout.endswith("\n"):
            self.text += "\n"
        self.text += "".join(f"! {line}\n" for line in result.stderr.splitlines())
        if result.returncode != 0:
            self.text += f"[exit {result.returncode}]\n"
        self.text += "\n"

    def run(self, *words, **environment):
        result = self.machine.run(*words, **environment)
        self.write(words, result)
        return result

    def check(self, name):
        text = normalise(self.text, self.machine.folder)
        golden = GOLDEN / f"{name}.txt"
        if REWRITE:
            golden.write_text(text)
        wanted = golden.read_text() if golden.exists() else ""
        assert text == wanted, f"{golden} differs; `hack/test/transcripts --rewrite` writes it anew, `git diff` shows how"
