"""A gate without a server (`server = false`): what the gateway uses of one, with no store, no keys and no jobs behind it."""

from __future__ import annotations

import os
from collections.abc import Callable

from .events import Events
from .exchange import Exchange
from .pages import Pages
from .scopes import ScopePolicy
from .sealing import Sealer
from .server import Endpoint
from .settings import Settings
from .step_up import JUDGES, Judge
from .store.absent import AbsentStore


class ResourceServer:
    """The protected app's side alone: pages for refusals, events, scopes, and documents that need no store."""

    def __init__(self, settings: Settings, events: Events, *, wrapped: bool) -> None:
        self.settings = settings
        self.store = AbsentStore()
        self.sealer = Sealer((os.urandom(32),))  # nobody knows it, so it recognises nothing
        self.events = events
        self.pages = Pages(settings, wrapped=wrapped)
        self.scopes = ScopePolicy(settings)
        self.endpoints: dict[str, Endpoint] = {}
        self.judges = dict(JUDGES)

    def access(self, word: str, judge: Judge) -> None:
        """As the server's: have `judge` decide about requests on routes that say `word`."""
        self.judges[word] = judge

    def endpoint(
        self,
        path: str,
        handler: Callable[[Exchange], object],
        member: str | None = None,
        *,
        methods: str,
        anywhere: bool = True,
    ) -> None:
        """Answer `path`, which no prefix moves, with `handler`; there is no server's metadata to name it."""
        self.endpoints[path] = Endpoint(path, handler, frozenset(methods.split()), always=True)
