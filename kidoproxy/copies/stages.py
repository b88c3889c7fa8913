"""The steps of a sync, as a person reads them."""

from typing import Final

PROVING: Final = "making sure of the source"
EMPTY: Final = "emptying"
LIST: Final = "listing databases"
SELECT: Final = "trying databases"
SOURCE: Final = "copying"
TARGET: Final = "looking for leftovers"
EXTRA: Final = "checking leftovers"
SIZES: Final = "asking for sizes"
COPY: Final = "copying keys"
TOUCHED: Final = "looking again"
SETTLING: Final = "letting writes end"
OVER: Final = "over"

#: Steps that are shown as what is being done; for the others it is the part of the pass.
SHOWN: Final = (PROVING, EMPTY, SELECT)
