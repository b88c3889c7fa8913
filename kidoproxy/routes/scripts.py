"""Scripts by their texts: may copies run one, and does it stay with its keys on a ring?

A copy pool broadcasts a script when every copy must come to the same result, and refuses it otherwise. A ring runs it
where its keys live, if all that it can be seen to use lives there too. What is seen: `kidoproxy.scripts.analysis`.

EVALSHA travels to copies as EVAL with the text, so that a copy which lost its script cache cannot miss a write.
"""

from typing import final

from kidoproxy import errors
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.resp.build import command
from kidoproxy.routes.book import Book, Script
from kidoproxy.scripts.analysis import Analysis, analyse
from kidoproxy.scripts.request import Inputs, keyed, whole


@final
class Verdict:
    """``refusal`` is the reply when the script is not served; ``payload`` what is sent, None for the request itself."""

    def __init__(self, payload: bytes | None, refusal: bytes) -> None:
        self.payload = payload
        self.refusal = refusal


def script_of(book: Book, spec: CommandSpec, argv: list[bytes]) -> Script | None:
    """The script that this request runs; None when it runs none, or one that nobody has shown us."""
    if spec.name in (b"eval", b"eval_ro"):
        return book.script(book.learn(argv[1])) or Script(argv[1])
    if spec.name in (b"evalsha", b"evalsha_ro"):
        return book.script(argv[1].lower())
    return None


def known(book: Book, spec: CommandSpec, argv: list[bytes], queued: bool = False) -> Analysis | None:
    """What is known of the script or function that this request runs; one that is only ``queued`` is not remembered."""
    if queued and spec.name in (b"eval", b"eval_ro") and argv[1] not in book.digests:
        return analyse(argv[1])
    if spec.name in (b"fcall", b"fcall_ro"):
        return book.function(argv[1])
    script = script_of(book, spec, argv)
    return book.analysis(script) if script is not None else None


def judge(book: Book, spec: CommandSpec, argv: list[bytes]) -> Verdict | None:
    """What a copy pool does with EVAL and EVALSHA; None when the request is no script that we can read."""
    if spec.name not in (b"eval", b"evalsha"):
        return None
    script = script_of(book, spec, argv)
    if script is None:
        return Verdict(None, errors.NOSCRIPT)
    reason = book.analysis(script).fate()
    if reason:
        return Verdict(None, errors.denied(spec.name, f"copies could part: {reason}"))
    return Verdict(command([b"EVAL", script.text, *argv[2:]]) if spec.name == b"evalsha" else None, b"")


def names_no_keys(argv: list[bytes]) -> bool:
    """Whether a script is told that it has no keys: the node has the right error for what is no number."""
    digits = argv[2].lstrip(b"+-") if len(argv) > 2 else b""
    return digits != b"" and not digits.strip(b"0")


def undeclared(book: Book, spec: CommandSpec, argv: list[bytes]) -> bytes | None:
    """Why a script that was given no keys is not run on a node of a ring: it plainly needs some, or all nodes.

    Of a text that is not known nobody can tell: the client is asked for it.
    """
    analysis = known(book, spec, argv)
    if analysis is None:
        return errors.NOSCRIPT if spec.name in (b"evalsha", b"evalsha_ro") else None
    why = analysis.unread or analysis.hidden
    if why:
        return errors.unseen(spec.name, why)
    inputs = Inputs(argv)
    called = whole(analysis, inputs, True)
    if called:
        return errors.whole_node(spec.name, called)
    called = keyed(analysis, inputs)
    if called:
        return errors.names_no_keys(spec.name, errors.text(called))
    return errors.unseen(spec.name, analysis.unnamed) if len(analysis.dynamic) < analysis.nameless else None
