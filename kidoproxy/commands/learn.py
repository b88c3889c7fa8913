"""A command that the table lacks, learned from a node's own ``COMMAND INFO``: modules, and newer servers.

Nobody has reviewed it, so the careful reading wins: it is served when the server says exactly where its
keys are, and then only where they meet on one node; whether copies may repeat it is answered by the few
lines below, and is No otherwise.
"""

from typing import Final

from kidoproxy.commands.spec import (
    ADMIN,
    BLOCKING,
    COPY_ALL,
    COPY_READ,
    COPY_REFUSED,
    INDEX,
    KEYNUM,
    KEYWORD,
    LANE,
    MOVABLE,
    ONE,
    PUBSUB,
    RANGE,
    READ,
    REFUSED,
    UNKNOWN,
    CommandSpec,
    KeyRow,
    KeySpec,
)
from kidoproxy.resp.open import bulk, integer, is_error, is_null, items

#: Writes of modules and of newer servers that depend on their key alone, so that copies agree.
REVIEWED: Final = (
    "delex xackdel xdelex json.arrappend json.arrinsert json.arrpop json.arrtrim json.clear json.del json.forget "
    "json.merge json.mset json.numincrby json.nummultby json.set json.strappend json.toggle bf.add bf.insert bf.madd "
    "bf.reserve cms.incrby cms.initbydim cms.initbyprob cms.merge"
)

KEYLESS: Final = "it does not say where its keys are, so nobody knows which node is meant; ask one node: PROXY NODE"
SEARCH: Final = "it searches the keys of all nodes, and each node knows its own only; ask one node: PROXY NODE"
LISTENS: Final = "it turns a connection into a stream, and the proxy does not know how to end that"
UNREVIEWED: Final = "nobody has reviewed whether copies would come to the same result"
OPERATOR: Final = "it is an operator's command that has not been reviewed"


#: A node that says more about one command is not believed: the largest real container takes a tenth of it.
LARGEST_REPLY: Final = 256 * 1024


def learn(raw: bytes) -> CommandSpec | None:
    """The spec from the reply to ``COMMAND INFO <name>``, in either protocol; None when the node does not know it."""
    found = [] if is_error(raw) or len(raw) > LARGEST_REPLY else items(raw)
    if not found or is_null(found[0]):
        return None
    return _spec(items(found[0]))


def _spec(fields: list[bytes]) -> CommandSpec:
    first, last, step = integer(fields[3]), integer(fields[4]), integer(fields[5])
    flags = " ".join(_words(fields[2]))
    keys: list[KeyRow] = []
    if len(fields) > 8:
        keys = [_key_row(raw) for raw in items(fields[8])]
    elif first > 0:
        # A server older than 7.0 says no more than this.
        keys = [("", INDEX, "", first, RANGE, last - first if last > 0 else last, step, 0, "")]
    categories = " ".join([word.removeprefix("@") for word in _words(fields[6])]) if len(fields) > 6 else ""
    name = bulk(fields[0]).lower().decode("utf-8", "surrogateescape")
    spec = CommandSpec(
        (name, integer(fields[1]), flags, first, last, step, categories, "", tuple(keys), "module", "", "")
    )
    _judge(spec)
    for raw in items(fields[9]) if len(fields) > 9 else []:
        sub = _spec(items(raw))
        if spec.subs is None:
            spec.subs = {}
        spec.subs[sub.name.partition(b"|")[2]] = sub
    spec.settle()
    return spec


def _words(raw: bytes) -> list[str]:
    return [bulk(word).decode("utf-8", "replace") for word in items(raw)]


def _pairs(raw: bytes) -> dict[bytes, bytes]:
    """A map by its keys, the values raw."""
    flat = items(raw)
    return {bulk(flat[i]): flat[i + 1] for i in range(0, len(flat), 2)}


def _key_row(raw: bytes) -> KeyRow:
    """One key specification."""
    fields = _pairs(raw)
    begin, find = _pairs(fields[b"begin_search"]), _pairs(fields[b"find_keys"])
    start, rest = _pairs(begin[b"spec"]), _pairs(find[b"spec"])
    kind, keyword, position = UNKNOWN, "", 0
    if bulk(begin[b"type"]) == b"index":
        kind, position = INDEX, integer(start[b"index"])
    elif bulk(begin[b"type"]) == b"keyword":
        kind, keyword = KEYWORD, bulk(start[b"keyword"]).decode("utf-8", "replace")
        position = integer(start[b"startfrom"])
    how, names = UNKNOWN, [b"", b"", b""]
    if bulk(find[b"type"]) == b"range":
        how, names = RANGE, [b"lastkey", b"keystep", b"limit"]
    elif bulk(find[b"type"]) == b"keynum":
        how, names = KEYNUM, [b"keynumidx", b"firstkey", b"keystep"]
    a, b, c = [integer(rest[name]) if name else 0 for name in names]
    return " ".join(_words(fields[b"flags"])), kind, keyword, position, how, a, b, c, ""


def _exact(spec: CommandSpec) -> bool:
    """Whether the specifications find every key; movable ones that no count or keyword explains are found by code."""
    real = [key for key in spec.key_specs if key.is_key]
    if not real or any(_vague(key) for key in real):
        return False
    return spec.flags & MOVABLE == 0 or any(key.begin == KEYWORD or key.find == KEYNUM for key in real)


def _vague(key: KeySpec) -> bool:
    """Whether this specification may find fewer keys than there are, or none; a step of 0 would never end."""
    step = key.numbers[2] if key.find == KEYNUM else key.numbers[1]
    return key.begin == UNKNOWN or key.find == UNKNOWN or "incomplete" in key.flags or step < 1


def _judge(spec: CommandSpec) -> None:
    """What the overlay would say."""
    reads = spec.flags & READ != 0
    spec.write = not reads
    spec.copy = COPY_READ if reads else COPY_REFUSED
    if spec.name.decode("utf-8", "replace") in REVIEWED.split():
        spec.copy = COPY_ALL
    spec.copy_reason = UNREVIEWED if spec.copy == COPY_REFUSED else ""
    spec.reach = REFUSED
    if spec.name.startswith((b"ft.", b"_ft.")):
        spec.reason = SEARCH
    elif spec.flags & PUBSUB:
        spec.reason = LISTENS
    elif not _exact(spec):
        spec.reason = KEYLESS
    else:
        spec.reach = LANE if spec.flags & BLOCKING else ONE
        spec.deny_default = spec.flags & ADMIN != 0
        spec.reason = OPERATOR if spec.deny_default else ""
        spec.repeatable = reads
