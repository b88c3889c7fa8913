"""The rows of the second generator, the certificate it is shown, and what an idle proxy may cost."""

import json
import shutil
from pathlib import Path

import pytest

from tests.bench import report, rivals, stage
from tests.bench.rivals import Idle, RivalRow


def test_table_of_rivals() -> None:
    """One line per row, which says who the other is; one without figures says why."""
    rows = [RivalRow("GET", "envoy", [20.0, 10.0], [5.0, 5.0]), RivalRow("GET, TLS", "plain", note="closed")]
    lines = report.rivals(rows).splitlines()
    assert lines[2] == "| GET | envoy | 15.0 | 5.00 | **0.38** |"
    assert lines[3] == "| GET, TLS | plain | - | - | closed |"
    assert report.idle(Idle(0.01, 2.345)).endswith("|  | 0.01 | 2.35 |\n")


def test_a_busy_idle_proxy_is_named() -> None:
    """So is a row without figures; a ratio to somebody else's proxy has no bar."""
    rows = [RivalRow("GET", "envoy", [1.0], [5.0]), RivalRow("SET", "envoy", note="closed")]
    assert rivals.misses(rows, Idle(0.0, rivals.IDLE_BAR)) == ["redis-benchmark, SET: closed"]
    assert rivals.misses([], Idle(0.0, 12.34)) == ["idle: 12.3 ms of CPU a second, allowed are 10"]
    assert rivals.misses([], None) == []


def test_each_workload_is_asked_alone_and_in_a_pipeline() -> None:
    """A pipeline asks for as many batches, not for as many commands."""
    found = {load.name: (load.count, load.depth) for load in rivals.loads(100)}
    assert found == {"GET": (100, 1), "SET": (100, 1), "GET, pipeline 16": (1600, 16), "SET, pipeline 16": (1600, 16)}


def test_envoy_is_told_all_nodes() -> None:
    """One listener, and one endpoint for each node; as JSON, which is YAML."""
    config = json.dumps(stage.envoy_config(7000, [7001, 7002]))
    assert [config.count(f'"port_value": {port}') for port in (7000, 7001, 7002)] == [1, 1, 1]


def test_without_openssl_there_is_no_certificate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Then there are no rows of TLS; with it the key fits."""
    if shutil.which("openssl") is not None:
        pair = stage.make_certificate(tmp_path)
        assert pair is not None
        assert all(Path(each).read_text().startswith("-----BEGIN") for each in pair)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert stage.make_certificate(tmp_path) is None
    assert rivals.measure(stage.Processes(tmp_path, stage.Cores.share([0])), "", 1, 1)[0].note.endswith("not installed")
