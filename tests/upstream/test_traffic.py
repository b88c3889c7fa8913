"""What is seen of the bytes on their way to a node."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.resp import limits
from kidoproxy.resp.encode import encode_request
from kidoproxy.upstream.traffic import NodeTraffic, key_of


@pytest.mark.parametrize(
    ("payload", "key"),
    [
        (encode_request([b"GET", b"k"]), b"k"),
        (encode_request([b"hset", b"h", b"f", b"v"]), b"h"),
        (encode_request([b"MGET", b"a", b"b"]), b"a"),
        (encode_request([b"DEL", b"a"]), b"a"),
        (encode_request([b"AUTH", b"secret"]), None),
        (encode_request([b"HELLO", b"3"]), None),
        (encode_request([b"EVAL", b"return 1", b"1", b"k"]), None),
        (encode_request([b"PING"]), None),
        (encode_request([b"DBSIZE"]), None),
        (encode_request([b"NOSUCH", b"k"]), None),
        (encode_request([b"KEYS", b"*"]), None),
        (encode_request([b"CLUSTER", b"k"]), None),
        (encode_request([b"GET", b"k" * (limits.MAX_SAMPLED_KEY_BYTES + 1)]), None),
        (encode_request([b"SET", b"k", b"x" * 100])[:40], b"k"),
        (b"the middle of a value\r\n", None),
        (b"*3\r\n*1\r\n", None),
        (b"", None),
    ],
)
def test_the_key_of_a_request(payload: bytes, key: bytes | None) -> None:
    """The first argument, where that is a key; of a request that has just begun, too."""
    assert key_of(payload) == key


@given(st.binary(max_size=60))
def test_any_bytes_may_come(raw: bytes) -> None:
    """The middle of a large value may look like anything."""
    traffic = NodeTraffic()
    for begin in (b"", b"*2\r\n$3\r\nGET\r\n$", b"*2\r\n$"):
        traffic.sample_key([begin + raw])
        traffic.note_big_request(begin + raw, limits.BIG_KEY_BYTES)
    assert traffic.hot_keys.samples == len(traffic.big_keys.sizes) or traffic.hot_keys.samples <= 3


def test_any_request_of_a_write_is_looked_at() -> None:
    """Not always the first one: a client that says the same before all else would seem to say nothing else."""
    traffic = NodeTraffic()
    payloads = [encode_request([b"GET", b"%d" % number]) for number in range(4)]
    for _ in range(400):
        traffic.sample_key(payloads)
    assert set(traffic.hot_keys.keys) == {b"0", b"1", b"2", b"3"}
    assert all(known.count > 50 for known in traffic.hot_keys.keys.values())
