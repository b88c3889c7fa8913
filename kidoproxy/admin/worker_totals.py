"""One page for several workers: what each of them counts, and what it comes to.

The first worker asks the others for a *snapshot*, and adds them to its own. Counters are summed, and never fall: what a
worker had counted that is gone, or does not answer, still counts. Gauges are those of the workers that have answered:
sizes and numbers are summed, and a node is up if it is for all of them. What is of one process alone, as a histogram
is, has a label ``worker``.
"""

import json
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric

#: Metrics of one process each: they have a label ``worker``, as have all that are not the proxy's own.
PER_WORKER: Final = (
    "kidoproxy_uptime_seconds",
    "kidoproxy_loop_turn_seconds",
    "kidoproxy_reloads",
    "kidoproxy_node_failovers",
    "kidoproxy_configuration_timestamp_seconds",
)
PREFIX: Final = "kidoproxy_"
#: Gauges that are no sums.
SMALLEST: Final = (
    "kidoproxy_node_up",
    "kidoproxy_node_sentinels_agreeing",
    "kidoproxy_tls_certificate_expiry_timestamp_seconds",
)
LARGEST: Final = ("kidoproxy_build_info", "kidoproxy_node_reply_seconds", "kidoproxy_node_sentinels_missing")
#: A line of so many is made, and read, in a few milliseconds.
SAMPLES_PER_LINE: Final = 1000

Labels = tuple[tuple[str, str], ...]
#: Name and labels of one line of the page.
SampleKey = tuple[str, Labels]
#: Name, meaning, type and samples of each metric; they are in the order of the page.
Families = dict[str, tuple[str, str, dict[SampleKey, float]]]


class Snapshot:
    """What one process counts; ``identity`` tells it from the one that it replaces.

    ``unready``: why it cannot serve, a line for each pool.
    """

    def __init__(self, identity: str, families: Families, unready: list[str] | None = None) -> None:
        self.identity = identity
        self.families = families
        self.unready = unready or []

    def add(self, family: Metric) -> None:
        """A metric, or more samples of one that is there already."""
        _, _, samples = self.families.setdefault(family.name, (family.documentation, family.type, {}))
        for sample in family.samples:
            samples[sample.name, tuple(sample.labels.items())] = sample.value

    def encode(self) -> bytes:
        """For another worker: a line about the whole, then lines of as many samples as are quickly made."""
        lines = [
            json.dumps([name, meaning, kind, part])
            for name, (meaning, kind, samples) in self.families.items()
            for part in self.parts(samples)
        ]
        return "\n".join([json.dumps([self.identity, self.unready, len(lines)]), *lines]).encode()

    def parts(self, samples: dict[SampleKey, float]) -> list[list[list[object]]]:
        """These samples as JSON has them, in lists that are not too long; at least one."""
        rows: list[list[object]] = [[key[0], dict(key[1]), value] for key, value in samples.items()]
        return [rows[at : at + SAMPLES_PER_LINE] for at in range(0, max(len(rows), 1), SAMPLES_PER_LINE)]


def decode_snapshot(text: bytes) -> Snapshot | None:
    """What another worker has encoded; None if it has ended in the middle."""
    lines = text.split(b"\n")
    try:
        identity, unready, count = json.loads(lines[0])
        if len(lines) != count + 1:
            return None
        found = Snapshot(identity, {}, unready)
        for line in lines[1:]:
            name, meaning, kind, rows = json.loads(line)
            _, _, samples = found.families.setdefault(name, (meaning, kind, {}))
            for sample, labels, value in rows:
                samples[sample, tuple(labels.items())] = value
    except ValueError:
        return None
    return found


def take_snapshot(identity: str, families: list[Metric], unready: list[str] | None = None) -> Snapshot:
    """The metrics of this process as a value."""
    snapshot = Snapshot(identity, {}, unready)
    for family in families:
        snapshot.add(family)
    return snapshot


class WorkerTotals:
    """Kept by the first worker; see the module.

    ``replaces``: it replaces a first worker that is gone, and does not know what all had counted by then: it begins
    anew for all, at nothing, as every restart does.
    """

    def __init__(self, replaces: bool = False) -> None:
        self.replaces = replaces
        self.last: dict[int, Snapshot] = {}
        #: Those that have not answered last time.
        self.silent: set[int] = set()
        #: To be added: what workers that are gone had counted.
        self.offsets: dict[SampleKey, float] = {}

    def take_answers(self, answers: dict[int, bytes | None]) -> None:
        """The snapshots of the other workers; None for one that does not answer."""
        self.silent = set()
        for worker, text in answers.items():
            snapshot = decode_snapshot(text) if text is not None else None
            if snapshot is None:
                self.silent.add(worker)
                continue
            before = self.last.get(worker)
            if before is None and self.replaces:
                self.add_to_offsets(snapshot, -1)
            elif before is not None and before.identity != snapshot.identity:
                self.add_to_offsets(before, 1)
            self.last[worker] = snapshot

    def add_to_offsets(self, snapshot: Snapshot, sign: int) -> None:
        for name, (_, kind, samples) in snapshot.families.items():
            if kind in ("counter", "histogram") and not is_per_worker(name):
                for key, value in samples.items():
                    self.offsets[key] = self.offsets.get(key, 0) + sign * value

    def unready_reasons(self) -> list[str]:
        """Why clients should be sent elsewhere, as the other workers see it: all must be able to serve."""
        reasons = {worker: snapshot.unready for worker, snapshot in self.last.items()}
        reasons.update({worker: ["it does not answer"] for worker in self.silent})
        return [f"worker {worker}: {line}" for worker, lines in sorted(reasons.items()) for line in lines]

    def families(self, own: Snapshot) -> list[Metric]:
        """The metrics of all workers, and which of them have answered."""
        parts = {0: own, **self.last}
        names = list(dict.fromkeys(name for part in parts.values() for name in part.families))
        up = GaugeMetricFamily("kidoproxy_worker_up", "1 while the worker tells what it counts.", labels=["worker"])
        for worker in sorted({*parts, *self.silent}):
            up.add_metric([str(worker)], int(worker not in self.silent))
        return [*[self.family(name, parts) for name in names], up]

    def family(self, name: str, parts: dict[int, Snapshot]) -> Metric:
        """One metric of all workers."""
        meaning, kind, _ = next(part.families[name] for part in parts.values() if name in part.families)
        found = Metric(name, meaning, kind)
        values: dict[SampleKey, list[float]] = {}
        for worker, part in parts.items():
            if worker in self.silent and (kind == "gauge" or is_per_worker(name)):
                continue
            for (sample, labels), value in part.families.get(name, ("", "", {}))[2].items():
                own_labels = (*labels, ("worker", str(worker))) if is_per_worker(name) else labels
                values.setdefault((sample, own_labels), []).append(value)
        sample_names = [name + suffix for suffix in ("_total", "_bucket", "_count", "_sum")]
        for key in self.offsets:
            if key[0] in sample_names:
                values.setdefault(key, [])
        combine = min if name in SMALLEST else max if name in LARGEST else sum
        for key, numbers in values.items():
            found.add_sample(key[0], dict(key[1]), combine(numbers) + self.offsets.get(key, 0))
        return found


def is_per_worker(name: str) -> bool:
    """Whether each worker has this metric for itself."""
    return name in PER_WORKER or not name.startswith(PREFIX)
