"""The clients of Node.js through the proxy: ioredis, and node-redis with both protocols, each by a script of checks."""

import json
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.live.proxies import environment
from tests.needs import needs, needs_node_packages

pytestmark = pytest.mark.live

#: What must meet has tags.
TOGETHER: Final[list[str]] = []
SECONDS: Final = 90
SCRIPTS: Final = Path(__file__).parent / "node"
CLIENTS: Final = {"ioredis": ["ioredis.cjs"], "RESP2": ["redis.cjs", "2"], "RESP3": ["redis.cjs", "3"]}
#: The newest that run on the Node.js of this major version or a newer one.
PACKAGES: Final = {20: ("ioredis@6", "redis@6"), 18: ("ioredis@5", "redis@5")}
CHECKS: Final = (
    "strings",
    "many",
    "types",
    "pipeline",
    "transaction",
    "watch",
    "pubsub",
    "blocking",
    "scan",
    "scripts",
    "streams",
    "database",
    "quit",
)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both clients, installed once."""
    said = subprocess.run([needs("node"), "--version"], capture_output=True, text=True, check=True).stdout
    major = int(said.removeprefix("v").split(".")[0])
    wanted = next(names for oldest, names in PACKAGES.items() if major >= oldest)
    return needs_node_packages(tmp_path_factory.mktemp("node"), *wanted)


@pytest.fixture(scope="module", params=list(CLIENTS))
def said(request: pytest.FixtureRequest, server: str, packages: Path) -> dict[str, str]:
    """What became of each check of one client's script."""
    script, *more = CLIENTS[request.param]
    done = subprocess.run(
        [needs("node"), str(SCRIPTS / script), server, *more],
        env={**environment(), "NODE_PATH": str(packages)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize("check", CHECKS)
def test_check(said: dict[str, str], check: str) -> None:
    """What the check of this name asks for is so; its script says how it was not."""
    assert said[check] == "well"


def test_every_check(said: dict[str, str]) -> None:
    """No check of a script is left out here."""
    assert set(said) == set(CHECKS)
