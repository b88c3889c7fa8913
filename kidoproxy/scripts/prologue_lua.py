"""The Lua that stands in front of an interposed script: data; `kidoproxy.scripts.prologue` puts the pieces together.

Everything here must come to the same result on every copy, whatever its clock, its version and its locale. Names: ``P``
is the server's own ``redis.pcall``; ``H`` holds the handlers by command, each called with the arguments and their
number; ``us`` is the proxy's clock in microseconds, ``ms`` the same in milliseconds as text; ``live`` whether this
copy publishes. No piece has a comment or a string with a blank line: all lines are joined by blanks.
"""

from typing import Final

#: The last argument is ours: whether this copy publishes (1 or 0), and the clock.
HEAD: Final = """
(function(R, S)
local P, H = R.pcall, {}
local low, sub, fmt, find, match, gsub = string.lower, string.sub, string.format, string.find, string.match, string.gsub
local num, typ, str, unp, sel, floor, sort = tonumber, type, tostring, unpack, select, math.floor, table.sort
local mark = table.remove(ARGV)
local live, us = sub(mark, 1, 1) == '1', num(sub(mark, 2))
local ms = fmt('%.0f', floor(us / 1000))
"""

#: Command callers. ``call`` is a coroutine, which is a C function to whoever calls it: so the server finds the line of
#: the script in an error. An error is the end of it, which a script that could catch errors would notice. ``native`` is
#: the same for a function of our own, which raises errors without a place.
TAIL: Final = """
local function run(...)
  local c = ...
  local h = typ(c) == 'string' and H[low(c)]
  if h then return h({...}, sel('#', ...)) end
  return P(...)
end
local function raise(r)
  if typ(r) == 'table' and r.err then
    if R.REDIS_VERSION_NUM then error(r, 0) end
    error(setmetatable({}, {__concat = function(a) return a .. r.err end}), 0)
  end
  return r
end
local function loop(...)
  local r = raise(run(...))
  while true do r = raise(run(coroutine.yield(r))) end
end
local C = coroutine.wrap(loop)
local function native(f)
  local function again(...) return again(f(coroutine.yield(...))) end
  return coroutine.wrap(function(...) return again(f(...)) end)
end
"""
#: The same for a script that catches errors: where it returns what it calls, the line is not known.
CATCHING_TAIL: Final = """
local function run(...)
  local c = ...
  local h = typ(c) == 'string' and H[low(c)]
  if h then return h({...}, sel('#', ...)) end
  return P(...)
end
local function C(...)
  local r = run(...)
  if typ(r) == 'table' and r.err then
    if not R.REDIS_VERSION_NUM then error(r.err, 0) end
    local _, at = pcall(error, '', 3)
    at = num(match(str(at), ':(%d+):'))
    error(setmetatable(r, {__newindex = function(t, k, v) rawset(t, k, k == 'line' and at or v) end}), 0)
  end
  return r
end
local function done(ok, ...)
  if not ok then error((...), 3) end
  return ...
end
local function native(f)
  return function(...) return done(pcall(f, ...)) end
end
"""
#: A library runs as a script does: it is loaded anew, and the function called that it has registered under this name.
LIBRARY: Final = """
local registered = {}
local function register(name, f)
  if typ(name) == 'table' then name, f = name.function_name, name.callback end
  registered[name] = f
end
local function in_library(load)
  load()
  return registered['%s'](KEYS, ARGV)
end
"""
WRAP_LIBRARY: Final = """
local function wrap(T)
  return T and setmetatable({call = C, pcall = run, register_function = register}, {__index = T})
end
"""
WRAP: Final = "local function wrap(T) return T and setmetatable({call = C, pcall = run}, {__index = T}) end"
#: What the prologue is called with: Redis does not know Valkey's other name for the same table.
END: Final = "end)(redis, (function() local ok, found = pcall(function() return server end) return ok and found end)())"

#: A time to live of so many units from now, as a moment in milliseconds; nothing where the server would refuse it. Of
#: a number from 10^17 on that depends on its version.
MOMENT: Final = """
local function moment(v, unit, max)
  local d = typ(v) == 'number' and v >= 1 and v < 9223372036854775808 and v == floor(v) and fmt('%.0f', v)
  d = d or typ(v) == 'string' and #v < 20 and match(v, '^[1-9]%d*$')
  if not d then return end
  if unit == 1000 then d = d .. '000' end
  local lo = num(sub(d, -9)) + num(sub(ms, -9))
  local hi = (num(sub(d, 1, -10)) or 0) + num(sub(ms, 1, -10))
  if lo >= 1e9 then lo, hi = lo - 1e9, hi + 1 end
  local t = fmt('%.0f%09.0f', hi, lo)
  if #t < #max or (#t == #max and t <= max) then return t end
end
local MAX = '9223372036854775807'
"""

#: EX and PX among the options from ``i`` on; of several the last one counts. ``step``: arguments for each field behind
#: FIELDS.
OPTIONS: Final = """
local VALUED = {ex = 1000, px = 1, exat = 0, pxat = 0, ifeq = 0, ifne = 0, ifdeq = 0, ifdne = 0}
local function options(a, n, i, step)
  local found, unit = {}
  while i <= n do
    local w = low(str(a[i]))
    if w == 'fields' and step then
      i = i + 2 + (num(a[i + 1]) or n) * step
    else
      if w == 'exat' or w == 'pxat' or w == 'keepttl' or w == 'persist' then return end
      if w == 'ex' or w == 'px' then
        if unit and unit ~= VALUED[w] then return end
        found[#found + 1], unit = i, VALUED[w]
      end
      i = i + (VALUED[w] and 2 or 1)
    end
  end
  local last = found[#found]
  local t = last and last < n and moment(a[last + 1], unit, MAX)
  if not t then return end
  for j = 1, #found do a[found[j]] = 'PXAT' end
  a[last + 1] = t
end
"""

SET: Final = "H.set = function(a, n) options(a, n, 4) return P(unp(a, 1, n)) end"
GETEX: Final = "H.getex = function(a, n) options(a, n, 3) return P(unp(a, 1, n)) end"
MSETEX: Final = "H.msetex = function(a, n) options(a, n, 3 + 2 * (num(a[2]) or n)) return P(unp(a, 1, n)) end"
HSETEX: Final = "H.hsetex = function(a, n) options(a, n, 3, 2) return P(unp(a, 1, n)) end"
HGETEX: Final = "H.hgetex = function(a, n) options(a, n, 3, 1) return P(unp(a, 1, n)) end"
SETEX: Final = """
local function setex(unit)
  return function(a, n)
    local t = n == 4 and moment(a[3], unit, MAX)
    if t then return P('SET', a[2], a[4], 'PXAT', t) end
    return P(unp(a, 1, n))
  end
end
H.setex, H.psetex = setex(1000), setex(1)
"""
EXPIRE: Final = """
local function expire(unit)
  return function(a, n)
    local t = n > 2 and moment(a[3], unit, MAX)
    if t then a[1], a[3] = 'PEXPIREAT', t end
    return P(unp(a, 1, n))
  end
end
H.expire, H.pexpire = expire(1000), expire(1)
"""
#: The latest moment that Redis keeps for a field of a hash is 2^48 - 2.
HEXPIRE: Final = """
local function hexpire(unit)
  return function(a, n)
    local t = n > 5 and moment(a[3], unit, '281474976710654')
    if t then a[1], a[3] = 'HPEXPIREAT', t end
    return P(unp(a, 1, n))
  end
end
H.hexpire, H.hpexpire = hexpire(1000), hexpire(1)
"""
RESTORE: Final = """
H.restore = function(a, n)
  for i = 5, n do
    if low(str(a[i])) == 'absttl' then return P(unp(a, 1, n)) end
  end
  local t = n > 3 and moment(a[3], 1, MAX)
  if t then a[3], n = t, n + 1 a[n] = 'ABSTTL' end
  return P(unp(a, 1, n))
end
"""

#: Two calls never tell the same time, and a loop that waits for time to pass ends.
TIME: Final = """
H.time = function(a, n)
  if n > 1 then return P(unp(a, 1, n)) end
  us = us + 1
  return {fmt('%.0f', floor(us / 1000000)), fmt('%.0f', us % 1000000)}
end
"""

#: 6.2 has no PEXPIRETIME: two readings of its clock in one millisecond, and PTTL between them.
TTL: Final = """
local function expiry(k)
  local r = P('PEXPIRETIME', k)
  if typ(r) == 'number' then return r end
  if R.replicate_commands then R.replicate_commands() end
  while true do
    local t, ttl, u = P('TIME'), P('PTTL', k), P('TIME')
    if ttl < 0 then return ttl end
    local t1, t2 = t[1] * 1000 + floor(t[2] / 1000), u[1] * 1000 + floor(u[2] / 1000)
    if t1 == t2 then return t1 + ttl end
  end
end
local function ttl(unit)
  return function(a, n)
    if n ~= 2 or (typ(a[2]) ~= 'string' and typ(a[2]) ~= 'number') then return P(unp(a, 1, n)) end
    local t = expiry(a[2])
    if t < 0 then return t end
    t = math.max(0, t - num(ms))
    return unit == 1 and t or floor((t + 500) / 1000)
  end
end
H.ttl, H.pttl = ttl(1000), ttl(1)
"""
HTTL: Final = """
local function httl(unit)
  return function(a, n)
    a[1] = 'HPEXPIRETIME'
    local r = P(unp(a, 1, n))
    if typ(r) == 'table' and not r.err then
      for i = 1, #r do
        if typ(r[i]) == 'number' and r[i] >= 0 then
          local t = math.max(0, r[i] - num(ms))
          r[i] = unit == 1 and t or floor((t + 999) / 1000)
        end
      end
    end
    return r
  end
end
H.httl, H.hpttl = httl(1000), httl(1)
"""

#: By bytes, whatever the node's locale says of letters.
SORTED: Final = """
local bytewise = 'B' < 'a' and 'a-c' < 'ab'
local function order(t)
  if bytewise then sort(t) return t end
  local whole = {}
  for i = 1, #t do
    local hex = gsub(t[i], '.', function(c) return fmt('%02x', string.byte(c)) end)
    whole[hex], t[i] = t[i], hex
  end
  sort(t)
  for i = 1, #t do t[i] = whole[t[i]] end
  return t
end
local function order_pairs(r)
  local names, values, out = {}, {}, {}
  for i = 1, #r, 2 do
    if values[r[i]] == nil then names[#names + 1] = r[i] end
    values[r[i]] = r[i + 1]
  end
  order(names)
  for i = 1, #names do out[2 * i - 1], out[2 * i] = names[i], values[names[i]] end
  return out
end
"""
SETS: Final = """
local function members(a, n)
  local r = P(unp(a, 1, n))
  return r.err and r or order(r)
end
H.smembers, H.sunion, H.sinter, H.sdiff, H.hkeys, H.keys = members, members, members, members, members, members
"""
HGETALL: Final = """
H.hgetall = function(a, n)
  local r = P(unp(a, 1, n))
  return r.err and r or order_pairs(r)
end
"""
#: In the order of the fields: scripts put them side by side with HKEYS.
HVALS: Final = """
H.hvals = function(a, n)
  if n ~= 2 then return P(unp(a, 1, n)) end
  local r = P('HGETALL', a[2])
  if r.err then return r end
  local flat, out = order_pairs(r), {}
  for i = 2, #flat, 2 do out[i / 2] = flat[i] end
  return out
end
"""
#: One whole pass, whose cursor is 0 at once.
SCANS: Final = """
local function scan(at, paired)
  return function(a, n)
    local with_values = paired
    for i = at + 1, n do
      if low(str(a[i])) == 'novalues' then with_values = false end
    end
    if num(a[at]) and num(a[at]) ~= 0 then
      return {err = 'ERR a scan in a script of a copy pool is one whole pass: its cursor begins at 0'}
    end
    if (n - at) % 2 == 0 then a[n + 1], a[n + 2], n = 'COUNT', '1000', n + 2 end
    local seen, out = {}, {}
    repeat
      local r = P(unp(a, 1, n))
      if r.err then return r end
      for i = 1, #r[2] do
        local v = r[2][i]
        if with_values or not seen[v] then seen[v] = true out[#out + 1] = v end
      end
      a[at] = r[1]
    until r[1] == '0'
    return {'0', with_values and order_pairs(out) or order(out)}
  end
end
H.scan, H.sscan, H.hscan, H.zscan = scan(2), scan(3), scan(3, true), scan(3, true)
"""

#: What the node would keep beyond the threshold of ``~`` is a matter of its internals; LIMIT goes with it, unless the
#: server refuses it. Options may stand in any order; of several thresholds the last one counts.
TRIM: Final = """
local ALONE = {nomkstream = 1, keepref = 1, delref = 1, acked = 1}
local function trim(a, n)
  local i, tilde, limits = 3, nil, {}
  while i <= n do
    local w = low(str(a[i]))
    if ALONE[w] then i = i + 1
    elseif w == 'maxlen' or w == 'minid' then
      tilde = a[i + 1] == '~' and i + 1
      i = i + ((tilde or a[i + 1] == '=') and 3 or 2)
    elseif w == 'limit' then
      limits[#limits + 1] = i
      i = i + 2
    else break end
  end
  if not tilde then return n, i end
  for j = 1, #limits do
    local v = str(a[limits[j] + 1])
    if #v > 18 or not match(v, '^%d+$') then return n, i end
  end
  a[tilde] = '='
  for j = #limits, 1, -1 do
    for k = limits[j], n do a[k] = a[k + 2] end
    n, i = n - 2, i - 2
  end
  return n, i
end
"""
XTRIM: Final = "H.xtrim = function(a, n) n = trim(a, n) return P(unp(a, 1, n)) end"
#: Where the stream's last id is later than the clock, the one behind it: numbers of 64 bits, as text.
XADD: Final = """
local function following(s)
  local head, digit, nines = match(s, '^(%d*)([0-8])(9*)$')
  if not head then return '1' .. string.rep('0', #s) end
  return head .. digit + 1 .. string.rep('0', #nines)
end
local function last_id(k)
  local r = P('XINFO', 'STREAM', k)
  r = r.map or r
  if r['last-generated-id'] then return r['last-generated-id'] end
  for i = 1, #r, 2 do
    if r[i] == 'last-generated-id' then return r[i + 1] end
  end
end
H.xadd = function(a, n)
  local i
  n, i = trim(a, n)
  local w = i <= n and low(str(a[i]))
  if w == 'idmp' or w == 'idmpauto' then
    return {err = 'ERR XADD in a script of a copy pool takes no ' .. w}
  end
  if a[i] ~= '*' then return P(unp(a, 1, n)) end
  a[i] = ms .. '-0'
  local r = P(unp(a, 1, n))
  if typ(r) == 'table' and r.err and find(r.err, 'equal or smaller', 1, true) then
    local last = last_id(a[2])
    if not last then return r end
    local head, seq = match(last, '^(%d+)-(%d+)$')
    a[i] = seq == '18446744073709551615' and following(head) .. '-0' or head .. '-' .. following(seq)
    r = P(unp(a, 1, n))
  end
  return r
end
"""

#: Each subscriber hears it once, from the copy that the proxy listens to; who heard it is known to no copy alike.
PUBLISH: Final = """
local function publish(a, n)
  local valid = n == 3
  for i = 2, 3 do valid = valid and (typ(a[i]) == 'string' or typ(a[i]) == 'number') end
  if valid and not live then return 0 end
  local r = P(unp(a, 1, n))
  return typ(r) == 'number' and 0 or r
end
H.publish, H.spublish = publish, publish
"""
