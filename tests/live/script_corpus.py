"""Scripts that depend on time, order or place, in the manner of those of libraries; and what each of them finds."""

from typing import Final

#: What every script finds.
FOUND: Final = (
    ("SET", "s", "token"),
    ("SADD", "set", "b", "a", "\u00e9", "B", "-", "10", "9", ""),
    ("SADD", "other", "a", "B", "zz"),
    ("HSET", "hash", "b", "1", "a", "2", "B", "3", "z z", "4"),
    ("ZADD", "zset", "1", "a", "2", "b"),
    ("RPUSH", "list", "x", "y"),
    ("XADD", "stream", "5-1", "f", "v"),
    ("SET", "lock", "token", "PX", "600000"),
    ("EXPIREAT", "hash", "4000000000"),
)
#: Each with its keys and arguments; the replies are those of one server.
SAME: Final[tuple[tuple[str, str, str], ...]] = (
    ("return redis.call('set', KEYS[1], 'v', 'EX', ARGV[1], 'NX')", "new", "100"),
    ("return redis.call('SET', KEYS[1], 'v', 'px', ARGV[1], 'GET')", "s", "100000"),
    ("return redis.call('set', KEYS[1], 'v', unpack(ARGV))", "s", "EX 100"),
    ("return redis.call('set', KEYS[1], 'v', unpack(ARGV))", "s", "KEEPTTL EX 100"),
    ("return redis.call('set', KEYS[1], 'v', unpack(ARGV))", "s", "EX 10 PX 10"),
    ("return redis.call('set', KEYS[1], 'v', unpack(ARGV))", "s", "EX"),
    ("return redis.call('set', KEYS[1], 'v', unpack(ARGV))", "s", "EX 0"),
    ("return redis.call('setex', KEYS[1], ARGV[1], 'v')", "s", "100"),
    ("return redis.call('setex', KEYS[1], ARGV[1], 'v')", "s", "-1"),
    ("return redis.call('psetex', KEYS[1], 100000.0, 'v')", "s", ""),
    ("return redis.call('setex', KEYS[1], 'x')", "s", ""),
    ("return redis.call('expire', KEYS[1], ARGV[1])", "s", "100"),
    ("return redis.call('expire', KEYS[1], ARGV[1], 'GT')", "hash", "100"),
    ("return redis.call('expire', KEYS[1], ARGV[1], 'WHAT')", "hash", "100"),
    ("return redis.call('expire', KEYS[1], ARGV[1])", "s", "-1"),
    ("return redis.call('expire', KEYS[1], ARGV[1])", "s", "9223372036854775807"),
    ("return redis.call('pexpire', KEYS[1], ARGV[1])", "s", "9007199254740993"),
    ("return redis.call('pexpire', KEYS[1], ARGV[1])", "s", "1.5"),
    ("return redis.call('expire', KEYS[1], 1e3)", "s", ""),
    ("return redis.call('getex', KEYS[1], 'EX', 100)", "s", ""),
    ("return redis.call('getex', KEYS[1], 'PERSIST')", "lock", ""),
    ("redis.call('incr', KEYS[1]) return redis.call('ttl', KEYS[2])", "n s", ""),
    ("redis.call('incr', KEYS[1]) return redis.call('pttl', KEYS[2])", "n none", ""),
    ("redis.call('incr', KEYS[1]) return redis.call('ttl', KEYS[2])", "n lock", ""),
    ("redis.call('incr', KEYS[1]) return #redis.call('time')", "n", ""),
    ("redis.call('incr', KEYS[1]) return redis.call('time', 'x')", "n", ""),
    ("redis.call('rpush', KEYS[1], unpack(redis.call('smembers', KEYS[2]))) return 1", "l set", ""),
    ("redis.call('rpush', KEYS[1], unpack(redis.call('sunion', KEYS[2], KEYS[3]))) return 1", "l set other", ""),
    ("redis.call('rpush', KEYS[1], unpack(redis.call('sinter', KEYS[2], KEYS[3]))) return 1", "l set other", ""),
    ("redis.call('rpush', KEYS[1], unpack(redis.call('sdiff', KEYS[2], KEYS[3]))) return 1", "l set other", ""),
    ("redis.call('rpush', KEYS[1], unpack(redis.call('hkeys', KEYS[2]))) return 1", "l hash", ""),
    ("redis.call('rpush', KEYS[1], unpack(redis.call('hvals', KEYS[2]))) return 1", "l hash", ""),
    ("redis.call('rpush', KEYS[1], unpack(redis.call('hgetall', KEYS[2]))) return 1", "l hash", ""),
    ("redis.call('del', KEYS[1]) return redis.call('smembers', KEYS[2])", "l s", ""),
    ("for _, k in ipairs(redis.call('keys', '*')) do redis.call('rpush', KEYS[1], k) end return 1", "l", ""),
    (
        "local cursor, found = '0', {} repeat local r = redis.call('scan', cursor, 'COUNT', 2) cursor = r[1] "
        "for _, k in ipairs(r[2]) do table.insert(found, k) end until cursor == '0' "
        "redis.call('rpush', KEYS[1], unpack(found)) return 1",
        "l",
        "",
    ),
    ("redis.call('rpush', KEYS[1], unpack(redis.call('sscan', KEYS[2], 0)[2])) return 1", "l set", ""),
    ("redis.call('rpush', KEYS[1], unpack(redis.call('hscan', KEYS[2], 0, 'MATCH', '*')[2])) return 1", "l hash", ""),
    ("redis.call('rpush', KEYS[1], unpack(redis.call('zscan', KEYS[2], '0')[2])) return 1", "l zset", ""),
    ("redis.call('del', KEYS[1]) return redis.call('hscan', KEYS[2], 'x')", "l hash", ""),
    ("redis.call('del', KEYS[1]) return redis.call('hscan', KEYS[2], 0, 'COUNT')", "l hash", ""),
    ("redis.call('xadd', KEYS[1], '*', 'a', 1) return redis.call('xlen', KEYS[1])", "stream", ""),
    ("return redis.call('xadd', KEYS[1], 'NOMKSTREAM', '*', 'a', 1)", "none", ""),
    ("return redis.call('xadd', KEYS[1], '*', 'a')", "stream", ""),
    ("return redis.call('xadd', KEYS[1], '*', 'a', 1)", "s", ""),
    ("return redis.call('xadd', KEYS[1], '6-1', 'a', 1)", "stream", ""),
    ("return redis.call('xadd', KEYS[1], '1-1', 'a', 1)", "stream", ""),
    (
        "for i = 1, 300 do redis.call('xadd', KEYS[1], 'MAXLEN', '~', 1000, 'LIMIT', 5, '*', 'a', i) end "
        "return redis.call('xlen', KEYS[1])",
        "stream",
        "",
    ),
    ("return redis.call('xtrim', KEYS[1], 'MAXLEN', '=', 0)", "stream", ""),
    ("return redis.call('xtrim', KEYS[1], 'MAXLEN', '~')", "stream", ""),
    ("redis.call('set', KEYS[1], 1) redis.call('publish', 'c', 'm') return 1", "s", ""),
    ("return redis.call('publish', 'c')", "s", ""),
    # Tables, whose order Lua leaves open.
    (
        "local t = {z = 1, a = 2, B = 3, [7] = 4, [2.5] = 5, [true] = 6, [false] = 7, ['\\255'] = 8} "
        "for k, v in pairs(t) do redis.call('rpush', KEYS[1], v) end return 1",
        "l",
        "",
    ),
    ("local t = {a = 1, b = 2, c = 3} for k in pairs(t) do t[k] = nil redis.call('incr', KEYS[1]) end", "n", ""),
    ("for k, v in next, {x = 1, y = 2, 5} do redis.call('rpush', KEYS[1], v) end return next({})", "l", ""),
    ("redis.call('set', KEYS[1], 1) return next({}) == nil and next({a = 7})", "s", ""),
    ("redis.call('set', KEYS[1], 1)\nfor _ in pairs(nil) do end", "s", ""),
    ("redis.call('set', KEYS[1], 1)\nlocal x = next() return x", "s", ""),
    (
        "local t = cjson.decode(cjson.encode({a = {1, 2, {}}, [3] = 'x'})) return redis.call('set', KEYS[1], #t.a)",
        "s",
        "",
    ),
    ("redis.call('set', KEYS[1], cjson.encode({a = {true, 1e15, 0.1, 'q\\n', cjson.null}})) return 1", "s", ""),
    ("redis.call('set', KEYS[1], cjson.encode({[ARGV[1]] = {1, nil, 3}})) return 1", "s", "x"),
    ("redis.call('set', KEYS[1], 1)\nlocal x = cjson.encode({[{}] = 1}) return x", "s", ""),
    ("redis.call('set', KEYS[1], 1)\nlocal x = cjson.encode({a = {[11] = 1}}) return x", "s", ""),
    ("redis.call('set', KEYS[1], 1)\nlocal t = {} t.t = t local x = cjson.encode(t) return x", "s", ""),
    ("redis.call('set', KEYS[1], 1)\nlocal x = cjson.encode({a = 1}, 2) return x", "s", ""),
    ("redis.call('set', KEYS[1], 1)\nlocal x = cjson.encode({a = tonumber}) return x", "s", ""),
    ("redis.call('set', KEYS[1], cmsgpack.pack({a = {1, 2, {}, {1, nil, 3}}}, 5, 'x')) return 1", "s", ""),
    ("redis.call('set', KEYS[1], 1)\nlocal t = {} t.t = t return #cmsgpack.pack(t)", "s", ""),
    (
        "local t, u = {}, {x = 1} for i = 1, 66000 do t[i] = 1 end for i = 1, 300 do u['k' .. i] = i end "
        "redis.call('set', KEYS[1], #cmsgpack.pack(t) .. ':' .. #cmsgpack.pack(u)) return 1",
        "s",
        "",
    ),
    ("redis.call('set', KEYS[1], 1)\nreturn #cmsgpack.pack({a = 1}) + #cmsgpack.unpack(cmsgpack.pack({1}))", "s", ""),
    ("redis.call('incrby', KEYS[1], math.random(1, 1)) return 1", "n", ""),
    ("local ok, e = pcall(cjson.encode, {a = tonumber}) redis.call('set', KEYS[1], e) return ok", "s", ""),
    ("local ok, e = pcall(pairs, 5) redis.call('set', KEYS[1], 1) return ok", "s", ""),
    # An error, its line, and what catches it.
    ("redis.call('expire', KEYS[1], 9)\n\nreturn redis.call('lpush', KEYS[1], 1)", "s", ""),
    ("redis.call('expire', KEYS[1], 9)\nlocal x\nreturn x.y", "s", ""),
    ("redis.call('expire', KEYS[1], 9)\nerror('no')", "s", ""),
    ("redis.call('expire', KEYS[1], 9)\nreturn redis.pcall('lpush', KEYS[1], 1)", "s", ""),
    ("redis.call('expire', KEYS[1], 9)\nlocal ok, e = pcall(redis.call, 'lpush', KEYS[1], 1) return e", "s", ""),
    ("redis.call('expire', KEYS[1], 9) return {#KEYS, #ARGV, ARGV[3]}", "s", "a b c"),
    ("#!lua flags=no-writes\nreturn redis.call('expire', KEYS[1], 9)", "s", ""),
    ("#!lua\nredis.call('expire', KEYS[1], 9)\nreturn redis.call('lpush', KEYS[1], 1)", "s", ""),
    # Options twice, in any order, and such as the server refuses.
    ("return redis.call('set', KEYS[1], 1, 'EX', 100, 'ex', 200)", "s", ""),
    ("return redis.call('set', KEYS[1], 1, 'EX', 'x', 'EX', 100, 'GET')", "s", ""),
    ("return redis.call('set', KEYS[1], 1, 'EX', 100, 'EX', 'x')", "s", ""),
    ("return redis.call('set', KEYS[1], 1, 'EX', 100, 'EX')", "s", ""),
    ("return redis.call('set', KEYS[1], 1, 'EX', 100, 'EX', 200, 'KEEPTTL')", "s", ""),
    ("return redis.call('getex', KEYS[1], 'PX', 100000, 'PX', 200000)", "s", ""),
    ("return #redis.call('xadd', KEYS[1], 'LIMIT', 5, 'MAXLEN', '~', 9, 'NOMKSTREAM', '*', 'a', 1)", "stream", ""),
    ("return #redis.call('xadd', KEYS[1], 'MAXLEN', '~', 9, 'NOMKSTREAM', 'LIMIT', 5, '*', 'a', 1)", "stream", ""),
    (
        "return redis.call('xadd', KEYS[1], 'MAXLEN', 3, 'MAXLEN', '~', 9, 'LIMIT', 5, 'LIMIT', 6, '9-1', 'a', 1)",
        "stream",
        "",
    ),
    ("return redis.call('xadd', KEYS[1], 'MAXLEN', '~', 5, 'MAXLEN', 3, 'LIMIT', 5, '*', 'a', 1)", "stream", ""),
    ("return redis.call('xadd', KEYS[1], 'MAXLEN', '~', 1, 'LIMIT', 'x', '*', 'a', 1)", "stream", ""),
    (
        "return redis.call('xadd', KEYS[1], 'MAXLEN', '~', 1, 'LIMIT', '99999999999999999999', '*', 'a', 1)",
        "stream",
        "",
    ),
    ("return redis.call('xadd', KEYS[1], 'MAXLEN', '~', 0, 'LIMIT', 5, '9-1', 'a', nil)", "stream", ""),
    ("return redis.call('xtrim', KEYS[1], 'LIMIT', 5, 'MAXLEN', '~', 0)", "stream", ""),
    ("return redis.call('xtrim', KEYS[1], 'MAXLEN', '~', 0, 'LIMIT', -1)", "stream", ""),
    *(
        (f"redis.call('xadd', KEYS[1], '{last}', 'a', 1) return redis.call('xadd', KEYS[1], '*', 'b', 1)", "st", "")
        for last in (
            "99999999999999-0",
            "99999999999999-1299",
            "99999999999999-9007199254740993",
            "99999999999999-18446744073709551615",
            "18446744073709551615-18446744073709551614",
            "18446744073709551614-18446744073709551615",
        )
    ),
    # Numbers that are greater than those which a double tells apart.
    ("redis.call('pexpire', KEYS[1], 9007199254740994) return redis.call('get', KEYS[1])", "s", ""),
    ("redis.call('pexpire', KEYS[1], 1e16) return redis.call('set', KEYS[2], 'v', 'PX', 1e16)", "s t", ""),
    # Texts that begin with what Lua might take for the end of another one, and such as are close to its bounds.
    ("(redis.call)('expire', KEYS[1], 100) return 1", "s", ""),
    ("\n(redis.call)('expire', KEYS[1], 100) return 1", "s", ""),
    ("--[[ what ]](redis.call)('expire', KEYS[1], 100) return 1 -- and why", "s", ""),
    ("#!lua\n(redis.call)('expire', KEYS[1], 100) return 1", "s", ""),
    ("local a " * 180 + "redis.call('expire', KEYS[1], 100) return 1", "s", ""),
    (
        "".join(f"local a{at} = {at} " for at in range(90))
        + "local function f() redis.call('expire', KEYS[1], 100) for _, x in pairs({'x'}) do "
        + "redis.call('set', KEYS[1], cjson.encode({a = next({1})})) end return "
        + " + ".join(f"a{at}" for at in range(53))
        + " end return f()",
        "s",
        "",
    ),
    # A key that is new when the next one is asked for; one that is no key of an object.
    ("redis.call('set', KEYS[1], 1) local t = {a = 1} next(t) t.b = 2 return next(t, 'b')", "s", ""),
    ("redis.call('set', KEYS[1], 1)\nlocal x = cjson.encode({[true] = 1}) return x", "s", ""),
    # Other names for the callers.
    ("local call, r = redis.call, redis call('expire', KEYS[1], 90) return r['pcall']('get', KEYS[1])", "s", ""),
    # A lock that is extended only by whom it belongs to.
    (
        "if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end local left = redis.call('pttl', KEYS[1]) "
        "if left < 0 then left = 0 end redis.call('pexpire', KEYS[1], left + ARGV[2]) return 1",
        "lock",
        "token 5000",
    ),
    # A fixed window, and a token bucket.
    (
        "local n = redis.call('incrby', KEYS[1], ARGV[2]) "
        "if tonumber(n) == tonumber(ARGV[2]) then redis.call('expire', KEYS[1], ARGV[1]) end return n",
        "window",
        "60 3",
    ),
    (
        "local h = redis.call('hgetall', KEYS[1]) local level = 10 "
        "for i = 1, #h, 2 do if h[i] == 'level' then level = tonumber(h[i + 1]) end end "
        "local t = redis.call('time') redis.call('hset', KEYS[1], 'level', level - 1, 'at', t[1]) "
        "redis.call('expire', KEYS[1], 100) return level - 1",
        "bucket",
        "",
    ),
    # A sliding window.
    (
        "local t = redis.call('time') local now = t[1] * 1000000 + t[2] "
        "redis.call('zremrangebyscore', KEYS[1], '-inf', now - ARGV[1] * 1000000) "
        "redis.call('zadd', KEYS[1], now, now) "
        "redis.call('pexpire', KEYS[1], ARGV[1] * 1000) return redis.call('zcard', KEYS[1])",
        "log",
        "60",
    ),
    # Jobs that are due are moved, and an event is told of each.
    (
        "local jobs = redis.call('zrange', KEYS[1], 0, -1) for _, job in ipairs(jobs) do "
        "redis.call('zrem', KEYS[1], job) redis.call('lpush', KEYS[2], job) "
        "redis.call('xadd', KEYS[3], 'MAXLEN', '~', 100, '*', 'event', 'waiting', 'job', job) "
        "redis.call('publish', 'waiting', job) end return #jobs",
        "zset ready stream",
        "",
    ),
    # The request names the command that adds a job, or that an event is told by; a function nobody calls names none.
    (
        "local function unused(push, key) redis.call(push, key, 'x') end redis.call(ARGV[1], KEYS[1], 'job') "
        "redis.call('expire', KEYS[1], 100) return redis.call(ARGV[2] .. 'range', KEYS[1], 0, -1)",
        "list",
        "RPUSH l",
    ),
    ("redis.call('publish', 'c', 'm') return redis.call(ARGV[1], 'c', 'm')", "s", "PUBLISH"),
    ("redis.call('incr', KEYS[1]) return redis.call(ARGV[1], KEYS[1])", "n", ""),
    # Streams are read, for a group too.
    (
        "redis.call('incr', KEYS[1]) return redis.call('xread', 'COUNT', ARGV[1], 'STREAMS', KEYS[2], 0)",
        "n stream",
        "1",
    ),
    (
        "redis.call('xgroup', 'CREATE', KEYS[1], 'g', 0) "
        "return redis.call('xreadgroup', 'GROUP', 'g', ARGV[1], 'STREAMS', KEYS[1], '>')",
        "stream",
        "me",
    ),
)
