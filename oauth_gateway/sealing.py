"""What `secret` is for: sealing what must not be readable at rest, and keyed checksums of tokens and forms.

Several secrets may be listed, oldest to newest: the last one seals, all open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import threading
import time
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PREFIX = "oga1_"  # the version of the token format, so that a leak scanner and a later format can tell
KINDS = {"at": "access_token", "rt": "refresh_token", "ac": "authorization_code"}
_CREDENTIAL = re.compile(r"oga1_(at|rt|ac)_([A-Za-z0-9_-]{43})([0-9a-f]{16})([A-Za-z0-9_-]{8})\Z")
_FOREIGN = re.compile(r"(?!oga1_)[A-Za-z0-9\-._~+/]{22,8192}=*\Z")  # 22 characters are 128 bits at best
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_sequence = threading.Lock()
_last_number = 0


def new_number(chance: bytes | None = None) -> int:
    """A time-ordered 63-bit number: milliseconds above, 21 random bits below; rows with it append to their table.

    `chance` are three random bytes that are used for nothing else.
    """
    global _last_number
    bits = int.from_bytes(chance or os.urandom(3), "big")
    number = (int(time.time() * 1000) << 21) | (bits & 0x1FFFFF)
    with _sequence:
        if number >> 21 <= _last_number >> 21:  # the same millisecond, or a clock set back: stay in order
            number = _last_number + 1 + (bits & 0xFF)
        _last_number = number
    return number


def is_older(number: int, seconds: float) -> bool:
    """Whether `new_number` gave `number` more than `seconds` ago."""
    return number < int((time.time() - seconds) * 1000) << 21


class Credential:
    """A token or code that is well-formed and carries a true checksum: `kind`, the row's `number`, the row's `digest`.

    Of a token whose text another generator made, `kind` is empty: its row tells.
    """

    __slots__ = ("digest", "kid", "kind", "number")

    def __init__(self, kind: str, number: int, digest: bytes, kid: str | None = None) -> None:
        self.kind = kind
        self.number = number
        self.digest = digest
        self.kid = kid  # of the key that signed it, where it is a JWT

    def may_be(self, kind: str) -> bool:
        return self.kind in ("", kind)


class Mac:
    """HMAC-SHA256 (RFC 2104) under one key of at most 64 bytes, with the key's part of both hashes done once: OpenSSL's own
    function looks for its algorithm at every call, which takes longer than the hashing.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        if len(key) > 64:
            raise ValueError("a longer key is hashed first, which nobody needs here")
        block = key.ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def of(self, data: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(data)
        outer.update(inner.digest())
        return outer.digest()


class Sealer:
    """Keys derived from `secret`, one a purpose, so that no value of one purpose is good for another."""

    def __init__(self, secret: tuple[bytes, ...]) -> None:
        self._secrets = secret
        self._keys: dict[str, tuple[bytes, ...]] = {}
        self._macs: dict[str, tuple[Mac, ...]] = {}
        self.foreign = False  # whether texts that we did not make may be tokens
        self.signed: Callable[[str], Credential | None] | None = None  # recognises the JWTs that we signed

    def _keys_for(self, purpose: str) -> tuple[bytes, ...]:
        keys = self._keys.get(purpose)
        if keys is None:
            info = f"oauth_gateway {purpose}".encode()
            keys = tuple(HKDF(SHA256(), 32, None, info).derive(secret) for secret in self._secrets)
            self._keys[purpose] = keys
        return keys

    def _macs_for(self, purpose: str) -> tuple[Mac, ...]:
        macs = self._macs.get(purpose)
        if macs is None:
            macs = self._macs[purpose] = tuple(map(Mac, self._keys_for(purpose)))
        return macs

    def fingerprints(self) -> tuple[str, ...]:
        """One a secret, newest last: tells whether two processes share a secret without telling the secret."""
        return tuple(hashlib.sha256(key).hexdigest()[:32] for key in self._keys_for("fingerprint"))

    def mac(self, purpose: str, text: str) -> str:
        """A keyed checksum of `text` as 43 characters of base64url, under the newest secret."""
        return _base64(self._macs_for(purpose)[-1].of(text.encode()))

    def verify(self, purpose: str, text: str, mac: str) -> bool:
        """Whether `mac` is that of `text` under any listed secret, compared in constant time."""
        given = mac.encode("utf-8", "replace")
        known = [_base64(key.of(text.encode())).encode() for key in self._macs_for(purpose)]
        return any([hmac.compare_digest(each, given) for each in known])

    def seal(self, purpose: str, data: bytes, binding: str) -> bytes:
        """`data` encrypted (AES-256-GCM) under the newest secret and `binding`, which opening must present again."""
        nonce = os.urandom(12)
        return nonce + AESGCM(self._macs_for(purpose)[-1].of(binding.encode())).encrypt(nonce, data, None)

    def is_newest(self, purpose: str, sealed: bytes, binding: str) -> bool:
        """Whether the newest secret opens it."""
        try:
            AESGCM(self._macs_for(purpose)[-1].of(binding.encode())).decrypt(sealed[:12], sealed[12:], None)
        except InvalidTag:
            return False
        return True

    def unseal(self, purpose: str, sealed: bytes, binding: str) -> bytes | None:
        """The data, or None where no listed secret and this binding open it."""
        for key in reversed(self._macs_for(purpose)):
            try:
                return AESGCM(key.of(binding.encode())).decrypt(sealed[:12], sealed[12:], None)
            except InvalidTag:
                continue
        return None

    # -- tokens: prefix, kind, 256 random bits, the row's number, a checksum that is a filter and never proof

    def issue(self, kind: str, number: int | None = None, entropy: bytes | None = None) -> tuple[str, Credential]:
        """A new credential of `kind` (at, rt, ac): the text for the client, and what is stored of it."""
        if entropy is None:
            chance = os.urandom(35)  # one question for both: each is a call of the system's
            entropy, number = chance[3:], new_number(chance[:3]) if number is None else number
        elif number is None:
            number = new_number()
        body = f"{PREFIX}{kind}_{_base64(entropy)}{number:016x}".encode()
        text = body + binascii.b2a_base64(self._macs_for("checksum")[-1].of(body)[:6], newline=False).translate(_URL_SAFE)
        return text.decode(), Credential(kind, number, hashlib.sha256(text).digest())

    def adopt_or_issue(self, kind: str, text: str | None) -> tuple[str, Credential]:
        """The credential of a text that another generator made; a new one of ours where it made none."""
        if text is None:
            return self.issue(kind)
        if not _FOREIGN.match(text):
            raise ValueError(
                "a token generator must give at least 22 characters of A-Z a-z 0-9 - . _ ~ + / (RFC 6750 section 2.1)"
            )
        return text, _adopted(text)

    def recognise(self, text: str) -> Credential | None:
        """The credential in `text`, or None for garbage: no store is asked about what we cannot have issued."""
        match = _CREDENTIAL.match(text)
        if match is None:
            return None if text.startswith(PREFIX) else self._recognise_other(text)
        body = text[:-8].encode()
        given = text[-8:].encode()
        for key in self._macs_for("checksum"):
            checksum = base64.urlsafe_b64encode(key.of(body)[:6])
            if hmac.compare_digest(checksum, given):
                return Credential(match[1], int(match[3], 16), hashlib.sha256(text.encode()).digest())
        return None

    def _recognise_other(self, text: str) -> Credential | None:
        """A text without our prefix: a JWT of ours, else perhaps what an own generator made."""
        signed = self.signed(text) if self.signed is not None and text.startswith("eyJ") else None
        if signed is None and self.foreign and _FOREIGN.match(text):
            return _adopted(text)
        return signed


def _adopted(text: str) -> Credential:
    """Where a text of another's making is kept: its row's number is the beginning of its digest."""
    digest = hashlib.sha256(text.encode()).digest()
    return Credential("", int.from_bytes(digest[:8], "big") >> 1, digest)


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).translate(_URL_SAFE).rstrip(b"=").decode()


def _new_sequence() -> None:
    """A lock of its own for a forked child: a thread of the parent may have held the other."""
    global _sequence
    _sequence = threading.Lock()


os.register_at_fork(after_in_child=_new_sequence)
