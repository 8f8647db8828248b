"""The modules of the OpenID conformance profiles as tests of our own; see `docs/conformance.md`."""
