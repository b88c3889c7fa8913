"""What other programs call it: every name here leads to one that there is."""

from typing import get_args

from kidoproxy.config.other_names import OTHER_NAMES, OTHER_VALUES, WITHOUT_NAMES
from kidoproxy.config.schema import NodeTable, PoolTable


def test_they_lead_to_settings() -> None:
    """And none of them is one of ours."""
    known = {*PoolTable.model_fields, *NodeTable.model_fields}
    assert set(OTHER_NAMES.values()) <= known
    assert not known & {*OTHER_NAMES, *WITHOUT_NAMES}


def test_they_lead_to_values() -> None:
    """And none of them is served."""
    for key, values in OTHER_VALUES.items():
        served = set(get_args(PoolTable.model_fields[key].annotation))
        assert set(values.values()) <= served
        assert not served & set(values)
