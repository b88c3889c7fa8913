"""Whether a script has room for the local names that a prologue binds: Lua has bounds that it may be close to.

A prologue adds up to six local variables to the text as a whole (200 are allowed), and those are upvalues of each
function that uses them (60 are allowed). Beyond, the servers would not compile a script that they do compile without.
"""

from typing import Final

from kidoproxy.scripts.syntax import SyntaxNode, SyntaxTree

NO_ROOM: Final = "it has more local variables than a prologue leaves room for"
#: All local variables of the text that are in none of its functions, whether in scope together or not. Loops have some
#: more that have no names, three for each that is under way.
MAX_OWN_LOCALS: Final = 180
MAX_UPVALUES: Final = 54
#: So often each name may be looked at, as functions lie in functions.
MAX_VISITS: Final = 8


def has_room(tree: SyntaxTree) -> bool:
    """Whether the servers will compile the text behind a prologue, if they compile it as it is."""
    visits = 0
    for function in tree.functions:
        if function.first_slot > MAX_UPVALUES:
            visits += function.last_name - function.first_name
            if visits > MAX_VISITS * len(tree.name_nodes) or count_upvalues(tree, function) > MAX_UPVALUES:
                return False
    return count_own_locals(tree) <= MAX_OWN_LOCALS


def count_own_locals(tree: SyntaxTree) -> int:
    """How many local variables are in none of the text's functions."""
    count = len(tree.slot_values)
    done = 0
    for function in tree.functions:
        if function.first_slot >= done:
            count -= function.last_slot - function.first_slot
            done = function.last_slot
    return count


def count_upvalues(tree: SyntaxTree, function: SyntaxNode) -> int:
    """How many variables from outside it the function uses."""
    nodes = tree.name_nodes[function.first_name : function.last_name]
    return len({node.slot for node in nodes if 0 <= node.slot < function.first_slot})
