"""What the leader is asked for a command that it decides, and what the other copies are told then.

The effect is exact: `SREM` of what was popped, `XCLAIM` of what was claimed with the moment of the claim, or whole
values (`RESTORE`, `UNLINK`). No sync or repair has told it to a copy before, so `XCLAIM` may count a delivery. All that
belongs together is read in one transaction of the leader, so it is one point in the order of its writes.
"""

from typing import Final, final

from kidoproxy.commands.spec import EFFECT_CLAIMED_ENTRIES, EFFECT_REMOVED_MEMBERS, EFFECT_STATE
from kidoproxy.replication import claims
from kidoproxy.replication.key_state import expiry_request, parse_key_state, tells_expiry_as_moment
from kidoproxy.replication.parse_replies import parse_clock
from kidoproxy.replies.callbacks import BatchHandler
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp.decode import is_error, is_null, items
from kidoproxy.resp.encode import array_header, bulk, encode_request, integer
from kidoproxy.routes.plan import LeaderFirst
from kidoproxy.routes.topology import Node

MULTI: Final = encode_request([b"MULTI"])
EXEC: Final = encode_request([b"EXEC"])
TIME: Final = [b"TIME"]
#: The reply that is expected of what each server answers for itself; no server gives it.
ANYTHING: Final = b"?"


@final
class Effect:
    """Requests, as frames, and the reply that each should give; an empty one: anything but an error, or `ANYTHING`.

    Where an error is expected any error will do: each version of the servers has texts of its own.

    ``problem``: the leader's replies make no sense, so nobody can be told.
    """

    def __init__(self, problem: str = "") -> None:
        self.frames: list[bytes] = []
        self.expected: list[bytes] = []
        self.problem = problem

    def add(self, frame: bytes, expected: bytes = b"") -> None:
        self.frames.append(frame)
        self.expected.append(expected)

    def payload(self) -> bytes:
        """What is sent: one request as it is, several as a transaction."""
        return self.frames[0] if len(self.frames) == 1 else MULTI + b"".join(self.frames) + EXEC

    def reply_count(self) -> int:
        """How many replies the payload has."""
        return 1 if len(self.frames) == 1 else len(self.frames) + 2

    def surprise_of_batch(self, replies: list[bytes]) -> bytes | None:
        """The first reply to the whole payload that is not as expected; None when all are."""
        if len(self.frames) == 1:
            return self.first_surprise(replies)
        for raw in replies:
            if is_error(raw):
                return raw
        return self.first_surprise(items(replies[-1]))

    def first_surprise(self, replies: list[bytes]) -> bytes | None:
        """The first of the requests' replies that is not as expected; None when all are."""
        if len(replies) != len(self.expected):
            return b"-ERR EXEC has answered for %d of %d commands\r\n" % (len(replies), len(self.expected))
        for raw, expected in zip(replies, self.expected, strict=True):
            if expected == ANYTHING:
                continue
            expects_error = expected[:1] == b"-"
            if raw != expected and (is_error(raw) != expects_error or (expected and not expects_error)):
                return raw
        return None


def command_frames(plan: LeaderFirst) -> list[bytes]:
    """The frames of the command, or of the commands of a transaction."""
    return plan.queued if plan.queued is not None else [encode_request(plan.argv)]


def requests_along(plan: LeaderFirst, node: Node) -> list[list[bytes]]:
    """What ``node`` is asked along with the command, in one transaction."""
    requests: list[list[bytes]] = []
    if plan.effect == EFFECT_STATE:
        for key in plan.written_keys:
            requests.append([b"DUMP", key])
            requests.append(expiry_request(node, key))
        if not tells_expiry_as_moment(node):
            requests.append(TIME)
    elif plan.effect == EFFECT_CLAIMED_ENTRIES:
        requests.append(TIME)
    return requests


def effect_of(plan: LeaderFirst, along: list[list[bytes]], replies: list[bytes]) -> Effect:
    """What the other copies are told: from the replies to `command_frames`, then to ``along`` (`requests_along`)."""
    if plan.effect == EFFECT_STATE:
        return state_effect(plan, along, replies)
    if plan.effect == EFFECT_REMOVED_MEMBERS:
        return removal_effect(plan.written_keys[0], replies)
    if is_error(replies[0]) or is_null(replies[0]):
        return Effect()
    now_ms = parse_clock(replies[1])
    effect = Effect("" if now_ms is not None else "TIME was not answered")
    for argv, expected in claims.claim_requests(plan.argv, replies[0], now_ms) if now_ms is not None else []:
        effect.add(encode_request(argv), expected)
    return effect


def removal_effect(key: bytes, replies: list[bytes]) -> Effect:
    """``SREM`` of what one SPOP or several have answered: a member, or with a count an array or set of them.

    The members go into a request as they came, so a reply that holds anything else is not passed on.
    """
    members: list[bytes] = []
    for reply in replies:
        if not is_error(reply) and not is_null(reply):
            members += items(reply) if reply[:1] in (b"*", b"~") else [reply]
    if any(member[:1] != b"$" or is_null(member) for member in members):
        return Effect("it gave no sensible answer to SPOP")
    effect = Effect()
    if members:
        head = array_header(len(members) + 2) + bulk(b"SREM") + bulk(key)
        effect.add(head + b"".join(members), integer(len(members)))
    return effect


def state_effect(plan: LeaderFirst, along: list[list[bytes]], replies: list[bytes]) -> Effect:
    """What each copy runs itself, then ``RESTORE`` of each key's value, or ``UNLINK``."""
    first = len(replies) - len(along)
    now_ms = parse_clock(replies[-1]) if along and along[-1] is TIME else 0
    effect = Effect()
    frames = command_frames(plan)
    for index in plan.repeated:
        effect.add(frames[index], ANYTHING)
    for index, key in enumerate(plan.written_keys):
        state = None
        at = 2 * index
        if now_ms is not None and first > 0:
            state = parse_key_state(along[at + 1], replies[first + at], replies[first + at + 1], now_ms)
        if state is None:
            return Effect("it gave no sensible answer to DUMP")
        effect.add(encode_request(state.restore_request(key)))
    return effect


def effect_handler(parent: ReplyHandler, reply: bytes, effect: Effect) -> ReplyHandler:
    """Takes a copy's replies to the effect: as expected, the copy has acknowledged the leader's ``reply``.

    What is not as expected is handed on, so the copies' replies differ, and the keys are repaired.
    """

    def take_replies(replies: list[bytes]) -> None:
        surprise = effect.surprise_of_batch(replies)
        parent.on_reply(reply if surprise is None else surprise)

    return BatchHandler(effect.reply_count(), take_replies, parent.on_failure)
