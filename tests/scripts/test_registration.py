"""How a library names its functions; what follows from it is in test_library."""

import pytest

from kidoproxy.scripts.parser import parse
from kidoproxy.scripts.registration import is_register_function, parse_flags, parse_registration
from kidoproxy.scripts.syntax import FUNCTION, OTHER


@pytest.mark.parametrize(
    ("text", "name", "kind"),
    [
        (b"redis.register_function('f', function() end)", b"f", FUNCTION),
        (b"server.register_function{function_name='f', callback=function() end, flags={}}", b"f", FUNCTION),
        (b"redis.register_function('f' .. x, function() end)", b"", OTHER),
        (b"redis.register_function{function_name=x, callback=function() end}", b"", OTHER),
        (b"redis.register_function{callback=function() end}", b"", OTHER),
        (b"redis.register_function('f')", b"", OTHER),
        (b"redis.register_function()", b"", OTHER),
    ],
)
def test_registration(text: bytes, name: bytes, kind: int) -> None:
    """In either form, if the name is a literal and the function is written there."""
    pending = parse(text).calls[0]
    assert is_register_function(pending.children[0])
    found, callback = parse_registration(pending)
    assert (found, callback.kind) == (name, kind)


@pytest.mark.parametrize(
    ("arguments", "flags"),
    [
        (b"('f', g)", []),
        (b"{function_name='f', callback=g}", []),
        (b"{function_name='f', callback=g, flags={}}", []),
        (b"{function_name='f', callback=g, flags={'no-writes', 'allow-oom'}}", [b"no-writes", b"allow-oom"]),
        (b"{function_name='f', callback=g, flags={'nosuch'}}", None),
        (b"{function_name='f', callback=g, flags={x}}", None),
        (b"{function_name='f', callback=g, flags={a='no-writes'}}", None),
        (b"{function_name='f', callback=g, flags=x}", None),
        (b"{function_name='f', callback=g, ['flags']={'no-writes'}}", None),
        (b"()", []),
    ],
)
def test_flags(arguments: bytes, flags: list[bytes] | None) -> None:
    """They are known if they are written there, and the servers know them."""
    assert parse_flags(parse(b"redis.register_function" + arguments).calls[0]) == flags


def test_others() -> None:
    """Other calls register nothing."""
    assert not any(
        is_register_function(pending.children[0]) for pending in parse(b"register_function() redis.call() f()()").calls
    )
