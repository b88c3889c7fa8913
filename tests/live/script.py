"""What every served command is asked in the live tests, one request a line, and what may differ between two servers."""

from typing import Final

from tests.live.asking import Normaliser, first_type, in_any_order, pairs_in_any_order, shape

#: What every script finds. Keys are named after their types.
SETUP: Final = """
set str value
set num 10
set float 1.5
set empty ""
rpush list a b c b
rpush numbers 3 1 2
hset hash f v g 10 h 1.5
sadd set a b c
sadd set2 b c d
sadd ints 1 2 3
sadd one a
sadd other b
hset field f v
zadd zset 1 a 2 b 3 c
zadd zset2 2 b 3 c 4 d
zadd zone 1 a
zadd lex 0 a 0 b 0 c
xadd stream 1-1 f v
xadd stream 2-1 g w
xgroup create stream group 0
geoadd geo 13.36 38.11 Palermo 15.08 37.50 Catania
pfadd hll a b c
setbit bits 7 1
set volatile x pxat 4102444800000
"""

#: One key of each type, and one that is not there.
TYPED: Final = ("str", "num", "list", "hash", "set", "ints", "zset", "stream", "none")

LIBRARY: Final = r"""
"#!lua name=lib\nredis.register_function('f', function(keys, args) return keys[1] end)
redis.register_function{function_name='r', callback=function(keys, args) return args end, flags={'no-writes'}}"
""".strip().replace("\n", r"\n")

#: What is split, merged, or asked of any node.
WHOLE: Final = f"""
wait 0 0
wait 1 5
waitaof 0 0 0
waitaof 1 0 5
mget str none num list
mset a 1 b 2 a 3
mset a 1 b
del a b none a
unlink str none
exists num num none
touch num none
dbsize
keys *
keys n?m
keys [
keys
select 7
randomkey
set only 1
randomkey
keys *
select 0
scan 0 count 1000
scan 0 match n* type string count 1000
scan x
scan 0 count 0
scan 0 nonsense 1
script load "return 1"
script exists e0e1f9fabfc9d4800c877a703b823ac0578ff8db 1111111111111111111111111111111111111111
evalsha e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
evalsha e0e1f9fabfc9d4800c877a703b823ac0578ff8db 1 num
script load "nonsense("
script show e0e1f9fabfc9d4800c877a703b823ac0578ff8db
script show 1111111111111111111111111111111111111111
script kill
script flush
script flush sync
script flush nonsense
script exists e0e1f9fabfc9d4800c877a703b823ac0578ff8db
script help
function load {LIBRARY}
function load {LIBRARY}
function load replace {LIBRARY}
function load nonsense
function list
function list withcode libraryname li*
function dump
fcall f 1 num
fcall_ro r 1 num x
function stats
function kill
function restore nonsense
function delete lib
function delete lib
function flush
function list
function help
config get maxmemory
config get maxmemory save
config get nothing-at-all
config help
info
info server
info keyspace
info everything
info nonsense
slowlog len
slowlog get
slowlog get 1
slowlog get x
slowlog reset
slowlog help
commandlog len slow
commandlog get 1 slow
commandlog reset slow
commandlog len nonsense
commandlog help
memory purge
memory help
module help
module list
object help
pubsub help
pubsub channels
pubsub channels a*
pubsub numsub
pubsub numsub a b a
pubsub numpat
pubsub shardchannels
pubsub shardnumsub
pubsub shardnumsub a b
publish channel message
spublish channel message
latency help
xgroup help
xinfo help
lolwut
lolwut version 5 1
flushdb
dbsize
flushdb async
flushall sync
flushall nonsense
"""

_RANDOM: Final = "chance decides which member it is"
_SETS: Final = "the order of a set's members is each server's own"

#: What may differ, and why. Everything else is equal to the byte.
DIFFER: Final[dict[str, tuple[Normaliser, str]]] = {
    "hrandfield": (shape, _RANDOM),
    "info": (first_type, "the proxy adds sections, and speaks of itself"),
    "keys": (in_any_order, _SETS),
    "lolwut": (first_type, "art"),
    "memory|usage": (first_type, "what the allocator gave to a key that was written at another time"),
    "object|idletime": (first_type, "a second may have passed"),
    "object|freq": (first_type, "a clock and chance"),
    "randomkey": (first_type, _RANDOM),
    "scan": (in_any_order, _SETS),
    "sdiff": (in_any_order, _SETS),
    "sinter": (in_any_order, _SETS),
    "smembers": (in_any_order, _SETS),
    "sort": (in_any_order, "with BY nosort a set is not sorted"),
    "sort_ro": (in_any_order, "with BY nosort a set is not sorted"),
    "spop": (shape, _RANDOM),
    "srandmember": (shape, _RANDOM),
    "sscan": (first_type, "what a cursor in the middle finds depends on a seed that each server draws"),
    "sunion": (in_any_order, _SETS),
    "dump": (first_type, "access times and the order of sets are part of it"),
    "slowlog|get": (first_type, "how slow a command was"),
    "slowlog|len": (first_type, "how slow a command was"),
    "commandlog|get": (first_type, "how slow a command was"),
    "commandlog|len": (first_type, "how slow a command was"),
    "xadd": (shape, "with * the clock makes the id"),
    "xautoclaim": (shape, "delivery times"),
    "xclaim": (shape, "delivery times"),
    "xpending": (shape, "delivery times"),
    "xinfo|consumers": (shape, "idle times"),
    "xinfo|stream": (shape, "idle times"),
    "zrandmember": (shape, _RANDOM),
    "ttl": (first_type, "a second may have passed"),
    "pttl": (first_type, "a millisecond may have passed"),
    "httl": (first_type, "a second may have passed"),
    "hpttl": (first_type, "a millisecond may have passed"),
    "function|list": (in_any_order, "the order of functions is each server's own"),
    "hgetall": (pairs_in_any_order, "a large hash has no order"),
    "hscan": (in_any_order, "a large collection has no order"),
    "zscan": (in_any_order, "a large collection has no order"),
    "config|get": (pairs_in_any_order, "settings stand in a hash table whose seed each server draws"),
}
