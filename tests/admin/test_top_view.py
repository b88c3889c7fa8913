"""The lines of ``kidoproxy top``, made of real documents."""

import json
from typing import Any

import pytest

from kidoproxy.admin.metrics import own_snapshot
from kidoproxy.admin.node_polls import NodePolls
from kidoproxy.admin.status import status_document
from kidoproxy.admin.top_view import count, size, span, status_lines
from kidoproxy.admin.worker_totals import WorkerTotals
from tests.session.stage import InMemoryProxy, ring, say


def document(stage: InMemoryProxy) -> dict[str, Any]:
    families = WorkerTotals().families(own_snapshot(stage.proxy))
    found: dict[str, Any] = json.loads(json.dumps(status_document(stage.proxy, families, NodePolls())))
    return found


def test_the_lines() -> None:
    """Rates of two documents; nodes in trouble first; errors, keys and slow requests where there are any."""
    stage = ring("a", "b")
    stage.ready()
    first = document(stage)
    assert "clients 0   commands -/s   errors -/s   received -/s   sent -/s" in status_lines(first, None, 100)
    say(stage.client(), "GET")
    stage.node("b").count_failure("timeout")
    for _ in range(3):
        stage.node("b").traffic.hot_keys.add(b"user:\x1b[31m1")
    stage.proxy.slow_log.add(0.0, "c", 1, "b", [b"KEYS", b"*"], 0.1, 0.4)
    stage.proxy.clock.ms += 2000
    now = document(stage)
    now["nodes"][1] |= {"state": "down", "latency_ms": 1.25, "info": {"used_memory_bytes": 5 << 20}, "replies": 1000}
    now["workers"] = {"0": 1, "1": 1}
    lines = status_lines(now, first, 120)
    assert lines[0] == "kidoproxy 1.2.3 (interpreted), ready, up 1 min 32 s, 2 workers"
    assert lines[1].startswith("clients 1   commands 0.5/s   errors 0.5/s")
    assert lines[3].split() == ["node", "state", "replies/s", "waiting", "latency", "memory", "failures", "cause"]
    assert lines[4].split()[:2] == ["b", "down"]
    assert lines[5].split()[:2] == ["a", "up"]
    assert "1.2 ms   5.0 MiB  1" in lines[4]
    text = "\n".join(lines)
    assert ("ERR" in text, "timeout" in text, "KEYS *" in text, "500 ms  node 400 ms" in text) == (True,) * 4
    assert "\x1b" not in text
    assert "100.0 %" in text
    assert all(len(line) <= 30 for line in status_lines(now, first, 30))


def test_another_process_has_no_rates() -> None:
    """After a restart all begins anew."""
    stage = ring("a")
    first = document(stage)
    stage.proxy.started_ms += 1
    assert "commands -/s" in "\n".join(status_lines(document(stage), first, 100))


@pytest.mark.parametrize(("number", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (200 << 20, "200 MiB")])
def test_sizes(number: int, text: str) -> None:
    assert size(number) == text


def test_numbers() -> None:
    """As a person reads them."""
    assert (count(1234.6), count(9.96), count(None)) == ("1,235", "10.0", "-")
    assert (span(59), span(3700), span(90_000), size(1 << 60)) == ("0 min 59 s", "1 h 1 min", "1 d 1 h", "1048576 TiB")
