"""hack/demo/environment.sh with a kubectl of the test's own: what it does to a cluster that is somebody's."""

import os
import subprocess

import pytest
from transcript import ROOT

KUBECTL = """#!/bin/bash
case "$*" in
  "get deployments"*) echo "$DEPLOYED_IN" ;;
  "get secrets -A"*) echo "$RELEASED_IN" ;;
  "get secrets -n"*) echo "$KEYS_IN" ;;
  "get namespace $LABELLED "*) echo true ;;
  "get namespace "*) ;;
  *) echo "changed: $*" >&2; exit 9 ;;
esac
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o755)

    def call(**facts):
        names = {"DEPLOYED_IN": "", "RELEASED_IN": "", "KEYS_IN": "", "LABELLED": "none", "CLUSTER": "current"}
        environment = os.environ | names | facts | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        return subprocess.run(["bash", "-euo", "pipefail", "-c", "source hack/demo/environment.sh; environment_own; echo goes on"],
                              cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    return call


@pytest.mark.parametrize("fact", ["DEPLOYED_IN", "RELEASED_IN", "KEYS_IN"])
def test_an_installation_in_earnest_is_left_alone(own, fact):
    result = own(**{fact: "ybis-system"})
    assert result.returncode == 1 and result.stdout == "", result
    assert result.stderr.count("\n") == 1 and "ybis-system" in result.stderr, result.stderr


def test_one_in_another_namespace_too(own):
    assert own(DEPLOYED_IN="platform", LABELLED="ybis-system").returncode == 1


def test_a_demo_may_be_repeated(own):
    facts = {name: "ybis-system" for name in ("DEPLOYED_IN", "RELEASED_IN", "KEYS_IN", "LABELLED")}
    for result in (own(), own(**facts), own(DEPLOYED_IN="ybis-system", CLUSTER="local")):
        assert result.returncode == 0 and result.stdout == "goes on\n", result
