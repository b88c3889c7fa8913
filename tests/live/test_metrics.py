"""What an operator sees of one process and of several: exact numbers, whichever worker has served whom."""

import os
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kidoproxy.resp.encode import encode_request
from tests.live.proxies import RunningProxy, Starter
from tests.ports import free_port
from tests.processes import descendants
from tests.wait import eventually

pytestmark = pytest.mark.live

CLIENTS = 24


def page(port: int, path: str) -> tuple[int, str]:
    """Status and body of an admin page."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as found:
            return found.status, found.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def samples(port: int) -> dict[str, float]:
    """``name{label=value}`` of all samples, as Prometheus reads them."""
    status, text = page(port, "/metrics")
    assert status == 200
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def risen(before: dict[str, float], after: dict[str, float], name: str) -> dict[str, float]:
    """By how much the samples of this metric have risen, by their labels, without those that have not."""
    rises = {key: value - before.get(key, 0) for key, value in after.items() if key.partition("{")[0] == name}
    return {key.partition("{")[2][:-1]: rise for key, rise in rises.items() if rise}


def all_up(port: int) -> float:
    """1 while all workers reach all nodes."""
    return min(value for key, value in samples(port).items() if key.startswith("kidoproxy_node_up{"))


class Speaker:
    """A bare client that reads as many lines as it is owed."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.lines = connection.makefile("rb")

    def say(self, *words: str) -> bytes:
        """The first line of the reply."""
        self.connection.sendall(encode_request([word.encode() for word in words]))
        return self.lines.readline()


@contextmanager
def speakers(proxy: RunningProxy, proto: int) -> Iterator[list[Speaker]]:
    """So many clients that with two workers each has some."""
    with ExitStack() as stack:
        found: list[Speaker] = []
        for _ in range(CLIENTS):
            found.append(Speaker(stack.enter_context(proxy.raw())))
            stack.enter_context(found[-1].lines)
            if proto == 3:
                assert found[-1].say("HELLO", "3", "SETNAME", "x") == b"%7\r\n"
                found[-1].connection.sendall(b"ECHO end\r\n")
                while b"end" not in found[-1].lines.readline():
                    pass
        yield found


@pytest.mark.parametrize("proto", [2, 3])
@pytest.mark.parametrize("workers", [1, 2])
def test_exact_numbers(own_proxy: Starter, workers: int, proto: int) -> None:
    """What all clients have sent and heard is what the page says, to the last one."""
    port = free_port()
    proxy = own_proxy("ring", 3, proxy={"admin": f"127.0.0.1:{port}", "workers": workers}, timeout_ms=2000)
    here, there = proxy.keys_on(0, 1)[0], proxy.keys_on(1, 1)[0]
    proxy.kill(1)
    eventually(lambda: all_up(port) == 0)
    with speakers(proxy, proto) as clients:
        before = samples(port)
        for client in clients:
            assert client.say("SET", here, "v") == b"+OK\r\n"
            assert client.say("LPUSH", here, "v").startswith(b"-WRONGTYPE ")
            assert client.say("GET", there).startswith(b"-NODEDOWN ")
            assert client.say("DEL", here, there).startswith(b"-PARTIAL ")
            assert client.say("RENAME", here, there).startswith(b"-CROSSSLOT ")
            assert client.say("GET").startswith(b"-ERR ")
            assert client.say("HELLO", "9").startswith(b"-NOPROTO ")
        after = samples(port)
        assert after["kidoproxy_clients{pool=pool}"] >= CLIENTS
    assert [after[f"kidoproxy_worker_up{{worker={at}}}"] for at in range(workers)] == [1] * workers
    families = {"string": 3, "list": 1, "keyspace": 2, "connection": 1}
    assert risen(before, after, "kidoproxy_commands_total") == {
        f"family={family},pool=pool": CLIENTS * times for family, times in families.items()
    }
    assert risen(before, after, "kidoproxy_errors_total") == {
        f"code={code},pool=pool": CLIENTS for code in ("NODEDOWN", "PARTIAL", "CROSSSLOT", "ERR", "NOPROTO")
    }
    assert risen(before, after, "kidoproxy_node_error_replies_total") == {"code=WRONGTYPE,pool=pool": CLIENTS}
    failures = risen(before, after, "kidoproxy_node_failures_total")
    # What was the first to go to its connection for RESP3 has waited for that in vain.
    assert sum(failures.values()) == 2 * CLIENTS
    assert all("cause=down,node=node-1" in key or "cause=connection lost,node=node-1" in key for key in failures)
    assert {f"worker={at}" for at in range(workers)} == {
        key.partition("{")[2][:-1] for key in after if key.startswith("process_resident_memory_bytes{")
    }


def test_a_worker_that_dies(own_proxy: Starter) -> None:
    """What it had counted still counts, and the one that replaces it is asked from then on."""
    port = free_port()
    proxy = own_proxy("ring", 1, proxy={"admin": f"127.0.0.1:{port}", "workers": 2})
    with speakers(proxy, 2) as clients:
        for client in clients:
            assert client.say("NOSUCH").startswith(b"-ERR unknown command")
    # Told of by both, and so known to the first one.
    before = samples(port)
    assert before["kidoproxy_errors_total{code=ERR,pool=pool}"] == CLIENTS
    # Forked behind the first one, which has the page.
    second = max(descendants(proxy.pid))
    os.kill(second, signal.SIGKILL)
    eventually(lambda: second not in descendants(proxy.pid) and len(descendants(proxy.pid)) == 2)
    eventually(lambda: samples(port)["kidoproxy_worker_up{worker=1}"] == 1)
    assert samples(port)["kidoproxy_errors_total{code=ERR,pool=pool}"] == CLIENTS


@pytest.mark.parametrize(("on_down", "status"), [("miss", 200), ("error", 503)])
def test_ready_to_miss(own_proxy: Starter, on_down: str, status: int) -> None:
    """A ring that answers for nodes that are down is ready without any; one that does not says which is down."""
    port = free_port()
    proxy = own_proxy("ring", 1, proxy={"admin": f"127.0.0.1:{port}"}, on_down=on_down)
    assert page(port, "/readyz") == (200, "ready\n")
    proxy.kill(0)
    eventually(lambda: all_up(port) == 0)
    found, body = page(port, "/readyz")
    assert found == status
    assert status == 200 or body.startswith("pool: no node can answer: node-0 (")
