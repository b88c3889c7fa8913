"""The Lua of the prologue for functions of Lua itself, whose results depend on the order of a table or on chance.

As in `kidoproxy.scripts.prologue_lua`; ``order`` sorts by bytes. What each of the script's own names is bound to stands
in `kidoproxy.scripts.prologue`.
"""

from typing import Final

#: Generators of the same seed give the same numbers in all versions; without one, each server goes on with its own.
RANDOM: Final = "math.randomseed(us % 2147483647)"

#: The keys of a table: numbers, strings, booleans; a table's address is another one on each server.
KEYS_OF: Final = """
local UNORDERED = 'copies put no keys in order that are tables or functions'
local function keys_of(t, problem)
  local numbers, strings, out = {}, {}, {}
  for k in pairs(t) do
    if typ(k) == 'number' then numbers[#numbers + 1] = k
    elseif typ(k) == 'string' then strings[#strings + 1] = k
    elseif problem then error(fmt(problem, typ(k)), 0)
    elseif typ(k) ~= 'boolean' then error(UNORDERED, 0) end
  end
  sort(numbers)
  order(strings)
  for i = 1, #numbers do out[i] = numbers[i] end
  for i = 1, #strings do out[#out + 1] = strings[i] end
  if t[false] ~= nil and not problem then out[#out + 1] = false end
  if t[true] ~= nil and not problem then out[#out + 1] = true end
  return out
end
local function checked(name, ...)
  local n, t = sel('#', ...), ...
  if typ(t) ~= 'table' then
    local got = n == 0 and 'no value' or typ(t)
    error(fmt("bad argument #1 to '%s' (table expected, got %s)", name, got), 0)
  end
  return keys_of(t)
end
"""
#: A key that is removed on the way does not come any more.
PAIRS: Final = """
local function ordered_pairs(...)
  local keys, t, i = checked('pairs', ...), ..., 0
  return function()
    while true do
      i = i + 1
      local k = keys[i]
      if k == nil then return nil end
      local v = t[k]
      if v ~= nil then return k, v end
    end
  end, t, nil
end
"""
#: The order of the last table that was asked for is kept, until it is begun again, or has a key that is new.
NEXT: Final = """
local last, keys, place
local function ordered_next(...)
  local t, k = ...
  if k == nil or t ~= last or (not place[k] and t[k] ~= nil) then
    keys, place, last = checked('next', ...), {}, t
    for i = 1, #keys do place[keys[i]] = i end
  end
  local i = k == nil and 0 or place[k]
  if not i then error("invalid key to 'next'", 0) end
  while true do
    i = i + 1
    local found = keys[i]
    if found == nil then return nil end
    if t[found] ~= nil then return found, t[found] end
  end
end
"""
#: How many elements there are if all keys are numbers from 1 on, and the greatest of these.
SHAPE: Final = """
local function shape(t)
  local max, count = 0, 0
  for k in pairs(t) do
    if typ(k) ~= 'number' or k < 1 or k ~= floor(k) then return end
    max, count = math.max(max, k), count + 1
  end
  return max, count
end
local concat = table.concat
"""
#: As cjson writes, with its bounds; the fields in the order of their names.
CJSON: Final = """
local E = cjson.encode
local function encode(v, depth)
  if typ(v) ~= 'table' then
    local ok, found = pcall(E, v)
    if not ok then error(found, 0) end
    return found
  end
  if depth > 1000 then error('Cannot serialise, excessive nesting (1001)', 0) end
  local max, count = shape(v)
  local out = {}
  if max and max > 0 then
    if max > 2 * count and max > 10 then error('Cannot serialise table: excessively sparse array', 0) end
    for i = 1, max do out[i] = encode(v[i], depth + 1) end
    return '[' .. concat(out, ',') .. ']'
  end
  local keys = keys_of(v, 'Cannot serialise %s: table key must be a number or string')
  for i = 1, #keys do
    local k = E(keys[i])
    out[i] = (typ(keys[i]) == 'number' and '"' .. k .. '"' or k) .. ':' .. encode(v[keys[i]], depth + 1)
  end
  return '{' .. concat(out, ',') .. '}'
end
local function encode_ordered(...)
  if sel('#', ...) ~= 1 then error("bad argument #1 to 'encode' (expected 1 argument)", 0) end
  return encode((...), 1)
end
"""
#: As cmsgpack writes: arrays without holes, else maps; what lies deeper than 16 is nil.
CMSGPACK: Final = """
local M = cmsgpack.pack
local function header(n, short, long)
  if n < 16 then return string.char(short + n) end
  if n < 65536 then return string.char(long, floor(n / 256), n % 256) end
  return string.char(long + 1, floor(n / 16777216), floor(n / 65536) % 256, floor(n / 256) % 256, n % 256)
end
local function pack(v, level)
  if typ(v) ~= 'table' then return M(v) end
  if level == 16 then return M(nil) end
  local max, count = shape(v)
  local out = {}
  if max and max == count then
    for i = 1, max do out[i] = pack(v[i], level + 1) end
    return header(max, 144, 220) .. concat(out)
  end
  local keys = keys_of(v)
  for i = 1, #keys do out[i] = M(keys[i]) .. pack(v[keys[i]], level + 1) end
  return header(#keys, 128, 222) .. concat(out)
end
local function pack_ordered(...)
  local n = sel('#', ...)
  if n == 0 then error("bad argument #0 to 'pack' (MessagePack pack needs input.)", 0) end
  local out = {}
  for i = 1, n do
    out[i] = pack((sel(i, ...)), 0)
  end
  return concat(out)
end
"""
