"""The nodes of a script's syntax tree, as far as it matters what is called and with what.

Statements are not kept: what they bind is in `SyntaxTree.slot_values`, what they evaluate is a `SyntaxNode`. So the
tree says for each name what it may ever stand for, not when.

A local variable is a *slot*: a number, an index of `SyntaxTree.slot_values`. Two variables of one name are two slots.
"""

from typing import Final, final

# Kinds of nodes, and what is in ``text`` and ``children``.
OTHER: Final = 0  # an expression of which nothing is known
CONSTANT: Final = 1  # nil, true, false, or what gives a boolean
UNKNOWN_NUMBER: Final = 2  # a number that is not known
NUMBER: Final = 3  # text: as it is written
STRING: Final = 4  # text: its value
NAME: Final = 5  # text; slot: of the local variable, -1 for a global one
INDEX: Final = 6  # children: what is indexed, the key
CALL: Final = 7  # children: what is called, its arguments
METHOD: Final = 8  # text: the method; children: the object, the arguments
CONCAT: Final = 9  # children: the operands
AND: Final = 10  # children: the operands
OR: Final = 11  # children: the operands
TABLE: Final = 12  # children: the values of its list; field_count: its other fields; fields: those with a name
FUNCTION: Final = 13  # parameter_slots; children: the first value of each return
RANGE: Final = 14  # the variable of a numeric loop; children: from, to, and perhaps the step
VARARG: Final = 15
PAREN: Final = 16  # one child, cut to one value
LENGTH: Final = 17  # ``#t``; one child
APPEND_INDEX: Final = 18  # ``#t + 1``; one child
EACH_INDEX: Final = 19  # the indices of a list one after another, as ``ipairs`` and ``unpack`` have them

# What is done with the value of a node where it stands.
ROLE_VALUE: Final = 0  # anything: it may end up anywhere
ROLE_BASE: Final = 1  # it is indexed
ROLE_CALLEE: Final = 2  # it is called
ROLE_ALIASED: Final = 3  # it gets another local name
ROLE_ARGUMENT: Final = 4  # it is passed to a call
ROLE_INSPECTED: Final = 5  # it is looked at, and left as it is
ROLE_TARGET: Final = 6  # it is assigned to


#: The fields of a node that is no table.
NO_FIELDS: "Final[dict[bytes, SyntaxNode]]" = {}


@final
class SyntaxNode:
    """An expression: its kind decides what ``text`` and ``children`` mean. It begins at byte ``offset`` of the text."""

    def __init__(self, kind: int, offset: int, text: bytes, children: "list[SyntaxNode]") -> None:
        self.kind = kind
        self.offset = offset
        self.text = text
        self.children = children
        self.slot = -1
        self.field_count = 0
        self.fields: dict[bytes, SyntaxNode] = NO_FIELDS
        self.parameter_slots: list[int] = []
        self.role = ROLE_VALUE
        #: Of a FUNCTION: the calls, names and slots that lie in it, as ranges of `SyntaxTree.calls`, `name_nodes` and
        #: `slot_values`.
        self.first_call = 0
        self.last_call = 0
        self.first_name = 0
        self.last_name = 0
        self.first_slot = 0
        self.last_slot = 0

    def __repr__(self) -> str:
        return f"<node {self.kind} {self.text!r} {self.children}>"


@final
class SyntaxTree:
    """What a text is made of, in the order of the text."""

    def __init__(self) -> None:
        #: For each slot all that it is ever bound to.
        self.slot_values: list[list[SyntaxNode]] = []
        #: What the text itself assigns to global names.
        self.global_values: dict[bytes, list[SyntaxNode]] = {}
        self.calls: list[SyntaxNode] = []
        #: NAME, INDEX and METHOD nodes.
        self.name_nodes: list[SyntaxNode] = []
        self.functions: list[SyntaxNode] = []
        #: NAME (global) and INDEX nodes that are assigned to.
        self.assigned_nodes: list[SyntaxNode] = []
