"""The metrics that every Prometheus client has, by the names that dashboards know."""

from pathlib import Path

from kidoproxy.admin.process_metrics import process_families


def test_what_there_is() -> None:
    """Memory, CPU, files and the garbage collector, of this process."""
    families = {family.name: family for family in process_families()}
    assert {
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_start_time_seconds",
        "process_cpu_seconds",
        "process_open_fds",
        "process_max_fds",
        "python_gc_collections",
        "python_gc_objects_collected",
        "python_gc_objects_uncollectable",
    } == set(families)
    assert families["process_resident_memory_bytes"].samples[0].value > 1_000_000
    assert [sample.labels for sample in families["python_gc_collections"].samples] == [
        {"generation": str(generation)} for generation in range(3)
    ]


def test_where_proc_tells_nothing(tmp_path: Path) -> None:
    """What is not known is left out, and the rest is there."""
    assert {family.name[:9] for family in process_families(str(tmp_path))} == {"python_gc"}
