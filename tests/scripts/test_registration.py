"""How a library names its functions; what follows from it is in test_library."""

import pytest

from kidoproxy.scripts.parser import parse
from kidoproxy.scripts.registration import is_register_function, parse_registration
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


def test_others() -> None:
    """Other calls register nothing."""
    assert not any(
        is_register_function(pending.children[0]) for pending in parse(b"register_function() redis.call() f()()").calls
    )
