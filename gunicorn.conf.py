"""Settings for gunicorn behind which the gateway is safe and fast: `gunicorn -c gunicorn.conf.py MODULE:APP`.

`oauth-gateway serve` uses the same file. Options on gunicorn's command line win over it.
"""

# One process a core, threads within: a slow client or a password hash blocks one thread, not the worker.
worker_class = "gthread"
workers = 2
threads = 4

# This machine only, until an operator says otherwise.
bind = "127.0.0.1:8000"

# gunicorn lets some request headers, SCRIPT_NAME among them, move the path when they come from forwarded_allow_ips:
# none may, for the gateway decides on exactly the path that the app routes on.
forwarder_headers = ""

# Whose X-Forwarded-Proto is believed. The gateway's own URLs come from `issuer` and never from headers.
forwarded_allow_ips = "127.0.0.1,::1"

# A header with an underscore cannot be told from one with a hyphen in the environ: drop it.
header_map = "drop"

# gunicorn's control socket can change and stop the server; it is off unless you need it.
control_socket_disable = True

# Fresh memory now and then, not in all workers at once.
max_requests = 100_000
max_requests_jitter = 10_000

# Time to finish running requests at a stop or reload; and after which a stuck worker is replaced.
graceful_timeout = 30
timeout = 60

# Connections from a reverse proxy stay open between requests.
keepalive = 5

# Without the query string, which may hold authorization codes and other secrets: %(U)s is the path alone.
access_log_format = '%(h)s "%(m)s %(U)s %(H)s" %(s)s %(b)s %(L)s'
