"""How fast the proxy is, as a ratio to nutcracker measured beside it. ``python -m tests.bench --help``.

* `workloads`: what is asked: one line per row of the table;
* `generator`: the clients: a closed loop that checks every byte of every reply;
* `stage`: the processes, and which core each is pinned to;
* `gauge`: what a process has cost so far, read from ``/proc``;
* `rounds`: interleaved samples of one workload, turned into one row;
* `memory`: peak memory of a large value, memory of an idle client;
* `report`: the Markdown table;
* `floor`: a server that only says ``+OK``: what the sockets alone cost;
* `micro`: nanoseconds per operation of the pure packages, without a socket.
"""
