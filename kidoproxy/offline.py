"""Where a key goes, worked out from the configuration alone: no proxy runs, no node is asked.

``kidoproxy route`` and the shares in ``kidoproxy check`` come from here, and the last check of a file: that
the commands it names exist, which `kidoproxy.config` cannot know. What a live proxy would do
depends on its nodes too; this is the answer while all of them are well.
"""

from kidoproxy.commands.find import every, named
from kidoproxy.commands.permit import mistake, similar
from kidoproxy.config import Config, Member, Node, Pool
from kidoproxy.config.problems import did_you_mean
from kidoproxy.cursor import number_of
from kidoproxy.routes import topology
from kidoproxy.routes.build import placement_of, tags_of


def explain(config: Config, pool: Pool, key: bytes) -> list[str]:
    """The way of a key from a pool down to its nodes: one line per step, the last one names the nodes."""
    if pool.ring is None:
        return [_copies(pool, key)]
    part = tags_of(pool.ring).cut(key)
    placement = placement_of(pool.ring, pool.members)
    owner = pool.members[placement.owner(part)]
    lines = [] if part == key else [f"{pool.name}: {_hashed(part, key)}"]
    lines.append(f"{pool.name}: {placement.explain(part)}: {_member(owner)}")
    if isinstance(owner, Node):
        return lines
    return [*lines, *explain(config, config.pools[owner.pool], key)]


def _hashed(part: bytes, key: bytes) -> str:
    """Why a key is not hashed by itself: its tag or prefix counts, or what its whole family is hashed by."""
    if part in key:
        return f"'{shown(part)}' of '{shown(key)}' is what counts"
    return f"'{shown(key)}' is kept together with '{shown(part)}', which is what counts"


def shown(data: bytes) -> str:
    """Bytes for a person to read."""
    return data.decode("utf-8", "backslashreplace")


def shares(pool: Pool) -> list[float] | None:
    """The part of the ring that each member owns; None when there is no ring."""
    return None if pool.ring is None else placement_of(pool.ring, pool.members).share()


def _copies(pool: Pool, key: bytes) -> str:
    """All nodes, the one that decides for the key first."""
    group = topology.CopyGroup(
        pool.name, [topology.Node(i, node.name, str(node.address), 0) for i, node in enumerate(pool.nodes)]
    )
    names = [copy.node.name for copy in group.by_score(key)]
    others = f", then {', '.join(names[1:])}" if names[1:] else ""
    return f"{pool.name}: written to all, led by {names[0]}{others}"


def _member(member: Member) -> str:
    if not isinstance(member, Node):
        return f"pool {member.pool}"
    address = str(member.address)
    return member.name if member.name == address else f"{member.name} ({address})"


def misnamed(config: Config) -> list[str]:
    """A line for every command of ``deny``, ``allow``, ``rename`` and of a user's rules that there is not.

    A misspelt name would silently deny nothing. Names with a dot are a module's, and are not known here.
    """
    lines = []
    for pool in config.pools.values():
        for key, names in (("deny", pool.deny), ("allow", pool.allow), ("rename", pool.rename)):
            wrong = [_misnamed(name) for name in sorted(names)]
            wrong += [_misrenamed(old, new) for old, new in sorted(pool.rename.items())] if key == "rename" else []
            lines += [f"{config.source}: pool.{pool.name}.{key}: {what}" for what in wrong if what]
        for user in pool.users:
            place = f"{config.source}: pool.{pool.name}.users.{user.name}.commands"
            lines += [f"{place}: {what}" for what in map(_wrong_rule, user.commands.split()) if what]
    return lines


def collisions(config: Config) -> list[str]:
    """A line for each node whose number in cursors of SCAN is that of another node that the same clients reach.

    It happens once in a million configurations. The number is a part of what clients hold, so nobody moves aside.
    """
    lines = []
    for listener in config.listening():
        taken: dict[int, str] = {}
        for pool in config.below(listener.name):
            for node in pool.nodes:
                mine = f"pool.{pool.name}: node {node.name}"
                first = taken.setdefault(number_of(pool.name, node.name), mine)
                if first != mine:
                    lines.append(f"{config.source}: {mine}: has the number of {first}; give the pool another name")
    return list(dict.fromkeys(lines))


def _misnamed(name: bytes) -> str:
    if b"." in name or named(name) is not None:
        return ""
    return f'there is no command "{shown(name)}"' + did_you_mean(shown(name), [shown(spec.name) for spec in every()])


def _wrong_rule(word: str) -> str:
    what = mistake(word)
    return what + did_you_mean(word, similar(word)) if what.startswith("there is no ") else what


def _misrenamed(old: bytes, new: bytes) -> str:
    if b"|" in old:
        return f'"{shown(old)}" cannot have a new name, only whole commands can; "deny" turns it off'
    if b"|" in new:
        return f'"{shown(new)}" is not one word'
    if named(new) is not None:
        return f'"{shown(new)}" is a command already'
    return ""
