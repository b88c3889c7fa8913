"""``kidoproxy scrub``: the request, how far it is, and what came of it."""

import pytest

from kidoproxy.admin.scrub_client import scrub
from kidoproxy.config import Config
from tests.admin.canned import bulk, canned, pool_of

NUMBERS = ("number", "dry_run", "scanned", "expected", "keys", "differences", "repaired", "large", "skipped")


def status(state: str, numbers: str, *differing: str, problem: str = "") -> bytes:
    """The reply to STATUS; ``numbers`` are those of `NUMBERS`."""
    cells = [bulk(text) for text in ("pool", "p", "state", state, "copies", "a b", "problem", problem)]
    for name, number in zip(NUMBERS, ["4", *numbers.split()], strict=True):
        cells += [bulk(name), b":%b\r\n" % number.encode()]
    keys = b"".join([b"*2\r\n:3\r\n" + bulk(key) for key in differing])
    cells += [bulk("differing"), b"*%d\r\n" % len(differing) + keys]
    return b"*1\r\n*%d\r\n" % len(cells) + b"".join(cells)


def run(*replies: bytes, dry_run: bool = False) -> tuple[int, list[tuple[str, bool]], list[bytes]]:
    """How many keys differed, what was said, and what the proxy was asked."""
    said: list[tuple[str, bool]] = []
    with canned(b"+OK\r\n", *replies) as (address, requests):
        config = Config({"p": pool_of(listen=address)})
        found = scrub(config, "p", dry_run, lambda line, passing: said.append((line, passing)), pause=0)
    return found, said, requests


def test_until_the_end() -> None:
    """Each change is shown in place of the one before; then the keys that differ, in part, and the numbers."""
    replies = [status("waiting", "0 0 0 0 0 0 0 0"), status("running", "0 12 24 6 0 0 0 0")]
    end = status("done", "0 24 24 12 3 3 1 2", "k1", "k 2")
    found, said, requests = run(replies[0], replies[1], replies[1], end)
    assert found == 3
    assert b"RUN" in requests[0]
    assert said == [
        ("p: waiting", True),
        ("p: running [############............] (6 keys compared, 0 differ)", True),
        ("db 3: 'k1' differs", False),
        ("db 3: 'k 2' differs", False),
        ("and 1 more", False),
        ("p: 12 keys compared on a b: 3 differ, 3 repaired", False),
        ("1 of them are large: type, length and expiry were compared, not the contents", False),
        ("2 keys were not compared: they were being written to all the time", False),
    ]


def test_a_dry_run_and_equal_copies() -> None:
    """A dry run says that nothing was repaired."""
    found, said, requests = run(status("done", "1 2 2 1 1 0 0 0", "k"), dry_run=True)
    assert (found, said[-1][0]) == (1, "p: 1 keys compared on a b: 1 differ, nothing was repaired (dry run)")
    assert b"DRYRUN" in requests[0]
    found, said, _ = run(status("done", "0 2 2 1 0 0 0 0"))
    assert (found, said) == (0, [("p: 1 keys compared on a b: all are equal", False)])


def test_another_one_has_begun() -> None:
    """Its numbers are not taken for those of the one that was requested."""
    other = status("running", "0 2 2 1 0 0 0 0").replace(bulk("number") + b":4", bulk("number") + b":5")
    with pytest.raises(LookupError, match="another scrub has begun"):
        run(status("waiting", "0 0 0 0 0 0 0 0"), other)


def test_what_could_not_be_done() -> None:
    """The reason is passed on; a proxy that does not know the pool gives none."""
    with pytest.raises(LookupError, match="p was not scrubbed: b was lost meanwhile"):
        run(status("failed", "0 0 0 0 0 0 0 0", problem="b was lost meanwhile"))
    with pytest.raises(LookupError, match="p was not scrubbed: the proxy does not know it"):
        run(b"*0\r\n")
