"""``/status.json``: what it says of rings, copies and nodes; its fields are those of the page that explains it."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from prometheus_client.core import GaugeMetricFamily

from kidoproxy.admin.metrics import own_snapshot
from kidoproxy.admin.node_polls import NodePolls
from kidoproxy.admin.status import Counts, status_document
from kidoproxy.admin.worker_totals import WorkerTotals
from kidoproxy.replication.sync_progress import SyncProgress
from tests.session.stage import InMemoryProxy, copies, ring, say

README = Path(__file__).resolve().parents[2] / "kidoproxy/admin/README.md"


def status(stage: InMemoryProxy) -> dict[str, Any]:
    """The document as it is read again."""
    families = WorkerTotals().families(own_snapshot(stage.proxy))
    document: dict[str, Any] = json.loads(json.dumps(status_document(stage.proxy, families, NodePolls())))
    return document


def test_a_ring() -> None:
    """Shares come to one; what a client has done is counted; a node without a connection is down or not yet there."""
    stage = ring("a", "b")
    stage.ready()
    say(stage.client(), "GET")
    found = status(stage)
    (pool,) = found["pools"]
    assert [member["name"] for member in pool["members"]] == ["a", "b"]
    assert abs(sum(member["share"] for member in pool["members"]) - 1) < 1e-5
    assert pool["errors"] == {"ERR": 1}
    assert found["totals"]["clients"] == 1
    assert [node["state"] for node in found["nodes"]] == ["up", "up"]
    assert found["nodes"][0]["version"] == "7.0.15"
    assert (found["state"], found["reasons"]) == ("ready", [])


def test_not_ready() -> None:
    """The reasons are those of /readyz; a drain comes first."""
    stage = ring("a")
    assert status(stage)["state"] == "not ready"
    assert status(stage)["reasons"] == ["cache: no node can answer: a (not connected yet)"]
    stage.proxy.draining = True
    assert status(stage)["state"] == "draining"


def test_copies_and_their_sync() -> None:
    """How far a sync is, while one runs."""
    stage = copies("a", "b")
    group = stage.pool.root.group  # type: ignore[attr-defined]
    stage.proxy.copy_groups.append(group)
    progress = SyncProgress(0, 0.0)
    progress.begin_pass(10)
    progress.add(4)
    group.copies[1].sync_progress = progress
    first, second = status(stage)["copies"]
    assert (first["state"], first["missed_keys"], first["sync"]) == ("in sync", 0, None)
    assert second["sync"] == {"keys": 4, "keys_expected": 10, "keys_per_second": 0, "seconds_left": -1}
    assert status(stage)["pools"][0]["members"] == [{"name": "cache", "share": 1.0, "nodes": ["a", "b"]}]


def test_each_field_is_explained() -> None:
    """The page of this package names every field of the document."""
    text = README.read_text("utf-8").partition("## The status page")[2].partition("\n## ")[0]
    named = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`]+)`", text))))
    stage = ring("a")
    found = status(stage)
    assert set(found) <= named
    assert set(found["pools"][0]["members"][0]) <= named


def test_counts_by_labels() -> None:
    """Some of the labels, all, or none; what is not there is zero."""
    family = GaugeMetricFamily("kidoproxy_clients", "Text.", labels=["pool", "state"])
    for pool, state, number in (("a", "x", 1), ("a", "y", 2), ("b", "x", 4), ("b", "y", 0)):
        family.add_metric([pool, state], number)
    counts = Counts([family])
    assert (counts.total("clients"), counts.total("clients", pool="a"), counts.total("clients", state="x")) == (7, 3, 5)
    assert counts.total("clients", state="y", pool="a") == 2
    assert counts.by("state", "clients") == {"x": 5, "y": 2}
    assert counts.by("state", "clients", pool="b") == {"x": 4}
    assert (counts.total("clients", pool="c"), counts.total("clients", other="a"), counts.by("pool", "none")) == (
        0,
        0,
        {},
    )


def test_many_nodes_are_not_searched_for_each() -> None:
    """However often it is asked, each sample is looked at once: a document of all nodes does not hold up the loop."""
    looks: Counter[str] = Counter()

    class Labels(dict[str, str]):
        def get(self, name: str, default: Any = None) -> Any:
            looks[name] += 1
            return super().get(name, default)

    family = GaugeMetricFamily("kidoproxy_node_waiting", "Text.", labels=["node"])
    for at in range(100):
        family.add_sample("kidoproxy_node_waiting", Labels(node=str(at)), at)
    counts = Counts([family])
    assert [counts.total("node_waiting", node=str(at)) for at in range(100)] == list(range(100))
    assert looks == {"node": 100}
