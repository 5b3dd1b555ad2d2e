"""RUN --mount, ADD of URLs and git, stages side by side, failures: through the docker CLI."""

import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.test_build import build, request
from tests.conftest import Daemon

pytestmark = pytest.mark.usefixtures("busybox")


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.txt").write_text("A\n")
    (tmp_path / "sub" / "b.txt").write_text("B\n")
    return tmp_path


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A web server on loopback and the directory it shows."""
    root = tmp_path_factory.mktemp("site")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(root))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", root
        server.shutdown()
        thread.join()


def newest(daemon: Daemon) -> dict[str, object]:
    row = json.loads(request(daemon, "GET", "/lab/builds")[2])[0]
    record: dict[str, object] = json.loads(request(daemon, "GET", f"/lab/builds/{row['id']}")[2])
    return record


def files(daemon: Daemon, image: str, *paths: str) -> str:
    return daemon.docker("run", "--rm", image, "cat", *paths).stdout


MOUNTS = """FROM busybox AS layers
RUN mkdir -p /data && echo lower > /data/f
RUN echo upper > /data/g
FROM busybox
RUN --mount=type=cache,target=/root/.cache echo x >> /root/.cache/n; wc -l < /root/.cache/n
RUN --mount=target=/ctx cat /ctx/a.txt /ctx/sub/b.txt; ! touch /ctx/z 2> /dev/null
RUN --mount=type=bind,target=/ctx,rw touch /ctx/z
RUN --mount=from=layers,source=/data,target=/d cat /d/f /d/g
RUN --mount=source=a.txt,target=/one cat /one
RUN --mount=type=tmpfs,target=/t,size=1m df -k /t | tail -n 1
RUN --mount=type=secret,id=absent ! ls /run/secrets/absent 2> /dev/null
"""


def test_mounts_show_files_and_leave_nothing(daemon: Daemon, context: Path) -> None:
    (context / "Dockerfile").write_text(MOUNTS)
    output = build(daemon, context, "-t", "mounted")
    assert "\n1\n" in output
    assert "\nA\nB\n" in output
    assert "\nlower\nupper\n" in output
    assert "1024" in output
    left = daemon.docker("run", "--rm", "mounted", "ls", "/").stdout.split()
    assert not {"ctx", "d", "one", "t"} & set(left)
    history = daemon.docker("history", "--format", "{{.Size}}", "mounted").stdout.split()
    assert history[:7] == ["0B"] * 7
    assert build(daemon, context).count("---> Using cache") == 9
    assert "\n2\n" in build(daemon, context, "--no-cache")


def test_a_bind_mount_is_part_of_the_key(daemon: Daemon, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nRUN --mount=target=/ctx,source=sub cat /ctx/b.txt > /copy\n")
    build(daemon, context)
    (context / "a.txt").write_text("other\n")
    assert "Using cache" in build(daemon, context)
    (context / "sub" / "b.txt").write_text("changed\n")
    build(daemon, context, "-t", "bound")
    assert files(daemon, "bound", "/copy") == "changed\n"


def test_a_required_secret_that_is_missing(daemon: Daemon, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nRUN --mount=type=secret,id=key,required true\n")
    assert "secret key: not found" in build(daemon, context, status=1)


def test_parents_and_link(daemon: Daemon, context: Path) -> None:
    (context / "Dockerfile").write_text(
        "FROM busybox\nCOPY --parents sub/b.txt a.txt /p/\nCOPY --parents ./sub/./b.txt /q/\nCOPY --link a.txt /r/\n"
        "COPY --parents sub /s/\n"
    )
    build(daemon, context, "-t", "parents")
    assert (
        files(daemon, "parents", "/p/sub/b.txt", "/p/a.txt", "/q/b.txt", "/r/a.txt", "/s/sub/b.txt")
        == "B\nA\nB\nA\nB\n"
    )


def test_add_of_urls(daemon: Daemon, context: Path, site: tuple[str, Path]) -> None:
    url, root = site
    (root / "f.txt").write_text("far\n")
    digest = "sha256:" + subprocess.check_output(["sha256sum", root / "f.txt"], text=True).split()[0]
    lines = f"ADD {url}/f.txt /dir/\nADD --checksum={digest} {url}/f.txt /name\n"
    (context / "Dockerfile").write_text(f"FROM busybox\n{lines}")
    build(daemon, context, "-t", "added")
    assert files(daemon, "added", "/dir/f.txt", "/name") == "far\nfar\n"
    assert "Using cache" in build(daemon, context)
    (root / "f.txt").write_text("changed\n")
    output = build(daemon, context, status=1)
    assert "ADD failed: digest mismatch sha256:" in output
    (context / "Dockerfile").write_text(f"FROM busybox\nADD {url}/missing /x\n")
    assert f"failed to GET {url}/missing with status 404" in build(daemon, context, status=1)


def test_git(daemon: Daemon, context: Path, site: tuple[str, Path]) -> None:
    url, root = site
    work = root / "work"
    for words in (
        ["init", "-q", "-b", "main", str(work)],
        ["-C", str(work), "config", "user.email", "a@b"],
        ["-C", str(work), "config", "user.name", "a"],
    ):
        subprocess.run(["git", *words], check=True)
    (work / "Dockerfile").write_text("FROM busybox\nCOPY in/file /copied\n")
    (work / "in").mkdir()
    (work / "in" / "file").write_text("from git\n")
    subprocess.run(["git", "-C", work, "add", "."], check=True)
    subprocess.run(["git", "-C", work, "commit", "-qm", "one"], check=True)
    subprocess.run(["git", "clone", "-q", "--bare", work, root / "repo.git"], check=True)
    subprocess.run(["git", "-C", root / "repo.git", "update-server-info"], check=True)
    (context / "Dockerfile").write_text(f"FROM busybox\nADD {url}/repo.git#main /src\nADD {url}/repo.git /top/\n")
    build(daemon, context, "-t", "gitted")
    assert files(daemon, "gitted", "/src/in/file") == "from git\n"
    assert daemon.docker("run", "--rm", "gitted", "ls", "-A", "/src").stdout.split() == ["Dockerfile", "in"]
    (context / "Dockerfile").write_text(f"FROM busybox\nADD --keep-git-dir=true {url}/repo.git /kept\n")
    build(daemon, context, "-t", "gitted")
    assert ".git" in daemon.docker("run", "--rm", "gitted", "ls", "-A", "/kept").stdout.split()
    assert "Using cache" in build(daemon, context)
    status, _, body = request(daemon, "POST", f"/build?remote={url}/repo.git%23main&t=remote")
    assert status == 200, body
    assert files(daemon, "remote", "/copied") == "from git\n"
    assert "failed to fetch remote" in request(daemon, "POST", f"/build?remote={url}/none.git")[2].decode()


def test_a_dockerfile_from_a_url(daemon: Daemon, site: tuple[str, Path]) -> None:
    url, root = site
    (root / "recipe").write_text("FROM busybox\nRUN echo recipe > /r\n")
    request(daemon, "POST", f"/build?remote={url}/recipe&t=recipe")
    assert files(daemon, "recipe", "/r") == "recipe\n"


STAGES = """FROM busybox AS one
RUN --mount=type=cache,target=/m,id=meet touch /m/one; n=0; until [ -e /m/two ] || [ $n = 100 ]; do n=$((n+1)); sleep 0.1; done; [ -e /m/two ]
RUN echo 1 > /1
FROM busybox AS two
RUN --mount=type=cache,target=/m,id=meet touch /m/two; n=0; until [ -e /m/one ] || [ $n = 100 ]; do n=$((n+1)); sleep 0.1; done; [ -e /m/one ]
RUN echo 2 > /2
FROM busybox
COPY --from=one /1 /
COPY --from=two /2 /
"""  # noqa: E501


def test_stages_that_wait_for_each_other_are_built_together(daemon: Daemon, context: Path) -> None:
    (context / "Dockerfile").write_text(STAGES)
    output = build(daemon, context, "-t", "together")
    assert files(daemon, "together", "/1", "/2") == "1\n2\n"
    steps = [line.split("/")[0] for line in output.splitlines() if line.startswith("Step ")]
    assert steps == [f"Step {number}" for number in range(1, 10)]
    assert [step["number"] for step in newest(daemon)["steps"]] == list(range(1, 10))  # type: ignore[attr-defined]
    daemon.docker("builder", "prune", "-f")


def test_a_failure_keeps_its_state(daemon: Daemon, context: Path) -> None:
    (context / "Dockerfile").write_text(
        "FROM busybox\nRUN echo ok > /before\nRUN echo half > /half; nonsense-command\n"
    )
    output = build(daemon, context, status=127)
    assert "returned a non-zero code: 127" in output
    failure, steps = newest(daemon)["failure"], newest(daemon)["steps"]
    assert isinstance(failure, dict)
    assert isinstance(steps, list)
    assert (failure["step"], failure["exit_code"]) == (3, 127)
    assert "nonsense-command: not found" in failure["output"]
    assert "does not have this program" in failure["hint"]
    assert files(daemon, failure["before"], "/before") == "ok\n"
    assert failure["after"] == ""  # to the docker CLI what is left is a container, as from dockerd
    assert daemon.docker("diff", steps[-1]["container"]).stdout == "A /half\n"
    assert daemon.docker("rm", steps[-1]["container"]).returncode == 0
    assert daemon.docker("run", "--rm", failure["before"], "ls", "/half").returncode == 1


def test_prune_removes_what_only_the_cache_holds(daemon: Daemon, context: Path) -> None:
    (context / "Dockerfile").write_text(
        "FROM busybox AS tools\nRUN head -c 3000000 /dev/zero > /big\nFROM busybox\nRUN echo kept > /kept\n"
        "COPY --from=tools /etc/passwd /p\n"
    )
    build(daemon, context, "-t", "pruned")
    report = json.loads(request(daemon, "POST", "/build/prune")[2])
    assert report["SpaceReclaimed"] >= 3_000_000
    assert files(daemon, "pruned", "/kept") == "kept\n"
    assert len(daemon.docker("history", "-q", "pruned").stdout.split()) > 2
    assert "Using cache" not in build(daemon, context)


def test_prune_takes_what_it_is_told(daemon: Daemon, context: Path) -> None:
    def pruned(*flags: str) -> list[str]:
        lines = daemon.docker("builder", "prune", "-f", *flags).stdout.split("\n")
        return [line for line in lines if line and " " not in line]

    def cached() -> list[dict[str, object]]:
        return list(json.loads(request(daemon, "GET", "/system/df?type=build-cache")[2])["BuildCache"])

    pruned()
    (context / "Dockerfile").write_text(
        "FROM busybox AS tools\nRUN head -c 3000000 /dev/zero > /old\nRUN head -c 2000000 /dev/zero > /new\n"
        "FROM busybox\nRUN --mount=type=cache,id=kept,target=/c head -c 1000000 /dev/zero > /c/file\n"
        "COPY --from=tools /etc/passwd /p\n"
    )
    build(daemon, context)
    [mount] = cached()
    assert (mount["Type"], mount["Size"], mount["InUse"]) == ("exec.cachemount", 1_000_000, False)
    assert pruned("--filter", "type=exec.cachemount", "--filter", "id=nope") == []
    assert pruned("--keep-storage", "10MB") == []
    # Of the stage that nothing needs its last step goes, and what was used before it.
    gone = pruned("--keep-storage", "3500000")
    assert gone
    assert build(daemon, context).count("Using cache") == 1 + 1
    assert pruned("--filter", f"id={mount['ID']}") == [mount["ID"]]
    assert cached() == []
    assert len(pruned()) == 4


def test_cache_from_an_image_that_was_loaded(daemon: Daemon, context: Path, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nENV A=b\nRUN echo $RANDOM > /r\nCOPY a.txt /\nRUN true\n")
    build(daemon, context, "-t", "source")
    image = daemon.docker("image", "inspect", "-f", "{{.Id}}", "source").stdout
    daemon.docker("save", "-o", str(tmp_path / "s.tar"), "source")
    daemon.docker("rmi", "source")
    assert build(daemon, context, "--cache-from", "no-such-image").count("Using cache") == 0
    daemon.docker("builder", "prune", "-f")
    daemon.docker("load", "-i", str(tmp_path / "s.tar"))
    assert build(daemon, context, "--cache-from", "source", "-t", "again").count("Using cache") == 4
    assert daemon.docker("image", "inspect", "-f", "{{.Id}}", "again").stdout == image


def test_any_step_by_its_number(daemon: Daemon, context: Path) -> None:
    (context / "Dockerfile").write_text(
        "FROM busybox\nRUN echo 1 > /f\nENV A=b\nRUN echo 2 > /f; echo g > /g\nRUN rm /g\n"
    )
    build(daemon, context, "-t", "travel")
    steps = json.loads(request(daemon, "GET", "/lab/images/travel/steps")[2])
    first, *_, last = (step for step in steps if " /" in step["created_by"] and "echo" in step["created_by"])
    assert files(daemon, first["image"], "/f") == "1\n"
    status, _, body = request(daemon, "POST", f"/lab/images/travel/steps/{last['number']}")
    assert status == 200
    assert files(daemon, json.loads(body)["Id"], "/f", "/g") == "2\ng\n"
    path = f"/lab/images/travel/changes?from={first['number']}"
    changes = {change["Path"]: change["Kind"] for change in json.loads(request(daemon, "GET", path)[2])}
    assert changes["/f"] == 0
    assert "/g" not in changes
    assert request(daemon, "POST", "/lab/images/travel/steps/99")[0] == 404
    assert json.loads(request(daemon, "POST", "/lab/images/busybox/steps/1")[2])["Id"].startswith("sha256:")


def test_a_stage_that_fails_ends_the_others(daemon: Daemon, context: Path) -> None:
    (context / "Dockerfile").write_text(
        "FROM busybox AS slow\nRUN sleep 1234567\nFROM busybox AS bad\nRUN echo reason; exit 3\n"
        "FROM scratch\nCOPY --from=slow / /\nCOPY --from=bad / /\n"
    )
    output = build(daemon, context, "--force-rm", status=3)
    assert "\nreason\n" in output
    record = newest(daemon)
    states = {step["text"]: step["state"] for step in record["steps"]}  # type: ignore[attr-defined]
    assert states["RUN sleep 1234567"] == "canceled"
    assert record["failure"]["after"] == ""  # type: ignore[index]
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout.splitlines()
    assert "sleep 1234567" not in processes
