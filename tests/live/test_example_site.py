"""The example site, driven as a visitor does, while nodes are killed."""

import http.cookiejar
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import redis

from deploy.compile_packages import ROOT
from tests.ports import free_port
from tests.wait import eventually

pytestmark = pytest.mark.live

SECONDS: Final = 30.0


class Visitor:
    """A browser without a screen: it keeps cookies."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def get(self, path: str = "") -> str:
        with self.opener.open(f"{self.url}{path}", timeout=SECONDS) as page:
            return str(page.read().decode())

    def number(self, name: str) -> int:
        """A number of the first page, which is asked anew."""
        found = re.search(rf"id={name}>(\d+)<", self.get())
        assert found
        return int(found[1])

    def rows(self) -> dict[str, tuple[str, str]]:
        """Product -> when it was computed, and its node."""
        found = re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td><td>(.*?)</td></tr>", self.get())
        return {product: (computed, node) for product, computed, node in found}

    def is_there(self) -> bool:
        try:
            self.get("nodes")
        except OSError:
            return False
        return True


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """Somebody on the site, which one line has started."""
    port = free_port()
    log = tmp_path_factory.mktemp("example") / "log"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(ROOT))))}
    command = [sys.executable, str(Path(ROOT, "deploy/example/run.py")), "--port", str(port)]
    with log.open("wb") as out, subprocess.Popen(command, env=env, stdout=out, stderr=out) as site:
        try:
            made = Visitor(f"http://127.0.0.1:{port}/")
            eventually(lambda: made.is_there() or site.poll() is not None, SECONDS)
            assert site.poll() is None, log.read_text()
            yield made
        finally:
            site.send_signal(signal.SIGTERM)
            assert site.wait(SECONDS) == 0


def kill_node(node: dict[str, Any]) -> None:
    """End the server at once."""
    with redis.Redis.from_url(f"redis://{node['address']}") as client:
        os.kill(client.info("server")["process_id"], signal.SIGKILL)


def test_the_pages(visitor: Visitor) -> None:
    """Session, counter, cached page, lock and task work; the table shows several nodes."""
    assert [visitor.number("visits"), visitor.number("visits")] == [1, 2]
    assert visitor.number("visitors") == 3
    assert visitor.get("cached") == visitor.get("cached")
    assert [visitor.get("report"), visitor.get("report")] == ["1\n", "2\n"]
    assert visitor.get("task") == "6\n"
    rows = visitor.rows()
    assert visitor.rows() == rows
    assert len({node for _, node in rows.values()}) > 1


def test_nodes_are_killed(visitor: Visitor) -> None:
    """A node of the ring: its values are computed anew, no page fails. A copy: nothing is missed at all."""
    visits = visitor.number("visits")
    rows = visitor.rows()
    nodes = json.loads(visitor.get("nodes"))
    lost = next(node for node in nodes["default"] if node["name"] in {name for _, name in rows.values()})
    kill_node(lost)
    kill_node(nodes["sessions"][0])
    after = visitor.rows()
    assert {product for product in rows if after[product][0] != rows[product][0]} == {
        product for product, (_, node) in rows.items() if node == lost["name"]
    }
    assert visitor.number("visits") == visits + 3
    assert visitor.get("report").strip().isdigit()
    assert visitor.get("task") == "6\n"

    def states() -> list[str]:
        found = json.loads(visitor.get("nodes"))
        return [node["state"] for pool in found.values() for node in pool]

    eventually(lambda: states().count("down") == 2, SECONDS)
