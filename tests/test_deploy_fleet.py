"""What is handed to operators of fleets: manifests for copies, alerts and a dashboard that ask for what there is.

The names in alerts and dashboard are looked up among the metrics of a proxy that runs; `promtool` of Prometheus itself
checks the rules, and plays a test of each.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from deploy.compile_packages import ROOT
from kidoproxy.config import Config
from kidoproxy.config.read import load
from tests.live.proxies import starter
from tests.live.test_metrics import page
from tests.needs import needs
from tests.ports import free_port

DEPLOY: Final = ROOT / "deploy"
#: Of Prometheus itself, and of its functions' results.
NOT_OURS: Final = ("up",)
_SELECTOR: Final = re.compile(r"\b(up|(?:kidoproxy|process|python)_[a-z_]+)\b(?:\{([^}]*)\})?")
#: What Prometheus adds to each series.
_ADDED: Final = {"job", "instance"}


def manifests(name: str) -> dict[str, dict[str, Any]]:
    """The manifests of a file by kind."""
    text = (DEPLOY / name).read_text(encoding="utf-8")
    return {manifest["kind"]: manifest for manifest in yaml.safe_load_all(text)}


def copies_config(tmp_path: Path) -> Config:
    """The configuration in the ConfigMap, as the proxy reads it."""
    file = tmp_path / "kidoproxy.toml"
    file.write_text(manifests("kubernetes-copies.yaml")["ConfigMap"]["data"]["kidoproxy.toml"], encoding="utf-8")
    return load(file, {"NODE_PASSWORD": "x", "CLIENTS_PASSWORD": "y"})


class TestManifests:
    @pytest.mark.sources
    @pytest.mark.parametrize("version", ["1.29", kubernetes_validate.latest_version()])
    @pytest.mark.parametrize("name", ["kubernetes-copies.yaml", "kubernetes-sidecar.yaml"])
    def test_kubernetes_accepts_them(self, name: str, version: str) -> None:
        """No unknown field, no wrong type."""
        for manifest in manifests(name).values():
            kubernetes_validate.validate(manifest, version, strict=True)

    def pod(self) -> dict[str, Any]:
        pod: dict[str, Any] = manifests("kubernetes-copies.yaml")["Deployment"]["spec"]["template"]["spec"]
        return pod

    def test_copies_have_one_proxy_at_a_time(self) -> None:
        """The old one ends before the new one starts, and nothing would start a second one."""
        spec = manifests("kubernetes-copies.yaml")["Deployment"]["spec"]
        assert spec["replicas"] == 1
        assert spec["strategy"] == {"type": "Recreate"}
        assert "HorizontalPodAutoscaler" not in manifests("kubernetes-copies.yaml")

    def test_what_it_remembers_is_on_the_volume(self, tmp_path: Path) -> None:
        """The file system beside it cannot be written."""
        (container,) = self.pod()["containers"]
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        claims = {
            volume["name"]: volume["persistentVolumeClaim"]["claimName"]
            for volume in self.pod()["volumes"]
            if "persistentVolumeClaim" in volume
        }
        state = mounts[str(copies_config(tmp_path).state_dir)]
        assert claims[state["name"]] == manifests("kubernetes-copies.yaml")["PersistentVolumeClaim"]["metadata"]["name"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert self.pod()["securityContext"]["fsGroup"] == self.pod()["securityContext"]["runAsGroup"]

    def test_it_is_asked_where_it_listens(self, tmp_path: Path) -> None:
        """Ports of the container, of the Service and of the policy are those of the configuration."""
        config = copies_config(tmp_path)
        (pool,) = config.listening_pools()
        assert config.admin is not None
        (container,) = self.pod()["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert ports == {"redis": pool.listen[0].port, "admin": config.admin.port}
        found = manifests("kubernetes-copies.yaml")
        assert [port["targetPort"] for port in found["Service"]["spec"]["ports"]] == ["redis"]
        rules = found["NetworkPolicy"]["spec"]["ingress"]
        assert [port["port"] for rule in rules for port in rule["ports"]] == ["redis", "admin"]
        assert all(rule["from"] for rule in rules)

    def test_everything_is_about_the_same_pods(self) -> None:
        """Labels of the pods are what Service, policies, budget and monitor look for."""
        monitor = manifests("kubernetes-pod-monitor.yaml")["PodMonitor"]["spec"]["selector"]["matchExpressions"]
        for name in ("kubernetes-copies.yaml", "kubernetes-sidecar.yaml"):
            found = manifests(name)
            labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
            selectors = [found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]]
            selectors += [found["Service"]["spec"]["selector"]] if "Service" in found else []
            if "PodDisruptionBudget" in found:
                selectors.append(found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"])
            assert all(selector == labels for selector in selectors)
            assert all(labels[rule["key"]] in rule["values"] for rule in monitor)

    def test_clients_at_their_limits_do_not_get_it_killed(self, tmp_path: Path) -> None:
        """The memory limit holds the worst case that the configuration allows, beside the proxy itself."""
        (container,) = self.pod()["containers"]
        (pool,) = copies_config(tmp_path).listening_pools()
        limits = pool.limits
        of_one = max(limits.client_output_bytes, limits.pubsub_output_bytes) + limits.query_buffer_bytes
        assert container["resources"] == {
            "requests": {"cpu": "200m", "memory": "128Mi"},
            "limits": {"memory": "2Gi"},
        }
        assert limits.max_clients * of_one + (128 << 20) <= 2 << 30


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """What a proxy of two workers, and one with copies, have: names of metrics, each with its labels."""
    found: dict[str, set[str]] = {"up": set()}
    for mode, settings in (("ring", {"workers": 2}), ("copy", {})):
        port = free_port()
        options: dict[str, Any] = {"proxy": {"admin": f"127.0.0.1:{port}", **settings}}
        with starter(tmp_path_factory.mktemp(mode)) as start:
            proxy = start(mode, 2, tls={"cert_file": str(PEM), "key_file": str(PEM)}, **options)
            assert proxy.alive()
            for family in text_string_to_metric_families(page(port, "/metrics")[1]):
                for sample in family.samples:
                    found.setdefault(sample.name, set()).update(sample.labels)
    return found


PEM: Final = ROOT / "tests" / "net" / "localhost.pem"


def dashboard() -> dict[str, Any]:
    text = (DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8")
    board: dict[str, Any] = json.loads(text)
    return board


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "prometheus-alerts.yaml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> Iterator[tuple[str, str]]:
    """Every query, with what asks it."""
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["definition"]


def unknown(query: str, metrics: dict[str, set[str]]) -> list[str]:
    """The metrics of a query that there are not, and the labels that they do not have."""
    problems = []
    grouped = {label.strip() for labels in re.findall(r"by \(([^)]*)\)", query) for label in labels.split(",")}
    for name, matchers in _SELECTOR.findall(query):
        if name not in metrics:
            problems.append(name)
            continue
        wanted = grouped | set(re.findall(r"(\w+)\s*[=!]", matchers))
        problems += [f"{name}: {label}" for label in sorted(wanted - metrics[name] - _ADDED)]
    return problems


@pytest.mark.live
class TestMetrics:
    def test_every_query_asks_for_what_there_is(self, metrics: dict[str, set[str]]) -> None:
        """By its name and labels, on the page of a proxy that runs."""
        # A process counts what no client has done yet only where it knows the labels beforehand.
        made_up = {"kidoproxy_clients_cut_total": {"reason"}, "kidoproxy_node_failures_total": {"node", "cause"}}
        known = {**made_up, **metrics}
        assert [(title, found) for title, query in queries() if (found := unknown(query, known))] == []

    def test_a_query_for_what_there_is_not_is_found(self, metrics: dict[str, set[str]]) -> None:
        """The check sees a wrong name and a wrong label."""
        assert unknown("rate(kidoproxy_nonsense_total[5m])", metrics) == ["kidoproxy_nonsense_total"]
        assert unknown('sum by (colour) (kidoproxy_clients{size="1"})', metrics) == [
            "kidoproxy_clients: colour",
            "kidoproxy_clients: size",
        ]


class TestAlerts:
    @pytest.mark.sources
    def test_prometheus_understands_them(self) -> None:
        """Each expression parses, each template too."""
        command = [needs("promtool"), "check", "rules", "prometheus-alerts.yaml"]
        done = subprocess.run(command, cwd=DEPLOY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    @pytest.mark.sources
    def test_prometheus_runs_their_tests(self) -> None:
        """Each fires on what it is for, with the words that an operator reads, and not on what is like it."""
        command = [needs("promtool"), "test", "rules", "prometheus-alerts-test.yaml"]
        done = subprocess.run(command, cwd=DEPLOY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def test_each_has_its_tests(self) -> None:
        """One in which it fires, one in which it does not."""
        tests = yaml.safe_load((DEPLOY / "prometheus-alerts-test.yaml").read_text(encoding="utf-8"))["tests"]
        tested = [(case["alertname"], bool(case["exp_alerts"])) for test in tests for case in test["alert_rule_test"]]
        assert sorted(tested) == sorted((rule["alert"], fires) for rule in alerts() for fires in (True, False))

    def test_each_says_what_to_do(self) -> None:
        """How bad it is, what has happened, and where to look."""
        for rule in alerts():
            assert rule["labels"]["severity"] in ("warning", "critical"), rule["alert"]
            assert set(rule["annotations"]) == {"summary", "description"}, rule["alert"]


class TestDashboard:
    def test_its_panels_have_room(self) -> None:
        """No two overlap, none leaves the grid, each has its own number and something to show."""
        taken: set[tuple[int, int]] = set()
        panels = dashboard()["panels"]
        for panel in panels:
            at = panel["gridPos"]
            assert at["x"] + at["w"] <= 24
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert not cells & taken, panel["title"]
            taken |= cells
            assert panel["type"] == "row" or panel["targets"]
        assert len({panel["id"] for panel in panels}) == len(panels)

    def test_its_queries_parse(self, tmp_path: Path) -> None:
        """Prometheus reads each of them as a rule, with the variables that Grafana fills in."""
        filled = [
            query.replace("$__rate_interval", "5m").replace("$job", "a").replace("$instance", "b").replace("$pool", "c")
            for _, query in queries()
            if not query.startswith("label_values")
        ]
        rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(filled)]
        file = tmp_path / "rules.yaml"
        file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
        done = subprocess.run([needs("promtool"), "check", "rules", file], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
