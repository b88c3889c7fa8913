"""One call of a script: do copies that run it come to the same result?"""

from typing import Final, final

from kidoproxy.commands.keys import key_positions, sort_options, stream_option
from kidoproxy.commands.request_traits import has_no_relative_expiry
from kidoproxy.commands.spec import (
    ARG_INDEPENDENT,
    BITFIELD_SUBCOMMANDS,
    COPY_BROADCAST,
    COPY_READ,
    READ_OR_TTL,
    SEVERAL_KEYS_READ,
    SINGLE_NODE,
    SORT_BY_STORE,
    SPLIT_BY_NODE,
    STORE_OR_READ,
    STREAM_KEYS,
    TTL_OPTIONS,
    CommandSpec,
)
from kidoproxy.scripts.forms import StringForm, literal_text

#: Stands for an argument that is not known: no option and no number is written so.
UNKNOWN_ARGUMENT: Final = b"\0?"


@final
class ScriptCall:
    """One call: the command's name in lower case, its spec if the table has one, and its arguments' forms.

    ``open_ended``: more arguments may follow that are not known.
    """

    def __init__(
        self, name: bytes, spec: CommandSpec | None, arguments: list[list[StringForm]], open_ended: bool
    ) -> None:
        self.name = name
        self.spec = spec
        self.arguments = arguments
        self.open_ended = open_ended

    def argv(self) -> list[bytes]:
        """The request, with UNKNOWN_ARGUMENT for what is not known from the text alone."""
        found = [self.name]
        for forms in self.arguments:
            text = literal_text(forms[0]) if len(forms) == 1 else None
            found.append(text if text is not None else UNKNOWN_ARGUMENT)
        return found


def is_deterministic(spec: CommandSpec, argv: list[bytes], open_ended: bool) -> bool:
    """Whether copies that run this call come to the same result."""
    if spec.arg_dependence in (TTL_OPTIONS, READ_OR_TTL):
        return not open_ended and has_no_relative_expiry(spec, argv, UNKNOWN_ARGUMENT)
    if spec.arg_dependence == SORT_BY_STORE:
        return not open_ended and UNKNOWN_ARGUMENT not in argv[2:] and is_total_sort(spec, argv)
    if spec.key_finder == STREAM_KEYS:
        # In a script nothing waits. With CLAIM the node's clock decides.
        return not open_ended and not any(stream_option(argv, word) for word in (b"claim", UNKNOWN_ARGUMENT))
    if spec.arg_dependence not in (ARG_INDEPENDENT, BITFIELD_SUBCOMMANDS, STORE_OR_READ, SEVERAL_KEYS_READ):
        return False
    clears_all = spec.covers_keyspace and spec.may_write
    if spec.reach not in (SINGLE_NODE, SPLIT_BY_NODE) and not clears_all:
        return False
    return spec.replication in (COPY_BROADCAST, COPY_READ) and not spec.is_nondeterministic


def is_total_sort(spec: CommandSpec, argv: list[bytes]) -> bool:
    """Whether no two elements are left to a node's internals (BY), or to its locale (ALPHA without STORE)."""
    if any(option == b"by" for option, _ in sort_options(argv)):
        return False
    return len(key_positions(spec, argv)) > 1 or all(word.lower() != b"alpha" for word in argv[2:])
