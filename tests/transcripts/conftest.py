import pytest
from transcript import ROOT, Machine, Transcript


@pytest.fixture(scope="session")
def machine():
    """Five tasks, as the examples have them: completed, repaired, blocked, queued and cancelled."""
    made = Machine()
    tasks = ROOT / "examples/tasks"
    for task, repository, code in [("hello", "hello", 0), ("ring", "ring", 0), ("protected-path", "shop", 4)]:
        result = made.run("run", str(tasks / f"{task}.yaml"), "--repo", str(made.repository(repository)))
        assert result.returncode == code, result.stdout + result.stderr
    for task in ["waiting", "dropped"]:
        result = made.run("task", "create", "-f", str(tasks / "hello.yaml"), "--name", task, "--repo", str(made.folder / "hello"))
        assert result.returncode == 0, result.stderr
    assert made.run("cancel", "dropped", "--reason", "not wanted any more").returncode == 0
    yield made
    made.close()


@pytest.fixture(scope="session")
def workshop():
    """For tests that make tasks of their own: what they do shows in no other test's lists."""
    made = Machine()
    for name in ["hello", "shop", "labels"]:
        made.repository(name)
    yield made
    made.close()


@pytest.fixture
def transcript(machine):
    return Transcript(machine)
