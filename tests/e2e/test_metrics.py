"""The operator's /metrics, before and after a task: what dashboards and alarms stand on."""

import re

from cluster import SYSTEM, describe, items, kubectl, wait_end

CHECKS = {"database", "migrations", "leases", "disk", "cluster", "approver-policy"}
MODELS = {"recorded", "down"}


def metrics():
    """Every sample of the only replica: its name with its labels, and its value."""
    [pod] = items("pods", "-l", "app.kubernetes.io/component=operator", namespace=SYSTEM)
    text = kubectl("get", "--raw", f"/api/v1/namespaces/{SYSTEM}/pods/{pod['metadata']['name']}:8080/proxy/metrics").stdout
    samples = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in samples}


def test_a_task_raises_what_counts_it(task):
    before = metrics()
    name = task("metrics")
    done = wait_end(name)
    assert done["phase"] == "Completed", describe(name)
    after = metrics()

    def rose(sample):
        return after.get(sample, 0) - before.get(sample, 0)

    assert rose("ybis_tasks_created_total") == 1
    assert rose("ybis_tasks_completed_total") == 1
    assert rose("ybis_workflow_duration_seconds_count") == 1
    assert rose('ybis_gate_outcomes_total{decision="approved"}') == 1
    for node in ("spec_generator", "planner", "executor", "verifier", "gate"):
        assert rose(f'ybis_node_duration_seconds_count{{type="{node}"}}') == 1, node
    usage = done["usage"]
    calls = sum(rose(sample) for sample in after if sample.startswith('ybis_llm_calls_total{model="recorded"'))
    assert calls == usage["llmCalls"] == 3
    assert rose('ybis_llm_tokens_total{direction="in",model="recorded"}') == usage["tokensIn"] > 0
    assert rose('ybis_llm_tokens_total{direction="out",model="recorded"}') == usage["tokensOut"] > 0
    assert abs(rose("ybis_llm_cost_usd_total") - usage["costUSD"]) < 1e-9


def test_every_health_check_has_its_row():
    rows = {}
    for sample, value in metrics().items():
        found = re.fullmatch(r'ybis_health_check\{check="([^"]+)"(?:,name="([^"]*)")?\}', sample)
        if found:
            rows[found[1], found[2]] = value
    assert set(rows) == {(check, None) for check in CHECKS} | {("model", name) for name in MODELS}
    assert rows["model", "down"] == 2
    assert all(value == 0 for (check, _), value in rows.items() if check not in ("model", "leases", "disk")), rows
