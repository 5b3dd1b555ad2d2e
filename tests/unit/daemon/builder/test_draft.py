"""What instructions do to an image's config, compared with what Docker's classic builder writes."""

import json
from typing import Any

import pytest

from pydock_lab.daemon.builder.arguments import BuildArguments
from pydock_lab.daemon.builder.draft import Draft, read_ports
from pydock_lab.dockerfile.instructions import Arg, Instruction
from pydock_lab.dockerfile.stages import read_program
from pydock_lab.errors import InvalidParameter


def step(line: str) -> Instruction:
    return read_program(f"FROM scratch\n{line}\n").stages[0].instructions[0]


def apply(*lines: str) -> tuple[Draft, list[str]]:
    draft = Draft.scratch()
    return draft, [draft.apply(step(line)) for line in lines]


@pytest.mark.parametrize(
    ("line", "comment", "config"),
    [
        ("ENV A=1", "ENV A=1", {"Env": ["PATH=" + Draft.scratch().env["PATH"], "A=1"]}),
        ("LABEL x=y", "LABEL x=y", {"Labels": {"x": "y"}}),
        ("EXPOSE 80 53/udp", "EXPOSE 53/udp 80", {"ExposedPorts": {"53/udp": {}, "80/tcp": {}}}),
        ("VOLUME /data", "VOLUME [/data]", {"Volumes": {"/data": {}}}),
        ("USER 1000:1000", "USER 1000:1000", {"User": "1000:1000"}),
        ("STOPSIGNAL SIGINT", "STOPSIGNAL SIGINT", {"StopSignal": "SIGINT"}),
        ("ONBUILD RUN echo trig", "ONBUILD RUN echo trig", {"OnBuild": ["RUN echo trig"]}),
        ('SHELL ["/bin/sh","-ec"]', "SHELL [/bin/sh -ec]", {"Shell": ["/bin/sh", "-ec"]}),
        ('CMD echo "x y"', 'CMD ["/bin/sh" "-c" "echo \\"x y\\""]', {"Cmd": ["/bin/sh", "-c", 'echo "x y"']}),
        ('ENTRYPOINT ["/bin/sh"]', 'ENTRYPOINT ["/bin/sh"]', {"Entrypoint": ["/bin/sh"]}),
        (
            "HEALTHCHECK --interval=5s CMD true",
            'HEALTHCHECK &{["CMD-SHELL" "true"] "5s" "0s" "0s" \'\\x00\'}',
            {"Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 5_000_000_000}},
        ),
    ],
)
def test_config_and_history(line: str, comment: str, config: dict[str, Any]) -> None:
    draft, comments = apply(line)
    assert comments == [comment]
    assert {key: draft.config[key] for key in config} == config


def test_env_replaces_in_place() -> None:
    draft, _ = apply("ENV A=1 B=2", "ENV A=3")
    assert draft.config["Env"][1:] == ["A=3", "B=2"]


def test_entrypoint_drops_a_command_that_came_with_the_base() -> None:
    base = {"config": {"Cmd": ["base"], "Env": ["PATH=/x"]}, "rootfs": {"type": "layers", "diff_ids": []}}
    draft = Draft.on(base, "sha256:aa", None)
    draft.apply(step('ENTRYPOINT ["e"]'))
    assert "Cmd" not in draft.config
    draft.apply(step('CMD ["own"]'))
    draft.apply(step('ENTRYPOINT ["f"]'))
    assert draft.config["Cmd"] == ["own"]
    assert base["config"] == {"Cmd": ["base"], "Env": ["PATH=/x"]}


def test_workdir_is_relative_to_the_one_before() -> None:
    draft = Draft.scratch()
    assert [draft.set_workdir(path) for path in ("/a", "b/c", "..", ".", "/")] == ["/a", "/a/b/c", "/a/b", "/a/b", "/"]


def test_destinations_keep_their_slash() -> None:
    draft = Draft.scratch()
    draft.set_workdir("/app")
    assert [draft.absolute(path) for path in ("x", "x/", ".", "./", "/y", "..", "/")] == [
        "/app/x",
        "/app/x/",
        "/app",
        "/app/",
        "/y",
        "/",
        "/",
    ]


def test_triggers_leave_the_config_and_are_due() -> None:
    base = {"config": {"OnBuild": ["RUN a"]}, "rootfs": {"type": "layers", "diff_ids": []}}
    draft = Draft.on(base, "sha256:aa", None)
    assert draft.triggers == ["RUN a"]
    assert "OnBuild" not in draft.config


def test_the_same_steps_and_time_give_the_same_bytes() -> None:
    def build() -> bytes:
        draft, comments = apply("ENV A=1", "LABEL b=c", "CMD x")
        return draft.committed("2020-01-01T00:00:00Z", draft.nop(comments[-1]), diff_id="sha256:dd")

    assert build() == build()
    document = json.loads(build())
    assert document["rootfs"]["diff_ids"] == ["sha256:dd"]
    assert document["history"][0]["created_by"] == '/bin/sh -c #(nop) CMD ["/bin/sh" "-c" "x"]'


@pytest.mark.parametrize("text", ["0", "65536", "99999999", "x", "80-70", "80/xtp", ""])
def test_ports_that_are_none(text: str) -> None:
    with pytest.raises(InvalidParameter, match="Invalid"):
        read_ports(text)


def test_port_ranges() -> None:
    assert read_ports("70-72/UDP") == ["70/udp", "71/udp", "72/udp"]


def test_unknown_signal() -> None:
    with pytest.raises(InvalidParameter, match="Invalid signal: FOO"):
        apply("STOPSIGNAL FOO")


def arg(line: str) -> Arg:
    instruction = step(line)
    assert isinstance(instruction, Arg)
    return instruction


def test_argument_scopes() -> None:
    build = BuildArguments({"GIVEN": "cli", "UNUSED": "x", "HTTP_PROXY": "http://p", "BARE": None})
    build.declare_global(arg("ARG GLOBAL=g GIVEN=default"))
    assert build.for_from == {"GLOBAL": "g", "GIVEN": "cli"}
    stage = build.stage()
    assert stage.scope({}) == {"HTTP_PROXY": "http://p"}
    stage.declare(arg("ARG GLOBAL GIVEN OWN=o NONE BARE=b"))
    assert stage.values == {"GLOBAL": "g", "GIVEN": "cli", "OWN": "o", "BARE": "b"}
    assert stage.scope({"OWN": "env"})["OWN"] == "env"
    assert stage.for_run({"OWN": "env"}) == {"HTTP_PROXY": "http://p", "GLOBAL": "g", "GIVEN": "cli", "BARE": "b"}
    assert "HTTP_PROXY" not in stage.in_key({})
    assert build.unused() == ["UNUSED"]
