"""Files to a project: fragments, several files, `extends`, `include`, profiles, and what is wrong with a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from pydock_lab.client.compose.body import create_body
from pydock_lab.client.compose.document import read_documents
from pydock_lab.client.compose.load import Source, load, load_open
from pydock_lab.client.compose.problem import ComposeError
from pydock_lab.client.compose.project import Project


def project(directory: Path, text: str, **more: object) -> Project:
    return load(Source(directory, text=text, **more))  # type: ignore[arg-type]


def failure(directory: Path, text: str) -> ComposeError:
    with pytest.raises(ComposeError) as caught:
        project(directory, text)
    return caught.value


def test_scalars_mean_what_they_look_like() -> None:
    text = "[22:22, yes, 0444, 0o17, 1_000, 1.50, ~, 'null', !!str 1, 012a, true]"
    (document,) = read_documents(text, Path("x"))
    assert document.value == ["22:22", "yes", 0o444, 0o17, 1000, 1.5, None, "null", "1", "012a", True]


def test_fragments_and_merge_keys(tmp_path: Path) -> None:
    found = project(
        tmp_path,
        """
x-base: &base {image: a, environment: &env {A: 1, B: 2}}
services:
  web:
    <<: *base
    environment: {<<: *env, B: 3}
""",
    )
    assert found.services["web"].image == "a"
    assert found.services["web"].environment == {"A": "1", "B": "3"}


def test_later_files_override(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("""
services:
  web:
    image: a
    command: one two
    environment: [A=1, B=2]
    ports: ["80:80", "81:81"]
    volumes: ["data:/data", "./x:/x"]
    networks: [one]
    dns: [1.1.1.1]
  gone: {image: b}
volumes: {data: }
networks: {one: , two: }
""")
    (tmp_path / "b.yml").write_text("""
services:
  web:
    command: [three]
    environment: {B: 3, C: !reset null, A: !reset null}
    ports: !override ["82:82"]
    volumes: ["/other:/data"]
    networks: [two]
    dns: 8.8.8.8
  gone: !reset null
""")
    found = load(Source(tmp_path, files=("a.yml", "b.yml"), name="demo"))
    web = found.services["web"]
    assert list(found.services) == ["web"]
    assert web.command == ["three"]
    assert web.environment == {"B": "3"}
    assert [port.published for port in web.ports] == ["82"]
    assert [(one.type, one.source, one.target) for one in web.volumes] == [
        ("bind", "/other", "/data"),
        ("bind", str(tmp_path / "x"), "/x"),
    ]
    assert set(web.networks) == {"one", "two"}
    assert web.dns == ["1.1.1.1", "8.8.8.8"]
    assert found.networks["one"].name == "demo_one"
    assert found.volumes == {}


def test_the_usual_names_and_their_override_are_found_above(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: a}}")
    (tmp_path / "compose.override.yaml").write_text("services: {web: {image: b}}")
    below = tmp_path / "x" / "y"
    below.mkdir(parents=True)
    found = load(Source(below))
    assert found.services["web"].image == "b"
    assert found.directory == tmp_path


def test_extends(tmp_path: Path) -> None:
    other = tmp_path / "sub" / "base.yml"
    other.parent.mkdir()
    other.write_text("""
services:
  base: {image: a, volumes: ["./here:/x"], environment: {A: 1}}
  middle: {extends: base, environment: {B: 2}}
""")
    text = "services: {web: {extends: {service: middle, file: sub/base.yml}, environment: {C: 3}}}"
    web = project(tmp_path, text).services["web"]
    assert web.environment == {"A": "1", "B": "2", "C": "3"}
    assert web.volumes[0].source == str(tmp_path / "sub" / "here")


def test_extends_in_a_circle(tmp_path: Path) -> None:
    found = failure(tmp_path, "services: {a: {extends: b}, b: {extends: a}}")
    assert "Circular reference" in found.message


def test_include(tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.mkdir()
    (part / ".env").write_text("TAG=7\n")
    (part / "compose.yaml").write_text("services: {db: {image: 'db:$TAG', volumes: ['.:/x']}}")
    found = project(tmp_path, "include: [part/compose.yaml]\nservices: {web: {image: a, depends_on: [db]}}")
    assert found.services["db"].image == "db:7"
    assert found.services["db"].volumes[0].source == str(part)
    assert found.order() == ("db", "web")


def test_environment_and_its_files(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TAG=file\nFROM=dotenv\n")
    (tmp_path / "web.env").write_text("A=env_file\nB=env_file\nC=${FROM}\n")
    text = """
services:
  web:
    image: a:${TAG}
    env_file: [web.env, {path: no.env, required: false}]
    environment: {A: here, HOST: , NONE: }
"""
    found = project(tmp_path, text, environment={"TAG": "shell", "HOST": "h"})
    assert found.services["web"].image == "a:shell"
    assert found.services["web"].environment == {"A": "here", "B": "env_file", "C": "dotenv", "HOST": "h", "NONE": None}


def test_keys_of_ssh_are_a_list_as_compose_prints_them(tmp_path: Path) -> None:
    for ssh in ("[default, k=./key]", "{default: , k: ./key}"):
        (tmp_path / "compose.yaml").write_text(f"services: {{web: {{build: {{context: ., ssh: {ssh}}}}}}}")
        build = load(Source(directory=tmp_path)).services["web"].build
        assert build is not None
        assert build.ssh == ["default", f"k={tmp_path}/key"]


def test_profiles(tmp_path: Path) -> None:
    text = """
services:
  web: {image: a}
  tool: {image: b, profiles: [dev], depends_on: [db]}
  db: {image: c, profiles: [dev]}
"""
    assert set(project(tmp_path, text).services) == {"web"}
    assert set(project(tmp_path, text, profiles=("dev",)).services) == {"web", "tool", "db"}
    assert set(load(Source(tmp_path, text=text), services=["tool"]).services) == {"web", "tool", "db"}


def test_the_projects_name(tmp_path: Path) -> None:
    (tmp_path / "My App").mkdir()
    text = "services: {web: {image: a}}"
    assert project(tmp_path / "My App", text).name == "myapp"
    assert project(tmp_path, "name: x\n" + text, environment={"COMPOSE_PROJECT_NAME": "y"}).name == "y"
    assert project(tmp_path, "name: x\n" + text).name == "x"
    with pytest.raises(ComposeError, match="invalid project name"):
        project(tmp_path, text, name="A B")


def test_warnings(tmp_path: Path) -> None:
    found = project(tmp_path, "version: '3'\nservices: {web: {image: 'a$TAG'}}")
    assert any("`version` is obsolete" in warning for warning in found.warnings)
    assert 'The "TAG" variable is not set. Defaulting to a blank string.' in found.warnings


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "services:\n  web:\n    image: a\n    enviroment: {}",
            "line 4: services.web Additional property enviroment is not allowed",
            "environment",
        ),
        ("servces: {}", "line 1: (root) Additional property servces is not allowed", "services"),
        ("services:\n  web:\n    image: a\n    ports: 80", "line 4: services.web.ports must be a list", None),
        (
            "services:\n  web:\n    image: a\n    healthcheck:\n      retrys: 3",
            "line 5: services.web.healthcheck Additional property retrys",
            "retries",
        ),
        (
            "services:\n  web:\n    image: a\n    build:\n      contxt: .",
            "line 5: services.web.build Additional property contxt",
            "context",
        ),
        (
            "services:\n  web:\n    image: a\n  web:\n    image: b",
            'line 4: mapping key "web" already defined at line 2',
            None,
        ),
        ("services:\n  web:\n\timage: a", "yaml: line 3", "tab"),
        ("services: {web: {}}", "has neither an image nor a build context", None),
        ("services: {web: {image: a, depends_on: [bd]}, db: {image: b}}", 'depends on undefined service "bd"', "db"),
        ("services: {web: {image: a, networks: [bak]}}\nnetworks: {back: }", "refers to undefined network bak", "back"),
        ("services: {web: {image: a, volumes: ['data:/x']}}", "refers to undefined volume data", "volumes:"),
        (
            "services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}",
            "dependency cycle detected: a -> b -> a",
            "depends_on",
        ),
        ("services: {web: {image: a, ports: ['80:x']}}", "services.web.ports: Invalid containerPort: x", None),
        ("services: {web: {image: a, mem_limit: lots}}", "services.web.mem_limit: invalid size: 'lots'", None),
        ("services: {web: {image: a, stop_grace_period: 10}}", "services.web.stop_grace_period", None),
        (
            "services: {web: {image: '${A:?say it}'}}",
            "error while interpolating services.web.image: required variable A is missing a value: say it",
            None,
        ),
        ("services: {web: {image: '${'}}", "invalid interpolation format for services.web.image", None),
        ("", "empty compose file", "services:"),
        ("[]", "top-level object must be a mapping", None),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, message: str, hint: str | None) -> None:
    found = failure(tmp_path, text)
    assert message in found.message
    assert found.exit_code == 15
    if hint is not None:
        assert hint in (found.hint or "")


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(ComposeError, match="no configuration file provided") as caught:
        load(Source(tmp_path))
    assert caught.value.exit_code == 14
    found = failure(tmp_path, "services: {web: {image: a, env_file: no.env}}")
    assert found.message.startswith(f"env file {tmp_path}/no.env not found")
    assert found.exit_code == 14


def test_what_the_engine_is_asked_for(tmp_path: Path) -> None:
    text = """
services:
  web:
    image: a
    gpus: all
    links: ["db:store"]
    volumes: [{type: volume, source: v, target: /v, volume: {nocopy: true, subpath: a/b}}]
    deploy:
      resources:
        reservations: {devices: [{capabilities: [tpu], count: 2}, {capabilities: [a], device_ids: ["0"]}]}
  db: {image: b, scale: 2}
volumes: {v: }
"""
    found = project(tmp_path, text, name="p")
    body = create_body(found, "web", number=1, image_id="", container="p-web-1", peers={})
    assert [(one["Count"], one["DeviceIDs"], one["Capabilities"]) for one in body["HostConfig"]["DeviceRequests"]] == [
        (2, None, [["tpu"]]),
        (0, ["0"], [["a"]]),
        (-1, None, [["gpu"]]),
    ]
    (mount,) = body["HostConfig"]["Mounts"]
    assert mount["VolumeOptions"] == {"NoCopy": True, "Subpath": "a/b"}
    (endpoint,) = body["NetworkingConfig"]["EndpointsConfig"].values()
    names = ("store", "db-1", "p-db-1", "store", "db-2", "p-db-2")
    assert endpoint["Links"] == [f"p-db-{1 + at // 3}:{name}" for at, name in enumerate(names)]


def test_open_model_keeps_variables_wherever_they_stand(tmp_path: Path) -> None:
    text = """
services:
  web:
    image: a:${TAG:?}
    scale: ${N}
    command: run ${WHAT:-a b}
    ports: ["${PORT:-80}:80"]
    environment: [A=$A]
    deploy: {resources: {limits: {memory: "${M}"}}}
"""
    model, variables = load_open(Source(tmp_path, text=text, name="p"))
    assert model["services"]["web"] == {
        "networks": {"default": None},
        "image": "a:${TAG:?}",
        "scale": "${N}",
        "command": "run ${WHAT:-a b}",
        "ports": ["${PORT:-80}:80"],
        "environment": {"A": "$A"},
        "deploy": {"resources": {"limits": {"memory": "${M}"}}},
    }
    assert model["networks"] == {"default": {"name": "p_default"}}
    assert [one.name for one in variables] == ["A", "M", "N", "PORT", "TAG", "WHAT"]
    with pytest.raises(ComposeError, match="Additional property imago is not allowed"):
        load_open(Source(tmp_path, text="services: {web: {imago: $X}}"))
