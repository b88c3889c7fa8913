"""The servers behind: the connections to them, and how plans become requests on these.

Lowest first, the files about one connection:

    states backoff handlers handshake pipeline      values and small structures, each by itself
    connection_state                                `ConnectionBase`: all fields, and the moves between the states
    failures databases send_first                   functions on it that send nothing, or only by `Pipeline`
    sending                                         `SendingConnection`: submit, send, hold
    identity deadlines disconnect partial_replies   what a handshake, time and the end of a socket come to
    connection                                      `NodeConnection`: every reply comes by here

Above them are `server` and `executor`, dedicated connections, blocking requests and transactions.
"""
