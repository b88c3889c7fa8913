"""Redis's own patterns: ``*``, ``?``, ``[abc]``, ``[^a-z]`` and the backslash, as its KEYS and COMMAND LIST know them.

The standard library's patterns differ (``[!a]``, no backslash), and would make them regular expressions,
which a client could make slow. This walk goes back to the last star only, so it is never worse than
the pattern's length times the text's.
"""


def matches(pattern: bytes, text: bytes) -> bool:
    """Whether the whole of ``text`` fits ``pattern``; letter case counts. An empty text fits no star, as in Redis."""
    if not text:
        return not pattern
    p = t = 0
    star = -1
    retry_t = 0
    while t < len(text):
        if p < len(pattern) and pattern[p : p + 1] == b"*":
            star = p
            retry_t = t
            p += 1
            continue
        next_p = _match_one(pattern, p, text[t])
        if next_p >= 0:
            p = next_p
            t += 1
        elif star >= 0:
            retry_t += 1
            p = star + 1
            t = retry_t
        else:
            return False
    return not pattern[p:].strip(b"*")


def _match_one(pattern: bytes, p: int, char: int) -> int:
    """Where the pattern goes on when its piece at ``p`` fits this byte; -1 when it does not."""
    if p >= len(pattern):
        return -1
    piece = pattern[p : p + 1]
    if piece == b"?":
        return p + 1
    if piece == b"[":
        return _match_class(pattern, p + 1, char)
    if piece == b"\\" and p + 1 < len(pattern):
        p += 1
    return p + 1 if pattern[p] == char else -1


def _match_class(pattern: bytes, p: int, char: int) -> int:
    """The same for what stands in brackets; a bracket that is never closed ends with the pattern."""
    inverted = pattern[p : p + 1] == b"^"
    if inverted:
        p += 1
    in_class = False
    while p < len(pattern) and pattern[p : p + 1] != b"]":
        if pattern[p : p + 1] == b"\\" and p + 1 < len(pattern):
            p += 1
            in_class = in_class or pattern[p] == char
        elif pattern[p + 1 : p + 2] == b"-" and p + 2 < len(pattern):
            low, high = sorted((pattern[p], pattern[p + 2]))
            in_class = in_class or low <= char <= high
            p += 2
        else:
            in_class = in_class or pattern[p] == char
        p += 1
    return p + 1 if in_class != inverted else -1
