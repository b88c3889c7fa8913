"""The global names that Redis gives to scripts, sorted by what they may do: data, each group with its reason."""

from typing import Final

#: They run a command.
COMMAND_CALLERS: Final = frozenset(b"redis.call redis.pcall server.call server.pcall".split())

#: With these any name can be reached, or text be run.
UNTRACEABLE: Final = frozenset(
    b"_G load loadstring loadfile dofile getfenv setfenv require module package debug".split()
)

#: Their results depend on addresses, on the clock, on the node, or on an order that is not specified.
NONDETERMINISTIC: Final = frozenset(
    b"pairs next tostring cjson.encode cmsgpack.pack collectgarbage gcinfo newproxy table.foreach "
    b"math.random math.randomseed os.clock os.time os.date os.getenv redis.acl_check_cmd server.acl_check_cmd "
    b"redis.REDIS_VERSION redis.REDIS_VERSION_NUM server.SERVER_VERSION server.VALKEY_VERSION".split()
)

#: Equal everywhere, whatever they are given.
DETERMINISTIC: Final = frozenset(
    b"assert error ipairs pcall print xpcall select tonumber type unpack rawequal KEYS ARGV "
    b"string.byte string.char string.find string.format string.gmatch string.gsub string.len string.lower string.match "
    b"string.rep string.reverse string.sub string.upper "
    b"table.concat table.insert table.remove table.sort table.getn table.maxn table.unpack "
    b"math.abs math.ceil math.floor math.fmod math.huge math.log math.log10 math.max math.min math.mod math.modf "
    b"math.pi math.pow math.sqrt math.exp "
    b"bit.band bit.bor bit.bxor bit.bnot bit.lshift bit.rshift bit.arshift bit.rol bit.ror bit.bswap bit.tobit "
    b"bit.tohex "
    b"struct.pack struct.unpack struct.size cjson.decode cjson.null cmsgpack.unpack cmsgpack.unpack_one "
    b"cmsgpack.unpack_limit".split()
    + [
        server + b"." + name
        for server in (b"redis", b"server")
        for name in b"sha1hex error_reply status_reply log LOG_DEBUG LOG_VERBOSE LOG_NOTICE LOG_WARNING setresp "
        b"set_repl "
        b"REPL_ALL REPL_NONE REPL_AOF REPL_SLAVE REPL_REPLICA replicate_commands register_function breakpoint".split()
    ]
)

#: They read a table that they are given, and leave it as it is.
NON_MUTATING: Final = frozenset(
    b"unpack table.unpack ipairs pairs next table.concat type select cjson.encode cmsgpack.pack tostring "
    b"table.getn table.maxn error assert".split()
)

#: They give one value, and it is no table.
SINGLE_SCALAR: Final = frozenset(
    b"tonumber tostring type string.char string.format string.len string.lower string.rep string.reverse string.sub "
    b"string.upper table.concat table.getn table.maxn math.abs math.ceil math.floor math.fmod math.log "
    b"math.log10 math.max "
    b"math.min math.pow math.sqrt math.exp bit.band bit.bor bit.bxor bit.bnot bit.lshift bit.rshift bit.arshift "
    b"bit.rol "
    b"bit.ror bit.bswap bit.tobit bit.tohex struct.pack struct.size cjson.encode cmsgpack.pack redis.sha1hex "
    b"server.sha1hex".split()
)

#: Methods of strings that give one string or number.
STRING_METHODS: Final = frozenset(b"format len lower rep reverse sub upper".split())
