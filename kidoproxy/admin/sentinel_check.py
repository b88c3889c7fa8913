"""``kidoproxy check``: which master the sentinels of a node name, by the rule by which the proxy follows it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from redis.exceptions import RedisError

from kidoproxy.admin.redis_client import connect, describe_error
from kidoproxy.config import Address, SentinelGroup, Tls
from kidoproxy.upstream.master_view import Master, MasterView, parse_master

NOT_A_SENTINEL = "is no sentinel: it does not say who the master is"


@dataclass(slots=True)
class SentinelCheck:
    """What the sentinels of one node said. ``master`` is None when most of them name none."""

    master: Address | None = None
    summary: str = ""
    problems: list[str] = field(default_factory=list)


def check_sentinels(group: SentinelGroup, tls: Tls | None, timeout: float) -> SentinelCheck:
    """Ask all at the same time."""
    with ThreadPoolExecutor(len(group.addresses)) as threads:
        answers = list(threads.map(lambda address: ask_sentinel(address, group, tls, timeout), group.addresses))
    found = SentinelCheck()
    view = MasterView(len(group.addresses))
    for index, (address, answer) in enumerate(zip(group.addresses, answers, strict=True)):
        if isinstance(answer, Master):
            view.on_answer(index, answer)
        else:
            view.on_silence(index, answer)
            found.problems.append(f"sentinel {address} {answer}")
    if view.master is None:
        found.problems.append(f"most of its sentinels name no master called {group.service}")
        return found
    found.master = Address(view.master.host, view.master.port)
    found.summary = f"{view.agreeing_count()} of {len(group.addresses)} sentinels name {found.master}"
    for address, vote in zip(group.addresses, view.votes, strict=True):
        if vote is not None and str(vote) != str(view.master):
            found.problems.append(f"sentinel {address} names {vote} instead")
    return found


def ask_sentinel(address: Address, group: SentinelGroup, tls: Tls | None, timeout: float) -> Master | str:
    """The master that one sentinel names; or what is wrong, as what follows its name in a sentence."""
    with connect(address, group.username, group.password, own_tls(tls), timeout) as client:
        try:
            said = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", group.service)
        except (RedisError, OSError) as error:
            return describe_error(error)
    if said is None:
        return f"knows no master called {group.service}"
    words = [word if isinstance(word, bytes) else str(word).encode() for word in said] if is_pair(said) else []
    return (parse_master(*words) if words else None) or NOT_A_SENTINEL


def is_pair(said: object) -> bool:
    return isinstance(said, list | tuple) and len(said) == 2


def own_tls(tls: Tls | None) -> Tls | None:
    """The name in ``server_hostname`` is the master's."""
    return Tls(tls.ca_file, tls.verify, tls.certificate, ca_pem=tls.ca_pem) if tls is not None else None
