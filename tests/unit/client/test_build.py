"""The context that is sent and the stream that comes back."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pydock_lab.client.commands.build.context import tar_stream
from pydock_lab.client.commands.build.stream import BuildStream
from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.session import BuildEvent, Progress


def archive(root: Path, **options: Any) -> dict[str, bytes]:
    packed = io.BytesIO(b"".join(tar_stream(root, **options)))
    with tarfile.open(fileobj=packed) as opened:
        members = opened.getmembers()
        assert all((member.uid, member.gid) == (0, 0) for member in members)
        return {
            member.name: opened.extractfile(member).read() if member.isfile() else b""  # type: ignore[union-attr]
            for member in members
        }


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text("FROM x\n")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "a.py").write_text("a" * 1000)
    (tmp_path / "app" / "a.log").write_text("log")
    (tmp_path / "link").symlink_to("app/a.py")
    return tmp_path


def test_everything_is_sent(context: Path) -> None:
    assert set(archive(context, dockerfile="Dockerfile")) == {"Dockerfile", "app", "app/a.py", "app/a.log", "link"}


def test_dockerignore_leaves_out_but_never_the_dockerfile(context: Path) -> None:
    (context / ".dockerignore").write_text("**/*.log\nDockerfile\n.dockerignore\n")
    sent = archive(context, dockerfile="Dockerfile")
    assert set(sent) == {"Dockerfile", ".dockerignore", "app", "app/a.py", "link"}


def test_a_dockerfile_from_elsewhere_hides_from_copy(context: Path) -> None:
    sent = archive(context, dockerfile=".dockerfile.cell", outside=b"FROM y\n")
    assert sent[".dockerfile.cell"] == b"FROM y\n"
    assert sent[".dockerignore"] == b".dockerignore\n.dockerfile.cell\n"
    (context / ".dockerignore").write_text("*.log")
    assert archive(context, dockerfile="d", outside=b"")[".dockerignore"] == b"*.log\nd\n"


def told(*documents: dict[str, Any]) -> tuple[BuildStream, list[BuildEvent | Progress]]:
    stream = BuildStream()
    return stream, [event for document in documents for event in stream.read(document)]


def test_a_build_as_events() -> None:
    texts = [
        "Step 1/2 : FROM busybox", "\n", " ---> 551cde93a01f\n", "Step 2/2 : RUN echo hi", "\n",
        " ---> Running in 047bf6544687\n", "hi\n", "Removing intermediate container 047bf6544687\n",
        " ---> e9750183607d\n",
    ]  # fmt: skip
    documents: list[dict[str, Any]] = [{"stream": text} for text in texts]
    documents += [{"aux": {"ID": "sha256:e975"}}, {"stream": "Successfully built e9750183607d\n"}]
    documents += [{"stream": "Successfully tagged web:latest\n"}]
    stream, events = told(*documents)
    steps = [event for event in events if isinstance(event, BuildEvent)]
    assert [event.kind for event in steps] == [
        "step", "output", "committed", "step", "output", "running", "output", "removed", "committed", "built", "tagged",
    ]  # fmt: skip
    assert (steps[3].step, steps[3].steps, steps[3].text) == (2, 2, "RUN echo hi")
    assert steps[6].text == "hi\n" and steps[-1].text == "web:latest"
    assert stream.image_id == "sha256:e975"
    assert "".join(event.raw for event in steps) == "".join(d["stream"] for d in documents if "stream" in d)


def test_a_cached_step() -> None:
    _, events = told({"stream": "Step 1/1 : RUN x\n"}, {"stream": " ---> Using cache\n"})
    assert [event.kind for event in events if isinstance(event, BuildEvent)] == ["step", "cached"]


def test_a_failure_has_the_engines_words() -> None:
    with pytest.raises(CommandError) as caught:
        told({"error": "x", "errorDetail": {"code": 3, "message": "The command 'x' returned a non-zero code: 3"}})
    assert caught.value.exit_code == 3 and caught.value.message.startswith("The command")


def test_a_pull_within_a_build_is_progress() -> None:
    _, events = told({"status": "Downloading", "id": "abc", "progressDetail": {"current": 1, "total": 2}})
    assert events == [Progress("Downloading", "abc", 1, 2)]
