"""PROXY SCRUB: requests a comparison of the copies of a pool, ends it, and shows what came of it.

The handler only writes to the group's `ScrubRecord`; the supervisor does what stands there.
"""

from typing import Final

from kidoproxy.replication.group import CopyGroup, group_of
from kidoproxy.replication.scrub_record import ScrubRecord
from kidoproxy.resp import encode, errors
from kidoproxy.session.base import Session

#: The actions, which a pool's name may follow.
RUN: Final = b"run"
DRY_RUN: Final = b"dryrun"
CANCEL: Final = b"cancel"
STATUS: Final = b"status"


def encode_text(text: str) -> bytes:
    """A line for a person, as a bulk string."""
    return encode.bulk(text.encode("utf-8", "surrogateescape"))


def scrub_reply(session: Session, argv: list[bytes]) -> bytes:
    """PROXY SCRUB [RUN|DRYRUN|CANCEL|STATUS [pool]]; without a pool it is about all copy pools that can be reached."""
    action = argv[2].lower() if len(argv) > 2 else RUN
    if action not in (RUN, DRY_RUN, CANCEL, STATUS):
        return errors.SYNTAX
    if len(argv) > 4:
        return errors.wrong_arity(b"proxy|scrub")
    groups = copy_groups(session)
    if len(argv) > 3:
        groups = [group for group in groups if group.name.encode("utf-8", "surrogateescape") == argv[3]]
    if action == STATUS:
        return encode.array([status_row(session, group) for group in groups])
    if not groups:
        pool = errors.decode_wire(argv[3]) if len(argv) > 3 else session.context.name
        return errors.scrub_refused(pool, "it is no copy pool, there is nothing to compare")
    for group in groups:
        refusal = group.scrub.cancel() if action == CANCEL else group.scrub.request(action == DRY_RUN)
        if refusal:
            return errors.scrub_refused(group.name, refusal)
    return encode.OK


def copy_groups(session: Session) -> list[CopyGroup]:
    """The copy pools below the client's pool, in the order of their nodes."""
    found: list[CopyGroup] = []
    for node in session.context.root.nodes():
        group = group_of(node)
        if group is not None and group not in found:
            found.append(group)
    return found


def status_row(session: Session, group: CopyGroup) -> bytes:
    """A map: what is done about this pool, or what came of the last scrub."""
    record = group.scrub
    pairs: list[bytes] = []
    for name, text in (
        ("pool", group.name),
        ("state", record.state),
        ("copies", " ".join(record.nodes)),
        ("problem", record.problem),
    ):
        pairs += [encode_text(name), encode_text(text)]
    for name, number in counts(record):
        pairs += [encode_text(name), encode.integer(number)]
    differing = [encode.array([encode.integer(db), encode.bulk(key)]) for db, key in record.reported]
    pairs += [encode_text("differing"), encode.array(differing)]
    return encode.mapping(session.proto, pairs)


def counts(record: ScrubRecord) -> list[tuple[str, int]]:
    """The numbers of a scrub, as PROXY SCRUB STATUS names them."""
    return [
        ("number", record.number),
        ("dry_run", int(record.dry_run)),
        ("scanned", record.scanned),
        ("expected", record.expected),
        ("keys", record.keys),
        ("differences", record.differences),
        ("repaired", record.repaired),
        ("large", record.large),
        ("skipped", record.skipped),
        ("last_done", record.done_ms // 1000),
    ]
