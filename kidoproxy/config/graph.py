"""How pools and nodes hang together: references, cycles, and who appears twice."""

from kidoproxy.config.address import Address
from kidoproxy.config.model import NodeConfig, Pool
from kidoproxy.config.problems import Location, Problems
from kidoproxy.config.wording import did_you_mean, quote_words


def check_graph(pools: dict[str, Pool], admin: Address | None, problems: Problems) -> None:
    """Note unknown and unused pools, cycles, shared listeners and duplicate nodes."""
    for pool in pools.values():
        _check_references(pool, pools, problems)
        _check_names(pool, problems)
    in_cycles = _check_cycles(pools, problems)
    _check_listeners(pools, admin, problems)
    _check_unused(pools, problems)
    _check_copies(pools, problems)
    if not in_cycles:
        for pool in pools.values():
            _check_duplicates(pool, pools, problems)


def _member_location(pool: Pool, index: int) -> Location:
    return ("pool", pool.name, "nodes", index)


def _check_references(pool: Pool, pools: dict[str, Pool], problems: Problems) -> None:
    for i, member in enumerate(pool.members):
        if isinstance(member, NodeConfig):
            continue
        location = _member_location(pool, i)
        if member.pool not in pools:
            problems.add(location, f'there is no pool "{member.pool}"' + did_you_mean(member.pool, pools))
        elif pool.mode == "copy":
            problems.add(location, "a copy pool of pools is not served yet; a ring may have copy pools for nodes")


def _check_names(pool: Pool, problems: Problems) -> None:
    seen: dict[str, int] = {}
    for i, member in enumerate(pool.members):
        first = seen.setdefault(member.name, i)
        if first == i:
            continue
        message = f'has the same name as nodes[{first}]: "{member.name}"'
        other = pool.members[first]
        if isinstance(member, NodeConfig) and isinstance(other, NodeConfig) and member.address == other.address:
            message = (
                _same_server_message(pool, member, first)
                or f"{message}; one server under several names needs names that differ"
            )
        problems.add(_member_location(pool, i), message)


def _check_cycles(pools: dict[str, Pool], problems: Problems) -> bool:
    done: set[str] = set()
    cycles: list[list[str]] = []

    def walk(name: str, path: list[str]) -> None:
        if name in path:
            cycles.append(path[path.index(name) :])
        elif name not in done and name in pools:
            for child in pools[name].pool_refs:
                walk(child.pool, [*path, name])
            done.add(name)

    for name in pools:
        walk(name, [])
    for cycle in cycles:
        problems.add(("pool", cycle[0], "nodes"), f"is a cycle: {' -> '.join([*cycle, cycle[0]])}")
    return bool(cycles)


def _check_listeners(pools: dict[str, Pool], admin: Address | None, problems: Problems) -> None:
    taken: dict[Address, str] = {} if admin is None else {admin: "proxy.admin"}
    for pool in pools.values():
        for address in pool.listen:
            owner = taken.get(address)
            overlap = next((other for other in taken if _overlap(address, other)), None)
            if owner is not None and (address.is_unix or address.port != 0):
                problems.add(("pool", pool.name, "listen"), f"{address} is already taken by {owner}")
            elif overlap is not None:
                problems.add(
                    ("pool", pool.name, "listen"),
                    f"{address} and {overlap} ({taken[overlap]}) are one port of the same addresses; take one out",
                )
            else:
                taken[address] = f"pool.{pool.name}.listen"
    for pool in pools.values():
        for i, member in enumerate(pool.members):
            if isinstance(member, NodeConfig) and member.address in taken:
                problems.add(
                    _member_location(pool, i), f"{member.address} is the proxy itself: {taken[member.address]}"
                )


def _overlap(one: Address, other: Address) -> bool:
    """Whether one of them is every address of the machine, and the other one of these, at the same port."""
    if one.is_unix or other.is_unix or one.port != other.port or one.port == 0 or one.host == other.host:
        return False
    return any(
        wide.host == every and (":" in narrow.host) == (":" in every)
        for wide, narrow in ((one, other), (other, one))
        for every in ("0.0.0.0", "::")
    )


def _check_unused(pools: dict[str, Pool], problems: Problems) -> None:
    used = {child.pool for pool in pools.values() for child in pool.pool_refs}
    for pool in pools.values():
        if not pool.listen and pool.name not in used:
            problems.add(("pool", pool.name), "has no 'listen', and no pool uses it")
    if len(pools) > 1 and not any(pool.listen for pool in pools.values()):
        problems.add(("pool",), f"none of the pools listens: {quote_words(pools)}")


def _check_copies(pools: dict[str, Pool], problems: Problems) -> None:
    """A copy has one pool: two would write it in orders of their own, and each remove what only the other one has."""
    taken: dict[Address, str] = {}
    for pool in pools.values():
        for i, member in enumerate(pool.members if pool.mode == "copy" else ()):
            owner = taken.setdefault(member.address, pool.name) if isinstance(member, NodeConfig) else pool.name
            if owner != pool.name:
                use = f'mode = "ring", nodes = ["pool:{owner}"]'
                problems.add(
                    _member_location(pool, i), f"is a copy of pool.{owner} already; for the same data use {use}"
                )


def rings_over_copies(pools: dict[str, Pool]) -> list[tuple[Location, str]]:
    """Where a ring names a node that is a copy: to read one copy that is well, writes would part it from the others."""
    copies = {node.address: pool.name for pool in pools.values() if pool.mode == "copy" for node in pool.nodes}
    return [
        (
            _member_location(pool, i),
            f"is a copy of pool.{copies[member.address]}; writes miss its other copies",
        )
        for pool in pools.values()
        for i, member in enumerate(pool.members if pool.mode == "ring" else ())
        if isinstance(member, NodeConfig) and member.address in copies
    ]


def _check_duplicates(pool: Pool, pools: dict[str, Pool], problems: Problems) -> None:
    """Below one pool a node is reached once, else it gets keys or writes twice; and a name means one node.

    A ring that says ``same_server`` may give one server several names, and asks it once all the same.
    """
    addresses: dict[Address, int] = {}
    names: dict[str, int] = {}
    for i, member in enumerate(pool.members):
        for node in [member] if isinstance(member, NodeConfig) else _nodes_below(member.pool, pools):
            first_index = addresses.setdefault(node.address, i)
            if first_index != i:
                message = (
                    _same_server_message(pool, member, first_index)
                    if isinstance(member, NodeConfig)
                    else _same_node_message(node.address, first_index)
                )
                if message:
                    problems.add(_member_location(pool, i), message)
                continue
            first_index = names.setdefault(node.name, i)
            if first_index != i and not isinstance(member, NodeConfig):
                problems.add(
                    _member_location(pool, i), f'has a node named as one below nodes[{first_index}]: "{node.name}"'
                )


def _same_node_message(address: Address, first_index: int) -> str:
    return f"is the same node as nodes[{first_index}]: {address}"


def _same_server_message(pool: Pool, member: NodeConfig, first_index: int) -> str:
    """Why a member must not have the address of the one at ``first_index``; empty when it may."""
    message = _same_node_message(member.address, first_index)
    first = pool.members[first_index]
    if pool.ring is None or not isinstance(first, NodeConfig):
        return message
    if not pool.ring.same_server:
        return f"{message}; if it is to have several shares, give them names that differ and say 'same_server = true'"
    if (first.username, first.password, first.tls) != (member.username, member.password, member.tls):
        return f"{message}, and has another user, password or TLS"
    return ""


def _nodes_below(name: str, pools: dict[str, Pool]) -> list[NodeConfig]:
    found: list[NodeConfig] = []
    for member in pools[name].members if name in pools else ():
        found.extend([member] if isinstance(member, NodeConfig) else _nodes_below(member.pool, pools))
    return found
