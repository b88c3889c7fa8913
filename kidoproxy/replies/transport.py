"""What the pure rooms know of a socket: that it can be written to, and how far it has come."""


class Transport:
    """The socket behind a client's reply queue or a node's connection; `kidoproxy.net` implements it."""

    def flush(self) -> None:
        """Write what is ready."""
        raise NotImplementedError

    def resume(self) -> None:
        """The reply queue has shrunk to `ReplyQueue.resume_at`: handle further requests."""
        raise NotImplementedError

    def client_address(self) -> str:
        """Of whoever is at the other end of a client's socket."""
        return ""

    def unsent_bytes(self) -> int:
        """Bytes that were given to the socket and not yet to the peer."""
        return 0

    def sent_bytes(self) -> int:
        """Bytes that have left through this socket so far, as far as is known."""
        return 0
