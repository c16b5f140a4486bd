"""Figures of what a person waits for at first: a clean build without a compiler cache, and the demos once all is built."""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

from figure import Figure

ROOT = pathlib.Path(__file__).resolve().parents[2]


def seconds(*command, env=None):
    """How long a command takes that has to succeed; what it says goes to standard error."""
    started = time.monotonic()
    subprocess.run(command, cwd=ROOT, env=env, stdout=sys.stderr, check=True)
    return time.monotonic() - started


def build():
    """Every object of the three programs anew, in a folder of its own."""
    jobs = os.environ.get("JOBS", "2")
    with tempfile.TemporaryDirectory(prefix="ybis-build-") as folder:
        env = os.environ | {"CCACHE_DISABLE": "1"}
        subprocess.run(["cmake", "--preset", "release", "-B", folder], cwd=ROOT, env=env, stdout=subprocess.DEVNULL, check=True)
        programs = ["ybis-operator", "ybis-runner", "ybis"]
        took = seconds("cmake", "--build", folder, "-j", jobs, "--target", *programs, env=env)
        yield Figure(f"clean build of the three programs, no ccache, {jobs} jobs", took, "s", at_most=360)


def demo():
    """The demos as `make` starts them, with the build and the tools there."""
    yield Figure("make demo-local, built", seconds("make", "-s", "demo-local"), "s", at_most=10)
    if "YBIS_AUDIT_LOG" in os.environ:
        yield Figure("make demo, with its cluster up", seconds("make", "-s", "demo"), "s", at_most=120)
