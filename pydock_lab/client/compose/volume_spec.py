"""`data:/data:ro` → the long form of a service's volume.

Source: compose-spec 05-services.md ("volumes"), compose-go format/volume.go.
"""

from __future__ import annotations

from typing import Any

_PROPAGATIONS = frozenset({"rprivate", "private", "rshared", "shared", "rslave", "slave"})


def parse_volume(text: str) -> dict[str, Any]:
    """Return the long form.

    Raises:
        ValueError: there is no path in it, or an empty part.
    """
    parts = text.split(":")
    if not text:
        raise ValueError("invalid empty volume spec")
    if "" in parts:
        raise ValueError(f"invalid spec: {text}: empty section between colons")
    if len(parts) == 1:
        return {"type": "volume", "target": parts[0], "volume": {}}
    if len(parts) > 3:
        raise ValueError(f"invalid spec: {text}: too many colons")
    source, target = parts[0], parts[1]
    found: dict[str, Any] = {"type": "volume", "source": source, "target": target}
    if source.startswith((".", "/", "~")):
        found["type"] = "bind"
        found["bind"] = {"create_host_path": True}
    else:
        found["volume"] = {}
    for option in parts[2].split(",") if len(parts) == 3 else ():
        if option in ("ro", "rw"):
            found["read_only"] = option == "ro"
        elif option == "nocopy":
            found.setdefault("volume", {})["nocopy"] = True
        elif option in ("z", "Z"):
            found.setdefault("bind", {})["selinux"] = option
        elif option in _PROPAGATIONS:
            found.setdefault("bind", {})["propagation"] = option
        # Others mean nothing here, as with Compose: `cached` was for Docker Desktop.
    return found
