"""The nodes of a script's syntax tree, as far as it matters what is called and with what.

Statements are not kept: what they bind is in `Tree.bound`, what they evaluate is a `Node`. So the tree says for each
name what it may ever stand for, not when.
"""

from typing import Final, final

# Kinds of nodes.
OTHER: Final = 0  # nobody knows what it gives
CONSTANT: Final = 1  # nil, true, false, or what gives a boolean
UNKNOWN_NUMBER: Final = 2  # a number that nobody knows
NUMBER: Final = 3  # text: as it is written
STRING: Final = 4  # text: its value
NAME: Final = 5  # text; slot: of the local variable, -1 for a global one
INDEX: Final = 6  # parts: what is indexed, the key
CALL: Final = 7  # parts: what is called, its arguments
METHOD: Final = 8  # text: the method; parts: the object, the arguments
CONCAT: Final = 9  # parts
AND: Final = 10  # parts
OR: Final = 11  # parts
TABLE: Final = 12  # parts: the values of its list; named: how many fields it has beside; fields: those with a name
FUNCTION: Final = 13  # slots: its parameters; parts: the first value of each return
RANGE: Final = 14  # the variable of a numeric loop; parts: from, to, and perhaps the step
VARARG: Final = 15
PAREN: Final = 16  # one part, cut to one value
LENGTH: Final = 17  # ``#t``; one part
APPEND_INDEX: Final = 18  # ``#t + 1``; one part
EACH_INDEX: Final = 19  # the indices of a list one after another, as ``ipairs`` and ``unpack`` have them

# What the node that has it does with a node.
ROLE_VALUE: Final = 0  # anything: it may end up anywhere
ROLE_BASE: Final = 1  # indexes it
ROLE_CALLEE: Final = 2  # calls it
ROLE_ALIASED: Final = 3  # gives it another local name
ROLE_ARGUMENT: Final = 4  # passes it to a call
ROLE_INSPECTED: Final = 5  # looks at it, and leaves it as it is
ROLE_TARGET: Final = 6  # assigns to it


#: What a node that is no table has for fields.
NO_FIELDS: "Final[dict[bytes, Node]]" = {}


@final
class Node:
    """See the kinds. ``at`` is the byte of the text where it begins."""

    def __init__(self, kind: int, at: int, text: bytes, parts: "list[Node]") -> None:
        self.kind = kind
        self.offset = at
        self.text = text
        self.children = parts
        self.slot = -1
        self.field_count = 0
        self.fields: dict[bytes, Node] = NO_FIELDS
        self.parameter_slots: list[int] = []
        self.role = ROLE_VALUE
        #: Of a FUNCTION: the calls and names that lie in it, as ranges of `Tree.calls` and `Tree.names`.
        self.first_call = 0
        self.last_call = 0
        self.first_name = 0
        self.last_name = 0

    def __repr__(self) -> str:
        return f"<node {self.kind} {self.text!r} {self.children}>"


@final
class SyntaxTree:
    """What a text is made of, in the order of the text."""

    def __init__(self) -> None:
        #: For each local variable all that it is ever bound to, and whether a function is its only value.
        self.slot_values: list[list[Node]] = []
        #: What global names are bound to by the text itself.
        self.global_values: dict[bytes, list[Node]] = {}
        self.calls: list[Node] = []
        #: NAME, INDEX and METHOD nodes.
        self.name_nodes: list[Node] = []
        self.functions: list[Node] = []
        #: NAME (global) and INDEX nodes that are assigned to.
        self.assigned_nodes: list[Node] = []
