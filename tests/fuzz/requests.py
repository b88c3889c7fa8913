"""Random requests: mostly right, over few keys, so that they meet; and random bytes that are mostly wrong.

A template is a request with capital letters where something is chosen: K a key, V a value, M a member or
field, I an integer, F a float, A a moment far ahead. What chance or the clock decides inside a server has
no template, for two servers would part.
"""

import random
from typing import Final

from kidoproxy.commands.find import find
from kidoproxy.commands.spec import ALL_NODES, SPLIT_BY_NODE
from kidoproxy.resp.encode import encode_request
from tests.live.asking import lines

TEMPLATES: Final = lines(
    """
set K V
set K V nx
set K V xx get
set K V pxat A
set K I
get K
getset K V
getdel K
getex K persist
getex K pxat A
setnx K V
append K V
strlen K
getrange K I I
setrange K 7 V
incr K
decrby K I
incrbyfloat K F
setbit K 13 1
getbit K I
bitcount K
bitpos K 1
bitop or K K K
bitfield K incrby u5 3 I get i8 0
lcs K K
mget K K K K
mset K V K V K V
msetnx K V K V
del K K K
unlink K K
exists K K K
touch K K
type K
expireat K 4102444800
pexpireat K A
persist K
expiretime K
pexpiretime K
ttl K
rename K K
renamenx K K
copy K K
copy K K replace
copy K K db 1
move K 2
lpush K V V
rpush K V V I
lpop K
rpop K 2
llen K
lindex K I
lrange K 0 -1
lset K I V
lrem K I V
linsert K before V V
ltrim K 0 5
lpos K V count 0
lmove K K left right
rpoplpush K K
lmpop 2 K K left count 2
sort K alpha
sort K limit 0 3 desc
sort K alpha store K
hset K M V M V
hsetnx K M V
hget K M
hmget K M M
hgetall K
hkeys K
hvals K
hdel K M
hlen K
hexists K M
hincrby K M I
hincrbyfloat K M F
hstrlen K M
sadd K M M I
srem K M
scard K
smembers K
sismember K M
smismember K M M
smove K K M
spop K 100
sinter K K
sunion K K K
sdiff K K
sintercard 2 K K
sinterstore K K K
sunionstore K K K
sdiffstore K K K
zadd K I M F M
zadd K gt ch I M
zadd K incr I M
zincrby K F M
zscore K M
zmscore K M M
zrank K M
zcard K
zcount K -inf I
zrange K 0 -1 withscores
zrange K I +inf byscore limit 0 2
zrangebylex K - +
zrem K M
zpopmin K
zpopmax K 2
zremrangebyrank K 0 1
zunion 2 K K withscores
zinter 2 K K
zdiff 2 K K
zunionstore K 2 K K
zinterstore K 2 K K weights 2 I
zrangestore K K 0 -1
zmpop 2 K K min
geoadd K 13.36 38.11 M
geopos K M
geosearch K frommember M byradius 500 km asc
pfadd K M M
pfcount K
pfcount K K
pfmerge K K
xadd K I-1 M V
xlen K
xrange K - +
xrevrange K + - count 2
xdel K I-1
xtrim K maxlen 2
xgroup create K g 0 mkstream
xinfo groups K
xread count 2 streams K K 0 0
eval "return {KEYS[1], redis.call('incr', KEYS[1])}" 1 K
eval "return redis.call('exists', KEYS[1], KEYS[2])" 2 K K
eval "return redis.call('nothing', KEYS[1])" 1 K
eval_ro "return redis.call('type', KEYS[1])" 1 K
evalsha 1111111111111111111111111111111111111111 1 K
script load "return 9"
script exists 7fb4c25e6f2c1dd3a8d0ebbd9ad8ea0de1d7e14d
dbsize
keys *
keys *1*
randomkey
ping V
echo V
nosuch K V
get
get K K
mset K V K
set K
config nosuch
object nosuch K
hset K M
zadd K V M
client getname
client setname M
command count x
"""
)
#: Now and then.
RARE: Final = lines(
    """
multi
exec
discard
select 0
select 1
select 2
select 99
hello 2
hello 3
reset
flushdb
flushall
"""
)

#: What begins or ends a transaction.
STEPS: Final = (b"multi", b"exec", b"discard", b"reset")

#: Keys that all commands share, and what keys are called that only commands of one kind use; half of them meet.
KEYS: Final = [b"k%d" % number for number in range(4)] + [b"{t}%d" % number for number in range(2)]
ODD_KEYS: Final = [b"", b"\x00\r\n\xff", b"{}", b"{t", b"{t}{k1}", b"k" * 300]
VALUES: Final = [b"v", b"", b"10", b"-3", b"1.5", b"\x00\xff\r\n", b"x" * 2000, b"$-1\r\n", b"*3\r\n"]
MEMBERS: Final = [b"a", b"b", b"c", b"7", b"1.5"]
INTEGERS: Final = [b"0", b"1", b"2", b"3", b"-1", b"5", b"100"]
FLOATS: Final = [b"0.5", b"-2.25", b"3", b"1e3", b"x"]
MOMENT: Final = b"4102444800000"


def keys_of(template: list[bytes], chance: random.Random) -> list[bytes]:
    """Mostly keys of the command's own kind, on one node or on several; else those that all kinds share."""
    spec = find(template)
    mood = chance.random()
    if spec is None or mood < 0.2:
        return KEYS
    group = spec.group[:3].encode()
    return [b"{t}%b%d" % (group, at) if mood < 0.7 else b"%b%d" % (group, at) for at in range(3)]


def filled(template: list[bytes], chance: random.Random) -> list[bytes]:
    """The request that a template becomes."""
    keys = keys_of(template, chance)
    return [word_of(word, keys, chance) for word in template]


def word_of(word: bytes, keys: list[bytes], chance: random.Random) -> bytes:
    """What stands for a capital letter."""
    if word == b"K":
        return chance.choice(ODD_KEYS if chance.random() < 0.02 else keys)
    if word == b"V":
        return chance.choice(VALUES)
    if word == b"M":
        return chance.choice(MEMBERS)
    if word == b"F":
        return chance.choice(FLOATS)
    if word == b"A":
        return MOMENT
    return chance.choice(INTEGERS) + word[1:] if word in (b"I", b"I-1") else word


def one(chance: random.Random) -> list[bytes]:
    """A request; now and then in capitals, with a word too few or too many."""
    request = filled(chance.choice(RARE if chance.random() < 0.05 else TEMPLATES), chance)
    # SPOP without its count would pop by chance.
    mood = 0.0 if request[0] in (*STEPS, b"spop") else chance.random()
    if mood < 0.1:
        request[0] = request[0].upper()
    elif mood < 0.12:
        request.append(b"x")
    elif mood < 0.14 and len(request) > 1:
        request.pop()
    return request


def transaction(chance: random.Random) -> list[list[bytes]]:
    """A few requests between MULTI and EXEC that can be queued; what becomes of each shows in EXEC."""
    chosen = [template for template in chance.choices(TEMPLATES, k=9) if may_be_queued(template)]
    return [[b"MULTI"], *[filled(template, chance) for template in chosen], [b"EXEC"]]


def may_be_queued(template: list[bytes]) -> bool:
    """Whether it is well formed, and has one key or may be split."""
    spec = find(template)
    if spec is None or not spec.accepts(len(template)):
        return False
    return spec.reach in (SPLIT_BY_NODE, ALL_NODES) or template.count(b"K") == 1


def batch(chance: random.Random, count: int) -> list[list[bytes]]:
    """Requests for one connection. No MULTI stands inside another: servers do not agree on what that means."""
    made: list[list[bytes]] = []
    inside = False
    while len(made) < count:
        if not inside and chance.random() < 0.03:
            made += transaction(chance)
        request = one(chance)
        step = request[0].lower()
        if step == b"multi" and inside:
            continue
        inside = step == b"multi" or (inside and step not in STEPS)
        made.append(request)
    return made


NOISE: Final = [b"*", b"$", b"\r\n", b"\r", b"\n", b":", b"-1", b"0", b"1", b"9999999999999", b'"', b"'", b"\x00", b" "]


def noise(chance: random.Random) -> bytes:
    """Bytes: valid requests of which some are cut, doubled, or overwritten; or nothing but noise."""
    if chance.random() < 0.3:
        return b"".join(chance.choice(NOISE) for _ in range(chance.randrange(1, 60)))
    if chance.random() < 0.1:
        return chance.randbytes(chance.randrange(1, 2000))
    data = bytearray(b"".join([encode_request(one(chance)) for _ in range(chance.randrange(1, 6))]))
    for _ in range(chance.randrange(0, 4)):
        at = chance.randrange(len(data))
        piece = chance.choice(NOISE)
        if chance.random() < 0.5:
            data[at : at + len(piece)] = piece
        else:
            data[at:at] = piece
    if chance.random() < 0.3:
        del data[chance.randrange(len(data)) :]
    return bytes(data)


def pieces(data: bytes, chance: random.Random) -> list[bytes]:
    """The same bytes in pieces of any size."""
    found = []
    while data:
        size = chance.choice((1, 7, 100, 1 << 14, 1 << 20))
        found.append(data[:size])
        data = data[size:]
    return found
