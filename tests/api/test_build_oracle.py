"""The same build on ours and on the real Docker engine: same messages, same layers, same config."""

import difflib
import io
import json
import re
import socket
import tarfile
import time
from http.client import HTTPConnection
from typing import Any

import pytest

from tests.api.conftest import Engines
from tests.conftest import Daemon

FILES: dict[str, bytes | str | None] = {
    "f.txt": b"hello\n",
    "d": None,
    "d/a": b"1",
    "d/l": "a",
    "d/sub": None,
    "d/sub/b": b"22",
    "sp ace": b"x",
}

BUILDS = {
    "metadata": 'ARG BASE=busybox\nFROM $BASE AS one\nARG FOO=bar\nENV A=1 B="two words"\nLABEL x=y\nEXPOSE 80 53/udp\n'
    'USER 1000:1000\nHEALTHCHECK --interval=5s --retries=2 CMD true\nSHELL ["/bin/sh","-ec"]\nSTOPSIGNAL SIGINT\n'
    'ONBUILD RUN echo trig\nMAINTAINER me\nCMD echo "x y"\nENTRYPOINT ["/bin/sh"]\nFROM one\nENV B=$A\n',
    "run": "FROM busybox\nRUN mkdir -p /a/b && echo x > /a/b/c && ln -s c /a/b/l && chmod 700 /a\n"
    "RUN rm -r /a/b && touch /a/new\nRUN rm -rf /a\nRUN touch /dev/shm/x /dev/zz; echo h >> /etc/hosts\nRUN true\n",
    "environment": "FROM busybox\nENV X=1\nARG Y=2\nUSER 1000\nWORKDIR /a/b\n"
    "RUN id; env | grep -v HOSTNAME | sort; pwd; ls -ld /a/b | cut -c1-10\n",
    "copies": 'FROM busybox\nWORKDIR /w\nCOPY f.txt d /q/\nCOPY d/l /l1\nCOPY d .\nCOPY ["sp ace", "/with space/"]\n'
    "ADD --chown=5:6 f.txt /o/\nCOPY f* d/a /g/\nCOPY f.txt /bin/deep/er/x\nCOPY f.txt /x\nCOPY f.txt /x\nWORKDIR /\n",
    "stages": "FROM busybox AS a\nRUN mkdir /o && echo x > /o/f && chown 3:4 /o/f && ln -s f /o/l\n"
    "FROM scratch\nCOPY --from=a /o/ /o/\nCOPY --from=0 /o/l /ll\nCOPY --from=busybox /bin/busybox /bb\n",
    "exit": "FROM busybox\nRUN exit 3\n",
    "missing file": "FROM busybox\nCOPY nope /x\n",
    "outside": "FROM busybox\nCOPY ../x /x\n",
    "two to a file": "FROM busybox\nCOPY f.txt d/a /nodir\n",
    "no image": "FROM scratch\n",
    "signal": "FROM busybox\nSTOPSIGNAL FOO\n",
    "port": "FROM busybox\nEXPOSE 99999999\n",
    "port of the host": "FROM busybox\nEXPOSE 8080:80 127.0.0.1:90:90/udp\n",
    "bad port behind one of the host": "FROM busybox\nEXPOSE 80:90x\n",
    "nothing to run": "FROM busybox\nRUN []\nCMD []\n",
    "volume without a directory": "FROM busybox\nVOLUME /bin/busybox2\n",
    "another healthcheck": "FROM busybox\nHEALTHCHECK CMD a b\nHEALTHCHECK NONE\nHEALTHCHECK CMD c\n",
    "a trigger reads from a stage": "FROM busybox AS x\nRUN echo 1 > /f\nFROM busybox AS a\n"
    "ONBUILD COPY --from=x /f /\nFROM a\nENV after=1\n",
    "nobody listens": "FROM busybox\nADD http://127.0.0.1:1/x /\n",
    "volume without a name": "FROM busybox\nVOLUME $NOTHING\n",
    "directory without a name": "FROM busybox\nWORKDIR $NOTHING\n",
    "any number is a signal": "FROM busybox\nSTOPSIGNAL 99\n",
    "substitution": "FROM busybox\nENV a=${x:?boom}\n",
    "pattern without a match": "FROM busybox\nCOPY *.zz /x/\n",
    "empty": "",
    "unknown platform": "FROM --platform=x busybox\n",
    "platform of a stage": "FROM busybox AS a\nFROM --platform=linux/arm64 a\nENV a=b\n",
    "triggers keep blanks": "FROM busybox\nONBUILD RUN echo a  \nONBUILD   COPY   a \\\n  b\t\n ONBUILD ENV a=b \n",
    "triggers run": "FROM busybox AS a\nONBUILD ARG V=1\nONBUILD RUN echo t$V > /t  \nONBUILD COPY f.txt  /x\n"
    "FROM a\nENV after=1\n",
    "operators": "FROM busybox\nARG f=a/b.tar.gz\n"
    "ENV A=${f:-x} B=${g:-x} C=${f:+y} D=${g:+y} E=\\$f F='$f' G=\"$f\" H=${f}_\n"
    'LABEL a$f=b c="d \\"e\\" f" g=\'h "i"\'\nWORKDIR /$f/${g:-w}\n',
    "entrypoint": "FROM busybox\nCOPY --chown=1:2 f.txt /usr/local/bin/\nRUN chmod 755 /usr/local/bin/f.txt \\\n"
    "    # a comment between\n    && mkdir -p /var/lib/data \\\n\n    && chown -R 70:70 /var/lib/data \n"
    'VOLUME /var/lib/data /x\nENV PATH $PATH:/opt/bin\nENTRYPOINT [ "docker-entrypoint.sh" , "-x" ]\nCMD ["postgres"]\n'
    "STOPSIGNAL SIGINT\nEXPOSE 5432 8000-8002/udp\nHEALTHCHECK NONE\n",
}
FLAGS = {
    "isolation": "isolation=hyperv",
    "no isolation": "isolation=Default",
    "network of no container": "networkmode=container:",
    "network of an unknown container": "networkmode=container:nope",
    "unknown network": "networkmode=nope",
    "platform": "platform=x",
    "unused argument": "buildargs=%7B%22x%22%3A%22y%22%7D",
    "no number": "memory=x&cpushares=",
    "a predefined argument": "buildargs=%7B%22HTTP_PROXY%22%3A%22y%22%7D",
    "no such Dockerfile": "dockerfile=nope",
    "a Dockerfile outside": "dockerfile=../x",
    "labels": "labels=%7B%22b%22%3A%22c%20d%22%2C%22a%22%3A%22%22%7D",
}


def context(dockerfile: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in {"Dockerfile": dockerfile.encode(), **FILES}.items():
            member = tarfile.TarInfo(name)
            member.mtime, member.mode, member.uid = 1_700_000_000, 0o644, 1000
            if content is None:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
            else:
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
    return buffer.getvalue()


def ask(engine: Daemon, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = HTTPConnection("docker", timeout=60)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(engine.socket))
    connection.request(method, f"/v1.41{path}", body, {"Content-Type": "application/x-tar"})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, data


def without_ids(text: str) -> str:
    return re.sub(r"\b(?:[0-9a-f]{64}|[0-9a-f]{12})\b", "ID", text)


def messages(raw: bytes) -> list[str]:
    decoded = [json.loads(line) for line in raw.decode().split("\n") if line.strip()]
    for message in decoded:
        message.get("errorDetail", message).pop("hint", None)
    joined: list[dict[str, Any]] = []
    for message in decoded:
        # What a command writes comes in pieces, as it happens to be read.
        if printed(message) and joined and printed(joined[-1]):
            joined[-1]["stream"] += message["stream"]
        else:
            joined.append(message)
    return [without_ids(json.dumps(message, sort_keys=True)) for message in joined]


def printed(message: dict[str, Any]) -> bool:
    return re.match(r"\n|Step | --->|Removing |Successfully |#|\[Warning|$", message.get("stream", "")) is None


def image(engine: Daemon) -> dict[str, Any]:
    """Layers as listings, and the parts of the config that both engines write."""
    _, saved = ask(engine, "GET", "/images/compared/get")
    with tarfile.open(fileobj=io.BytesIO(saved)) as tar:

        def read(name: str) -> Any:
            member = tar.extractfile(name)
            assert member is not None
            return member

        manifest = json.load(read("manifest.json"))[0]
        config = json.load(read(manifest["Config"]))
        layers = []
        for name in manifest["Layers"]:
            with tarfile.open(fileobj=read(name)) as layer:
                layers.append(sorted(filter(None, map(entry, layer))))
    run = {key: value for key, value in config["config"].items() if value and key not in ("Image", "Hostname")}
    history = [{k: without_ids(str(v)) for k, v in row.items() if k != "created"} for row in config["history"]]
    return {"layers": layers, "config": run, "history": history, "os": config["os"], "author": config.get("author")}


def entry(member: tarfile.TarInfo) -> str:
    name = member.name.strip("/.")
    kind = member.type.decode()
    return name and f"{name} {kind} {member.mode & 0o7777:o} {member.uid}:{member.gid} {member.size} {member.linkname}"


@pytest.mark.parametrize("name", BUILDS)
def test_the_same_build(engines: Engines, name: str) -> None:
    compare(engines, BUILDS[name])


@pytest.mark.parametrize("name", FLAGS)
def test_the_same_flag(engines: Engines, name: str) -> None:
    compare(engines, "FROM busybox AS first\nRUN echo hello\nFROM first\nENV a=b\n", FLAGS[name])


CACHED = {
    "a pattern": ("COPY f.txt /q/", "COPY f*.txt /q/"),
    "the JSON form": ("COPY f.txt /q/", 'COPY ["./f.txt", "/q/"]'),
    "another file": ("COPY d/a /q", "COPY d/sub/b /q"),
    "files in another order": ("COPY d/a d/sub/b /q/", "COPY d/sub/b d/a /q/"),
    "ADD is not COPY": ("COPY f.txt /q/", "ADD f.txt /q/"),
    "the old form": ("ENV a=b", "ENV a b"),
    "quotes": ("LABEL a=b", 'LABEL a="b"'),
    "one pair for two": ("LABEL a=b c=d", 'LABEL a="b c=d"'),
    "one path for two": ("VOLUME /a /b", 'VOLUME ["/a /b"]'),
    "one word for two": ('CMD ["a b"]', 'CMD ["a", "b"]'),
    "order of ports": ("EXPOSE 80 90", "EXPOSE 90 80"),
    "blanks": ("RUN echo a", "RUN echo  a"),
    "exec form": ("RUN echo a", 'RUN ["/bin/sh", "-c", "echo a"]'),
    "continuation": ("RUN echo a", "run echo \\\n  a"),
}


@pytest.mark.parametrize("name", CACHED)
def test_the_same_cache(engines: Engines, name: str) -> None:
    hits = []
    for engine in engines:
        for line, flags in zip(CACHED[name], ("nocache=1", ""), strict=True):
            status, raw = ask(engine, "POST", f"/build?{flags}", context(f"FROM busybox\n{line}\n"))
            assert (status, raw.count(b"Successfully built")) == (200, 1)
        hits.append(b"Using cache" in raw)
    ours, docker = hits
    assert ours == docker


@pytest.mark.parametrize("flags", ["rm=0", "rm=1", "rm=1&forcerm=1"])
@pytest.mark.parametrize("status", [0, 3])
def test_the_same_containers_stay(engines: Engines, flags: str, status: int) -> None:
    dockerfile = f"FROM busybox\nRUN touch /first\nRUN touch /second; exit {status}\n"
    outcomes = []
    for engine in engines:
        since = str(time.time())
        _, raw = ask(engine, "POST", f"/build?nocache=1&{flags}", context(dockerfile))
        ids = re.findall(rb"Running in ([0-9a-f]{12})", raw)
        assert len(ids) == 2
        seen: list[Any] = []
        for container_id in map(bytes.decode, ids):
            form = "{{.Action}} {{.Actor.Attributes.exitCode}}"
            asked = ("--since", since, "--until", str(time.time()), "--filter", f"container={container_id}")
            seen.append(engine.docker("events", *asked, "--format", form).stdout)
            left = engine.docker("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}} {{.Args}}", container_id)
            seen.append(left.stdout)
            if left.returncode == 0:
                seen.append(engine.docker("diff", container_id).stdout)
                seen.append(engine.docker("rm", container_id).returncode)
        outcomes.append(seen)
    ours, docker = outcomes
    assert ours == docker


def compare(engines: Engines, dockerfile: str, flags: str = "") -> None:
    outcomes: list[list[str]] = []
    for engine in engines:
        status, raw = ask(engine, "POST", f"/build?t=compared&rm=1&nocache=1&forcerm=1&{flags}", context(dockerfile))
        lines = [f"status {status}", *messages(raw)]
        if "Successfully tagged" in raw.decode():
            lines += json.dumps(image(engine), indent=1, sort_keys=True).split("\n")
        outcomes.append(lines)
    ours, docker = outcomes
    assert ours == docker, "\n".join(difflib.unified_diff(docker, ours, "docker", "ours", lineterm="", n=1))
