"""Histograms of durations, as Prometheus has them."""

from typing import Final, final

#: Upper bounds of the buckets in seconds; a last bucket counts longer ones. Of the time of requests:
REQUEST_BUCKETS: Final[tuple[float, ...]] = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
)
#: Of what is measured to the millisecond.
MILLISECOND_BUCKETS: Final[tuple[float, ...]] = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@final
class Durations:
    """How many durations there were up to each bound, their sum, and the longest of them."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.bucket_counts = [0] * (len(bounds) + 1)
        self.total_seconds = 0.0
        self.longest_seconds = 0.0

    def observe(self, seconds: float) -> None:
        bounds = self.bounds
        index = 0
        while index < len(bounds) and seconds > bounds[index]:
            index += 1
        self.bucket_counts[index] += 1
        self.total_seconds += seconds
        if seconds > self.longest_seconds:
            self.longest_seconds = seconds

    def add(self, other: "Durations") -> None:
        """Those of ``other``, whose bounds are the same, too."""
        self.bucket_counts = [own + more for own, more in zip(self.bucket_counts, other.bucket_counts, strict=True)]
        self.total_seconds += other.total_seconds
        self.longest_seconds = max(self.longest_seconds, other.longest_seconds)

    def cumulative(self) -> list[tuple[str, float]]:
        """The number of those up to each bound, as the exposition has them."""
        found: list[tuple[str, float]] = []
        count = 0
        for index, in_bucket in enumerate(self.bucket_counts):
            count += in_bucket
            found.append((str(self.bounds[index]) if index < len(self.bounds) else "+Inf", float(count)))
        return found
