"""How the workers of a proxy ask each other."""

from kidoproxy.resp.encode import integer
from kidoproxy.session.peers import NOT_SERVED, Answers, Peers, TakeAnswers, decode_request


def test_who_answers() -> None:
    """Who does not serve the pool is left out; who is silent is there, and counted."""
    asked: list[tuple[list[int], str, list[bytes]]] = []

    def ask(workers: list[int], request: bytes, take: TakeAnswers) -> None:
        asked.append((workers, *decode_request(request)))
        take({1: integer(5), 2: None, 3: NOT_SERVED})

    peers = Peers(0, 4, [1, 2, 3], ask)
    heard: list[Answers] = []
    peers.ask([1, 2, 3], "caf\udce9", [b"what", b"\x00\r\n"], heard.append)
    assert asked == [([1, 2, 3], "caf\udce9", [b"what", b"\x00\r\n"])]
    assert heard == [{1: integer(5), 2: None}]
    assert peers.missed_answers == 1


def test_whose_client_it_is() -> None:
    """Ids of worker n of m leave the same remainder; some workers may have nothing to serve."""
    peers = Peers(1, 3, [0], lambda *_: None)
    assert [peers.worker_of(client_id) for client_id in (1, 2, 3, 4, 0, -1)] == [0, None, None, 0, None, None]
