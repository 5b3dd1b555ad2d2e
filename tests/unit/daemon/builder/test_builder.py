"""Whole builds on real stores, from scratch and without RUN: no privileges needed."""

import asyncio
import errno
import gzip
import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pydock_lab.daemon.builder.builder import Builder
from pydock_lab.daemon.builder.options import BuildOptions
from pydock_lab.daemon.config import DaemonConfig
from pydock_lab.daemon.engine.events import Events
from pydock_lab.daemon.network.bridges import Networks
from pydock_lab.daemon.runtime.client import Runtime
from pydock_lab.daemon.store.database import Database
from pydock_lab.daemon.store.images import Image, ImageStore
from pydock_lab.daemon.store.layers import LayerStore
from pydock_lab.daemon.trace import Trace
from pydock_lab.errors import DockerfileError, InvalidParameter, LabError, NotFound


def make_tar(files: dict[str, bytes], *, mtime: int = 0) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(content), 0o644, mtime
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


class Yard:
    """A builder and its stores below one directory."""

    def __init__(self, root: Path) -> None:
        root.mkdir(exist_ok=True)
        config = DaemonConfig(hosts=(), data_root=root, exec_root=root / "exec", rootless=True)
        trace = Trace()
        self.root = root
        self.database = Database(root / "meta.db")
        self.layers = LayerStore(root / "layers", self.database, trace, rootless=True)
        self.images = ImageStore(self.database, self.layers)
        networks = Networks(self.database.table("networks"), trace, config)
        self.events = Events()
        self.builder = Builder(
            config,
            self.database,
            Runtime(config.exec_root, trace),
            self.layers,
            self.images,
            networks,
            self._resolve,
            self.events,
            trace,
        )

    async def _resolve(self, name: str, **_: Any) -> Image:
        return self.images.resolve(name)

    async def build(
        self, dockerfile: str, files: dict[str, bytes] | None = None, *, mtime: int = 0, **options: Any
    ) -> dict[str, Any]:
        """Build; return the record, with the messages under `messages`."""
        build = self.builder.begin(BuildOptions(**options))
        build.tar.write_bytes(make_tar({"Dockerfile": dockerfile.encode(), **(files or {})}, mtime=mtime))
        build.start()
        messages = [message async for waiting in build.messages() for message in waiting]
        return {**self.builder.record(build.id), "messages": messages}

    def content(self, image: str) -> dict[str, str]:
        """Path → text of every regular file of an image's layers, the topmost counting."""
        found: dict[str, str] = {}
        for layer in self.layers.lower_paths(self.images.resolve(image).chain_id):
            for path in layer.rglob("*"):
                if path.is_file():
                    found.setdefault(str(path.relative_to(layer)), path.read_text())
        return found


@pytest.fixture
async def yard(tmp_path: Path) -> Any:
    made = Yard(tmp_path / "data")
    await made.builder.start()
    yield made
    await made.builder.close()
    made.database.close()


def states(record: dict[str, Any]) -> list[str]:
    return [step["state"] for step in record["steps"]]


def text(record: dict[str, Any]) -> str:
    return "".join(message.get("stream", "") for message in record["messages"])


STAGES = """FROM scratch AS files
COPY a.txt /in/a
FROM scratch AS unused
COPY missing /
FROM scratch
ARG NAME=world
ENV GREETING="hello $NAME"
WORKDIR /app
COPY --from=files /in/a b.txt
COPY <<EOF note
$GREETING
EOF
LABEL greeting=$GREETING
CMD ["/x"]
"""


async def test_stages_and_files(yard: Yard) -> None:
    record = await yard.build(STAGES, {"a.txt": b"A"}, tags=("greet:1", "greet:2"))
    assert record["state"] == "succeeded"
    assert yard.content("greet:1") == {"in/a": "A"} or yard.content("greet:1") == {
        "app/b.txt": "A",
        "app/note": "hello world\n",
    }
    config = yard.images.resolve("greet:2").config["config"]
    assert config["Labels"] == {"greeting": "hello world"}
    assert config["WorkingDir"] == "/app"
    assert [stage["needed"] for stage in record["stages"]] == [True, False, True]
    assert text(record).startswith("Step 1/10 : FROM scratch AS files\n ---> \nStep 2/10 : COPY a.txt /in/a\n ---> ")
    assert text(record).endswith("Successfully tagged greet:1\nSuccessfully tagged greet:2\n")


async def test_a_second_build_is_cached_and_says_from_where(yard: Yard) -> None:
    first = await yard.build(STAGES, {"a.txt": b"A"})
    second = await yard.build(STAGES, {"a.txt": b"A"}, mtime=1_000_000)
    assert second["image"] == first["image"]
    assert states(second) == ["done", "cached", "done", *["cached"] * 7]
    assert second["steps"][1]["cache"]["from"] == {
        "build": first["id"],
        "step": 2,
        "image": first["steps"][1]["image"],
    }


async def test_a_changed_file_is_named_and_only_what_depends_on_it_is_built(yard: Yard) -> None:
    await yard.build(STAGES, {"a.txt": b"A"})
    record = await yard.build(STAGES, {"a.txt": b"B"})
    assert states(record)[3:6] == ["cached", "cached", "cached"]
    reason = record["steps"][1]["cache"]["reason"]
    assert (reason["field"], reason["text"]) == ("file", "file a.txt changed")
    assert record["steps"][6]["cache"]["reason"]["field"] == "file"
    assert record["steps"][7]["cache"]["reason"]["field"] == "parent"


async def test_a_changed_argument_shows_where_it_is_used(yard: Yard) -> None:
    await yard.build(STAGES, {"a.txt": b"A"})
    record = await yard.build(STAGES, {"a.txt": b"A"}, build_args={"NAME": "moon"})
    change = record["steps"][4]["cache"]["reason"]["changes"][0]
    assert (change["before"], change["after"]) == ("ENV GREETING=hello world", "ENV GREETING=hello moon")


async def test_no_cache(yard: Yard) -> None:
    await yard.build(STAGES, {"a.txt": b"A"})
    record = await yard.build(STAGES, {"a.txt": b"A"}, no_cache=True)
    assert "cached" not in states(record)
    assert record["steps"][1]["cache"]["reason"]["field"] == "no-cache"


async def test_an_image_that_was_removed_is_no_hit(yard: Yard) -> None:
    first = await yard.build("FROM scratch\nLABEL a=b\n")
    yard.images.remove(first["image"])
    record = await yard.build("FROM scratch\nLABEL a=b\n")
    assert record["steps"][1]["cache"]["reason"]["field"] == "image"


async def test_the_same_inputs_and_epoch_give_the_same_image_anywhere(tmp_path: Path) -> None:
    async def build(name: str, mtime: int) -> str:
        yard = Yard(tmp_path / name)
        arguments = {"SOURCE_DATE_EPOCH": "1600000000"}
        record = await yard.build(STAGES, {"a.txt": b"A"}, mtime=mtime, build_args=arguments)
        await yard.builder.close()
        yard.database.close()
        return str(record["image"])

    assert await build("one", 1_700_000_000) == await build("two", 1_700_000_001)


async def test_target_and_labels(yard: Yard) -> None:
    record = await yard.build(STAGES, {"a.txt": b"A"}, target="files", labels={"b": "2", "a": "1"}, tags=("t",))
    assert yard.images.resolve("t").config["config"]["Labels"] == {"a": "1", "b": "2"}
    assert text(record).count("Step ") == 4
    assert "Step 3/4 : LABEL a=1\n" in text(record)


async def test_onbuild_triggers_run_in_the_next_build(yard: Yard) -> None:
    await yard.build("FROM scratch\nONBUILD COPY f /f\nONBUILD LABEL x=y\n", tags=("parent",))
    record = await yard.build("FROM parent\nLABEL own=1\n", {"f": b"F"}, tags=("child",))
    assert "# Executing 2 build triggers\n" in text(record)
    assert yard.content("child") == {"f": "F"}
    assert yard.images.resolve("child").config["config"]["Labels"] == {"x": "y", "own": "1"}
    assert "OnBuild" not in yard.images.resolve("child").config["config"]


async def test_add_unpacks_archives_and_copy_does_not(yard: Yard) -> None:
    archive = gzip.compress(make_tar({"in/side": b"S"}))
    files = {"a.tgz": archive, "plain": b"P"}
    await yard.build("FROM scratch\nADD a.tgz /x/\nADD plain /x/\nCOPY a.tgz /y/\n", files, tags=("t",))
    layers = yard.layers.lower_paths(yard.images.resolve("t").chain_id)
    assert (layers[0] / "y/a.tgz").read_bytes() == archive
    assert (layers[1] / "x/plain").read_text() == "P"
    assert (layers[2] / "x/in/side").read_text() == "S"


async def test_an_archive_that_leads_out_is_refused(yard: Yard) -> None:
    record = await yard.build("FROM scratch\nADD evil.tar /x/\n", {"evil.tar": make_tar({"../../evil": b""})})
    assert record["state"] == "failed"
    assert "outside" in record["error"]["message"]
    await yard.builder.close()
    assert not list(yard.root.parent.glob("**/evil"))


@pytest.mark.parametrize(
    ("dockerfile", "kind", "message"),
    [
        ("FROM scratch\nRNU x\n", DockerfileError, "dockerfile parse error on line 2: unknown instruction: RNU (did"),
        ("", InvalidParameter, "the Dockerfile (Dockerfile) cannot be empty"),
        ("LABEL a=b\n", DockerfileError, "no build stage in current context"),
    ],
)
async def test_errors_before_the_first_step_are_the_answer(
    yard: Yard, dockerfile: str, kind: type[LabError], message: str
) -> None:
    with pytest.raises(kind) as raised:
        await yard.build(dockerfile)
    assert message in raised.value.message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("COPY nope /x", "COPY failed: file not found in build context or excluded by .dockerignore: stat nope: file"),
        ("COPY ../x /x", "COPY failed: forbidden path outside the build context: ../x ()"),
        ("COPY a b /c", "When using COPY with more than one source file, the destination must be a directory and end"),
        ("ENV a=${x:?boom}", 'failed to process "${x:?boom}": x: boom'),
        ("EXPOSE 99999999", "Invalid containerPort: 99999999"),
        ("STOPSIGNAL FOO", "Invalid signal: FOO"),
        ("COPY --from=nope x /x", "invalid from flag value nope: No such image: nope:latest"),
        ("COPY --chown=ghost a /x", "unable to convert uid/gid chown string to host mapping: can't find uid for user"),
        ("RUN --mount=type=bind,from=nope,target=/x true", "invalid from flag value nope: No such image: nope:latest"),
        (
            "ADD http://127.0.0.1:9/x /x",
            'ADD failed: Get "http://127.0.0.1:9/x": dial tcp 127.0.0.1:9: connect: connection refused',
        ),
        ("ADD --checksum=sha256:1 http://127.0.0.1:9/x /x", "ADD failed: invalid checksum digest format: sha256:1"),
        ("ADD --checksum=sha256:1 a /x", "checksum requires HTTP(S) sources"),
    ],
)
async def test_errors_of_a_step_end_the_stream(yard: Yard, line: str, message: str) -> None:
    record = await yard.build(f"FROM scratch\n{line}\n", {"a": b"", "b": b""})
    assert record["messages"][-1]["error"].startswith(message)
    assert record["messages"][-1]["errorDetail"]["message"].startswith(message)
    assert states(record) == ["done", "failed"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("VOLUME /d /v", "cannot mount volume over existing file, file exists /v"),
        ("WORKDIR /v", "Cannot mkdir: /v is not a directory"),
    ],
)
async def test_a_file_stays_a_file(yard: Yard, line: str, message: str) -> None:
    record = await yard.build(f"FROM scratch\nCOPY v /v\n{line}\n", {"v": b""})
    assert record["error"]["message"] == message


async def test_triggers_of_a_base_image_read_from_a_stage_that_nothing_else_needs(yard: Yard) -> None:
    await yard.build("FROM scratch\nONBUILD COPY --from=tools /made /\n", tags=("base",))
    tools = "FROM scratch AS tools\nCOPY f /made\nFROM scratch AS unused\nCOPY f /u\n"
    record = await yard.build(f"{tools}FROM base\n", {"f": b"F"}, tags=("t",))
    assert yard.content("t") == {"made": "F"}
    assert [stage["needed"] for stage in record["stages"]] == [True, False, True]


async def test_a_stage_may_read_from_a_later_one(yard: Yard) -> None:
    dockerfile = "FROM scratch AS a\nCOPY --from=b /f /\nFROM scratch AS b\nCOPY f /\n"
    await yard.build(dockerfile, {"f": b"F"}, tags=("t",), target="a")
    assert yard.content("t") == {"f": "F"}


async def test_quiet_says_the_id_alone(yard: Yard) -> None:
    record = await yard.build("FROM scratch\nLABEL a=b\n", quiet=True)
    assert record["messages"] == [{"stream": f"{record['image']}\n"}]


async def test_scratch_alone_is_no_image(yard: Yard) -> None:
    record = await yard.build("FROM scratch\n")
    assert record["error"]["message"] == "No image was generated. Is your Dockerfile empty?"


async def test_unused_build_arguments_are_named(yard: Yard) -> None:
    record = await yard.build("FROM scratch\nLABEL a=b\n", build_args={"X": "1", "HTTP_PROXY": "p"})
    assert "[Warning] One or more build-args [X] were not consumed\n" in text(record)


async def test_dockerignore_hides_itself_and_the_dockerfile(yard: Yard) -> None:
    files = {".dockerignore": b"Dockerfile\n.dockerignore\n", "f": b"F"}
    await yard.build("FROM scratch\nCOPY . /\n", files, tags=("t",))
    assert yard.content("t") == {"f": "F"}


async def test_a_canceled_build_leaves_nothing(yard: Yard) -> None:
    build = yard.builder.begin(BuildOptions(build_id="mine", tags=("never",)))
    lines = "".join(f"COPY f /f{number}\n" for number in range(200))
    build.tar.write_bytes(make_tar({"Dockerfile": f"FROM scratch\n{lines}".encode(), "f": b"F"}))
    build.start()
    messages = build.messages()
    await anext(messages)
    await yard.builder.cancel("mine")
    assert yard.builder.record(build.id)["state"] == "canceled"
    await yard.builder.close()
    assert list((yard.root / "tmp").iterdir()) == []
    with pytest.raises(NotFound):
        yard.images.resolve("never")


async def test_what_a_killed_daemon_left_is_cleaned(yard: Yard) -> None:
    left = yard.builder.begin(BuildOptions())
    left.tar.write_bytes(b"half")
    yard.database.table("builds").put(left.id, {"id": left.id, "state": "running", "started_at_ns": 1})
    again = Yard(yard.root)
    await again.builder.start()
    await again.builder.close()
    assert list((yard.root / "tmp").iterdir()) == []
    assert again.builder.record(left.id)["state"] == "interrupted"
    again.database.close()


async def test_pruning_forgets_the_steps(yard: Yard) -> None:
    await yard.build("FROM scratch\nLABEL a=b\n")
    assert len((await yard.builder.prune())["CachesDeleted"]) == 1
    record = await yard.build("FROM scratch\nLABEL a=b\n")
    assert states(record) == ["done", "done"]


async def test_records_are_listed_newest_first(yard: Yard) -> None:
    first = await yard.build("FROM scratch\nLABEL a=b\n")
    second = await yard.build("FROM scratch\nLABEL a=c\n")
    assert [row["id"] for row in yard.builder.records()] == [second["id"], first["id"]]
    assert yard.builder.record(first["id"][:12])["id"] == first["id"]
    with pytest.raises(NotFound):
        yard.builder.record("ffff")


async def test_builds_side_by_side(yard: Yard) -> None:
    records = await asyncio.gather(*(yard.build(f"FROM scratch\nCOPY f /{n}\n", {"f": b"F"}) for n in range(5)))
    assert {record["state"] for record in records} == {"succeeded"}
    assert len({record["image"] for record in records}) == 5


async def test_files_lent_by_the_context_make_the_same_layers_as_copies(yard: Yard) -> None:
    """A file of the context that several steps copy, one of them with another mode, is one of its own in each layer."""
    files = {"a.txt": b"A" * 5000, "d/b.txt": b"B"}
    steps = "FROM scratch\nCOPY a.txt /one\nCOPY --chmod=600 a.txt /two\nCOPY a.txt d /three/\nCOPY . /all/\n"
    lent = await yard.build(steps, files, build_args={"SOURCE_DATE_EPOCH": "5"}, mtime=9)
    found = {path: path.stat() for path in (yard.root / "layers").rglob("*") if path.is_file()}
    modes = {path.name: oct(status.st_mode & 0o777) for path, status in found.items()}
    assert (modes["one"], modes["two"], modes["a.txt"]) == ("0o644", "0o600", "0o644")
    await yard.builder.close()  # what the build left to be removed is gone
    assert {path.stat().st_nlink for path in found} == {1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "link", refuse_links)
        copied = await yard.build(steps, files, build_args={"SOURCE_DATE_EPOCH": "5"}, mtime=9, no_cache=True)
    assert copied["image"] == lent["image"]


def refuse_links(*_: Any, **__: Any) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))
