"""The servers behind: the connections to them, and how plans become requests on these.

Lowest first, the files about one connection:

    states backoff handlers handshake pipeline      values and small structures, each by itself
    connection_state                                `ConnectionBase`: all fields, and the moves between the states
    failures databases send_first                   functions on it that send nothing, or only by `ConnectionQueue`
    sending                                         `SendingConnection`: submit, send, hold
    identity deadlines disconnect partial_replies   what a handshake, time and the end of a socket come to
    connection                                      `NodeConnection`: every reply comes by here

Above them, what sends plans on these connections:

    unblock_order connection_set                    all that belongs to one node: login, connections, counts
    plan_sender miss_on_down                     what a plan's execution needs of whoever sends; misses for failures
    hedged_read reads_of_copies                     reads of copies, asked of a second copy where the first is slow
    executor                                        walks plans; shared connections by node, protocol and database
    nonblocking dedicated_pool                      blocking commands that must not block; connections for one session
    waiting                                         requests that wait in the proxy for keys of copies
    dedicated transaction out_of_band               blocking commands; MULTI … EXEC; kills that must not wait
"""
