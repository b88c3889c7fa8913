"""How many keys each copy has, asked when nobody knows whom to trust."""

from typing import final

from kidoproxy.copies.answers import KEYSPACE, Answers, Boss, ask, keyspace, number
from kidoproxy.link import NodeLink
from kidoproxy.link_greeting import parse_info, text_of
from kidoproxy.resp.open import is_error
from kidoproxy.routes.election import UNKNOWN


@final
class Counted(Boss):
    """The answers of one copy."""

    def __init__(self, census: "Census", at: int) -> None:
        self.census = census
        self.at = at

    def done(self, answers: Answers) -> None:
        """INFO and DBSIZE; who may not ask for INFO may ask for the other."""
        census = self.census
        census.missing -= 1
        if not answers.problem:
            census.count(self.at, answers.replies[0], answers.replies[1])
        if census.missing == 0:
            census.tell()


@final
class Census:
    """Asks every link that is ready; ``ready`` are those that answered and have loaded their data."""

    def __init__(self, links: list[NodeLink]) -> None:
        self.links = links
        self.ready = [False] * len(links)
        self.keys = [UNKNOWN] * len(links)
        #: One more than links, so that the end does not come before all were asked.
        self.missing = len(links) + 1
        self.boss: Boss | None = None

    def begin(self, boss: Boss, now: float) -> None:
        """Ask; ``boss`` is told when all have answered or failed."""
        self.boss = boss
        for at, link in enumerate(self.links):
            answers = Answers(Counted(self, at), 2)
            ask(link, answers, 0, [[b"INFO"], [b"DBSIZE"]], 0, now)
        self.missing -= 1
        if self.missing == 0:
            self.tell()

    def count(self, at: int, info: bytes, dbsize: bytes) -> None:
        """What one said of itself."""
        text = b"" if is_error(info) else text_of(info)
        if parse_info(text).get(b"loading", b"0") != b"0":
            return
        self.ready[at] = True
        if KEYSPACE in text:
            self.keys[at] = sum(keyspace(text).values())
        else:
            size = number(dbsize)
            self.keys[at] = UNKNOWN if size is None or size < 0 else size

    def tell(self) -> None:
        """All have answered or failed."""
        boss = self.boss
        self.boss = None
        if boss is not None:
            boss.done(Answers(boss, 0))
