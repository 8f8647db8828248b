"""Where there is no server there is nothing to keep: a store that never had anything, for a gate without one."""

from __future__ import annotations

from . import Changes


class AbsentStore:
    """As much of a store as the gate asks of one. Its epoch never changes, so that what is remembered stays."""

    place = "no database (server = false)"
    poll = 1.0

    def epoch(self) -> bytes:
        return b"absent"

    last_epoch = epoch

    def watch(self) -> bool:
        return False

    def changes(self, position: int) -> Changes:
        return Changes(0, (), True)

    def token(self, number: int, digest: bytes) -> tuple[None, int]:
        return None, 0

    def has_origin(self, text: str) -> bool:
        return False

    def close(self) -> None:
        """Nothing is open."""
