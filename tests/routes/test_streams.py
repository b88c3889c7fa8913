"""XREAD over several children: one request each, nothing of the request lost."""

from kidoproxy.resp.decode import items, string_value
from kidoproxy.routes.streams import gather_streams, split_by_child


def test_split() -> None:
    """Options are repeated; keys and ids stay together; children stand in the order of their first keys."""
    argv = b"XREADGROUP GROUP streams c COUNT 2 BLOCK 5 NOACK STREAMS a b c d 1 2 > 4".split()
    parts = split_by_child(argv, [10, 11, 12, 13], [2, 0, 2, 1])
    head = argv[:10]
    assert [(child, request.argv) for child, request in parts] == [
        (2, [*head, b"a", b"c", b"1", b">"]),
        (0, [*head, b"b", b"2"]),
        (1, [*head, b"d", b"4"]),
    ]
    assert [[string_value(word) for word in items(request.raw)] for _, request in parts] == [
        part.argv for _, part in parts
    ]


def test_gather() -> None:
    """The plan knows each part's frame and the order of the streams."""
    argv = b"XREAD STREAMS a b 0 0".split()
    found = gather_streams(argv, [2, 3], split_by_child(argv, [2, 3], [1, 0]), [])
    assert (found.stream_names, len(found.frames or [])) == ([b"a", b"b"], 2)
