"""URLs of masters that Sentinel watches: what they say, what is wrong with others, and what a node becomes of them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.config import Address, ConfigError, NodeConfig, Tls
from kidoproxy.config.changes import ReloadPlan, plan_reload
from kidoproxy.config.sentinel_url import is_sentinel_url, parse_sentinel_url
from tests.config.files import nodes, problems, read


def test_a_whole_url() -> None:
    """The sentinels with their login, the name that they know; TLS by the scheme."""
    node, group = parse_sentinel_url("sentinels://app:s%40crt@h2,[::1]:7000,h1:26379/my-master.1?db=0")

    assert (str(node.address), node.tls, node.username) == (
        "sentinel://[::1]:7000,h1:26379,h2:26379/my-master.1",
        True,
        "",
    )
    assert group.service == "my-master.1"
    assert group.addresses == (Address("::1", 7000), Address("h1", 26379), Address("h2", 26379))
    assert (group.username, group.password.reveal()) == ("app", "s@crt")


@pytest.mark.parametrize(
    ("rest", "problem"),
    [
        ("a1:26379,b2:26379", "has no name of a master behind its sentinels; write"),
        ("h1/", "has no name of a master behind its sentinels; write"),
        ("h1,,h2/m", "has an empty place in its list of sentinels; write"),
        ("/m", "has an empty place in its list of sentinels; write"),
        ("h1,h1:26379/m", "names a sentinel twice; each has one vote"),
        (",".join(f"h{i}" for i in range(32)) + "/m", "names 32 sentinels; at most 31 are asked"),
        ("h1/m/1", "has a name of a master that Sentinel does not allow"),
        ("h1/" + "m" * 256, "has a name of a master that Sentinel does not allow"),
        ("h1/m?db=2", 'choose it with SELECT, and the proxy passes it on; drop "?db="'),
        ("h1/m?timeout=2", "has a query or a fragment, which mean nothing here"),
        ("me@h1/m", "has a user of its sentinels but no password"),
        (":a/b@h1/m", "that must be percent-encoded"),
        ("h1:x/m", 'has the port "x"'),
        ("::1:26379/m", "has an IPv6 address that needs brackets"),
    ],
)
def test_a_wrong_url_is_one_line(tmp_path: Path, rest: str, problem: str) -> None:
    """What is wrong, at its place, and never the URL."""
    (line,) = problems(tmp_path, nodes(f'"sentinel://{rest}"'))

    assert line.startswith("ring.toml: pool.cache.nodes[0]: ")
    assert problem in line
    assert f"//{rest}" not in line


@given(st.text(alphabet="hm1:,/@?#[]-%= ", max_size=24))
def test_any_text_is_a_group_or_a_sentence(text: str) -> None:
    """Nothing else comes of it; a group has a name and at least one sentinel, all different."""
    try:
        node, group = parse_sentinel_url("sentinel://" + text)
    except ValueError:
        return
    assert group.service
    assert len(set(group.addresses)) == len(group.addresses) >= 1
    assert str(node.address).startswith("sentinel://")


def test_only_these_schemes() -> None:
    """redis+sentinel:// and the like are told which schemes there are."""
    assert [is_sentinel_url(f"{scheme}://h/m") for scheme in ("sentinel", "sentinels", "redis+sentinel")] == [
        True,
        True,
        False,
    ]


def test_a_node_of_sentinels(tmp_path: Path) -> None:
    """It is named as the sentinels name it; user, password and TLS of the node are the master's."""
    config = read(
        tmp_path,
        nodes(
            '"sentinel://:watch@h1,h2/a"',
            '{ url = "sentinels://h1,h2/b", name = "n", password = "pw", server_hostname = "b.internal" }',
        ),
    )
    a, b = config.pools["cache"].members

    assert isinstance(a, NodeConfig)
    assert a.sentinels is not None
    assert (a.name, a.ring_name, a.password.reveal(), a.sentinels.password.reveal()) == ("a", "a", "", "watch")
    assert isinstance(b, NodeConfig)
    assert (b.name, b.password.reveal(), b.tls) == ("n", "pw", Tls(server_hostname="b.internal"))
    assert b.sentinels is not None
    assert not b.sentinels.password


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            nodes('"sentinel://h/a"', '"sentinel://h/b"', mode="copy"),
            'copies are kept equal by the proxy; use mode = "ring"',
        ),
        (nodes('{ url = "sentinel://h/a", server_hostname = "x" }'), "the node is not sentinels://"),
        (
            nodes('"sentinel://h,i/a"', '{ url = "sentinel://i,h/a", name = "b" }'),
            "is the same node as nodes[0]: sentinel://h",
        ),
        (nodes('"sentinel://h/a"', '"sentinel://i/a"'), 'has the same name as nodes[0]: "a"'),
        (nodes('{ url = "sentinel://h/a", username = "u" }'), "has a user but no password"),
    ],
)
def test_a_node_that_makes_no_sense(tmp_path: Path, text: str, problem: str) -> None:
    """Copies, names for TLS without TLS, one master twice, and what every node may have wrong."""
    with pytest.raises(ConfigError, match="nodes") as caught:
        read(tmp_path, text)

    assert any(problem in line for line in caught.value.problems)


def test_other_sentinels_need_a_restart(tmp_path: Path) -> None:
    """Their order means nothing; who they are, and how to log in to them, is the node's url."""
    first, other_order, more, login = [
        read(tmp_path, nodes(f'"sentinel://{rest}/a"')) for rest in ("h,i", "i,h", "h,i,j", ":pw@h,i")
    ]

    assert plan_reload(first, other_order) == ReloadPlan()
    for changed in (more, login):
        assert plan_reload(first, changed) == ReloadPlan(restart=("pool.cache.nodes[0].url",))
