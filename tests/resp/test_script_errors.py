"""`kidoproxy.resp.script_errors`: which script, which call, and what to do."""

from kidoproxy.resp import script_errors


def test_sentences() -> None:
    """The command, what its script calls, and the key are named."""
    assert script_errors.calls_whole_node(b"eval", b"dbsize").startswith(
        b"-ERR 'eval' is not served here: its script calls 'dbsize', which would see one node of several"
    )
    assert script_errors.key_elsewhere(b"eval", b"get", b"k").startswith(
        b"-CROSSSLOT 'eval' calls 'get' with 'k', not where its KEYS are"
    )
