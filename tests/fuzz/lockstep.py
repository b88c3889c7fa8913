"""Two conversations at a time, in lockstep with those of a real server: WATCH, waiting, modes, and what ends them.

A script is a list of steps for the clients A and B. Each step is taken at the proxy first; if it is refused there,
the server is asked something unknown in its place. Then what both have said is compared.
"""

import random
import socket
from collections.abc import Callable, Sequence
from typing import Final

from kidoproxy.commands.find import find
from kidoproxy.resp.decode import integer_value, items, string_value
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.reply_reader import ReplyReader
from tests.fuzz.contract import NOTHING, Broken, Transcript, is_refusal
from tests.live.asking import connect, lines, replies
from tests.wait import eventually

#: Capital letters stand for what chance chooses: a key, a list, a sorted set, a stream, a value, a short while.
TEMPLATES: Final = lines(
    """
get K
get K
set K V
set K V
incr K
append K V
del K K
mget K K K
mset K V K V
rpush L V
lpush L V V
lrange L 0 -1
lpop L
zadd Z 1 V
zadd Z 2 V
zrange Z 0 -1 withscores
xread streams S S 0 0
xlen S
watch K
watch K
watch K K
watch L
unwatch
multi
multi
exec
exec
exec
discard
blpop L T
brpop L L T
blpop L Z T
blmove L L left right T
brpoplpush L L T
blmpop T 2 L L left count 2
bzpopmin Z T
bzpopmax Z Z T
bzmpop T 2 Z Z min
xread block W streams S 0
xread count 1 block W streams S S 0 0
xreadgroup group g c block W streams S >
xreadgroup group g c count 1 streams S S > >
xgroup create S g 0 mkstream
wait 0 5
wait 1 5
select 0
select 1
select 2
hello 2
hello 3
reset
client reply off
client reply skip
client setname me
client getname
client unpause
client pause 5
client pause 5 write
client reply nonsense
auth x y
blpop L x
blpop L -1
blpop
watch
multi x
exec x
select 99
hello 9
ping V
echo V
eval "return redis.call('incr', KEYS[1])" 1 K
"""
)
#: What is said in one go, as clients say it.
RUNS: Final = [
    lines(text)
    for text in (
        "watch K\nget K\nmulti\nset K V\nexec",
        "watch K\nmulti\nincr K\nget K\nexec",
        "watch K\nset K V\nmulti\nset K V\nexec",
        "watch K\nmulti\nunwatch\nset K V\nexec",
        "watch K\nselect 1\nmulti\nget K\nexec\nselect 0",
        "watch K\nhello 3\nmulti\nget K\nexec",
        "multi\nset K V\nblpop L 0\nbzpopmin Z 0\nexec",
        "multi\nxread block 0 streams S 0\nget K\ndiscard",
        "client reply off\nset K V\nclient reply on",
        "client reply skip\nset K V\nget K",
        "watch K\nreset\nmulti\nset K V\nexec",
    )
]
#: What one client waits for, and the other one brings. ``?`` is the same key in both.
PUSHES: Final = [
    (lines(wait)[0], lines(push)[0])
    for wait, push in (
        ("blpop L ? 20", "rpush ? V"),
        ("brpop ? L 20", "lpush ? V"),
        ("blmove ? L left left 20", "rpush ? V V"),
        ("blmpop 20 2 L ? right count 5", "rpush ? V V V"),
        ("brpoplpush ? ? 20", "rpush ? V"),
        ("bzpopmin ? 20", "zadd ? 5 V"),
        ("bzmpop 20 1 ? max count 3", "zadd ? 5 V 6 w"),
        ("xread block 20000 streams ? $", "xadd ? N f V"),
        ("xread block 20000 streams S ? $ $", "xadd ? N f V"),
        ("xread block 20000 streams ? S $ $", "multi"),
        ("blpop ? 20", "set ? V"),
        ("blpop ? 20", "del ?"),
    )
]
KINDS: Final = {b"L": b"l", b"Z": b"z", b"S": b"s", b"K": b"k"}
VALUES: Final = [b"v", b"7", b"", b"\x00\r\n", b"x" * 60]


def word(template: bytes, chance: random.Random) -> bytes:
    """What stands for a capital letter. Half of the keys meet on one node."""
    kind = KINDS.get(template)
    if kind is not None:
        name = b"%b%d" % (kind, chance.randrange(2))
        return b"{t}" + name if chance.random() < 0.6 else name
    if template == b"V":
        return chance.choice(VALUES)
    if template == b"T":
        return chance.choice([b"0.01", b"0.02"])
    return b"10" if template == b"W" else template


def filled(template: list[bytes], chance: random.Random) -> list[bytes]:
    """The request that a template becomes."""
    return [word(one, chance) for one in template]


class LockstepClient:
    """One client of one server (or of the proxy)."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.connection = connect(url)
        self.reader = ReplyReader()
        self.id = integer_value(self.ask([b"CLIENT", b"ID"]))

    def send(self, request: list[bytes]) -> None:
        """Say something."""
        self.connection.sendall(encode_request(request))

    def reply(self) -> bytes:
        """The next reply; nothing when the server hangs up."""
        while (raw := self.reader.next()) is None:
            try:
                data = self.connection.recv(1 << 16)
            except TimeoutError:
                raise Broken(f"no reply from {self.name}") from None
            if not data:
                return b""
            self.reader.feed(data)
        return raw

    def ask(self, request: list[bytes]) -> bytes:
        """Say something, and hear the reply."""
        self.send(request)
        return self.reply()

    def has_said(self) -> bool:
        """Whether there is something to read."""
        self.connection.setblocking(False)
        try:
            return len(self.connection.recv(1, socket.MSG_PEEK)) >= 0
        except BlockingIOError:
            return False
        finally:
            self.connection.settimeout(20)


class Modes:
    """What a client has chosen: whether it hears of what it says."""

    def __init__(self) -> None:
        self.off = False
        self.skip = False
        self.multi = False

    def silent(self, request: list[bytes]) -> bool:
        """Whether this request will not be answered."""
        name = request[0].lower()
        silent = self.off or self.skip
        self.skip = False
        good = find(request)
        if good is None or not good.accepts(len(request)):
            self.multi = self.multi and name != b"exec"
            return silent
        if name == b"reset":
            silent = silent and not self.off
            self.off = self.multi = False
        elif good.name == b"client|reply" and not self.multi:
            what = request[2].lower()
            if what in (b"on", b"off", b"skip"):
                self.off = what == b"off" or (self.off and what == b"skip")
                self.skip = what == b"skip" and not self.off
                silent = what != b"on"
        elif name == b"multi":
            self.multi = True
        elif name in (b"exec", b"discard"):
            self.multi = False
        return silent


class Side:
    """Two clients of one server, or of the proxy in front of its ``nodes``."""

    def __init__(self, name: str, url: str, nodes: Sequence[str]) -> None:
        self.url = url
        self.nodes = nodes
        self.clients = [LockstepClient(name, url), LockstepClient(name, url)]

    def asked(self, request: list[bytes]) -> int:
        """How many nodes are asked for it."""
        if self.nodes == [self.url]:
            return 1
        rows = items(replies(self.url, [[b"PROXY", b"ROUTE", *request]])[0])
        return sum(string_value(row).startswith(b"asks: ") for row in rows)

    def waiting(self) -> int:
        """How many connections block at the servers themselves."""
        return sum(blocked(url) for url in self.nodes)

    def push(self, who: int, wait: list[bytes], push: list[bytes], reason: bytes) -> list[bytes]:
        """What both hear when one waits for what the other one brings; who was brought nothing is unblocked."""
        waiting, other = self.clients[who], self.clients[1 - who]
        count = self.asked(wait)
        waiting.send(wait)
        eventually(lambda: waiting.has_said() or self.waiting() == count)
        second = other.ask(push)
        if self.waiting() and not waiting.has_said():
            replies(self.url, [[b"CLIENT", b"UNBLOCK", b"%d" % waiting.id, reason]])
        return [waiting.reply(), second]


def blocked(url: str) -> int:
    """How many clients wait in a command there."""
    text = string_value(replies(url, [[b"INFO", b"clients"]])[0])
    return int(text.partition(b"blocked_clients:")[2].partition(b"\r\n")[0])


class Lockstep:
    """Both sides, step by step."""

    def __init__(self, proxy: str, nodes: Sequence[str], oracle: str, chance: random.Random) -> None:
        self.chance = chance
        self.ours = Side("the proxy", proxy, nodes)
        self.right = Side("the server", oracle, [oracle])
        self.modes = [Modes(), Modes()]
        self.transcripts = [Transcript(), Transcript()]
        self.transcript: list[str] = []
        #: Who has said something that is not answered.
        self.dark = [False, False]
        self.requests = 0
        self.entries = 0

    def step(self, who: int, request: list[bytes]) -> bool:
        """One client says something, and hears the reply; whether it could say it."""
        modes = self.modes[who]
        if (modes.off or modes.skip) and not self.is_safe(request):
            return False
        if modes.multi and (request[0] in (b"multi", b"watch") or request[:2] == [b"client", b"reply"]):
            # Servers do not agree on what that means.
            return False
        if modes.off and request[0] == b"multi":
            # For then it could not speak up again before the end.
            return False
        if self.dark[1 - who]:
            # Nobody knows whether what the other one has said in silence was done before this.
            self.step(1 - who, [b"client", b"reply", b"on"])
        self.transcript.append(f"{'AB'[who]}: {request}")
        self.requests += 1
        self.dark[who] = True
        if modes.silent(request):
            self.ours.clients[who].send(request)
            self.right.clients[who].send(request)
            return True
        self.dark[who] = False
        ours = self.ours.clients[who].ask(request)
        right = self.right.clients[who].ask(NOTHING if is_refusal(ours) else request)
        self.compare(who, request, right, ours)
        return True

    def is_safe(self, request: list[bytes]) -> bool:
        """Whether it is served however the keys lie, so that nobody has to hear of a refusal."""
        name = b" ".join(request[:2]).lower()
        return name.startswith((b"client reply", b"set ", b"get ", b"ping", b"reset", b"incr"))

    def compare(self, who: int, request: list[bytes], right: bytes, ours: bytes) -> None:
        """Byte for byte, but for what may differ."""
        if not self.transcripts[who].fits(request, right, ours):
            raise Broken(f"{request}\n  server: {right!r}\n  proxy: {ours!r}")

    def push(self, who: int, wait: list[bytes], push: list[bytes]) -> None:
        """One client waits for what the other one brings; or is unblocked or killed, when that brings nothing."""
        if any(modes.off or modes.skip or modes.multi for modes in self.modes):
            return
        self.transcript.append(f"{'AB'[who]} waits: {wait}, the other one: {push}")
        reason = self.chance.choice([b"TIMEOUT", b"ERROR"])
        ours = self.ours.push(who, wait, push, reason)
        refused = [is_refusal(reply) for reply in ours]
        instead = [NOTHING if no else request for no, request in zip(refused, (wait, push), strict=False)]
        right = self.right.push(who, instead[0], instead[1], reason)
        self.compare(who, wait, right[0], ours[0])
        self.compare(1 - who, push, right[1], ours[1])
        if push == [b"multi"]:
            self.modes[1 - who].multi = True
            self.step(1 - who, [b"discard"])

    def end(self) -> None:
        """All hang up, perhaps in the middle of something; then no dedicated connection is left, and nobody waits."""
        if self.chance.random() < 0.5:
            for side in (self.ours, self.right):
                side.clients[0].send([b"blpop", b"nobody", b"0"])
        for one in self.ours.clients + self.right.clients:
            one.connection.close()
        eventually(self.is_free)

    def is_free(self) -> bool:
        """Whether the proxy has taken everything back."""
        nodes = items(replies(self.ours.url, [[b"PROXY", b"NODES"]])[0])
        leased = [
            flat[at + 1] for flat in map(items, nodes) for at in range(0, len(flat), 2) if flat[at][4:9] == b"lanes"
        ]
        return not blocked(self.ours.url) and not self.right.waiting() and leased == [b":0\r\n"] * len(nodes)


def play(both: Lockstep, count: int) -> None:
    """So many steps, chosen by chance."""
    chance = both.chance
    acts: list[Callable[[], None]] = [
        lambda: say(both, chance.randrange(2), filled(chance.choice(TEMPLATES), chance)),
        lambda: run(both, filled_run(chance)),
        lambda: run(both, filled_run(chance)),
        lambda: wait(both),
    ]
    for _ in range(count):
        chance.choices(acts, [8, 1, 1, 1])[0]()
    both.end()


def say(both: Lockstep, who: int, request: list[bytes]) -> None:
    """One client says one thing."""
    both.step(who, request)


def filled_run(chance: random.Random) -> list[list[bytes]]:
    """A run whose keys are mostly the same."""
    key = word(b"K", chance)
    return [[key if one == b"K" else word(one, chance) for one in line] for line in chance.choice(RUNS)]


def run(both: Lockstep, requests: list[list[bytes]]) -> None:
    """One client says what belongs together; the other one may come between."""
    who = both.chance.randrange(2)
    for request in requests:
        if not both.step(who, request):
            return
        if both.chance.random() < 0.2:
            both.step(1 - who, filled(both.chance.choice(TEMPLATES), both.chance))


def wait(both: Lockstep) -> None:
    """One waits, the other one brings."""
    chance = both.chance
    pattern = chance.choice(PUSHES)
    kind = {b"z": b"Z", b"x": b"S"}.get(pattern[0][0][:1], b"L")
    kind = b"Z" if pattern[0][0].startswith(b"bz") else kind
    key = word(kind, chance)
    # The clock would give the two servers' entries different ids.
    both.entries += 1
    given = {b"?": key, b"N": b"%d-1" % both.entries}
    first, second = ([given.get(one) or word(one, chance) for one in line] for line in pattern)
    both.push(chance.randrange(2), first, second)
