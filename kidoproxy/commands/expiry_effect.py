"""What a write has to do with the expiry of its keys: may copies take it on two sides of it, and does it set one?

One copy may run a write just before its key expires, another one just after. Where that shows in the replies, these
differ and the key is repaired. Where it does not, the copies are asked when their keys expire:

* behind a write that keeps the expiry of what it finds: the copy that found nothing has a key without expiry now;
* ahead of a write that makes something of several keys, or of a script: there it is seen who had which of them.
"""

from typing import Final, final

from kidoproxy.commands.expiry import option_positions
from kidoproxy.commands.spec import EXPIRY_KEPT, EXPIRY_OF_SOURCES, EXPIRY_SET, EXPIRY_UNAFFECTED, CommandSpec
from kidoproxy.resp.scan import parse_int64

#: When copies are asked for the expiry of the keys.
NO_CHECK: Final = 0
CHECK_BEHIND: Final = 1
CHECK_AROUND: Final = 2

#: Which keys may have an earlier expiry afterwards.
NO_KEYS: Final = 0
NAMED_KEYS: Final = 1
ANY_KEYS: Final = 2


@final
class ExpiryEffect:
    """``check``: when copies are asked; ``sets``: whose expiry may be earlier now, but not earlier than ``at_ms``."""

    def __init__(self, check: int, sets: int, at_ms: int = 0) -> None:
        self.check: Final = check
        self.sets: Final = sets
        self.at_ms: Final = at_ms


UNAFFECTED: Final = ExpiryEffect(NO_CHECK, NO_KEYS)
KEPT: Final = ExpiryEffect(CHECK_BEHIND, NO_KEYS)
OF_SOURCES: Final = ExpiryEffect(CHECK_AROUND, NO_KEYS)
#: An expiry that is not known.
SET: Final = ExpiryEffect(NO_CHECK, NAMED_KEYS)
#: Of scripts that set one, of their declared keys or of others too.
SCRIPT_SETS_DECLARED: Final = ExpiryEffect(CHECK_AROUND, NAMED_KEYS)
SCRIPT_SETS_ANY: Final = ExpiryEffect(CHECK_AROUND, ANY_KEYS)


def expiry_effect(spec: CommandSpec, argv: list[bytes]) -> ExpiryEffect:
    """Of one request as the copies are sent it, relative expiry made absolute."""
    trait = spec.expiry_trait
    if trait == EXPIRY_UNAFFECTED:
        return UNAFFECTED if spec.name != b"set" or len(argv) == 3 else _of_set(argv)
    if trait == EXPIRY_KEPT:
        return KEPT
    if trait == EXPIRY_OF_SOURCES:
        return OF_SOURCES
    name = argv[0].lower()
    if name == b"set":
        # SETEX, as copies are sent it.
        return _of_set(argv)
    if name in (b"pexpireat", b"expireat"):
        return _set_at(argv[2], 1 if name == b"pexpireat" else 1000)
    return SET


def trait_in_script(spec: CommandSpec, argv: list[bytes], open_ended: bool) -> int:
    """The trait of a call in a script; arguments that are not known, or may follow, count as the worst case."""
    if spec.name == b"set" and (open_ended or len(argv) > 3):
        return EXPIRY_SET
    return spec.expiry_trait


def _of_set(argv: list[bytes]) -> ExpiryEffect:
    """SET with options; what makes no sense to Redis changes nothing."""
    for at in option_positions(argv):
        word = argv[at].lower()
        if word == b"keepttl":
            return KEPT
        if word in (b"ex", b"px"):
            return SET
        if word in (b"pxat", b"exat"):
            return _set_at(argv[at + 1] if at + 1 < len(argv) else b"", 1 if word == b"pxat" else 1000)
    return UNAFFECTED


def _set_at(text: bytes, unit: int) -> ExpiryEffect:
    moment = parse_int64(text)
    return SET if moment is None or moment <= 0 else ExpiryEffect(NO_CHECK, NAMED_KEYS, moment * unit)
