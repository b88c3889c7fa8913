"""Several workers of one proxy in memory, joined by what `kidoproxy.net.peer_channel` is between processes."""

from kidoproxy.session.handlers import peer_requests
from kidoproxy.session.peers import Answers, AskWorkers, Peers, TakeAnswers
from kidoproxy.session.session import ClientSession
from tests.session.stage import InMemoryProxy, heard, request
from tests.session.turns import finished


class Joined:
    """Workers 0, 1, …; those in ``silent`` do not answer, those in ``refusing`` with an error."""

    def __init__(self, *stages: InMemoryProxy) -> None:
        self.stages = stages
        self.silent: set[int] = set()
        self.refusing: set[int] = set()
        self.questions: list[tuple[list[int], bytes, TakeAnswers]] = []
        count = len(stages)
        for at, stage in enumerate(stages):
            proxy = stage.proxy
            others = [other for other in range(count) if other != at]
            proxy.peers = Peers(at, count, others, self.asker())
            proxy.client_id_step = count
            proxy.last_client_id = at + 1 - count

    def asker(self) -> AskWorkers:
        def ask(workers: list[int], asked: bytes, take: TakeAnswers) -> None:
            self.questions.append((workers, asked, take))

        return ask

    def deliver(self) -> int:
        """Let every question be answered, and what comes of it be done; how many there were."""
        count = 0
        self.settle()
        while self.questions:
            workers, asked, take = self.questions.pop(0)
            count += 1
            answers: Answers = {}
            for worker in workers:
                answers[worker] = None if worker in self.silent else self.part(worker, asked)
            take(answers)
            self.settle()
        return count

    def part(self, worker: int, asked: bytes) -> bytes:
        """What this worker answers, when its jobs are done."""
        parts: list[bytes] = []
        peer_requests.answer(self.stages[worker].proxy, asked, parts.append)
        self.settle()
        assert len(parts) == 1
        return b"-ERR no\r\n" if worker in self.refusing else parts[0]

    def settle(self) -> None:
        for stage in self.stages:
            finished(stage)

    def say(self, session: ClientSession, *words: str | bytes) -> bytes:
        """One command of a client, and what it hears when all workers have answered."""
        session.feed(request(*words))
        self.deliver()
        return heard(session)
