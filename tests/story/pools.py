"""The pools that a story begins with."""

from kidoproxy.commands.acl import Acl
from kidoproxy.commands.command_set import CommandSet
from kidoproxy.replication.group import IN_SYNC, CopyGroup
from kidoproxy.routes.copy import CopyPool
from kidoproxy.routes.node import NodeRoute
from kidoproxy.routes.placement.hashes import FNV1A_64, hash32
from kidoproxy.routes.placement.owners import Placement
from kidoproxy.routes.placement.tags import Tags
from kidoproxy.routes.ring import Ring
from kidoproxy.routes.route import Route
from kidoproxy.routes.topology import Node
from kidoproxy.session.users import User, Users, password_digest


class Pool:
    """A pool as a story begins with it: its nodes, its routes, and the facts about it."""

    def __init__(self, name: str, mode: str) -> None:
        self.name = name
        self.mode = mode
        self.nodes: list[Node] = []
        self.groups: list[CopyGroup] = []
        self.words = CommandSet(frozenset(), frozenset(), {})
        self.users = Users([])
        self.strict = False
        self.miss_on_down = False
        self.as_loading = False
        self.route: Route | None = None

    def __repr__(self) -> str:
        """For the ids of tests, which must be the same in every process of pytest-xdist."""
        return f"{self.mode}-{''.join(node.name for node in self.nodes)}"

    def add(self, name: str) -> Node:
        """A node of this pool; names are one letter, the letter is its place."""
        node = Node(0, name, f"{name}:6379", ord(name) - ord("a") + 1)
        self.nodes.append(node)
        return node

    def adopt(self, member: "str | Pool") -> Route:
        """A member's route; its nodes are ours too."""
        if isinstance(member, str):
            return NodeRoute(self.add(member))
        self.nodes += member.nodes
        self.groups += member.groups
        assert member.route is not None
        return member.route


def ring(
    *members: "str | Pool",
    strict: bool = False,
    miss_on_down: bool = False,
    password: bytes = b"",
    words: CommandSet | None = None,
) -> Pool:
    """A ring; the key ``{a}…`` lives on its member ``a``."""
    pool = Pool("cache", "ring")
    pool.strict = strict
    pool.miss_on_down = miss_on_down
    if password:
        pool.users = only_default(password)
    pool.words = words or pool.words
    names = [member if isinstance(member, str) else member.name for member in members]
    spots = sorted((int(hash32(name.encode(), FNV1A_64)), at) for at, name in enumerate(names))
    placement = Placement([spot for spot, _ in spots], [at for _, at in spots], FNV1A_64, len(names))
    pool.route = Ring(pool.name, [pool.adopt(member) for member in members], placement, Tags(123, 125, []))
    return pool


def only_default(password: bytes) -> Users:
    """The default user, who must say this password."""
    return Users([User(b"default", Acl(), True, False, [password_digest(password)])])


def copies(*names: str, behind: str = "", min_in_sync: int = 1, elected: bool = True, name: str = "pair") -> Pool:
    """A copy pool whose copies are all in sync, but for those named in ``behind``.

    They are not asked when keys expire, which each story would have to tell; `test_expiry_check` is about that.
    """
    pool = Pool(name, "copy")
    for letter in names:
        pool.add(letter)
    group = CopyGroup(name, pool.nodes, min_in_sync)
    group.checks_expiry = False
    pool.groups.append(group)
    if elected:
        group.elected = True
        for copy in group.copies:
            if copy.node.name not in behind:
                copy.state = IN_SYNC
    pool.route = CopyPool(name, group)
    return pool


def led_by(pool: Pool, name: str, number: int = 1) -> str:
    """A key of a copy pool whose leader is the node ``name``; another one for each ``number``."""
    found = 0
    for at in range(1000):
        leader = pool.groups[0].ranked_copies(b"k%d" % at)[0]
        found += leader.node.name == name
        if found == number:
            return f"k{at}"
    raise AssertionError(f"no key led by {name}")
