"""The key hashes: bytes in, a place on the circle out.

Those of nutcracker answer with 32 bits, exactly as its C code does on Linux, signed characters and
cut-off 64-bit variants included. `sha256_int` is the wide one of django-redis.
"""

from binascii import crc_hqx
from collections.abc import Callable
from functools import partial
from hashlib import md5, sha256
from typing import Any, Final
from zlib import crc32

from mypy_extensions import i64

from kidoproxy.routes.placement.word_hashes import hsieh, jenkins, murmur

# What a `Placement` hashes its keys with. The slow ones come first: a placement remembers their results.
MD5: Final = 0
HASH_RING_MD5: Final = 1
DJANGO_SHA256: Final = 2
LAST_MEMOIZED: Final = 2
FNV1A_64: Final = 3
FNV1_64: Final = 4
FNV1A_32: Final = 5
FNV1_32: Final = 6
CRC16: Final = 7
CRC32: Final = 8
CRC32A: Final = 9
MURMUR: Final = 10
ONE_AT_A_TIME: Final = 11
JENKINS: Final = 12
HSIEH: Final = 13

#: nutcracker's names of its hashes, as they stand in a nutcracker.yml.
NUTCRACKER_HASHES: Final[dict[str, int]] = {
    "md5": MD5,
    "fnv1a_64": FNV1A_64,
    "fnv1_64": FNV1_64,
    "fnv1a_32": FNV1A_32,
    "fnv1_32": FNV1_32,
    "crc16": CRC16,
    "crc32": CRC32,
    "crc32a": CRC32A,
    "murmur": MURMUR,
    "one_at_a_time": ONE_AT_A_TIME,
    "jenkins": JENKINS,
    "hsieh": HSIEH,
}
#: The highest hash of `CRC32`; all others fill their 32 bits.
CRC32_TOP: Final = 0x7FFF

_MASK: Final[i64] = 0xFFFFFFFF
#: What sign extension adds to a character above 127.
_SIGN: Final[i64] = 0xFFFFFF00
#: The lower half of the 64-bit start value; the prime 0x100000001b3 ends in 0x1b3, the rest is cut off.
_FNV_64_START: Final[i64] = 0x84222325
_FNV_64_PRIME: Final[i64] = 0x1B3
_FNV_32_START: Final[i64] = 0x811C9DC5
_FNV_32_PRIME: Final[i64] = 16777619


def fastest_md5() -> Callable[[bytes], Any]:
    """MD5 of the interpreter itself: half as dear as OpenSSL's, and there where that forbids MD5 (FIPS)."""
    try:
        from _md5 import md5 as native_md5
    except ImportError:  # CPython can be built without it
        return partial(md5, usedforsecurity=False)
    return native_md5


MD5_FUNCTION: Final = fastest_md5()


def hash32(key: bytes, key_hash: int) -> i64:
    """The 32-bit hash of ``key`` by the function that ``key_hash`` names."""
    if key_hash == HASH_RING_MD5:
        return md5_32(key)
    if not key:
        return 0  # nutcracker never hashes an empty key: it goes to the lowest point
    if key_hash == FNV1A_64:
        return fnv1a(key, _FNV_64_START, _FNV_64_PRIME)
    if key_hash == MD5:
        return md5_32(key)
    return uncommon_hash32(key, key_hash)


def uncommon_hash32(key: bytes, key_hash: int) -> i64:
    """The less common hashes of nutcracker."""
    if key_hash == FNV1_64:
        return fnv1(key, _FNV_64_START, _FNV_64_PRIME)
    if key_hash == FNV1A_32:
        return fnv1a(key, _FNV_32_START, _FNV_32_PRIME)
    if key_hash == FNV1_32:
        return fnv1(key, _FNV_32_START, _FNV_32_PRIME)
    if key_hash == CRC16:
        return crc16(key)
    if key_hash == CRC32:
        return (crc32(key) >> 16) & CRC32_TOP  # as libmemcached has it: fifteen bits
    if key_hash == CRC32A:
        return crc32(key)
    if key_hash == MURMUR:
        return murmur(key)
    if key_hash == JENKINS:
        return jenkins(key)
    if key_hash == HSIEH:
        return hsieh(key)
    return one_at_a_time(key)


def md5_32(key: bytes) -> i64:
    """The first four bytes of the MD5 digest, little endian: the ketama key hash."""
    digest: bytes = MD5_FUNCTION(key).digest()
    a: i64 = digest[0]
    b: i64 = digest[1]
    c: i64 = digest[2]
    d: i64 = digest[3]
    return a | b << 8 | c << 16 | d << 24


def fnv1a(key: bytes, start: i64, prime: i64) -> i64:
    """FNV-1a in 32 bits over signed characters."""
    h: i64 = start
    i: i64 = 0
    n: i64 = len(key)
    while i < n:
        c: i64 = key[i]
        if c > 127:
            c |= _SIGN
        h = ((h ^ c) * prime) & _MASK
        i += 1
    return h


def fnv1(key: bytes, start: i64, prime: i64) -> i64:
    """FNV-1 in 32 bits over signed characters: multiply first."""
    h: i64 = start
    i: i64 = 0
    n: i64 = len(key)
    while i < n:
        c: i64 = key[i]
        if c > 127:
            c |= _SIGN
        h = ((h * prime) & _MASK) ^ c
        i += 1
    return h


def crc16(key: bytes) -> i64:
    """CRC-16 (XMODEM) of ``key``, above it what nutcracker forgets to cut off: the high bytes of the last two steps."""
    before_last = crc_hqx(key[:-2], 0)
    last = crc_hqx(key[-2:-1], before_last)
    a: i64 = before_last >> 8
    b: i64 = last >> 8
    c: i64 = crc_hqx(key[-1:], last)
    return a << 24 | b << 16 | c


def one_at_a_time(key: bytes) -> i64:
    """Jenkins's one-at-a-time over signed characters."""
    h: i64 = 0
    i: i64 = 0
    n: i64 = len(key)
    while i < n:
        c: i64 = key[i]
        if c > 127:
            c |= _SIGN
        h = (h + c) & _MASK
        h = (h + (h << 10)) & _MASK
        h ^= h >> 6
        i += 1
    h = (h + (h << 3)) & _MASK
    h ^= h >> 11
    return (h + (h << 15)) & _MASK


def sha256_int(key: bytes) -> int:
    """The whole SHA-256 digest as one number; it sorts as its hexadecimal text does."""
    return int.from_bytes(sha256(key).digest(), "big")
