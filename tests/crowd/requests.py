"""What requests of a crowd do to the connection on which they come."""

from typing import Final

BLOCKING: Final = (b"BLPOP", b"BLMOVE", b"BZPOPMIN", b"WAIT")
UNBLOCK: Final = [b"CLIENT", b"UNBLOCK"]


def blocks(argv: list[bytes]) -> bool:
    """Whether a server may keep its client waiting."""
    return argv[0] in BLOCKING or (argv[0] in (b"XREAD", b"XREADGROUP") and b"BLOCK" in argv)


def streams(argv: list[bytes]) -> list[bytes]:
    """The keys of an XREAD."""
    rest = argv[argv.index(b"STREAMS") + 1 :]
    return rest[: len(rest) // 2]
