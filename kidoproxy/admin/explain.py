"""Where a key goes, worked out from the configuration alone: no proxy runs, no node is asked.

``kidoproxy route`` and the shares in ``kidoproxy check`` come from here, and the last check of a file: that
the commands it names exist, which `kidoproxy.config` cannot know. What a live proxy would do
depends on its nodes too; this is the answer while all of them are up.
"""

from kidoproxy.commands.acl import rule_error, similar_rules
from kidoproxy.commands.find import all_specs, find_by_name
from kidoproxy.config import Config, Member, NodeConfig, Pool
from kidoproxy.config.wording import did_you_mean
from kidoproxy.replication.group import CopyGroup
from kidoproxy.replies.cursor import cursor_id_of
from kidoproxy.routes.build import build_placement, build_tags
from kidoproxy.routes.topology import Node


def explain_key(config: Config, pool: Pool, key: bytes) -> list[str]:
    """The way of a key from a pool down to its nodes: one line per step, the last one names the nodes."""
    if pool.ring is None:
        return [_explain_copies(pool, key)]
    hashed_part = build_tags(pool.ring).hashed_part(key)
    placement = build_placement(pool.ring, pool.members)
    owner = pool.members[placement.owner(hashed_part)]
    lines = [] if hashed_part == key else [f"{pool.name}: {_explain_hashed_part(hashed_part, key)}"]
    lines.append(f"{pool.name}: {placement.explain(hashed_part)}: {_describe_member(owner)}")
    if isinstance(owner, NodeConfig):
        return lines
    return [*lines, *explain_key(config, config.pools[owner.pool], key)]


def _explain_hashed_part(hashed_part: bytes, key: bytes) -> str:
    """Why a key is not hashed by itself: its tag or prefix counts, or what its whole family is hashed by."""
    if hashed_part in key:
        return f"'{printable(hashed_part)}' of '{printable(key)}' is what counts"
    return f"'{printable(key)}' is kept together with '{printable(hashed_part)}', which is what counts"


def printable(data: bytes) -> str:
    """Bytes for a person to read."""
    return data.decode("utf-8", "backslashreplace")


def ring_shares(pool: Pool) -> list[float] | None:
    """The part of the ring that each member owns; None when there is no ring."""
    return None if pool.ring is None else build_placement(pool.ring, pool.members).owned_fractions()


def _explain_copies(pool: Pool, key: bytes) -> str:
    """All nodes, the one that decides for the key first."""
    group = CopyGroup(pool.name, [Node(i, node.name, str(node.address), 0) for i, node in enumerate(pool.nodes)])
    names = [copy.node.name for copy in group.ranked_copies(key)]
    others = f", then {', '.join(names[1:])}" if names[1:] else ""
    return f"{pool.name}: written to all, led by {names[0]}{others}"


def _describe_member(member: Member) -> str:
    if not isinstance(member, NodeConfig):
        return f"pool {member.pool}"
    address = str(member.address)
    return member.name if member.name == address else f"{member.name} ({address})"


def unknown_commands(config: Config) -> list[str]:
    """A line for every command of ``deny``, ``allow``, ``rename`` and of a user's rules that there is not.

    A misspelt name would silently deny nothing. Names with a dot are a module's, and are not known here.
    """
    lines = []
    for pool in config.pools.values():
        for key, names in (("deny", pool.deny), ("allow", pool.allow), ("rename", pool.rename)):
            messages = [_unknown_command(name) for name in sorted(names)]
            messages += [_rename_error(old, new) for old, new in sorted(pool.rename.items())] if key == "rename" else []
            lines += [f"{config.source}: pool.{pool.name}.{key}: {message}" for message in messages if message]
        for user in pool.users:
            location = f"{config.source}: pool.{pool.name}.users.{user.name}.commands"
            lines += [f"{location}: {message}" for message in map(_rule_error, user.commands.split()) if message]
    return lines


def cursor_id_collisions(config: Config) -> list[str]:
    """A line for each node whose number in cursors of SCAN is that of another node that the same clients reach.

    It happens once in a million configurations. The number is a part of what clients hold, so nobody moves aside.
    """
    lines = []
    for listener in config.listening_pools():
        node_by_id: dict[int, str] = {}
        for pool in config.pools_below(listener.name):
            for node in pool.nodes:
                this_node = f"pool.{pool.name}: node {node.name}"
                first_node = node_by_id.setdefault(cursor_id_of(pool.name, node.name), this_node)
                if first_node != this_node:
                    lines.append(
                        f"{config.source}: {this_node}: has the number of {first_node}; give the pool another name"
                    )
    return list(dict.fromkeys(lines))


def _unknown_command(name: bytes) -> str:
    if b"." in name or find_by_name(name) is not None:
        return ""
    return f'there is no command "{printable(name)}"' + did_you_mean(
        printable(name), [printable(spec.name) for spec in all_specs()]
    )


def _rule_error(word: str) -> str:
    message = rule_error(word)
    return message + did_you_mean(word, similar_rules(word)) if message.startswith("there is no ") else message


def _rename_error(old: bytes, new: bytes) -> str:
    if b"|" in old:
        return f'"{printable(old)}" cannot have a new name, only whole commands can; "deny" turns it off'
    if b"|" in new:
        return f'"{printable(new)}" is not one word'
    if find_by_name(new) is not None:
        return f'"{printable(new)}" is a command already'
    return ""
