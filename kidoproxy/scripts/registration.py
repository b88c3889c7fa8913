"""How a library names its functions: calls of ``redis.register_function``."""

from kidoproxy.scripts.syntax import INDEX, OTHER, STRING, TABLE, SyntaxNode


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
