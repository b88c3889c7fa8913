"""Orders about a copy: what the proxy says is passed on, and nothing is trusted that nobody is sure of."""

import pytest

from kidoproxy.admin import control_client, sync_actions
from kidoproxy.config import Config
from tests.admin.canned import bulk, canned, pool_of, row

LOST = b"*2\r\n" + bulk("a has 0 keys") + bulk("b is down")


@pytest.mark.parametrize("refill", [False, True])
def test_sync(refill: bool) -> None:
    """Ordered, with or without emptying; a node that is not in sync in the end is a complaint."""
    said: list[str] = []
    with canned(b"+OK\r\n", row("b", "in sync")) as (address, requests):
        sync_actions.sync(
            Config({"p": pool_of(listen=address)}), "p", "b", refill, lambda line, passing: said.append(line)
        )
    assert said == ["b: in sync"]
    assert (b"REFILL" in requests[0]) is refill
    failed = canned(b"+OK\r\n", row("b", "behind", "failed: x"))
    with failed as (address, _), pytest.raises(LookupError, match="b is not in sync"):
        sync_actions.sync(
            Config({"p": pool_of(listen=address)}), "p", "b", refill, lambda line, passing: said.append(line)
        )


def test_cancel() -> None:
    """The request is sent, and reported."""
    said: list[str] = []
    with canned(b"+OK\r\n") as (address, requests):
        sync_actions.cancel(Config({"p": pool_of(listen=address)}), "p", "b", said.append)
    assert said == ["b: its sync is cancelled"]
    assert b"CANCEL" in requests[0]


def test_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is lost is said before anybody is asked; who is not sure changes nothing."""
    said: list[str] = []
    given: list[tuple[str, ...]] = []

    def send_sync_command(config: Config, pool: str, node: str, *words: str) -> list[str]:
        given.append(words)
        return ["b is down"] if words == ("TRUST",) else []

    monkeypatch.setattr(control_client, "send_sync_command", send_sync_command)
    with pytest.raises(LookupError, match="nothing was changed; --yes trusts a without a question"):
        sync_actions.trust(Config({}), "p", "a", said.append, lambda question: False)
    assert (said, given) == (["b is down"], [("TRUST",)])
    sync_actions.trust(Config({}), "p", "a", said.append, lambda question: question == "Serve what a has?")
    assert given[1:] == [("TRUST",), ("TRUST", "CONFIRM")]
    assert said[-1] == "a: in sync, by your word; sync the others when they are back"


def test_lines() -> None:
    """The proxy's lines, as text."""
    with canned(LOST) as (address, _):
        lines = control_client.send_sync_command(Config({"p": pool_of(listen=address)}), "p", "a", "TRUST")
    assert lines == ["a has 0 keys", "b is down"]
