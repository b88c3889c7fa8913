"""Requests about keys beyond the generated ones. Every served command and subcommand begins at least one line."""

from typing import Final

#: One a line.
KEYED: Final = """
append str more
append new more
bitcount str
bitcount str 0 1
bitcount str 0 9 bit
bitcount str 0
bitfield bits get u8 0 set u8 0 255 incrby u2 100 1
bitfield bits overflow fail incrby u2 0 3
bitfield bits get q8 0
bitfield_ro bits get u8 0
bitfield_ro bits set u8 0 1
bitop and dest str num
bitop not dest str
bitop not dest str num
bitop nor2 dest str
blmove list new left right 0
blmpop 0 1 list right count 2
blpop none numbers 0
blpop none 0.01
brpop numbers 0.5
brpoplpush list new 0.01
bzmpop 0 1 zset2 max
bzpopmax zset2 0.01
bzpopmin zone 0
bitpos bits 1
bitpos bits 1 0 0 bit
bitpos bits 2
copy str dest
copy str dest
copy str dest replace
copy str str
copy str dest db 3
decr num
decr str
decrby num 3
decrby num x
delifeq str value
delifeq num nothing
dump str
dump none
eval "return {KEYS[1], ARGV[1], 1, 'x', false, {ok='fine'}, 3.7}" 1 str arg
eval "return redis.call('get', KEYS[1])" 1 str
eval "return redis.call('lpush', KEYS[1], 1)" 1 str
eval "return redis.error_reply('MYERR no')" 1 str
eval "return {err='x'}" 1 str
eval "nonsense(" 1 str
eval "return nothing.at.all" 1 str
eval "return 1" 2 str
eval "return 1" -1 str
eval "return 1" x str
eval "return 1" 0
eval "redis.setresp(3); return {map={a=1}, double=1.5}" 1 str
eval_ro "return redis.call('get', KEYS[1])" 1 str
eval_ro "return redis.call('set', KEYS[1], 1)" 1 str
evalsha 1111111111111111111111111111111111111111 1 str
script load "return 1"
evalsha e0e1f9fabfc9d4800c877a703b823ac0578ff8db 1 str
evalsha short 1 str
evalsha_ro 1111111111111111111111111111111111111111 1 str
expire str 1000
expire str 1000 nx
expire str 2000 xx gt
expire str 1000 nx xx
expire none 1000
expire str x
expire str 9223372036854775807
expireat str 4102444800
expireat str 1
expiretime volatile
expiretime str
fcall f 1 str
fcall f 0
fcall nothing 1 str
fcall_ro f 1 str
fcall_ro r 1 str x
geoadd geo 1 2 m
geoadd geo nx ch 13.36 38.11 Palermo
geoadd geo 200 2 m
geodist geo Palermo Catania km
geodist geo Palermo nowhere
geodist geo Palermo Catania leagues
geohash geo Palermo Catania nowhere
geopos geo Palermo nowhere
georadius geo 15 37 200 km withdist withcoord withhash asc
georadius geo 15 37 200 km count 1 store dest
georadius_ro geo 15 37 200 km asc
georadiusbymember geo Palermo 200 km desc
georadiusbymember geo nowhere 200 km
georadiusbymember_ro geo Palermo 200 km asc count 1
geosearch geo fromlonlat 15 37 bybox 400 400 km asc withdist
geosearch geo frommember Palermo byradius 1 km
geosearchstore dest geo fromlonlat 15 37 byradius 200 km asc
get str
get none
GET str
gEt str
getbit bits 7
getbit bits -1
getdel str
getdel str
getex volatile
getex volatile persist
getex str pxat 4102444800000
getex str nonsense
getrange str 1 -2
getrange str a b
getset str new
getset none new
hdel hash f none
hexists hash f
hexpire hash 1000 fields 1 f
hexpire hash 1000 fields 2 f
hexpireat hash 4102444800 fields 2 f none
hexpiretime hash fields 2 f g
hget hash f
hget hash none
hgetall hash
hgetall none
hgetdel hash fields 1 h
hgetex hash fields 2 f none
hincrby hash g 5
hincrby hash f 5
hincrbyfloat hash h 0.1
hkeys hash
hlen hash
hmget hash f none g
hmset hash x 1 y 2
hmset hash x 1 y
hpersist hash fields 1 f
hpexpire hash 1000000 fields 1 g
hpexpireat hash 4102444800000 fields 1 g
hpexpiretime hash fields 1 g
hpttl hash fields 1 none
hrandfield field
hrandfield field 1 withvalues
hrandfield field -3
hrandfield none
hscan hash 0
hscan hash 0 match f* count 5
hscan hash x
hset hash x 1 y 2
hset hash x
hsetex hash fields 1 q 1
hsetnx hash q 2
hstrlen hash f
httl hash fields 1 none
hvals hash
incr num
incr str
incr none
incrby num 5
incrby num 9223372036854775807
incrbyfloat float 0.1
incrbyfloat float nan
lcs str num
lcs str num len
lcs str num idx withmatchlen
lindex list 0
lindex list 99
linsert list before b x
linsert list beside b x
llen list
lmove list dest left right
lmove list dest up down
lmpop 2 none list left count 2
lmpop 0 list left
lpop list
lpop list 2
lpop none 2
lpop none
lpos list b rank -1
lpos list b count 0
lpos list nothing
lpush list x y
lpushx none x
lrange list 0 -1
lrange list 0 x
lrem list 0 b
lset list 0 x
lset list 99 x
lset none 0 x
ltrim list 0 1
memory usage str
memory usage none
memory usage str samples 0
move str 3
move str 0
msetex 2 a 1 b 2 px 100000
msetnx n1 1 n2 2
msetnx n1 1 n3 2
msetnx n1 1 n3
object encoding str
object encoding list
object encoding none
object freq str
object idletime str
object idletime none
object refcount list
persist volatile
pexpire str 100000
pexpireat str 4102444800000
pexpiretime volatile
pfadd hll d
pfcount hll
pfcount hll none
pfcount str
pfmerge hlldest hll
psetex str 100000 v
psetex str 0 v
pttl volatile
pttl str
pttl none
rename str renamed
rename none renamed
renamenx list renamed
renamenx list fresh
restore restored 0 nonsense
rpop list
rpoplpush list list
rpush list x
rpushx list x
sadd set x y a
scard set
sdiff ints none
sdiff set set2
sdiffstore dest set set2
set str v
set str v nx
set str v xx get
set str v ex 1000 keepttl
set str v ex -1
set str v nonsense
set k v pxat 4102444800000
set list v get
setbit bits 3 1
setbit bits 3 2
setex str 1000 v
setex str 0 v
setnx str v
setnx none v
setrange str 2 xx
setrange str -1 xx
sinter ints ints
sinter set set2
sintercard 2 set set2
sintercard 2 set set2 limit 1
sinterstore dest set set2
sismember set a
smembers ints
smembers set
smembers none
smismember set a z
smove set other a
sort numbers
sort numbers desc limit 0 2
sort list alpha
sort list
sort numbers store dest
sort numbers by nosort get #
sort_ro numbers desc
sort_ro numbers store dest
spop one
spop one
spop other 5
spop none 2
srandmember one
srandmember one -2
srandmember none
srem set a z
sscan ints 0
sscan ints 0 match 1*
strlen str
substr str 0 1
sunion ints ints
sunion set set2
sunionstore dest set set2
ttl volatile
ttl str
ttl none
type str
type zset
type none
xack stream group 1-1
xadd stream 3-1 f v
xadd stream 1-1 f v
xadd stream nomkstream 3-2 f v
xadd stream maxlen = 2 4-1 f v
xadd none nomkstream 3-2 f v
xadd clocked * f v
xreadgroup group group consumer count 1 streams stream >
xautoclaim stream group consumer 0 0 justid
xclaim stream group consumer 0 1-1 justid
xclaim stream group consumer 0 99-1
xdel stream 1-1
xgroup create stream group2 $
xgroup create stream group2 $
xgroup create none group2 $
xgroup createconsumer stream group someone
xgroup delconsumer stream group someone
xgroup setid stream group 0
xgroup destroy stream group2
xinfo consumers stream group
xinfo groups stream
xinfo stream stream
xinfo stream stream full
xinfo stream none
xlen stream
xpending stream group
xpending stream group - + 10
xpending stream nogroup
xrange stream - +
xrange stream - + count 1
xread count 1 streams stream 0
xread streams stream none 0 0
xread streams stream $
xread streams stream
xreadgroup group nogroup consumer streams stream >
xrevrange stream + -
xsetid stream 9-1
xtrim stream maxlen 1
zadd zset 4 d
zadd zset gt ch 5 d
zadd zset incr 1 d
zadd zset nx xx 1 d
zadd zset nan d
zcard zset
zcount zset -inf +inf
zcount zset (1 x
zdiff 2 zset zset2
zdiff 2 zset zset2 withscores
zdiffstore dest 2 zset zset2
zincrby zset 1.5 a
zinter 2 zset zset2 withscores
zinter 0 zset
zintercard 2 zset zset2
zinterstore dest 2 zset zset2 weights 1 2 aggregate max
zlexcount lex - +
zlexcount lex a b
zmpop 1 zset min
zmpop 1 none max
zmscore zset a none
zpopmax zset
zpopmax zset 2
zpopmin zset
zrandmember zone
zrandmember zone -2 withscores
zrandmember none
zrange zset 0 -1
zrange zset 0 -1 withscores
zrange zset 1 3 byscore limit 0 1
zrange lex [a [b bylex rev
zrangebylex lex - [b
zrangebyscore zset 1 3 withscores
zrangebyscore zset (1 3 limit 0 1
zrangestore dest zset 0 -1
zrank zset b
zrank zset none
zrank zset b withscore
zrem zset a
zremrangebylex lex [a [a
zremrangebyrank zset 0 0
zremrangebyscore zset 4 5
zrevrange zset 0 -1 withscores
zrevrangebylex lex + -
zrevrangebyscore zset +inf -inf
zrevrank zset b
zscan zset 0
zscore zset b
zscore zset none
zunion 2 zset zset2 withscores
zunionstore dest 2 zset zset2
"""
