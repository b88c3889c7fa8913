"""Where the keys of a request are: by index, by keyword, by count.

Redis describes this with key specifications, which are followed here. Some commands are read by hand
as Redis itself executes them, because their specifications are unknown (SORT) or because the name of a
group, a consumer or a key may look like the keyword that is searched for (XREADGROUP, GEORADIUS, MIGRATE).

Arguments that make no sense give fewer keys or none: the node that is then asked has the right error.
Numbers are read more liberally than Redis 7 reads them (``02``, ``+2``), because older servers take them.
"""

from kidoproxy.commands.spec import (
    BEGIN_INDEX,
    BEGIN_KEYWORD,
    BY_SPECS,
    FIND_KEYNUM,
    FIND_RANGE,
    GEORADIUS_KEYS,
    SCAN_NODES,
    SORT_KEYS,
    STREAM_KEYS,
    CommandSpec,
    KeySpec,
)


def key_positions(spec: CommandSpec, argv: list[bytes]) -> list[int]:
    """The positions of the keys in ``argv``, in the order in which Redis names them."""
    if spec.single_key:
        return [1] if len(argv) > 1 else []
    finder = spec.key_finder
    if finder == BY_SPECS:
        found: list[int] = []
        for key_spec in spec.key_specs:
            if key_spec.is_key:
                found += spec_key_positions(key_spec, argv)
        return found
    if finder == SORT_KEYS:
        return _sort_keys(argv)
    if finder == STREAM_KEYS:
        return _stream_keys(argv, stream_option(argv))
    if finder == GEORADIUS_KEYS:
        return _georadius_keys(argv, 6 if spec.arity == -6 else 5)
    return _migrate_keys(argv)


def spec_key_positions(key_spec: KeySpec, argv: list[bytes]) -> list[int]:
    """The keys that one specification finds; none when the request does not fit it, as Redis has it."""
    count = len(argv)
    first = _first_key(key_spec, argv)
    a, b, c = key_spec.find_args
    if key_spec.find_kind == FIND_RANGE:
        step = b
        if a >= 0:
            last = first + a
        elif c == 0:
            last = count + a
        else:
            last = first + (count - first) // c + a
    elif key_spec.find_kind == FIND_KEYNUM:
        step = c
        number = _parse_numkeys(argv, first + a)
        first += b
        last = first + (number - 1) * step
    else:
        return []
    if first < 1 or last >= count or last < first:
        return []
    return list(range(first, last + 1, step))


def _first_key(key_spec: KeySpec, argv: list[bytes]) -> int:
    """Where the keys of this specification begin; past the end when nowhere."""
    count = len(argv)
    if key_spec.begin_kind == BEGIN_INDEX:
        return key_spec.begin_position
    if key_spec.begin_kind == BEGIN_KEYWORD:
        i = key_spec.begin_position
        step = 1
        if i < 0:
            i += count
            step = -1
        while 0 < i < count:
            if argv[i].lower() == key_spec.keyword:
                return i + 1
            i += step
    return count


def _parse_numkeys(argv: list[bytes], i: int) -> int:
    """The number of keys that the argument at ``i`` claims; 0 when it claims none."""
    if i >= len(argv):
        return 0
    text = argv[i]
    if text[:1] == b"+":
        text = text[1:]
    if not text.isdigit():
        return 0
    digits = text.lstrip(b"0")
    # More digits than any count of arguments has; int() of a long text would take long, and then fail.
    return int(digits) if 0 < len(digits) <= 10 else 0


def sort_options(argv: list[bytes]) -> list[tuple[bytes, int]]:
    """The options of SORT that name something, ``by``, ``get`` and ``store``, each with the position of its argument.

    SORT key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC | DESC] [ALPHA] [STORE key], in any order.
    """
    found: list[tuple[bytes, int]] = []
    count = len(argv)
    i = 2
    while i < count:
        word = argv[i].lower()
        if word == b"limit":
            i += 2
        elif word in (b"by", b"get", b"store"):
            i += 1
            if i < count:
                found.append((word, i))
        i += 1
    return found


def _sort_keys(argv: list[bytes]) -> list[int]:
    """The key, and the one that the last STORE names."""
    if len(argv) < 2:
        return []
    stores = [at for option, at in sort_options(argv) if option == b"store"]
    return [1, *stores[-1:]]


def keyspace_pattern(spec: CommandSpec, argv: list[bytes]) -> int:
    """The position of the pattern by which KEYS and SCAN choose keys; 0 when there is none."""
    if spec.name == b"keys":
        return 1
    if spec.reach != SCAN_NODES:
        return 0
    for i in range(2, len(argv) - 1):
        if argv[i].lower() == b"match":
            return i + 1
    return 0


def stream_option(argv: list[bytes], option: bytes = b"streams") -> int:
    """The position of this option of XREAD and XREADGROUP, which stands at STREAMS or before it; 0 when it does not.

    What another option claims (the count, the group, the consumer) is not taken for it.
    """
    count = len(argv)
    i = 1
    while i < count:
        word = argv[i].lower()
        if word == option:
            return i
        if word == b"streams":
            return 0
        if word in (b"count", b"block", b"claim"):
            i += 2
        elif word == b"group":
            i += 3
        else:
            # NOACK, and whatever a newer server may add.
            i += 1
    return 0


def _stream_keys(argv: list[bytes], word: int) -> list[int]:
    """The first half of what follows STREAMS; the other half are ids."""
    rest = len(argv) - word - 1
    if word == 0 or rest == 0 or rest % 2 != 0:
        return []
    return list(range(word + 1, word + 1 + rest // 2))


def _georadius_keys(argv: list[bytes], i: int) -> list[int]:
    """The key, and where the answer is stored; the last of STORE and STOREDIST counts."""
    count = len(argv)
    if count < 2:
        return []
    store_position = 0
    while i < count:
        word = argv[i].lower()
        if word == b"count":
            i += 1
        elif word in (b"store", b"storedist"):
            i += 1
            if i < count:
                store_position = i
        i += 1
    return [1, store_position] if store_position else [1]


def _migrate_keys(argv: list[bytes]) -> list[int]:
    """MIGRATE host port key|"" db timeout [COPY] [REPLACE] [AUTH p] [AUTH2 u p] [KEYS key ...]."""
    count = len(argv)
    if count < 6:
        return []
    i = 6
    while i < count:
        word = argv[i].lower()
        if word == b"auth":
            i += 1
        elif word == b"auth2":
            i += 2
        elif word == b"keys":
            return [] if argv[3] else list(range(i + 1, count))
        i += 1
    return [3]
