"""Which calls copies repeat to the same result, as far as their arguments are known."""

import pytest

from kidoproxy.commands.find import COMMANDS
from kidoproxy.scripts.determinism import UNKNOWN_ARGUMENT, is_deterministic


@pytest.mark.parametrize(
    ("call", "same"),
    [
        ("get k", True),
        ("set k v", True),
        ("set k v EX 5", False),
        ("set k v ?", False),
        ("getex k", True),
        ("bitfield k GET u8 0", True),
        ("pfcount k", True),
        ("georadius k 0 0 1 km STORE d", True),
        ("flushdb", True),
        ("flushall ASYNC", True),
        ("dbsize", False),
        ("xadd k 1-1 a b", False),
        ("restore k 0 x", False),
        ("smembers k", False),
        ("spop k", False),
        ("xread COUNT ? STREAMS k ?", True),
        ("xread ? STREAMS k 0", False),
        ("xreadgroup GROUP ? ? NOACK STREAMS k >", True),
        ("xreadgroup GROUP g c CLAIM 5 STREAMS k >", False),
        ("sort k", True),
        ("sort k DESC LIMIT 0 5", True),
        ("sort k ALPHA", False),
        ("sort k ALPHA STORE d", True),
        ("sort k BY w_*", False),
        ("sort k BY w_* STORE d", False),
        ("sort k ?", False),
        ("sort ? STORE d", True),
    ],
)
def test_calls(call: str, same: bool) -> None:
    """A question mark is an argument that is not known."""
    argv = [UNKNOWN_ARGUMENT if word == "?" else word.encode() for word in call.split()]
    assert is_deterministic(COMMANDS[argv[0]], argv, False) == same


def test_open_ended() -> None:
    """Where more arguments may follow an expiry may be one of them."""
    for call in (b"set k v", b"sort k", b"xread STREAMS k 0"):
        assert not is_deterministic(COMMANDS[call.split()[0]], call.split(), True)
