"""Conversations whose replies are equal to the byte; the proxy answers most of it by itself."""

from typing import Final

#: By what they are about.
CONVERSATIONS: Final = {
    "multi": r"""
        multi
        set a 1
        incr a
        get a
        lpush a x
        exec
        exec
        discard
        multi
        multi
        get
        nosuch x
        exec
        multi
        get a
        discard
        multi
        exec
        multi
        ping
        echo x
        eval "return 1" 0
        mget a b
        mset a 1 b 2
        del a b c
        exists a
        dbsize
        select 3
        discard
        multi x
        exec x
        multi
        exec x
        get a
    """,
    "watch": """
        watch
        watch a
        multi
        set a 1
        exec
        watch a b
        set a 2
        multi
        set a 3
        exec
        get a
        watch a
        unwatch
        set a 4
        multi
        set a 5
        exec
        watch a
        set a 6
        multi
        discard
        multi
        set a 7
        exec
        watch a
        set a 8
        multi
        exec
        watch a
        multi
        get
        exec
        unwatch x
        watch a
        select 3
        set a 1
        multi
        set a 2
        ping
        exec
        watch a
        reset
        set a 9
        multi
        exec
    """,
    "waiting": """
        rpush a x y z
        blpop b a 0
        brpop a 1
        blmove a b left right 0
        brpoplpush b a 0.01
        blmpop 0 2 b a left count 5
        blpop a b 0.02
        blmpop 0.02 1 a left
        blpop a -1
        blpop a x
        blpop a
        zadd s 1 a 2 b 3 c
        bzpopmin s 0
        bzpopmax none s 0
        bzmpop 0 1 s min
        bzpopmin s 0.01
        blpop str 0.01
        set str x
        blpop str 1
        xadd stream 1-1 f v
        xread block 10 streams stream 0
        xread block 10 streams stream 1-1
        xread block x streams stream 0
        xread block -1 streams stream 0
        xgroup create stream group 0
        xreadgroup group group me block 10 streams stream >
        xreadgroup group group me block 10 streams stream >
        xreadgroup group nogroup me block 10 streams stream >
        wait 0 10
        wait 1 10
        wait x 10
        multi
        blpop none 0
        bzpopmin none 0
        wait 1 0
        exec
        ping
    """,
    "pause": """
        client pause x
        client pause -1
        client pause 1 foo
        client pause 10
        ping
        client pause 10 write
        get a
        set a 1
        client unpause
        set a 2
    """,
    "select": """
        set a 0
        select 5
        get a
        set a 5
        select 16
        select -1
        select x
        select
        dbsize
        swap
        move a 6
        select 6
        get a
        select 0
        get a
    """,
    "ping": r"""
        ping
        ping hello
        ping "a\r\nb"
        ping a b
        PING
        echo
        echo "\x00\xff"
        echo a b
    """,
    "auth": """
        auth x
        auth default x
        auth someone x
        auth a b c
        auth
    """,
    "client": r"""
        client getname
        client setname me
        client getname
        client setname "a b"
        client setname ""
        client getname
        client setinfo lib-name x
        client setinfo lib-ver 1
        client setinfo lib-nothing 1
        client setinfo lib-name "a b"
        client no-evict on
        client no-evict maybe
        client no-evict off
        client getredir
        client caching yes
        client tracking off
        client unpause
        client unblock 999999
        client unblock x
        client kill 1.2.3.4:5
        client kill id 0
        client kill id 999999
        client kill nonsense x
        client kill type nonsense
        client kill id
        client list type nonsense
        client list id x
        client list nonsense
        client list type replica
        client reply nonsense
        client reply skip
        ping
        ping
        client reply off
        ping
        client reply on
        ping
        client reply skip
        reset
        ping
        client reply off
        reset
        ping
        client setname
        client id x
    """,
    "reset": """
        select 3
        multi
        reset
        set a 1
        select 0
        get a
    """,
    "hello": """
        hello 4
        hello x
        hello 2 nonsense
        hello 2 auth a
        hello 3 setname "a b"
        hello 2 auth someone x
    """,
    "cluster": """
        readonly
        readwrite
        command getkeys get a
        command getkeys mset a 1 b 2
        command getkeys eval x 2 a b c
        command getkeys ping
        command getkeys nosuch a
        command getkeys get
        command info nosuch
        command docs nosuch
        command getkeysandflags set a b
    """,
}
