"""What a copy's login may not do is said, one line for each command, and nothing is changed to find that out."""

from collections.abc import Iterator

import pytest
import redis

from kidoproxy.admin.copy_permissions import missing_permissions, trials
from kidoproxy.admin.embedded import EmbeddedNodes
from kidoproxy.admin.redis_client import connect
from kidoproxy.config import Address, Secret

pytestmark = pytest.mark.live
VERSION = (7, 2)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with EmbeddedNodes() as nodes:
        yield nodes.start(1)[0]


def found(url: str, *commands: str, keys: str = "*") -> list[str]:
    """What is said of a user with these rules."""
    with redis.Redis.from_url(url) as admin, redis.Redis.from_url(url, username="app", password="any") as app:
        admin.acl_setuser("app", reset=True, enabled=True, nopass=True, keys=keys, channels="*", commands=commands)
        admin.set("k", 1)
        lines = missing_permissions(app, VERSION)
        assert admin.keys() == [b"k"]
    return lines


def test_a_user_that_may_do_everything(url: str) -> None:
    """Also one that may touch some keys only."""
    assert found(url, "+@all") == []
    assert found(url, "+@all", keys="app:*") == []


@pytest.mark.parametrize("trial", trials("k", VERSION), ids=lambda trial: trial.name)
def test_each_command(url: str, trial: object) -> None:
    """What is missing is named, with what the proxy cannot do without it."""
    name, consequence = getattr(trial, "name", ""), getattr(trial, "consequence", "")
    assert found(url, "+@all", "-" + name.lower().replace(" ", "|")) == [f"its user may not {name}: {consequence}"]


def test_several(url: str) -> None:
    """Each has a line of its own."""
    lines = found(url, "+@all", "-@dangerous", "+info")
    assert [line.split(":")[0].removeprefix("its user may not ") for line in lines] == [
        "CLIENT KILL",
        "CLIENT LIST",
        "RESTORE",
    ]


def test_an_older_server() -> None:
    """It tells the time left."""
    assert [trial.name for trial in trials("k", (6, 2)) if "PTTL" in trial.request] == ["PTTL"]


def test_a_node_that_is_gone() -> None:
    """That is said elsewhere."""
    with connect(Address("127.0.0.1", 1), "", Secret(""), None, 1.0) as client:
        assert missing_permissions(client, VERSION) == []
