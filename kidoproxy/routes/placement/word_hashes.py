"""The hashes of nutcracker that take several bytes at a time: MurmurHash2, Jenkins's lookup3, Hsieh's SuperFastHash.

All answer with 32 bits, as nutcracker's C code does where a character is signed.
"""

from typing import Final

from mypy_extensions import i64

_MASK: Final[i64] = 0xFFFFFFFF
#: What sign extension adds to a character above 127.
_SIGN: Final[i64] = 0xFFFFFF00
#: What lookup3 starts from, nutcracker's seed of 13 included.
_JENKINS_START: Final[i64] = 0xDEADBEEF + 13


def murmur(key: bytes) -> i64:
    """MurmurHash2, seeded with the length."""
    m: i64 = 0x5BD1E995
    n: i64 = len(key)
    h: i64 = ((0xDEADBEEF * n) & _MASK) ^ (n & _MASK)
    i: i64 = 0
    while n - i >= 4:
        k: i64 = ((read_little_endian(key, i, 4)) * m) & _MASK
        k = ((k ^ (k >> 24)) * m) & _MASK
        h = ((h * m) & _MASK) ^ k
        i += 4
    if i < n:
        h = ((h ^ read_little_endian(key, i, n - i)) * m) & _MASK
    h = ((h ^ (h >> 13)) * m) & _MASK
    return h ^ (h >> 15)


def read_little_endian(key: bytes, start: i64, count: i64) -> i64:
    """``count`` bytes from ``start`` on as a little-endian number."""
    value: i64 = 0
    i: i64 = count
    while i > 0:
        i -= 1
        b: i64 = key[start + i]
        value = value << 8 | b
    return value


def jenkins(key: bytes) -> i64:
    """Jenkins's lookup3 (``hashlittle``)."""
    n: i64 = len(key)
    a: i64 = (_JENKINS_START + n) & _MASK
    b: i64 = a
    c: i64 = a
    i: i64 = 0
    while n - i > 12:
        a = (a + read_little_endian(key, i, 4)) & _MASK
        b = (b + read_little_endian(key, i + 4, 4)) & _MASK
        c = (c + read_little_endian(key, i + 8, 4)) & _MASK
        a = ((a - c) & _MASK) ^ rotate(c, 4)
        c = (c + b) & _MASK
        b = ((b - a) & _MASK) ^ rotate(a, 6)
        a = (a + c) & _MASK
        c = ((c - b) & _MASK) ^ rotate(b, 8)
        b = (b + a) & _MASK
        a = ((a - c) & _MASK) ^ rotate(c, 16)
        c = (c + b) & _MASK
        b = ((b - a) & _MASK) ^ rotate(a, 19)
        a = (a + c) & _MASK
        c = ((c - b) & _MASK) ^ rotate(b, 4)
        b = (b + a) & _MASK
        i += 12
    a = (a + read_little_endian(key, i, min(n - i, 4))) & _MASK
    b = (b + read_little_endian(key, i + 4, min(max(n - i - 4, 0), 4))) & _MASK
    c = (c + read_little_endian(key, i + 8, max(n - i - 8, 0))) & _MASK
    return mix_last(a, b, c)


def mix_last(a: i64, b: i64, c: i64) -> i64:
    """The end of lookup3."""
    c = ((c ^ b) - rotate(b, 14)) & _MASK
    a = ((a ^ c) - rotate(c, 11)) & _MASK
    b = ((b ^ a) - rotate(a, 25)) & _MASK
    c = ((c ^ b) - rotate(b, 16)) & _MASK
    a = ((a ^ c) - rotate(c, 4)) & _MASK
    b = ((b ^ a) - rotate(a, 14)) & _MASK
    return ((c ^ b) - rotate(b, 24)) & _MASK


def rotate(x: i64, bits: i64) -> i64:
    """``x`` rotated left in 32 bits."""
    return (x << bits) & _MASK | x >> (32 - bits)


def hsieh(key: bytes) -> i64:
    """Hsieh's SuperFastHash; of a tail of three the last character is signed."""
    n: i64 = len(key)
    h: i64 = 0
    i: i64 = 0
    while n - i >= 4:
        h = (h + read_little_endian(key, i, 2)) & _MASK
        h = (h << 16) & _MASK ^ (read_little_endian(key, i + 2, 2) << 11) & _MASK ^ h
        h = (h + (h >> 11)) & _MASK
        i += 4
    h = hsieh_tail(key, i, n - i, h)
    h ^= (h << 3) & _MASK
    h = (h + (h >> 5)) & _MASK
    h ^= (h << 4) & _MASK
    h = (h + (h >> 17)) & _MASK
    h ^= (h << 25) & _MASK
    return (h + (h >> 6)) & _MASK


def hsieh_tail(key: bytes, i: i64, left: i64, h: i64) -> i64:
    """Take the last one to three bytes into the hash."""
    if left == 3:
        last: i64 = key[i + 2]
        if last > 127:
            last |= _SIGN
        h = (h + read_little_endian(key, i, 2)) & _MASK
        h ^= (h << 16) & _MASK ^ (last << 18) & _MASK
        return (h + (h >> 11)) & _MASK
    if left == 2:
        h = (h + read_little_endian(key, i, 2)) & _MASK
        h ^= (h << 11) & _MASK
        return (h + (h >> 17)) & _MASK
    if left == 1:
        h = (h + read_little_endian(key, i, 1)) & _MASK
        h ^= (h << 10) & _MASK
        return (h + (h >> 1)) & _MASK
    return h
