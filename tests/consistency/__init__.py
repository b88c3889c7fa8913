"""Copies under harm: a recorded history of what clients asked and heard, and a checker of what was promised.

The promise: no acknowledged write is missing from a copy in sync; no read returns a value older than an acknowledged
write that preceded it; after quiet all copies are equal; no element is popped twice or lost. It is checked in the
manner of Jepsen: clients note when each operation began and ended and what came of it (`history.py`), a nemesis does
harm meanwhile (`nemesis.py`), and afterwards pure functions look for what cannot have happened (`checker.py`), while
the copies are compared by meaning.

`scenarios.py` names the cases; `test_scenarios.py` plays each one briefly, and ``python -m tests.consistency
--minutes 60 --seed 7`` plays them at random for as long as is wanted. `pools.py` has the kinds of pools that they are
played on: with each ``ack`` (`promises.py` says what each promises, and what may be lost) and ``read``, a ring of copy
pools, copies whose clocks differ, copies of two versions.

What the checker knows, and what it does not: each key is checked by itself, with values that are written once. For
registers that is exact (the zones of Gibbons and Korach, *Testing Shared Memories*, 1997: a history is linearizable if
and only if nothing is reported), and so it is for counters and logs without unknown outcomes. Several keys are checked
only where one transaction writes them all: such a pair must always be read equal. A pop without a reply may account
for elements that are nowhere; nothing else may. Copies in sync are also read past the proxy while the load is on.
"""
