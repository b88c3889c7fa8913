"""How a library names its functions: calls of ``redis.register_function``."""

from typing import Final

from kidoproxy.scripts.syntax import INDEX, OTHER, STRING, TABLE, SyntaxNode

#: What a script may say of itself in its first line, and a function where it is registered.
FLAGS: Final = frozenset(b"no-writes allow-oom allow-stale no-cluster allow-cross-slot-keys".split())


def is_register_function(node: SyntaxNode) -> bool:
    """Whether this is ``redis.register_function``."""
    return node.kind == INDEX and node.children[1].text == b"register_function"


def parse_registration(call_node: SyntaxNode) -> tuple[bytes, SyntaxNode]:
    """The name and the function of a call of ``register_function``, in either form; no name if it is no literal."""
    unclear = (b"", SyntaxNode(OTHER, call_node.offset, b"", []))
    if len(call_node.children) < 2:
        return unclear
    name: SyntaxNode | None = call_node.children[1]
    callback = call_node.children[2] if len(call_node.children) > 2 else None
    if name is not None and name.kind == TABLE:
        callback = name.fields.get(b"callback")
        name = name.fields.get(b"function_name")
    if name is None or callback is None or name.kind != STRING:
        return unclear
    return name.text, callback


def parse_flags(call_node: SyntaxNode) -> list[bytes] | None:
    """The flags that a call of ``register_function`` gives to its function; None if they are no literals."""
    first = call_node.children[1] if len(call_node.children) > 1 else call_node
    flags = first.fields.get(b"flags")
    if flags is None:
        return [] if len(first.fields) == first.field_count else None
    if flags.kind != TABLE or flags.field_count or any(part.kind != STRING for part in flags.children):
        return None
    found = [part.text for part in flags.children]
    return found if all(flag in FLAGS for flag in found) else None
