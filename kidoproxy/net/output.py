"""Standard output and error, whose terminal or pipe may be gone while the process serves on."""

import contextlib
import os
import sys


def flush_output() -> None:
    """Output in a buffer would be written twice, or not at all, because of a fork."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()


def discard_unwritable_output() -> None:
    """At the end: what nobody can read any more is let go, or Python would end with status 120 because of it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with contextlib.suppress(OSError), open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())
                stream.flush()
