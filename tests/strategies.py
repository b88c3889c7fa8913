"""Random material for property tests: raw RESP frames, commands, requests, and ways to cut bytes into chunks."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from kidoproxy.resp import encode

#: Payloads that look like frames, so that a walk that is off by one finds something to trip over.
TRAPS = (b"", b"\r", b"\n", b"\r\n", b"$-1\r\n", b"*1\r\n", b"+OK\r\n", b"\0", b"'", b'"a b"', b"x" * 300)


def examples(times: int) -> settings:
    """So many times as many examples as others have, for a rule that is about more than one thing."""
    return settings(max_examples=times * settings().max_examples)


INT64 = st.integers(-(2**63), 2**63 - 1)


def payloads() -> SearchStrategy[bytes]:
    """Binary strings, empty and treacherous ones among them."""
    return st.sampled_from(TRAPS) | st.binary(max_size=40)


def lines() -> SearchStrategy[bytes]:
    """What may stand in a simple string: anything but line ends."""
    return st.binary(max_size=80).map(encode.one_line)


def scalars(proto: int = 3) -> SearchStrategy[bytes]:
    """Raw replies without items."""
    both = [
        lines().map(lambda text: b"+" + text + b"\r\n"),
        lines().map(lambda text: b"-ERR " + text + b"\r\n"),
        (INT64 | st.integers(-5, 5)).map(encode.integer),
        payloads().map(encode.bulk),
        st.sampled_from([b"$-1\r\n", b"*-1\r\n"]),
    ]
    if proto == 2:
        return st.one_of(both)
    return st.one_of(
        *both,
        st.sampled_from([b"_\r\n", b"#t\r\n", b"#f\r\n", b",inf\r\n", b",-inf\r\n", b",nan\r\n"]),
        st.floats(allow_nan=False, allow_infinity=False).map(lambda value: encode.double(3, value)),
        st.integers().map(lambda value: b"(%d\r\n" % value),
        payloads().map(lambda text: b"!%d\r\n%b\r\n" % (len(text), text)),
        payloads().map(lambda text: b"=%d\r\ntxt:%b\r\n" % (len(text) + 4, text)),
    )


@st.composite
def attributed(draw: DrawFn, values: SearchStrategy[bytes]) -> bytes:
    """A raw value, now and then with attributes in front."""
    value = draw(values)
    if draw(st.integers(0, 5)):
        return value
    pairs = draw(st.lists(st.tuples(scalars(), scalars()), max_size=2))
    return b"|%d\r\n" % len(pairs) + b"".join(key + item for key, item in pairs) + value


def replies(proto: int = 3) -> SearchStrategy[bytes]:
    """Raw replies of any shape: nested arrays, and for RESP3 sets, maps and attributes too."""

    def around(inner: SearchStrategy[bytes]) -> SearchStrategy[bytes]:
        some = st.lists(inner, max_size=4)
        if proto == 2:
            return some.map(encode.array)
        pairs = st.lists(st.tuples(inner, inner), max_size=3).map(lambda pairs: [raw for pair in pairs for raw in pair])
        return st.one_of(
            some.map(encode.array),
            some.map(lambda items: encode.set_of(3, items)),
            pairs.map(lambda flat: encode.mapping(3, flat)),
        )

    if proto == 2:
        return st.recursive(scalars(2), around, max_leaves=12)
    return attributed(st.recursive(attributed(scalars()), lambda inner: around(attributed(inner)), max_leaves=12))


def pushes() -> SearchStrategy[bytes]:
    """RESP3 push frames, as pub/sub sends them."""
    return st.lists(scalars(), min_size=1, max_size=4).map(lambda items: encode.push(3, items))


def commands() -> SearchStrategy[list[bytes]]:
    """The arguments of a request; the first is not always a command's name."""
    names = st.sampled_from([b"GET", b"set", b"MGET", b"PING", b"hello", b"EVAL"]) | payloads()
    return st.builds(lambda name, rest: [name, *rest], names, st.lists(payloads(), max_size=5))


def quoted(arg: bytes) -> bytes:
    """One argument as a careful person would type it into telnet."""
    return b'"' + b"".join(b"\\x%02x" % byte for byte in arg) + b'"'


@st.composite
def requests(draw: DrawFn) -> tuple[list[bytes], bytes]:
    """The arguments of a request and one of the ways in which it may stand on the wire."""
    argv = draw(commands())
    if draw(st.integers(0, 4)):
        return argv, encode.encode_request(argv)
    gap = draw(st.sampled_from([b" ", b"\t", b"  "]))
    return argv, gap.join(quoted(arg) for arg in argv) + draw(st.sampled_from([b"\r\n", b"\n"]))


@st.composite
def chunked(draw: DrawFn, data: bytes) -> list[bytes]:
    """The same bytes in chunks: as a network might deliver them, single bytes included."""
    if draw(st.integers(0, 9)) == 0:
        return [data[at : at + 1] for at in range(len(data))]
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@st.composite
def bent(draw: DrawFn, data: bytes) -> bytes:
    """The same bytes with a few replaced, dropped, doubled or inserted; numbers stay small."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        patch = draw(
            st.sampled_from([b"", b"\r", b"\n", b"$", b"*", b"+", b":", b"-", b"0", b"1", b"?", b"\0", b"\xff"])
        )
        data = data[:at] + patch + data[at + draw(st.integers(0, 2)) :]
    return data
