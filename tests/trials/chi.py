"""Is this evenly spread? Pearson's chi-square test with equal cells. Pure; called by the trial of ports and IDs."""

import math
from collections import Counter
from collections.abc import Iterable


def evenly(values: Iterable[int], cells: int) -> float:
    """The chance that numbers drawn evenly from 0 ≤ n < `cells` lie at least as unevenly as `values` do."""
    counts = Counter(values)
    assert all(0 <= value < cells for value in counts)
    expected = counts.total() / cells
    statistic = sum((counts[cell] - expected) ** 2 for cell in range(cells)) / expected
    return upper_tail(statistic, cells - 1)


def upper_tail(statistic: float, degrees: int) -> float:
    """The chance of a larger chi-square value, by the cube root (Wilson and Hilferty); good from 30 degrees on."""
    part = 2 / (9 * degrees)
    normal = ((statistic / degrees) ** (1 / 3) - (1 - part)) / math.sqrt(part)
    return math.erfc(normal / math.sqrt(2)) / 2
