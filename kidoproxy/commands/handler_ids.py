"""Which of a session's handlers runs a command: a number, for handlers lie in layers that this one does not know.

A command's spec has the number, tables of the session have the functions; `tests/session/test_handlers.py` proves that
they agree. What has no handler is planned and sent to nodes like any other.
"""

from typing import Final

HandlerId = int
NO_HANDLER: Final = 0

# Commands of reach SESSION: the state of one client's connection.
AUTH: Final = 1
HELLO: Final = 2
QUIT: Final = 3
RESET: Final = 4
SELECT: Final = 5
UNWATCH: Final = 6
MULTI: Final = 7
EXEC: Final = 8
DISCARD: Final = 9

# CLIENT.
CLIENT_CACHING: Final = 10
CLIENT_CAPA: Final = 11
CLIENT_GETNAME: Final = 12
CLIENT_GETREDIR: Final = 13
CLIENT_HELP: Final = 14
CLIENT_ID: Final = 15
CLIENT_IMPORT_SOURCE: Final = 16
CLIENT_INFO: Final = 17
CLIENT_KILL: Final = 18
CLIENT_LIST: Final = 19
CLIENT_NO_EVICT: Final = 20
CLIENT_NO_TOUCH: Final = 21
CLIENT_PAUSE: Final = 22
CLIENT_REPLY: Final = 23
CLIENT_SETINFO: Final = 24
CLIENT_SETNAME: Final = 25
CLIENT_TRACKING: Final = 26
CLIENT_TRACKINGINFO: Final = 27
CLIENT_UNBLOCK: Final = 28
CLIENT_UNPAUSE: Final = 29

# PROXY.
PROXY_EACH: Final = 30
PROXY_HELP: Final = 31
PROXY_NODE: Final = 32
PROXY_NODES: Final = 33
PROXY_REPLIES: Final = 34
PROXY_ROUTE: Final = 35
PROXY_SCRUB: Final = 36
PROXY_STATS: Final = 37
PROXY_SYNC: Final = 38
PROXY_SLOWLOG: Final = 65
PROXY_HOTKEYS: Final = 66
PROXY_BIGKEYS: Final = 67

# Commands of reach LOCAL: the proxy answers.
ECHO: Final = 39
LASTSAVE: Final = 40
PING: Final = 41
ROLE: Final = 42
TIME: Final = 43
CLUSTER_ONLY: Final = 44
COMMAND: Final = 45

# ACL.
ACL_CAT: Final = 46
ACL_DRYRUN: Final = 47
ACL_GENPASS: Final = 48
ACL_GETUSER: Final = 49
ACL_HELP: Final = 50
ACL_LIST: Final = 51
ACL_LOG: Final = 52
ACL_USERS: Final = 53
ACL_WHOAMI: Final = 54

# Commands of reach DEDICATED that do more than wait for a reply.
WATCH: Final = 55
MONITOR: Final = 56

# Commands of reach SUBSCRIBE.
SUBSCRIBE_TOPICS: Final = 57
UNSUBSCRIBE_TOPICS: Final = 58

# Sent to nodes, and recorded in the script registry.
FUNCTION_DELETE: Final = 59
FUNCTION_FLUSH: Final = 60
FUNCTION_LOAD: Final = 61
FUNCTION_RESTORE: Final = 62
SCRIPT_FLUSH: Final = 63
SCRIPT_LOAD: Final = 64

#: Commands, and what handles them.
HANDLERS: Final[tuple[tuple[str, HandlerId], ...]] = (
    ("auth", AUTH),
    ("hello", HELLO),
    ("quit", QUIT),
    ("reset", RESET),
    ("select", SELECT),
    ("unwatch", UNWATCH),
    ("multi", MULTI),
    ("exec", EXEC),
    ("discard", DISCARD),
    ("client|caching", CLIENT_CACHING),
    ("client|capa", CLIENT_CAPA),
    ("client|getname", CLIENT_GETNAME),
    ("client|getredir", CLIENT_GETREDIR),
    ("client|help", CLIENT_HELP),
    ("client|id", CLIENT_ID),
    ("client|import-source", CLIENT_IMPORT_SOURCE),
    ("client|info", CLIENT_INFO),
    ("client|kill", CLIENT_KILL),
    ("client|list", CLIENT_LIST),
    ("client|no-evict", CLIENT_NO_EVICT),
    ("client|no-touch", CLIENT_NO_TOUCH),
    ("client|pause", CLIENT_PAUSE),
    ("client|reply", CLIENT_REPLY),
    ("client|setinfo", CLIENT_SETINFO),
    ("client|setname", CLIENT_SETNAME),
    ("client|tracking", CLIENT_TRACKING),
    ("client|trackinginfo", CLIENT_TRACKINGINFO),
    ("client|unblock", CLIENT_UNBLOCK),
    ("client|unpause", CLIENT_UNPAUSE),
    ("proxy|each", PROXY_EACH),
    ("proxy|help", PROXY_HELP),
    ("proxy|node", PROXY_NODE),
    ("proxy|nodes", PROXY_NODES),
    ("proxy|replies", PROXY_REPLIES),
    ("proxy|route", PROXY_ROUTE),
    ("proxy|scrub", PROXY_SCRUB),
    ("proxy|stats", PROXY_STATS),
    ("proxy|sync", PROXY_SYNC),
    ("proxy|slowlog", PROXY_SLOWLOG),
    ("proxy|hotkeys", PROXY_HOTKEYS),
    ("proxy|bigkeys", PROXY_BIGKEYS),
    ("echo", ECHO),
    ("lastsave", LASTSAVE),
    ("ping", PING),
    ("role", ROLE),
    ("time", TIME),
    ("readonly readwrite", CLUSTER_ONLY),
    ("command command|count command|docs command|getkeys command|getkeysandflags", COMMAND),
    ("command|help command|info command|list", COMMAND),
    ("acl|cat", ACL_CAT),
    ("acl|dryrun", ACL_DRYRUN),
    ("acl|genpass", ACL_GENPASS),
    ("acl|getuser", ACL_GETUSER),
    ("acl|help", ACL_HELP),
    ("acl|list", ACL_LIST),
    ("acl|log", ACL_LOG),
    ("acl|users", ACL_USERS),
    ("acl|whoami", ACL_WHOAMI),
    ("watch", WATCH),
    ("monitor", MONITOR),
    ("subscribe psubscribe ssubscribe", SUBSCRIBE_TOPICS),
    ("unsubscribe punsubscribe sunsubscribe", UNSUBSCRIBE_TOPICS),
    ("function|delete", FUNCTION_DELETE),
    ("function|flush", FUNCTION_FLUSH),
    ("function|load", FUNCTION_LOAD),
    ("function|restore", FUNCTION_RESTORE),
    ("script|flush", SCRIPT_FLUSH),
    ("script|load", SCRIPT_LOAD),
)
