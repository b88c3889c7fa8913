"""The steps of a sync, as a person reads them."""

from typing import Final

PROVE: Final = "making sure of the source"
EMPTY: Final = "emptying"
LIST: Final = "listing databases"
SELECT: Final = "trying databases"
SCAN_SOURCE: Final = "copying"
SCAN_TARGET: Final = "looking for leftovers"
LEFTOVERS: Final = "checking leftovers"
SIZES: Final = "asking for sizes"
COPY: Final = "copying keys"
RECHECK: Final = "looking again"
WAIT_FOR_WRITES: Final = "letting writes end"
DONE: Final = "over"

#: Steps that are shown as what is being done; for the others it is the part of the pass.
SHOWN_STAGES: Final = (PROVE, EMPTY, SELECT)
