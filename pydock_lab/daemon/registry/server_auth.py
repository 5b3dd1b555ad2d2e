"""Who may use the embedded registry: basic auth from an htpasswd file or one user.

htpasswd's own forms are read by libcrypt (bcrypt `$2y$`, sha512-crypt `$6$`, …),
which every Linux has beside its login. Source: RFC 7617, crypt(5).
"""

from __future__ import annotations

import base64
import binascii
import ctypes
import hashlib
import hmac
import threading
from pathlib import Path

from pydock_lab.errors import InvalidParameter, Unavailable


class Users:
    """Names and how to check their passwords; nobody means that everybody may.

    Args:
        plain: Name → password.
        hashed: Name → crypt(5) text.
    """

    def __init__(self, plain: dict[str, str] | None = None, hashed: dict[str, str] | None = None) -> None:
        self._plain = dict(plain or {})
        self._hashed = dict(hashed or {})
        self._crypt = _Crypt() if self._hashed else None
        # bcrypt is slow on purpose, and a pull asks dozens of times.
        self._passed: set[bytes] = set()

    def __bool__(self) -> bool:
        return bool(self._plain or self._hashed)

    @classmethod
    def read(cls, htpasswd: Path | None, user: str | None) -> Users:
        """Read `--htpasswd FILE` and `--user NAME:PASSWORD`. Raises InvalidParameter."""
        hashed: dict[str, str] = {}
        if htpasswd is not None:
            try:
                lines = htpasswd.read_text().splitlines()
            except OSError as error:
                raise InvalidParameter(f"htpasswd: {error}") from None
            for line in lines:
                name, colon, secret = line.strip().partition(":")
                if colon and not name.startswith("#"):
                    hashed[name] = secret
        plain: dict[str, str] = {}
        if user is not None:
            name, colon, password = user.partition(":")
            if not (name and colon and password):
                raise InvalidParameter("--user: NAME:PASSWORD is expected")
            plain[name] = password
        return cls(plain, hashed)

    def allow(self, authorization: str) -> bool:
        """Whether the value of an Authorization header is good; blocks for some hundredths of a second."""
        scheme, _, encoded = authorization.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            name, colon, password = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        if not colon:
            return False
        if name in self._plain:
            return hmac.compare_digest(self._plain[name].encode(), password.encode())
        if name not in self._hashed or self._crypt is None:
            return False
        seen = hashlib.sha256(authorization.encode()).digest()
        if seen not in self._passed:
            secret = self._hashed[name]
            if not hmac.compare_digest(self._crypt.hash(password, secret), secret):
                return False
            self._passed.add(seen)
        return True


class _Crypt:
    """crypt(3): Python's own module is gone since 3.13."""

    def __init__(self) -> None:
        try:
            library = ctypes.CDLL("libcrypt.so.1")
        except OSError:
            raise Unavailable("htpasswd: libcrypt is not installed", hint="--user NAME:PASSWORD needs none") from None
        self._function = library.crypt
        self._function.restype = ctypes.c_char_p
        self._function.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
        self._lock = threading.Lock()  # crypt(3) returns its one buffer

    def hash(self, password: str, setting: str) -> str:
        """Hash a password the way `setting` was; "*0" where libcrypt does not know the way."""
        with self._lock:
            return (self._function(password.encode(), setting.encode()) or b"*0").decode()
