"""Each key hash gives what the C code it stands for gives."""

import hashlib
import sys

import pytest

from kidoproxy.routes.placement.hashes import HASH_RING_MD5, NUTCRACKER_HASHES, fastest_md5, hash32, sha256_int

#: ``abc``, ``clé:1`` in UTF-8 (signed characters) and ``abcdefg`` (a tail of three), from nutcracker's own C functions.
IN_C = {
    "md5": (0x98500190, 0xD8CDF6A9, 0x0F6CC67A),
    "fnv1a_64": (0x0541574B, 0x0452C06F, 0x17AA7737),
    "fnv1_64": (0x6BAFADCB, 0xE89B5F07, 0x6C18206F),
    "fnv1a_32": (0x1A47E90B, 0xAADE344F, 0x2A9EB737),
    "fnv1_32": (0x439C2F4B, 0x3E7A8CE7, 0xAC46EAAF),
    "crc16": (0x7C749DD6, 0x4BAEC456, 0x3E3A7658),
    "crc32": (0x3524, 0x2546, 0x312A),
    "crc32a": (0x352441C2, 0xA546BF5F, 0x312A6AA6),
    "murmur": (0x7B0CC428, 0x9087CF3C, 0xEBA746F2),
    "one_at_a_time": (0xED131F5B, 0xE73A4445, 0x4AC70178),
    "jenkins": (0x8F415600, 0x30A08038, 0x76510984),
    "hsieh": (0xE5186B3A, 0x16793E8A, 0x3DAD41AF),
}


@pytest.mark.parametrize("name", NUTCRACKER_HASHES)
def test_as_in_c(name: str) -> None:
    """Odd lengths and characters above 127 included."""
    hashed = tuple(hash32(key, NUTCRACKER_HASHES[name]) for key in (b"abc", "clé:1".encode(), b"abcdefg"))

    assert hashed == IN_C[name]


@pytest.mark.parametrize(
    ("name", "hashed"),
    [
        ("jenkins", [0x7E2169F2, 0x1DE8F127, 0x1B540CE0, 0x9C1584BB, 0x9063C444, 0xF5E5F68D, 0x1F298087]),
        ("hsieh", [0x8F1930B0, 0x40BBDA79, 0x52FB60B0, 0x0D033132, 0x465A7A5B, 0x711F0DB9, 0xB6E65D5E]),
    ],
)
def test_every_length(name: str, hashed: list[int]) -> None:
    """Whole words and each rest of one, also behind a first round; the bytes are signed ones."""
    keys = [bytes(range(250, 250 - length, -1)) for length in (1, 2, 3, 4, 12, 13, 25)]
    assert [hash32(key, NUTCRACKER_HASHES[name]) for key in keys] == hashed


@pytest.mark.parametrize("name", NUTCRACKER_HASHES)
def test_empty_key(name: str) -> None:
    """nutcracker does not hash it."""
    assert hash32(b"", NUTCRACKER_HASHES[name]) == 0


def test_hash_ring_hashes_the_empty_key() -> None:
    """hash_ring does, with MD5 as any other key."""
    assert hash32(b"", HASH_RING_MD5) == int.from_bytes(hashlib.md5(b"").digest()[:4], "little")
    assert hash32(b"abc", HASH_RING_MD5) == 0x98500190


def test_wide_hash_sorts_as_its_text() -> None:
    """django-redis compares hexadecimal text; the numbers have the same order."""
    keys = [b"%d" % i for i in range(100)]

    assert sorted(keys, key=sha256_int) == sorted(keys, key=lambda key: hashlib.sha256(key).hexdigest())


def test_without_the_interpreters_own_md5(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where CPython was built without it OpenSSL's says the same."""
    native = fastest_md5()
    monkeypatch.setitem(sys.modules, "_md5", None)
    assert fastest_md5() is not native
    for key in (b"", b"key", bytes(range(256))):
        assert fastest_md5()(key).digest() == native(key).digest() == hashlib.md5(key).digest()
