"""The prologue of a script: one line of Lua, in front of its own text, that makes its commands deterministic.

The script sees a ``redis`` (and ``server``) whose ``call`` and ``pcall`` take what follows from time, order or place
out of commands: a relative expiry becomes a moment of the proxy's clock, TIME is that clock, replies without an order
are sorted, one copy publishes. Names for them (``local call = redis.call``) need no care, because the tables are
wrapped; whatever could get past the wrapper the analysis calls hidden.
"""

import re
from typing import Final

from kidoproxy.scripts import prologue_lua as lua
from kidoproxy.scripts import prologue_names_lua as names_lua

_EXPIRY: Final = (lua.MOMENT,)
_OPTIONS: Final = (lua.MOMENT, lua.OPTIONS)
_SORTED: Final = (lua.SORTED,)

#: What a command's data may name: the pieces of Lua, each behind those that it uses.
PIECES: Final[dict[str, tuple[str, ...]]] = {
    "SET": (*_OPTIONS, lua.SET),
    "GETEX": (*_OPTIONS, lua.GETEX),
    "MSETEX": (*_OPTIONS, lua.MSETEX),
    "HSETEX": (*_OPTIONS, lua.HSETEX),
    "HGETEX": (*_OPTIONS, lua.HGETEX),
    "SETEX": (*_EXPIRY, lua.SETEX),
    "EXPIRE": (*_EXPIRY, lua.EXPIRE),
    "HEXPIRE": (*_EXPIRY, lua.HEXPIRE),
    "RESTORE": (*_EXPIRY, lua.RESTORE),
    "TIME": (lua.TIME,),
    "TTL": (lua.TTL,),
    "HTTL": (lua.HTTL,),
    "SETS": (*_SORTED, lua.SETS),
    "HGETALL": (*_SORTED, lua.HGETALL),
    "HVALS": (*_SORTED, lua.HVALS),
    "SCANS": (*_SORTED, lua.SCANS),
    "XTRIM": (lua.TRIM, lua.XTRIM),
    "XADD": (lua.TRIM, lua.XADD),
    "PUBLISH": (lua.PUBLISH,),
    "RANDOM": (names_lua.RANDOM,),
    "PAIRS": (*_SORTED, names_lua.KEYS_OF, names_lua.PAIRS),
    "NEXT": (*_SORTED, names_lua.KEYS_OF, names_lua.NEXT),
    "CJSON": (*_SORTED, names_lua.KEYS_OF, names_lua.SHAPE, names_lua.CJSON),
    "CMSGPACK": (*_SORTED, names_lua.KEYS_OF, names_lua.SHAPE, names_lua.CMSGPACK),
}
#: What a global name of Lua needs to give the same everywhere.
PIECES_OF_NAMES: Final[dict[bytes, str]] = {
    b"pairs": "PAIRS",
    b"next": "NEXT",
    b"cjson.encode": "CJSON",
    b"cmsgpack.pack": "CMSGPACK",
    b"math.random": "RANDOM",
    b"math.randomseed": "RANDOM",
}
#: The names that pieces bind for the script, and what they are bound to.
_BOUND: Final[dict[str, tuple[str, str]]] = {
    "PAIRS": ("pairs", "native(ordered_pairs)"),
    "NEXT": ("next", "native(ordered_next)"),
    "CJSON": ("cjson", "setmetatable({encode = native(encode_ordered)}, {__index = cjson})"),
    "CMSGPACK": ("cmsgpack", "setmetatable({pack = native(pack_ordered)}, {__index = cmsgpack})"),
}
#: With one of these words in it a script may go on after an error.
_CATCHES_ERRORS: Final = re.compile(rb"(?<![.\w])x?pcall\b|coroutine")
_SHEBANG: Final = b"#!"


def interpose(text: bytes, names: list[str]) -> bytes:
    """The text of a script with the prologue of these pieces; its lines keep their numbers."""
    prologue = prologue_of(names, _CATCHES_ERRORS.search(text) is not None, b"server" in text)
    if text.startswith(_SHEBANG):
        line, newline, rest = text.partition(b"\n")
        return line + newline + prologue + rest
    return prologue + text


def interpose_function(code: bytes, function: bytes, flags: list[bytes], names: list[str]) -> bytes:
    """A script that does what this function of a library does, with the prologue; lines keep their numbers."""
    catches_errors = _CATCHES_ERRORS.search(code) is not None
    prologue = prologue_of(names, catches_errors, b"server" in code, function.decode("ascii", "replace"))
    shebang = b"#!lua flags=" + b",".join(flags) if flags else b"#!lua"
    return b"%b\n%breturn kidoproxy(function(...) %b\nend)" % (shebang, prologue, code.partition(b"\n")[2])


def prologue_of(names: list[str], catches_errors: bool, names_server: bool, function: str = "") -> bytes:
    """The prologue of these pieces, each of its parts once; of a library, to call this ``function`` of it."""
    parts: list[str] = []
    for name in names:
        for part in PIECES[name]:
            if part not in parts:
                parts.append(part)
    bound = [("redis", "wrap(R)")]
    if names_server:
        bound.append(("server", "wrap(S)"))
    bound += [_BOUND[name] for name in names if name in _BOUND]
    wrap = [lua.WRAP]
    if function:
        bound.append(("kidoproxy", "in_library"))
        wrap = [lua.LIBRARY % (function,), lua.WRAP_LIBRARY]
    local = f"local {', '.join([name for name, _ in bound])} ="
    result = f"return {', '.join([value for _, value in bound])}"
    tail = lua.CATCHING_TAIL if catches_errors else lua.TAIL
    lines = "\n".join([local, lua.HEAD, *parts, tail, *wrap, result, lua.END])
    # A script may begin with a parenthesis, which would be a call of what is in front of it.
    return " ".join(lines.split()).encode() + b"; "
