"""Writes of several keys at once, and around the expiry of keys: nobody looks at them but who compares the copies."""

import random
from typing import Any

import redis

from tests.consistency.kinds import INDIRECT_SCRIPT


def several(client: Any, dice: random.Random) -> None:
    """Writes of several keys at once, and writes around the expiry of a key."""
    a, b, c = (dice.randrange(4) for _ in range(3))
    # On a ring all of them live together.
    m = f"{{m{dice.randrange(2)}}}"
    pipe = client.pipeline(transaction=dice.random() < 0.3)
    chance = dice.randrange(8)
    if chance == 0:
        pipe.set(f"{m}:r{a}", a).rename(f"{m}:r{a}", f"{m}:r{b}").copy(f"{m}:r{b}", f"{m}:c{c}", replace=True)
    elif chance == 1:
        pipe.sadd(f"{m}:s{a}", dice.randrange(20)).sunionstore(f"{m}:s{c}", f"{m}:s{a}", f"{m}:s{b}").smove(
            f"{m}:s{a}", f"{m}:s{b}", 1
        )
    elif chance == 2:
        pipe.rpush(f"{m}:l{a}", b).lmove(f"{m}:l{a}", f"{m}:l{b}").ltrim(f"{m}:l{b}", 0, 20)
    elif chance == 3:
        pipe.set(f"{m}:x{a}", b).move(f"{m}:x{a}", 9).delete(f"{m}:x{b}")
    elif chance == 4:
        pipe.set(f"{m}:n{a}", f"{m}:u{b}").eval(INDIRECT_SCRIPT, 1, f"{m}:n{c}", a)
        pipe.sort(f"{m}:l{a}", get=f"{m}:r*", store=f"{m}:o{b}")
    else:
        pipe.hincrby(f"{m}:h{a}", "f", 1).pexpire(f"{m}:h{a}", dice.randrange(1, 30))
        pipe.sadd(f"{m}:e{b}", c).pexpire(f"{m}:e{b}", dice.randrange(1, 30)).set(
            f"{m}:k{c}", a, px=dice.randrange(1, 30)
        )
        pipe.append(f"{m}:k{c}", "x").zadd(f"{m}:z{a}", {"m": b}).pexpire(f"{m}:z{a}", dice.randrange(1, 30))
    try:
        pipe.execute(raise_on_error=False)
    except redis.RedisError:
        # Whatever came of it came of it on all copies.
        return
