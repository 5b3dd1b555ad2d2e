"""Each mistake of the notes gets its line of hint; a right message without a rule gets none."""

from __future__ import annotations

import pytest

from pydock_lab.client.commands.hints import hint_for

HINTED = {
    "invalid reference format: repository name (library/FLASK_DEBUG=1) must be lowercase": "-e FLASK_DEBUG=1",
    "invalid reference format: repository name (library/MyApp) must be lowercase": "write `myapp` for `MyApp`",
    'Error parsing reference: "Team/App" is not a valid repository/tag: invalid reference format: '
    "repository name (App) must be lowercase": "try `team/app`",
    'invalid argument "My/App" for "-t, --tag" flag: invalid reference format: '
    "repository name (App) must be lowercase": "try `my/app`",
    "docker: 'docker stop' requires at least 1 argument": "nothing to stop",
    "docker: conflicting options: cannot specify both --restart and --rm": "--rm removes",
    "docker: unknown command: docker container log\n\nUsage:": "`docker container logs`",
    "docker: unknown command: docker pss\n\n": "`docker ps`",
    "unknown flag: --publsh\n\nUsage:  docker run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nRun": "`--publish`",
    "Error response from daemon: remove v: volume is in use - [abc]": "docker rm",
    'exec: "nosuch": executable file not found in $PATH': "no program `nosuch`",
    "Error response from daemon: No such container: web": "docker ps -a",
    "Error response from daemon: No such container: CONTAINER": "-q",
    "Error response from daemon: get DRIVER: no such volume": "-q",
    "unknown flag: --port\n\nUsage:  docker run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nRun": "-p HOST_PORT",
    'exec: "-d": executable file not found in $PATH': "go before the image",
    "unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat /x/Dockerfile: no": "-f names",
    "Error response from daemon: invalid restart policy 'sometimes'": "unless-stopped",
    'create data/x: "data/x" includes invalid characters for a local volume name': "$PWD",
    "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?": "REST API",
    "manifest for alpine:9 not found: manifest unknown: manifest unknown": "this tag is not",
    "env file /a/.env not found: stat /a/.env": "required: false",
    "no build stage in current context": "before the first FROM",
    "COPY failed: forbidden path outside the build context: ../x ()": "build context",
}


@pytest.mark.parametrize("message", HINTED)
def test_mistakes_are_explained_in_one_line(message: str) -> None:
    hint = hint_for(message, ["run"])
    assert hint is not None and HINTED[message] in hint and "\n" not in hint


def test_no_rule_no_hint() -> None:
    assert hint_for("Error response from daemon: something new", ["run"]) is None
