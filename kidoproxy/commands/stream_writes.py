"""XADD and XTRIM so that all copies come to the same: the id is given, and ``~`` (trim when it suits) is exact.

What a server would complain about is left as it is: the server itself says what is wrong.

An entry whose id is ``*`` is added by a script. Its id is one of the proxy's clock; where a stream already has a later
one (of another clock, or given by a client) the script takes the id after that, as servers do. So it is added in one
round trip, in the order in which it was sent, and every copy gives it the same id.
"""

from typing import Final

from kidoproxy.resp.scan import parse_int64

#: What ``unpack`` of Lua can take is 8000 less what servers need for themselves. An entry of more words gets the id of
#: the proxy's clock without a script, and is an error where the stream has a later one.
MAX_SCRIPT_WORDS: Final = 7000

#: ARGV: which of them is the id, then the arguments of XADD behind its key. Numbers of 64 bits are counted up
#: as text, for numbers of Lua are exact to 53 bits only. It is short, for servers digest it each time.
ADD_ENTRY: Final = rb"""local add=function() return redis.pcall('XADD',KEYS[1],unpack(ARGV,2)) end
local r=add()
if type(r)~='table' or not r.err:find('equal or smaller',1,true) then return r end
local info=redis.pcall('XINFO','STREAM',KEYS[1])
if info.err then return info end
local ms,seq
for i=1,#info,2 do if info[i]=='last-generated-id' then ms,seq=info[i+1]:match('(%d+)-(%d+)') end end
local after=function(n)
local head,digit,nines=n:match('^(%d-)([0-8]?)(9*)$')
return head..((tonumber(digit) or 0)+1)..('0'):rep(#nines)
end
if seq=='18446744073709551615' then ms,seq=after(ms),'0' else seq=after(seq) end
ARGV[tonumber(ARGV[1])]=ms..'-'..seq
return add()"""

_TRIM_WORDS: Final = (b"maxlen", b"minid")


def with_repeatable_effect(argv: list[bytes], entry_id: bytes) -> list[bytes] | None:
    """The request that every copy repeats alike, with ``entry_id`` for ``*``; None: it is one as it stands."""
    id_position, tilde, limit = _scan_options(argv)
    is_automatic = id_position < len(argv) and argv[id_position] == b"*" and argv[0].lower() == b"xadd"
    if not is_automatic and not tilde:
        return None
    found = list(argv)
    if is_automatic:
        found[id_position] = entry_id
    if tilde and (not limit or _is_limit(argv[limit])):
        found[tilde] = b"="
        if limit:
            # A limit to the work is only allowed where trimming may end early.
            del found[limit - 1 : limit + 1]
            id_position -= 2 if limit < id_position else 0
    if not is_automatic or len(found) > MAX_SCRIPT_WORDS:
        return found
    return [b"EVAL", ADD_ENTRY, b"1", found[1], b"%d" % id_position, *found[2:]]


def _scan_options(argv: list[bytes]) -> tuple[int, int, int]:
    """Positions in XADD or XTRIM: of the id or the first word that is no option, of ``~``, of LIMIT's value (or 0)."""
    count = len(argv)
    tilde = limit = 0
    i = 2
    while i < count - 1:
        word = argv[i].lower()
        if word in _TRIM_WORDS:
            if i + 2 < count and argv[i + 1] in (b"~", b"="):
                tilde = i + 1 if argv[i + 1] == b"~" else 0
                i += 1
            i += 2
        elif word == b"limit":
            limit = i + 1
            i += 2
        elif word == b"idmp":
            i += 3
        elif word == b"idmpauto":
            i += 2
        elif word in (b"nomkstream", b"keepref", b"delref", b"acked"):
            i += 1
        else:
            break
    return i, tilde, limit


def _is_limit(text: bytes) -> bool:
    number = parse_int64(text)
    return number is not None and number >= 0
