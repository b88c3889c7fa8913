"""The metrics that every Prometheus client has by the same names: ``process_*`` and ``python_gc_*``."""

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector


def process_families(proc: str = "/proc") -> list[Metric]:
    """Memory, CPU and open files of this process, where ``proc`` tells them; what its garbage collector has done."""
    collectors = (ProcessCollector(proc=proc, registry=None), GCCollector(CollectorRegistry()))
    return [family for collector in collectors for family in collector.collect()]
