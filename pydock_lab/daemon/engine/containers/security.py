"""Security options, `--security-opt`: the seccomp profile and no-new-privileges; AppArmor and SELinux are not here.

Source: moby daemon/daemon_unix.go (parseSecurityOpt), daemon/create.go (generateSecurityOpt), seccomp_linux.go.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pydock_lab.errors import InvalidParameter

# What Go's strconv.ParseBool takes.
TRUE, FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")
_UNLABELLED = "label=disable"


def parse(options: list[str]) -> tuple[str, bool]:
    """Read the options; return the seccomp profile as it was given ("" for the default) and no-new-privileges.

    Raises:
        InvalidParameter: one that Docker does not know, in its words.
    """
    seccomp, no_new_privileges = "", False
    for option in options:
        # The colon is the older spelling.
        key, separator, value = option.partition("=" if "=" in option else ":")
        if option == "no-new-privileges":
            no_new_privileges = True
        elif option == "disable":
            continue
        elif not separator:
            raise InvalidParameter(f'invalid --security-opt 1: "{option}"')
        elif key == "no-new-privileges" and value in (*TRUE, *FALSE):
            no_new_privileges = value in TRUE
        elif key == "seccomp":
            seccomp = value
        elif key not in ("apparmor", "label"):
            raise InvalidParameter(f'invalid --security-opt 2: "{option}"')
    return seccomp, no_new_privileges


def completed(host: dict[str, Any]) -> list[str] | None:
    """Return the options of a container as Docker keeps them: who sees the host's processes has no label of his own."""
    options: list[str] | None = host["SecurityOpt"]
    labelled = any(option.startswith("label=") for option in options or ())
    if labelled or not (host["Privileged"] or "host" in (host["IpcMode"], host["PidMode"])):
        return options
    return [*(options or ()), _UNLABELLED]


def profile(value: str) -> str | dict[str, Any]:
    """Return the seccomp profile of a container: "default", "unconfined" or a document.

    Raises:
        InvalidParameter: it can't be decoded; Docker finds it when the container starts.
    """
    if value in ("unconfined", "default", "builtin", ""):
        return "unconfined" if value == "unconfined" else "default"
    try:
        document = msgspec.json.decode(value)
    except msgspec.DecodeError as error:
        raise InvalidParameter(f"Decoding seccomp profile failed: {error}") from None
    if not isinstance(document, dict):
        raise InvalidParameter("Decoding seccomp profile failed: it is not an object")
    return document
