"""A command that the table lacks, discovered by a node's own ``COMMAND INFO``: modules, and newer servers.

It has not been reviewed, so the careful reading wins: it is served if the server says exactly where its
keys are, and then only where they meet on one node; copies may repeat it only if it is named below.
"""

from typing import Final

from kidoproxy.commands.spec import (
    ADMIN,
    BEGIN_INDEX,
    BEGIN_KEYWORD,
    BLOCKING,
    COPY_BROADCAST,
    COPY_READ,
    COPY_REFUSED,
    DEDICATED,
    FIND_KEYNUM,
    FIND_RANGE,
    MOVABLE_KEYS,
    PUBSUB,
    READONLY,
    REFUSED,
    SEARCH_UNKNOWN,
    SINGLE_NODE,
    CommandSpec,
    KeyRow,
    KeySpec,
)
from kidoproxy.resp.decode import integer_value, is_error, is_null, items, string_value

#: Writes of modules and of newer servers that depend on their key alone, so that copies agree.
REVIEWED_WRITES: Final = (
    "delex xackdel xdelex json.arrappend json.arrinsert json.arrpop json.arrtrim json.clear json.del json.forget "
    "json.merge json.mset json.numincrby json.nummultby json.set json.strappend json.toggle bf.add bf.insert bf.madd "
    "bf.reserve cms.incrby cms.initbydim cms.initbyprob cms.merge"
)

KEYLESS_REASON: Final = (
    "it does not say where its keys are, so nobody knows which node is meant; ask one node: PROXY NODE"
)
SEARCH_REASON: Final = "it searches the keys of all nodes, and each node knows its own only; ask one node: PROXY NODE"
PUBSUB_REASON: Final = "it turns a connection into a stream, and the proxy does not know how to end that"
UNREVIEWED_REASON: Final = "nobody has reviewed whether copies would come to the same result"
ADMIN_REASON: Final = "it is an operator's command that has not been reviewed"


#: A node that says more about one command is not believed; the largest real container takes a tenth of it.
MAX_REPLY_BYTES: Final = 256 * 1024


def parse_command_info(raw: bytes) -> CommandSpec | None:
    """The spec from the reply to ``COMMAND INFO <name>``, in either protocol; None when the node does not know it."""
    found = [] if is_error(raw) or len(raw) > MAX_REPLY_BYTES else items(raw)
    if not found or is_null(found[0]):
        return None
    return _parse_spec(items(found[0]))


def _parse_spec(fields: list[bytes]) -> CommandSpec:
    first, last, step = integer_value(fields[3]), integer_value(fields[4]), integer_value(fields[5])
    flags = " ".join(_string_list(fields[2]))
    keys: list[KeyRow] = []
    if len(fields) > 8:
        keys = [_parse_key_row(raw) for raw in items(fields[8])]
    elif first > 0:
        # A server older than 7.0 says no more than this.
        keys = [("", BEGIN_INDEX, "", first, FIND_RANGE, last - first if last > 0 else last, step, 0, "")]
    categories = " ".join([word.removeprefix("@") for word in _string_list(fields[6])]) if len(fields) > 6 else ""
    name = string_value(fields[0]).lower().decode("utf-8", "surrogateescape")
    spec = CommandSpec(
        (name, integer_value(fields[1]), flags, first, last, step, categories, "", tuple(keys), "module", "", "")
    )
    _classify(spec)
    for raw in items(fields[9]) if len(fields) > 9 else []:
        sub = _parse_spec(items(raw))
        if spec.subcommands is None:
            spec.subcommands = {}
        spec.subcommands[sub.name.partition(b"|")[2]] = sub
    spec.finalize()
    return spec


def _string_list(raw: bytes) -> list[str]:
    return [string_value(word).decode("utf-8", "replace") for word in items(raw)]


def _raw_map(raw: bytes) -> dict[bytes, bytes]:
    """A map by its keys, the values as raw frames."""
    flat = items(raw)
    return {string_value(flat[i]): flat[i + 1] for i in range(0, len(flat), 2)}


def _parse_key_row(raw: bytes) -> KeyRow:
    fields = _raw_map(raw)
    begin, find = _raw_map(fields[b"begin_search"]), _raw_map(fields[b"find_keys"])
    begin_spec, find_spec = _raw_map(begin[b"spec"]), _raw_map(find[b"spec"])
    begin_kind, keyword, position = SEARCH_UNKNOWN, "", 0
    if string_value(begin[b"type"]) == b"index":
        begin_kind, position = BEGIN_INDEX, integer_value(begin_spec[b"index"])
    elif string_value(begin[b"type"]) == b"keyword":
        begin_kind, keyword = BEGIN_KEYWORD, string_value(begin_spec[b"keyword"]).decode("utf-8", "replace")
        position = integer_value(begin_spec[b"startfrom"])
    find_kind, names = SEARCH_UNKNOWN, [b"", b"", b""]
    if string_value(find[b"type"]) == b"range":
        find_kind, names = FIND_RANGE, [b"lastkey", b"keystep", b"limit"]
    elif string_value(find[b"type"]) == b"keynum":
        find_kind, names = FIND_KEYNUM, [b"keynumidx", b"firstkey", b"keystep"]
    a, b, c = [integer_value(find_spec[name]) if name else 0 for name in names]
    return " ".join(_string_list(fields[b"flags"])), begin_kind, keyword, position, find_kind, a, b, c, ""


def _finds_every_key(spec: CommandSpec) -> bool:
    """Whether the specifications find every key: of movable ones that no count or keyword explains they do not."""
    key_specs = [key for key in spec.key_specs if key.is_key]
    if not key_specs or any(_may_miss_keys(key) for key in key_specs):
        return False
    return spec.flags & MOVABLE_KEYS == 0 or any(
        key.begin_kind == BEGIN_KEYWORD or key.find_kind == FIND_KEYNUM for key in key_specs
    )


def _may_miss_keys(key: KeySpec) -> bool:
    """Whether this specification may find fewer keys than there are, or none; a step of 0 would never end."""
    step = key.find_args[2] if key.find_kind == FIND_KEYNUM else key.find_args[1]
    return key.begin_kind == SEARCH_UNKNOWN or key.find_kind == SEARCH_UNKNOWN or "incomplete" in key.flags or step < 1


def _classify(spec: CommandSpec) -> None:
    """Set what the overlay sets for reviewed commands."""
    reads = spec.flags & READONLY != 0
    spec.may_write = not reads
    spec.replication = COPY_READ if reads else COPY_REFUSED
    if spec.name.decode("utf-8", "replace") in REVIEWED_WRITES.split():
        spec.replication = COPY_BROADCAST
    spec.replication_reason = UNREVIEWED_REASON if spec.replication == COPY_REFUSED else ""
    spec.reach = REFUSED
    if spec.name.startswith((b"ft.", b"_ft.")):
        spec.reason = SEARCH_REASON
    elif spec.flags & PUBSUB:
        spec.reason = PUBSUB_REASON
    elif not _finds_every_key(spec):
        spec.reason = KEYLESS_REASON
    else:
        spec.reach = DEDICATED if spec.flags & BLOCKING else SINGLE_NODE
        spec.denied_by_default = spec.flags & ADMIN != 0
        spec.reason = ADMIN_REASON if spec.denied_by_default else ""
        spec.retryable = reads
