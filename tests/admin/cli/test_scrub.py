"""``kidoproxy scrub``: exit statuses as those of ``diff``."""

from collections.abc import Callable, Iterator

import pytest
import redis

from kidoproxy.admin import scrub_client
from kidoproxy.config import Config
from tests.admin.cli.invoke import invoke


def test_statuses(copies: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 if all keys are equal, 1 if some differ, 2 if nobody knows."""
    failures = [LookupError("b is down"), redis.ConnectionError("no"), OSError("no"), KeyboardInterrupt()]
    ends: Iterator[int | BaseException] = iter([0, 3, *failures])
    given: list[tuple[str, bool]] = []

    def scrub(config: Config, pool: str, dry_run: bool, say: Callable[[str, bool], None]) -> int:
        given.append((pool, dry_run))
        end = next(ends)
        if isinstance(end, BaseException):
            raise end
        say("done", False)
        return end

    monkeypatch.setattr(scrub_client, "scrub", scrub)
    equal = invoke("scrub", "--config", copies, "cache")
    different = invoke("scrub", "--config", copies, "cache", "--dry-run")
    failed = [invoke("scrub", "--config", copies, "cache") for _ in failures]
    assert (equal.exit_code, equal.output) == (0, "done\n")
    assert (different.exit_code, different.output) == (1, "done\n")
    assert [result.exit_code for result in failed] == [2, 2, 2, 2]
    assert failed[3].output == "kidoproxy: cache is still being scrubbed; PROXY SCRUB CANCEL cache ends that\n"
    assert failed[0].output == "kidoproxy: b is down\n"
    assert given[:2] == [("cache", False), ("cache", True)]


def test_a_ring(ring: str) -> None:
    """It has no copies."""
    result = invoke("scrub", "--config", ring, "cache")
    assert result.exit_code == 2
    assert 'pool "cache" is a ring: it has no copies to compare' in result.output
