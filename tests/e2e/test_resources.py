"""What kubectl shows of the resources: names, categories, columns."""

from cluster import DEMO, SYSTEM, kubectl, wait_end


def columns(*argv, namespace=DEMO):
    return kubectl("get", *argv, namespace=namespace).stdout.splitlines()[0].split()


def test_short_names_and_the_category():
    known = kubectl("api-resources", "--api-group=ybis.dev", "--categories=ybis", "--no-headers").stdout.splitlines()
    assert {line.split()[0]: line.split()[1] for line in known} == {"ybistasks": "yt", "ybisworkflows": "yw", "ybisapprovals": "ya"}
    shown = kubectl("get", "ybis", "-o", "name", namespace=SYSTEM).stdout.split()
    assert {"ybisworkflow.ybis.dev/ybis-native", "ybisworkflow.ybis.dev/self-improve"} <= set(shown)


def test_columns_of_workflows():
    assert columns("yw", namespace=SYSTEM) == ["NAME", "ACCEPTED", "ENTRY", "VERSION", "AGE"]
    assert columns("yw", "-o", "wide", namespace=SYSTEM)[-1] == "MESSAGE"
    [row] = [line.split() for line in kubectl("get", "yw", namespace=SYSTEM).stdout.splitlines() if line.startswith("ybis-native ")]
    assert row[1] == "True" and row[2] == "spec", row


def test_columns_of_tasks(task):
    name = task("columns", title="Columns")
    wait_end(name)
    assert columns("yt") == ["NAME", "PHASE", "NODE", "DECISION", "BRANCH", "FILES", "AGE"]
    wide = kubectl("get", "yt", name, "-o", "wide").stdout.splitlines()
    assert wide[0].split()[7:] == ["PRIORITY", "RUN", "PASSED", "FAILED", "TOKENS-IN", "TOKENS-OUT", "APPROVALS", "REASON", "TITLE"]
    cells = wide[1].split()
    assert cells[1] == "Completed" and cells[3] == "approved" and cells[-1] == "Columns", wide
