"""What a process remembers of tokens that are dead: enough to refuse their repetition without the store, and never for long.

It is a memory of its own, so a flood of dead tokens pushes no good one out of the other. It holds SHA-256 digests, which nobody
can choose, and each for at most twice PERIOD, so that not even a row that an operator changed by hand is hidden for longer.
"""

from __future__ import annotations

PERIOD = 30.0  # seconds
MOST = 16_384  # digests a period; two periods of them are 3 MB


class Refused:
    """Digests in two generations: of this period and of the one before. `moment` is of a clock that nobody sets."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self.clear()

    def clear(self) -> None:
        self._now: set[bytes] = set()
        self._before: set[bytes] = set()
        self._ends = 0.0

    def __len__(self) -> int:
        return len(self._now) + len(self._before)

    def __contains__(self, known: tuple[bytes, float]) -> bool:
        """Whether a digest is remembered at a moment."""
        digest, moment = known
        if moment >= self._ends:
            return digest in self._now and moment < self._ends + PERIOD
        return digest in self._now or digest in self._before

    def add(self, digest: bytes, moment: float) -> None:
        """Remember one more; not to be called by two threads at once."""
        late = moment - self._ends
        if late >= 0 or len(self._now) >= self._most:
            self._before, self._now = self._now if late < PERIOD else set(), set()
            self._ends = self._ends + PERIOD if 0 <= late < PERIOD else moment + PERIOD
        self._now.add(digest)
