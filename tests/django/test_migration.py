# mypy: disable-error-code="import-untyped"
"""Values and keys of the ancestor, beside those of Django."""

import collections
import datetime
import decimal
import pickle
from typing import Any

import pytest
from django.core.cache.backends.redis import RedisSerializer
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.django import KidoCache, MigrationSerializer, bare_key
from tests.django.test_cache import make

SERIALIZER = MigrationSerializer()
NOW = datetime.datetime(2015, 7, 1, 12, 30, 45, 200, tzinfo=datetime.UTC)

PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.lists(st.integers() | st.text())
    | st.dictionaries(st.text(), st.integers())
)


@given(PLAIN | st.binary())
def test_django_s_own_values(value: Any) -> None:
    """What Django wrote, and what is written here, is read as Django reads it."""
    for dumps in (RedisSerializer().dumps, SERIALIZER.dumps):
        dumped = dumps(value)
        assert SERIALIZER.loads(str(dumped).encode() if isinstance(dumped, int) else dumped) == value


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"])).filter(lambda text: not text.lstrip("-").isdigit())
)
def test_texts(text: str) -> None:
    """A plain text of one line is that text, whatever it says."""
    assert SERIALIZER.loads(text.encode()) == text


@pytest.mark.parametrize("protocol", range(2, 6))
def test_dates_of_python_3(protocol: int) -> None:
    """With a named zone, too."""
    zone = datetime.timezone(datetime.timedelta(hours=1), "CET")
    moments = [NOW, NOW.astimezone(zone), NOW.date(), NOW.time(), datetime.timedelta(3)]
    assert SERIALIZER.loads(pickle.dumps(moments, protocol)) == moments


@given(PLAIN, st.sampled_from([0, 1, 2]))
def test_pickles_of_the_program(value: Any, protocol: int) -> None:
    """What the program had pickled itself, with the protocols of Python 2 too, comes back as what it was."""
    if protocol == 0 and (value is None or isinstance(value, float)):
        return  # ``N.`` could be an initial: it stays a text
    dumped = pickle.dumps(value, protocol)
    assert SERIALIZER.loads(dumped) == value or b"\n" not in dumped


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"123", 123),
        (b"-7", -7),
        (b"007", "007"),
        (b"1_000", "1_000"),
        (b" 7", " 7"),
        (b"7\n", "7\n"),
        (b"1.5", "1.5"),
        (b"True", "True"),
        (b"None", "None"),
        (b"", ""),
        ("zażółć".encode(), "zażółć"),
        (b"\xff\x00", b"\xff\x00"),
        (b"\x80raw bytes", b"\x80raw bytes"),
        (b"N.", "N."),
        (b"A line.\nAnd one that ends in a dot.", "A line.\nAnd one that ends in a dot."),
        # Pickles of Python 2: str, unicode, a dict, by its protocols 0, 1 and 2.
        (b"S'spam'\np0\n.", "spam"),
        (b"(dp0\nS'a'\np1\nI1\ns.", {"a": 1}),
        (b"(lp0\nI1\naV\\u017c\np1\na.", [1, "ż"]),
        (b"}q\x00U\x01aq\x01K\x01s.", {"a": 1}),
        (b"\x80\x02U\x04spamq\x01.", "spam"),
        (b"\x80\x02U\x02\xc5\xbcq\x01.", "ż"),
        (b"\x80\x02U\x02\xff\xfeq\x01.", "\udcff\udcfe"),
        (b"S'\\xff\\xfe'\np1\n.", "\udcff\udcfe"),
        (b"cdecimal\nDecimal\np1\n(S'1.5'\ntRp2\n.", decimal.Decimal("1.5")),
        (b"c__builtin__\nset\np1\n((lp2\nI1\naI2\natRp3\n.", {1, 2}),
        (b"cheese\nbread\nmilk.", "cheese\nbread\nmilk."),
        (b"I1\n.S'more'\n.", "I1\n.S'more'\n."),
    ],
)
def test_what_it_makes_of_bytes(data: bytes, value: Any) -> None:
    """Numbers as Django has them, texts as texts, pickles as what they hold."""
    found = SERIALIZER.loads(data)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "dumped",
    [
        b"\x80\x02cdatetime\ndatetime\nq\x01U\n\x07\xdf\x07\x01\x0c\x1e-\x00\x00\xc8q\x02\x85q\x03Rq\x04.",
        b"cdatetime\ndatetime\nq\x01(U\n\x07\xdf\x07\x01\x0c\x1e-\x00\x00\xc8tRq\x02.",
        b"cdatetime\ndatetime\np1\n(S'\\x07\\xdf\\x07\\x01\\x0c\\x1e-\\x00\\x00\\xc8'\ntRp2\n.",
    ],
)
def test_datetimes_of_python_2(dumped: bytes) -> None:
    """Their state is a str that is no text."""
    assert SERIALIZER.loads(dumped) == NOW.replace(tzinfo=None)


def test_a_text_beside_a_date_of_python_2() -> None:
    """Each is read as what it is."""
    dumped = b"\x80\x02]q\x01(U\x02\xc5\xbccdatetime\ndate\nU\x04\x07\xdf\x07\x01\x85Re."
    assert SERIALIZER.loads(dumped) == ["ż", datetime.date(2015, 7, 1)]


@pytest.mark.parametrize("text", [b"cos\nsystem\n(S'exit 1'\ntR.", b"cbuiltins\neval\n(V1\ntR."])
def test_a_text_runs_nothing(text: bytes) -> None:
    """A text that a visitor wrote may be a pickle that calls something: it is refused."""
    with pytest.raises(pickle.UnpicklingError, match="safe_classes"):
        SERIALIZER.loads(text)


class Cart:
    """A class of a project."""

    size = 3


def test_classes_of_a_project() -> None:
    """They can be named as safe."""

    class ProjectSerializer(MigrationSerializer):
        safe_classes = MigrationSerializer.safe_classes | {
            (__name__, "Cart"),
            ("copy_reg", "_reconstructor"),
            ("__builtin__", "object"),
        }

    cart = ProjectSerializer().loads(pickle.dumps(Cart(), 0))
    assert (type(cart), cart.size) == (Cart, 3)


def test_a_class_that_is_gone() -> None:
    """Is an error, as with Django's serializer: a value is not taken for another."""
    dumped = pickle.dumps(collections.OrderedDict(), 5).replace(b"OrderedDict", b"NoSuchClass")
    with pytest.raises(AttributeError):
        SERIALIZER.loads(dumped)


def test_in_the_settings(node_url: str, node: Any) -> None:
    """By their names in the settings: the ancestor's keys and values, and what Django writes beside them."""
    cache = make(
        node_url,
        KEY_FUNCTION="kidoproxy.django.bare_key",
        OPTIONS={"serializer": "kidoproxy.django.MigrationSerializer"},
    )
    node.set("old", "text")
    node.set("pickled", pickle.dumps({"a": [1]}, 0))
    assert isinstance(cache, KidoCache)
    assert cache.get_many(["old", "pickled"]) == {"old": "text", "pickled": {"a": [1]}}
    cache.set("new", "text")
    cache.set("n", 1)
    assert RedisSerializer().loads(node.get("new")) == cache.get("new") == "text"
    assert cache.incr("n") == 2
    assert node.get("n") == b"2"
    assert bare_key("k", "prefix", 3) == "k"
