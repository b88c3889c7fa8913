"""Ports of the loopback for programs that are told where to listen, and cannot say which port they got."""

import random
import socket
from typing import Final

#: Below those that the kernel gives to whoever asks for any: no connection of another test can take one before the
#: program does.
PORTS: Final = range(10_000, 32_768)
#: Its own, for Hypothesis sets the one of the module `random` to the same in every process.
_RANDOM: Final = random.SystemRandom()


def free_port() -> int:
    """A port of the loopback that nobody has; by chance, so that two processes hardly ever get the same."""
    while True:
        port = _RANDOM.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
