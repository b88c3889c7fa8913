"""May this copy be changed after that one? The one question before anything is deleted or overwritten anywhere.

Yes, if the source is in sync, is another server than the target, and has answered on the connection that it still has.
Two servers have two run ids. Where one does not say its run id (its user may not ask), a key with a name that
nobody else uses is written at the target and looked for at the source.
"""

from typing import Final, final

from kidoproxy.copies.answers import Answers, Boss, ask, first_error, number
from kidoproxy.errors_copies import same_server
from kidoproxy.exchange import Exchange
from kidoproxy.link import NodeLink
from kidoproxy.link_greeting import parse_info, text_of
from kidoproxy.resp.open import is_error
from kidoproxy.routes.topology import IN_SYNC, CopyGroup, Node

#: The source must have said something so recently (seconds) when something is deleted for its sake.
FRESH: Final = 5.0
MARKER_MS: Final = b"10000"


def fallen(group: CopyGroup, source: Node) -> str:
    """Why this copy cannot decide what others hold; empty if it is in sync."""
    if not group.elected or group.copy_of(source).state != IN_SYNC:
        return f"{source.name}, from which it was copied, fell behind meanwhile"
    return ""


@final
class Proof:
    """That ``source`` may decide what ``target`` holds, as long as neither loses its connection."""

    def __init__(self, group: CopyGroup, source: NodeLink, target: NodeLink) -> None:
        self.group = group
        self.source = source
        self.target = target
        self.readers = (source.reader, target.reader)
        self.run_id = source.node.run_id
        self.proven = False

    def source_lost(self, later: "Proof") -> bool:
        """Whether the source may have lost its data between this proof and a later one."""
        if self.readers[0] is later.readers[0]:
            return False
        return not self.run_id or self.run_id != later.run_id

    def holds(self) -> bool:
        """Whether it was given and both connections still stand; if not it can be given again."""
        return (
            self.proven
            and self.source.ready()
            and self.target.ready()
            and self.readers[0] is self.source.reader
            and self.readers[1] is self.target.reader
        )

    def refusal(self, now: float) -> str:
        """Why nothing may be deleted or overwritten at the target now; empty when it may."""
        source = self.source.node
        problem = fallen(self.group, source)
        if problem:
            return problem
        for link in (self.source, self.target):
            if not link.ready():
                return f"NODEDOWN {link.node.name} ({link.cause})"
        if not self.holds():
            return f"the connection to {source.name} or {self.target.node.name} was lost meanwhile"
        if now - self.source.heard > FRESH:
            return f"{source.name} has not answered for {round(now - self.source.heard)} s"
        return ""


ASKED: Final = 0
MARKED: Final = 1
LOOKED: Final = 2
TIDIED: Final = 3


@final
class Prover(Boss):
    """Finds out whether ``proof`` can be given; tells ``boss`` with ``problem`` (empty: it is given)."""

    def __init__(self, exchange: Exchange, group: CopyGroup, source: Node, target: Node, wall_ms: int) -> None:
        self.exchange = exchange
        self.proof = Proof(group, exchange.link(source, 2, 0), exchange.link(target, 2, 0))
        self.marker = b"kidoproxy:same-server?:%d:%d" % (wall_ms, target.index)
        self.stage = ASKED
        self.boss: Boss | None = None

    def begin(self, boss: Boss) -> None:
        """Ask both who they are."""
        self.boss = boss
        answers = Answers(self, 2)
        self.question(self.proof.source, answers, 0, [b"INFO"])
        self.question(self.proof.target, answers, 1, [b"INFO"])

    def question(self, link: NodeLink, answers: Answers, at: int, argv: list[bytes]) -> None:
        """One question on an ordered link."""
        ask(link, answers, at, [argv], 0, self.exchange.now)

    def done(self, answers: Answers) -> None:
        """The answers to one step."""
        if answers.problem:
            self.finish(answers.problem)
        elif self.stage == ASKED:
            self.introduced(answers.replies)
        elif self.stage == LOOKED:
            self.looked(answers.replies[0])
        elif self.stage == MARKED:
            self.marked(answers.replies)
        else:
            self.finish(first_error(answers.replies))

    def introduced(self, replies: list[bytes]) -> None:
        """What both say of themselves."""
        source, target = [parse_info(b"" if is_error(raw) else text_of(raw)) for raw in replies]
        name = self.proof.source.node.name
        mine, theirs = source.get(b"run_id", b""), target.get(b"run_id", b"")
        if source.get(b"role", b"master") != b"master":
            self.finish(f"{name} is a replica, its data is another server's")
        elif source.get(b"loading", b"0") != b"0" or target.get(b"loading", b"0") != b"0":
            self.finish(f"{name} or {self.proof.target.node.name} is still loading its data")
        elif not mine or not theirs:
            self.mark()
        elif mine == theirs:
            self.finish(same_server(name))
        else:
            self.finish("")

    def mark(self) -> None:
        """No run id: write where it does no harm, look where it must not be found."""
        self.stage = MARKED
        argv = [b"SET", self.marker, b"1", b"PX", MARKER_MS, b"NX"]
        self.question(self.proof.target, Answers(self, 1), 0, argv)

    def marked(self, replies: list[bytes]) -> None:
        """Written, or not: then nothing can be proved."""
        problem = first_error(replies)
        if problem or replies[0][:1] != b"+":
            self.finish(f"nobody can say whether they are two servers: {problem or 'a marker could not be written'}")
            return
        self.stage = LOOKED
        self.question(self.proof.source, Answers(self, 1), 0, [b"EXISTS", self.marker])

    def looked(self, raw: bytes) -> None:
        """The source has it (it is the same server), has it not, or does not say."""
        found = number(raw)
        if found == 0:
            self.stage = TIDIED
            self.question(self.proof.target, Answers(self, 1), 0, [b"DEL", self.marker])
        elif found == 1:
            self.finish(same_server(self.proof.source.node.name))
        else:
            problem = first_error([raw]) or "the answer to EXISTS is no number"
            self.finish(f"nobody can say whether they are two servers: {problem}")

    def finish(self, problem: str) -> None:
        """Give the proof, or say why not."""
        boss = self.boss
        if boss is None:
            return
        self.boss = None
        self.proof.proven = not problem
        report = Answers(boss, 1)
        report.problem = problem
        report.fill(0, b"")
