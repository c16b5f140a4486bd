"""The chart: linted, valid against the API server's own schemas, and clear about wrong values."""

import json

import pytest
import yaml
from cluster import ROOT, SYSTEM, kubectl, run

VALUES = "hack/demo/manifests/values.yaml"


def template(*argv, check=True):
    return run("helm", "template", "ybis", "charts/ybis", "-n", SYSTEM, "--values", VALUES, *argv, check=check)


def test_lint():
    run("helm", "lint", "--strict", "charts/ybis", "--values", VALUES)


@pytest.mark.parametrize("argv", [[], ["--set", "replicas=3"], ["--set", "instance=blue"], ["--set", "approvals.admissionPolicy=false"],
                                  ["--set", "watchNamespace=team-a"], ["--set", "backup.enabled=true"],
                                  ["--set", "postgres.enabled=false", "--set", "database.existingSecret=db"],
                                  ["--set", "backup.enabled=true,backup.persistence.existingClaim=mine,database.existingSecret=db"]])
def test_manifests_fit_the_schemas_of_the_api_server(argv, tmp_path):
    if run("hack/cluster/cluster", "schemas", str(tmp_path), check=False).returncode != 0:
        pytest.skip("this cluster's schemas cannot be read")
    form = f"{tmp_path}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    run("kubeconform", "-strict", "-schema-location", form, "-", input=template(*argv).stdout)
    examples = [str(path) for kind in ("tasks", "approvals") for path in sorted((ROOT / "examples" / kind).glob("*.yaml"))]
    run("kubeconform", "-strict", "-schema-location", form, *examples)


def described(lines, at):
    """Whether the comment above that line tells of a value: it has a line that begins with `# --`."""
    while at > 0 and lines[at - 1].lstrip().startswith("#"):
        at -= 1
        if lines[at].lstrip().startswith("# -- "):
            return True
    return False


def without_a_word(lines, mapping, path=""):
    for key, value in mapping.value:
        if described(lines, key.start_mark.line):
            continue
        if isinstance(value, yaml.MappingNode) and value.value:
            yield from without_a_word(lines, value, f"{path}{key.value}.")
        else:
            yield path + key.value


def test_every_value_is_described():
    text = (ROOT / "charts/ybis/values.yaml").read_text()
    assert list(without_a_word(text.splitlines(), yaml.compose(text))) == []


@pytest.mark.parametrize("argv, said", [
    (["--set", "replicas=many"], "replicas"),
    (["--set", "profile=test"], "profile"),
    (["--set", "imgae.tag=1"], "imgae"),
    (["--set", "postgres.enabled=false"], "no database"),
    (["--set", "backup.keep=0"], "keep"),
])
def test_wrong_values_are_refused_by_name(argv, said):
    refused = template(*argv, check=False)
    assert refused.returncode != 0 and said in refused.stderr, refused.stderr


def test_the_chart_installs_the_admission_policy_as_it_is():
    alone = list(yaml.safe_load_all((ROOT / "configs/admission/ybisapprovals.yaml").read_text()))
    assert [o for o in yaml.safe_load_all(template().stdout) if o and o["kind"].startswith("ValidatingAdmissionPolicy")] == alone
    assert "ValidatingAdmissionPolicy" not in template("--set", "approvals.admissionPolicy=false").stdout


def test_operator_has_no_rights_beyond_its_work():
    who = f"--as=system:serviceaccount:{SYSTEM}:ybis-operator"
    for verb, what in [("get", "secrets"), ("create", "pods"), ("update", "ybistasks"), ("delete", "ybistasks"), ("get", "configmaps"),
                       ("create", "ybisapprovals"), ("patch", "ybisapprovals"), ("delete", "ybisapprovals")]:
        assert kubectl("auth", "can-i", verb, what, who, namespace="ybis-demo", check=False).stdout.strip() == "no", (verb, what)
    assert kubectl("auth", "can-i", "create", "jobs", who, namespace="ybis-demo").stdout.strip() == "yes"


def rendered(kind, *argv):
    return [o for o in yaml.safe_load_all(template(*argv).stdout) if o and o["kind"] == kind]


def runner_policies(*argv):
    return {o["metadata"]["namespace"]: o["spec"]["egress"] for o in rendered("NetworkPolicy", *argv) if o["metadata"]["name"] == "ybis-runner"}


def test_runners_of_the_watched_namespace_get_the_network_policy():
    assert set(runner_policies("--set", "watchNamespace=team-a")) == {SYSTEM, "team-a", "ybis-demo"}


def test_runners_ask_the_clusters_dns_and_leave_out_what_is_excepted():
    argv = ["--values", "charts/ybis/values.yaml", "--set", "networkPolicy.git.except={10.0.0.0/8,fd00::/8}"]
    _, dns, git = runner_policies(*argv)[SYSTEM]
    assert {p["port"] for p in dns["ports"]} == {53}
    assert dns["to"][0]["podSelector"] and dns["to"][0]["namespaceSelector"]
    assert [p["port"] for p in git["ports"]] == [443, 22]
    assert [b["ipBlock"] for b in git["to"]] == [{"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}, {"cidr": "::/0", "except": ["fd00::/8"]}]
    anywhere = runner_policies(*argv, "--set-json", "networkPolicy.dns.to=[]")[SYSTEM][1]
    assert "to" not in anywhere


def test_nodes_are_drained_of_one_replica_at_a_time():
    assert rendered("PodDisruptionBudget") == []
    [budget] = rendered("PodDisruptionBudget", "--set", "replicas=3")
    [deployment] = rendered("Deployment")
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["selector"] == deployment["spec"]["selector"]


ALL = ["--set", "replicas=2,backup.enabled=true,serviceMonitor.enabled=true"]


def test_all_pods_go_where_they_are_told():
    where = {"nodeSelector": {"pool": "ybis"}, "tolerations": [{"key": "ybis", "operator": "Exists"}], "priorityClassName": "high",
             "affinity": {"nodeAffinity": {}}}
    argv = [word for name, value in where.items() for word in ("--set-json", f"{name}={json.dumps(value)}")]
    [operator], [postgres], [backup] = (rendered(kind, *ALL, *argv) for kind in ("Deployment", "StatefulSet", "CronJob"))
    for owner in (operator, postgres, backup["spec"]["jobTemplate"]):
        pod = owner["spec"]["template"]["spec"]
        assert {name: pod.get(name) for name in where} == where


def test_all_objects_bear_the_usual_labels():
    names = {f"app.kubernetes.io/{name}" for name in ("name", "instance", "component", "part-of", "version", "managed-by")}
    # The admission policy is one for the whole cluster and of no release.
    objects = [o for o in yaml.safe_load_all(template(*ALL).stdout) if o and not o["kind"].startswith("ValidatingAdmissionPolicy")]
    for o in objects:
        assert names <= set(o["metadata"].get("labels", {})), (o["kind"], o["metadata"]["name"])
        inner = o["spec"].get("jobTemplate", o["spec"].get("template")) if "spec" in o else None
        assert inner is None or names <= set(inner["metadata"]["labels"]), o["kind"]


def operator_ingress(*argv):
    return next(o["spec"]["ingress"] for o in rendered("NetworkPolicy", *argv) if o["metadata"]["name"] == "ybis-operator")


def test_the_operator_is_reached_by_runners_and_the_api_server():
    def ways(*argv):
        return [rule.get("from") for rule in operator_ingress(*argv) if rule["ports"][0]["port"] == 8443]

    runners, anybody = ways()
    assert runners[0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "runner" and anybody is None
    assert ways("--set", "recordApi.enabled=false") == [runners]
    assert ways("--set", "networkPolicy.apiServer.cidrs={192.0.2.0/24}")[1] == [{"ipBlock": {"cidr": "192.0.2.0/24"}}]


def test_secrets_with_any_name_are_mounted():
    names = ["model.keys", "k" * 200]
    pod = rendered("Deployment", "--set", "secretMounts={%s}" % ",".join(names))[0]["spec"]["template"]["spec"]
    volumes = {v["name"]: v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v}
    mounts = {m["mountPath"]: volumes[m["name"]] for m in pod["containers"][0]["volumeMounts"] if m["name"] in volumes}
    assert mounts.items() >= {f"/etc/ybis/secrets/{n}": n for n in names}.items()
    assert all(len(v) <= 63 and "." not in v for v in volumes)


def test_probes_wait_longer_than_the_answer_takes():
    container = rendered("Deployment")[0]["spec"]["template"]["spec"]["containers"][0]
    assert all(container[f"{probe}Probe"]["timeoutSeconds"] >= 2 for probe in ("liveness", "readiness", "startup"))


def test_operator_asks_for_no_verb_that_it_does_not_use():
    rules = [(set(rule["resources"]), set(rule["verbs"])) for kind in ("Role", "ClusterRole") for o in rendered(kind)
             if o["metadata"]["name"].startswith("ybis-operator") for rule in o["rules"]]
    for resource in ("leases", "secrets", "events"):
        assert all("patch" not in verbs for resources, verbs in rules if resource in resources), resource
    assert not [resources for resources, _ in rules if "ybistasks/finalizers" in resources]


def test_the_admission_policy_outlives_the_release():
    policies = rendered("ValidatingAdmissionPolicy") + rendered("ValidatingAdmissionPolicyBinding")
    assert len(policies) == 2
    assert all(o["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for o in policies)


def test_runners_images_are_pulled_with_the_secrets_that_are_named():
    config = yaml.safe_load(rendered("ConfigMap", "--set", "runner.imagePullSecrets={registry-login}")[0]["data"]["config.yaml"])
    assert config["runner"]["imagePullSecrets"] == ["registry-login"]
