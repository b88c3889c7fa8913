"""The lists of global names agree with each other, and with Lua 5.1 where there is one to ask."""

import shutil
import subprocess

import pytest

from kidoproxy.scripts.builtins import (
    COMMAND_CALLERS,
    DETERMINISTIC,
    NON_MUTATING,
    NONDETERMINISTIC,
    SINGLE_SCALAR,
    STRING_METHODS,
    UNTRACEABLE,
)

GROUPS = (COMMAND_CALLERS, UNTRACEABLE, NONDETERMINISTIC, DETERMINISTIC)
#: Libraries that Redis adds to Lua, and names that it gives itself.
OF_REDIS = ("redis.", "server.", "bit.", "struct.", "cjson.", "cmsgpack.", "KEYS", "ARGV")


def test_a_name_is_in_one_group() -> None:
    """It decides what a use of the name means, so it cannot be in two."""
    names = [name for group in GROUPS for name in group]
    assert len(names) == len(set(names))


def test_what_is_said_of_functions_is_said_of_known_names() -> None:
    """A name that is in none of the groups is refused anyway."""
    known = NONDETERMINISTIC | DETERMINISTIC
    assert known >= NON_MUTATING
    assert known >= SINGLE_SCALAR
    assert {b"string." + name for name in STRING_METHODS} <= SINGLE_SCALAR


def test_redis_and_server_are_one() -> None:
    """Valkey gives scripts all of ``redis`` under the name ``server``, but for the versions."""
    for group in (COMMAND_CALLERS, DETERMINISTIC, SINGLE_SCALAR):
        ours = {name.partition(b".")[2] for name in group if name.startswith(b"redis.")}
        assert ours == {name.partition(b".")[2] for name in group if name.startswith(b"server.")}


@pytest.mark.skipif(shutil.which("lua5.1") is None, reason="lua5.1 is not installed")
def test_lua_has_every_name() -> None:
    """A name that Lua 5.1 lacks would be a typing error here; ``table.unpack`` is of later versions."""
    names = sorted(name.decode() for name in DETERMINISTIC | NONDETERMINISTIC)
    plain = [name for name in names if not name.startswith(OF_REDIS) and name != "table.unpack"]
    text = "".join(f"if {name} == nil then print('{name}') end " for name in plain)
    run = subprocess.run(["lua5.1", "-e", text], capture_output=True, check=True, text=True)
    assert run.stdout == ""
