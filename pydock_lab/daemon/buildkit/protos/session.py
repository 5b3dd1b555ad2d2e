"""What a session's client serves: files, credentials, secrets, an ssh agent.

Source: moby/buildkit session/{filesync,auth,secrets,sshforward,upload}; tonistiigi/fsutil types/wire.proto, stat.proto.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydock_lab.spec.protobuf import Message

DIFF_COPY = "/moby.filesync.v1.FileSync/DiffCopy"
SEND = "/moby.filesync.v1.FileSend/DiffCopy"
CREDENTIALS = "/moby.filesync.v1.Auth/Credentials"
GET_SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
CHECK_AGENT = "/moby.sshforward.v1.SSH/CheckAgent"
FORWARD_AGENT = "/moby.sshforward.v1.SSH/ForwardAgent"
PULL = "/moby.upload.v1.Upload/Pull"

STAT, REQUEST, DATA, FIN, ERROR = range(5)
"""The kinds of fsutil's packets."""


@dataclass
class Stat(Message):
    """One file, its mode as Go's os.FileMode has it."""

    path: Annotated[str, 1] = ""
    mode: Annotated[int, 2] = 0
    uid: Annotated[int, 3] = 0
    gid: Annotated[int, 4] = 0
    size: Annotated[int, 5] = 0
    modified_ns: Annotated[int, 6] = 0
    linkname: Annotated[str, 7] = ""
    major: Annotated[int, 8] = 0
    minor: Annotated[int, 9] = 0
    xattrs: Annotated[dict[str, bytes], 10] = field(default_factory=dict)


@dataclass
class Packet(Message):
    """What goes to and fro while a directory is synchronized."""

    type: Annotated[int, 1] = STAT
    stat: Annotated[Stat | None, 2] = None
    id: Annotated[int, 3] = 0
    data: Annotated[bytes, 4] = b""


@dataclass
class BytesMessage(Message):
    """A piece of a file, or of a connection."""

    data: Annotated[bytes, 1] = b""


@dataclass
class CredentialsRequest(Message):
    """Who are you to a registry?"""

    host: Annotated[str, 1] = ""


@dataclass
class CredentialsResponse(Message):
    """A name and a password, or a token that stands for both."""

    username: Annotated[str, 1] = ""
    secret: Annotated[str, 2] = ""


@dataclass
class GetSecretRequest(Message):
    """`--secret id=…`."""

    id: Annotated[str, 1] = ""


@dataclass
class GetSecretResponse(Message):
    """Its content."""

    data: Annotated[bytes, 1] = b""


@dataclass
class CheckAgentRequest(Message):
    """`--ssh ID`."""

    id: Annotated[str, 1] = ""
