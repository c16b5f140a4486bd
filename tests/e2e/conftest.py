import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import cluster  # noqa: E402


def pytest_sessionstart(session):
    if "KUBECONFIG" not in os.environ and cluster.run("kubectl", "version", check=False).returncode != 0:
        pytest.exit("no cluster: `make test` brings one up, or `eval \"$(hack/cluster/cluster env)\"` after `make demo`", 2)


@pytest.fixture
def task():
    """Makes tasks and deletes them after the test; the name is made unique so that branches never meet."""
    made = []

    def make(name, like="hello", **spec):
        unique = f"{name}-{os.urandom(3).hex()}"
        made.append(unique)
        cluster.apply(cluster.manifest(unique, like, **spec))
        return unique

    yield make
    for name in made:
        cluster.delete(name)
