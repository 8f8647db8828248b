"""Redis as the whole store: keys that expire, one atomic script, revocations by push.

`redis://[[USER]:PASSWORD@]HOST[:PORT][/NUMBER]`, `rediss://` for TLS and `unix://` for a socket, with the options of redis-py
behind `?`; `tag` there names the deployment where several share a database. All keys begin with `{TAG}:`, so they are in one
slot of a cluster, whose redirections are followed.

What is answered is in Redis's memory and, with `strict`, on its disk. Replication is asynchronous: a failover may lose the last
commits, and what was redeemed or revoked in them comes back. Where that must not be, use one server without failover, or
another store. Only Redis 6.0 or newer with `maxmemory-policy noeviction`, and for `strict` `appendonly yes` and
`appendfsync always`, is accepted; where a service lets nobody read its settings, `strict` is refused.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from ...errors import ConfigurationError
from ..records import RecordStore
from .records import RedisRecords

TAG = "oauth_gateway"


class RedisStore(RecordStore):
    """See the module. `strict`: a revocation that was answered must survive a power loss."""

    def __init__(self, url: str, strict: bool = True) -> None:
        address, _, query = url.partition("?")
        options = dict(parse_qsl(query))
        tag = options.pop("tag", TAG)
        if not tag or not tag.isascii() or not tag.isprintable() or set(tag) & set("{}"):
            raise ConfigurationError(f"database: tag={tag!r} must be ASCII text without braces")
        super().__init__(RedisRecords(f"{address}?{urlencode(options)}" if options else address, strict, tag))
