"""A history checker: clients write down what they asked and were told while servers die, and a judge reads only that.

`hosts`: two gunicorn masters with two workers each and one database; the first host reaches a database server over a `wire`.
`nemesis`: kills workers, masters and hosts; kills, stops and freezes the database, cuts connections and the wire.
`workload` and `clients`: threads of other processes that sign in and consent over HTTP for every code (one client is
remembered, the other is asked each time), redeem, refresh, revoke, introspect and call; some replay a code, race for it or
reuse a refresh token on purpose. In the end `process` looks at everything once more.
`ledger`: a line before each request and one after its answer. `checker` and `families`: the judge, for whom an answer that
never came may mean either. `stories` and `broken`: ledgers and gateways with each kind of fault, for tests of the judge.
"""
