"""`RUN --mount=…`: one string → a typed mount, with BuildKit's error wording.

Source: the Dockerfile reference, "RUN --mount"; BuildKit's
frontend/dockerfile/instructions/commands_runmount.go.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass

from pydock_lab.dockerfile.suggestion import closest
from pydock_lab.errors import DockerfileError

BIND, CACHE, TMPFS, SECRET, SSH = "bind", "cache", "tmpfs", "secret", "ssh"
_TYPES = (BIND, CACHE, TMPFS, SECRET, SSH)
_SHARING = ("shared", "private", "locked")
_OWNED = (CACHE, SECRET, SSH)
_TRUE, _FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?", re.IGNORECASE)
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}
_NAMES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly", "rw": "readwrite"}


@dataclass(frozen=True)
class Mount:
    """One mount of a RUN step.

    Attributes:
        type: bind, cache, tmpfs, secret or ssh.
        target: As written; may be relative to the working directory; "" where it is not given.
        source: Path below the context or `from_image`; of a secret its id.
        from_image: A stage, an image or a named context; "" for the build context.
        read_only: Mounted `ro`.
        id: Of a cache, secret or ssh agent; "" for the default.
        sharing: Of a cache: shared, private or locked.
        required: A secret or agent that is missing is an error.
        env: Variable that a secret is put into, or "".
        size_bytes: Of a tmpfs, 0 for no limit.
        mode: Permission bits, or None for the type's default.
    """

    type: str = BIND
    target: str = ""
    source: str = ""
    from_image: str = ""
    read_only: bool = True
    id: str = ""
    sharing: str = "shared"
    required: bool = False
    env: str = ""
    size_bytes: int = 0
    mode: int | None = None
    uid: int = 0
    gid: int = 0


def read_mount(text: str) -> Mount:
    """Read `type=cache,target=/root/.cache`, its variables expanded.

    Raises:
        DockerfileError: in BuildKit's words, without a line.
    """
    try:
        fields = next(csv.reader([text]), [])
    except csv.Error as error:
        raise DockerfileError(f"failed to parse csv mounts: {error}") from None
    # The type decides what else is allowed, wherever it stands.
    kind = BIND
    for word in fields:
        key, equals, value = word.partition("=")
        if equals and key.lower() == "type":
            kind = value.lower()
            if kind not in _TYPES:
                raise DockerfileError(f"unsupported mount type {json.dumps(value)}{closest(value, _TYPES)}")
    values: dict[str, str] = {}
    read_only: bool | None = None
    for word in fields:
        key, equals, value = word.partition("=")
        name = _NAMES.get(key.lower(), key.lower())
        if not equals and name not in ("readonly", "readwrite", "required"):
            raise DockerfileError(f"invalid field '{word}' must be a key=value pair")
        _check_key(name, kind, word)
        if name in ("readonly", "readwrite"):
            read_only = _bool(key, value if equals else "true") == (name == "readonly")
        else:
            values[name] = value if equals else "true"
    return _checked(kind, values, read_only)


def _check_key(name: str, kind: str, word: str) -> None:
    known = ("type", "from", "source", "target", "readonly", "readwrite", "required", "size", "id", "sharing")
    if name not in (*known, "mode", "uid", "gid", "env"):
        raise DockerfileError(f"unexpected key '{name}' in '{word}'{closest(name, known)}")
    if (name == "required" and kind not in (SECRET, SSH)) or (name == "size" and kind != TMPFS):
        raise DockerfileError(f"unexpected key '{name}' for mount type '{kind}'")
    if name in ("mode", "uid", "gid") and kind not in _OWNED:
        raise DockerfileError(f"{name} not allowed for {json.dumps(kind)} type mounts")


def _checked(kind: str, values: dict[str, str], read_only: bool | None) -> Mount:
    sharing = values.get("sharing", "")
    if sharing and sharing not in _SHARING:
        raise DockerfileError(f"unsupported sharing value {json.dumps(sharing)}{closest(sharing, _SHARING)}")
    if sharing and kind != CACHE:
        raise DockerfileError(f"invalid cache sharing set for {kind} mount")
    if kind == SECRET:
        if values.get("from"):
            raise DockerfileError("secret mount should not have a from")
        if not any(values.get(name) for name in ("source", "target", "id")):
            raise DockerfileError("invalid secret mount. one of source, target required")
        if values.get("source") and values.get("id"):
            raise DockerfileError("both source and id can't be set")
    return Mount(
        type=kind,
        target=values.get("target", ""),
        source=values.get("source", ""),
        from_image=values.get("from", ""),
        read_only=kind not in (CACHE, TMPFS) if read_only is None else read_only,
        id=values.get("id", ""),
        sharing=sharing or "shared",
        required=_bool("required", values.get("required", "false")),
        env=values.get("env", ""),
        size_bytes=_size(values.get("size", "")),
        mode=_number("mode", values["mode"], 8) if "mode" in values else None,
        uid=_number("uid", values.get("uid", "0"), 10),
        gid=_number("gid", values.get("gid", "0"), 10),
    )


def _bool(name: str, value: str) -> bool:
    if value not in (*_TRUE, *_FALSE):
        raise DockerfileError(f"invalid value for {name}: {value}")
    return value in _TRUE


def _number(name: str, value: str, base: int) -> int:
    digits = "01234567" if base == 8 else "0123456789"
    if not value or value.strip(digits) or int(value, base) >= 2**32:
        raise DockerfileError(f"invalid value {value} for {name}")
    return int(value, base)


def _size(value: str) -> int:
    if not value:
        return 0
    match = _SIZE.fullmatch(value)
    if match is None:
        raise DockerfileError(f"invalid value for size: {value}")
    return int(float(match[1]) * (1 << _UNITS[match[2].lower()]))
