"""The other workers of this proxy, which serve the same pools: what is asked of them, and what comes back.

A request is a pool's name, a word for what is wanted and its arguments; an answer is one RESP value, its *part*. What
a worker answers is in `kidoproxy.session.handlers.peer_requests`. How requests
travel is `kidoproxy.net.peer_channel`, which brings every answer within a deadline, or says that there is none.
"""

from collections.abc import Callable
from typing import Final, final

from kidoproxy.resp.decode import items, string_value
from kidoproxy.resp.encode import encode_request

#: The part of a worker that does not serve the pool.
NOT_SERVED: Final = b"_\r\n"
#: Asks for the script of a digest.
SCRIPT_TEXT: Final = b"script text"

#: By worker: its part, or None if it did not answer in time.
Answers = dict[int, bytes | None]
TakeAnswers = Callable[[Answers], None]
#: Asks these workers, and calls back once, later or at once.
AskWorkers = Callable[[list[int], bytes, TakeAnswers], None]


@final
class Peers:
    """Worker ``number`` of ``count`` asks the ``others``. Client ids say which worker has the client."""

    def __init__(self, number: int, count: int, others: list[int], ask: AskWorkers) -> None:
        self.number = number
        self.count = count
        self.others = others
        self.ask_workers = ask
        #: Answers that did not come in time.
        self.missed_answers = 0

    def ask(self, workers: list[int], pool_name: str, words: list[bytes], take: TakeAnswers) -> None:
        """Ask these of the others; ``take`` gets what they say, without those that do not serve the pool."""

        def take_parts(answers: Answers) -> None:
            self.missed_answers += list(answers.values()).count(None)
            take({worker: part for worker, part in answers.items() if part != NOT_SERVED})

        self.ask_workers(workers, encode_request([pool_name.encode("utf-8", "surrogateescape"), *words]), take_parts)

    def worker_of(self, client_id: int) -> int | None:
        """Which of the others has, or had, the client of that id; None: none of them."""
        worker = (client_id - 1) % self.count
        return worker if worker in self.others else None


def decode_request(raw: bytes) -> tuple[str, list[bytes]]:
    """The pool's name and the words of a request."""
    pool_name, *words = [string_value(item) for item in items(raw)]
    return pool_name.decode("utf-8", "surrogateescape"), words
