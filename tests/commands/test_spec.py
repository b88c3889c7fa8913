"""A spec, made from one row. That others ask it instead of comparing names: `tests/test_command_names.py`."""

from kidoproxy.commands.find import COMMANDS
from kidoproxy.commands.spec import COPY_REFUSED, READONLY, REFUSED, CommandSpec, flag_bits


def test_accepts() -> None:
    """A positive arity is exact, a negative one a minimum; MSET and MSETNX want pairs."""
    get, mget, mset, msetnx = (COMMANDS[name] for name in (b"get", b"mget", b"mset", b"msetnx"))
    assert [count for count in range(6) if get.accepts(count)] == [2]
    assert [count for count in range(6) if mget.accepts(count)] == [2, 3, 4, 5]
    assert [count for count in range(8) if mset.accepts(count)] == [3, 5, 7]
    assert [count for count in range(8) if msetnx.accepts(count)] == [3, 5, 7]


def test_refused_until_reviewed() -> None:
    """A spec that no overlay has seen is not served, and copies do not repeat it."""
    spec = CommandSpec(("new", -2, "readonly future", 1, 1, 1, "read", "tip", (), "generic", "9.9", "New"))
    spec.finalize()
    assert (spec.reach, spec.replication, spec.single_key, spec.retryable) == (REFUSED, COPY_REFUSED, False, False)
    assert spec.flags == READONLY
    assert repr(spec) == "<new -2 readonly,future>"
    assert repr(COMMANDS[b"get"].key_specs) == "(<keys from 1: (0, 1, 0)>,)"


def test_flags() -> None:
    """Unknown flags of newer servers count for nothing."""
    assert flag_bits(("future",)) == 0
    assert flag_bits(("readonly", "future")) == READONLY
