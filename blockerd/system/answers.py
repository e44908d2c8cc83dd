"""Waits until the filter answers: `python -m blockerd.system.answers ADDRESS...`, exit 0 once it refuses the test name.

A step of the plans for systems whose service managers do not wait for readiness: before it nothing points at the
filter, and where it never answers the install ends and is taken back.
"""

import sys
import time
from collections.abc import Callable, Sequence

from blockerd.model import TEST_NAME
from blockerd.system.drift import Answer
from blockerd.system.probe import filtered

SECONDS = 30.0


def waiting(
    addresses: Sequence[str],
    ask: Callable[[str], Answer],
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> list[str]:
    """What is still wrong after SECONDS at the latest, a line for each address; empty as soon as all is well."""
    end = clock() + SECONDS
    while True:
        said = {address: ask(address) for address in addresses}
        wrong = [f"{address}: {answer}" for address, answer in said.items() if answer is not Answer.FILTERED]
        if not wrong or clock() > end:
            return wrong
        pause(0.2)  # nothing tells when it begins to answer; `end` bounds the wait


def main(words: Sequence[str]) -> int:
    """0 once every address refuses the test name; 1 if one does not in time, 2 for a wrong call."""
    if not words:
        sys.stderr.write("usage: python -m blockerd.system.answers ADDRESS...\n")
        return 2
    wrong = waiting(words, lambda address: filtered(address, TEST_NAME))
    for line in wrong:
        sys.stderr.write(f"the filter does not refuse the test name at {line}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
