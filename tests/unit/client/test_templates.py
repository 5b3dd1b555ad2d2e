"""Go templates print what Docker prints; expectations were taken from `docker inspect --format` 28.2.2."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.text.shapes import of_document
from pydock_lab.client.commands.text.tables import Table, natural
from pydock_lab.client.commands.text.templates import Template, TemplateError

DOCUMENT: dict[str, Any] = {
    "Id": "8f2c7d8fd1a9c0ffee",
    "Name": "/tt",
    "Config": {
        "Env": ["A=b", "PATH=/bin"],
        "Labels": {"x": "y"},
        "Cmd": ["sleep", "1000"],
        "ExposedPorts": {"80/tcp": {}},
    },
    "State": {"Status": "running", "Running": True, "Paused": False, "Pid": 42},
    "HostConfig": {"Memory": 0, "CapAdd": None, "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}},
    "ExecIDs": None,
    "Mounts": [{"Type": "volume", "Destination": "/data"}],
    "NetworkSettings": {
        "Ports": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18099"}]},
        "Networks": {"bridge": {"IPAddress": "172.17.0.2"}},
    },
}
PRINTED = {
    "{{.Name}}": "/tt",
    "{{json .Config.Cmd}}": '["sleep","1000"]',
    "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}": "172.17.0.2",
    '{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}': "18099",
    "{{range $p, $conf := .NetworkSettings.Ports}} {{$p}} -> {{(index $conf 0).HostPort}} {{end}}": " 80/tcp -> 18099 ",
    "{{.State.Status | upper}}": "RUNNING",
    '{{index .Config.Labels "x"}}': "y",
    '{{index .Config.Labels "nope"}}': "",
    "{{.Config.Labels}}": "map[x:y]",
    "{{.Config.ExposedPorts}}": "map[80/tcp:{}]",
    "{{.Config.Env}}": "[A=b PATH=/bin]",
    '{{join .Config.Env ","}}': "A=b,PATH=/bin",
    "{{if .State.Running}}up{{else}}down{{end}}": "up",
    '{{if eq .State.Status "exited"}}a{{else if eq .State.Status "running"}}b{{else}}c{{end}}': "b",
    "{{range .Mounts}}{{.Type}}:{{.Destination}}{{println}}{{end}}": "volume:/data\n",
    "{{len .Mounts}}": "1",
    '{{- .Id | printf "%.12s" -}}': "8f2c7d8fd1a9",
    '{{printf "%-10s|%5d" .Name .State.Pid}}': "/tt       |   42",
    "{{.State.Health}}": "<nil>",
    "{{if .State.Health}}h{{end}}n": "n",
    "{{range $i, $e := .Config.Env}}{{if $i}}, {{end}}{{$e}}{{end}}": "A=b, PATH=/bin",
    "{{not .State.Paused}}": "true",
    '{{println "a" 1 true}}': "a 1 true\n",
    "{{/* comment */}}a": "a",
    "{{ $x := .Name }}{{ $x }}{{ $.Id | len }}": "/tt18",
    "{{with .State}}{{.Pid}}{{end}}": "42",
    "{{with .State.Health}}x{{else}}y{{end}}": "y",
    "a {{- 1 -}} b": "a1b",
    '{{`raw`}}{{"a\\tb"}}': "rawa\tb",
    "{{ge .HostConfig.Memory 0}}": "true",
    "{{slice .Id 0 4}}": "8f2c",
    "{{and .State.Running .State.Pid}}": "42",
    "{{range .HostConfig.Binds}}x{{else}}none{{end}}": "none",
    "{{.HostConfig.Binds}} {{json .HostConfig.CapAdd}} {{len .ExecIDs}}": "[] null 0",
    "{{.State}}": "{running true false false false false 42 0    <nil>}",
    "{{.Mounts}}": "[{volume   /data   false }]",
    "{{.NetworkSettings.Ports}}": "map[80/tcp:[{127.0.0.1 18099}]]",
    "{{.HostConfig.RestartPolicy}}": "{no 0}",
    "{{.HostConfig.Init}}": "<nil>",
}


@pytest.mark.parametrize("source", PRINTED)
def test_templates_print_as_in_docker(source: str) -> None:
    assert Template(source).render(of_document(DOCUMENT)) == PRINTED[source]


REFUSED = {
    "{{.Foo}}": 'template: :1:2: executing "" at <.Foo>: map has no entry for key "Foo"',
    "{{.Config.Foo}}": 'template: :1:9: executing "" at <.Config.Foo>: map has no entry for key "Foo"',
    "{{foo}}": 'template: :1: function "foo" not defined',
    "{{.Foo": "template: :1: unclosed action",
    "{{end}}": "template: :1: unexpected {{end}}",
    "{{range .Mounts}}": "template: :1: unexpected EOF",
}


@pytest.mark.parametrize("source", REFUSED)
def test_errors_are_gos(source: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(source).render(of_document(DOCUMENT))
    assert str(caught.value) == REFUSED[source]


def test_a_row_may_have_functions() -> None:
    row = {"Label": lambda name: {"a": "b"}.get(name, "")}
    assert Template('{{.Label "a"}}').render(row) == "b"


@given(st.text(alphabet="{}.$|() \"`'azIndexif0,:=-/*\n", max_size=40))
def test_any_text_renders_or_is_refused(source: str) -> None:
    with contextlib.suppress(TemplateError):
        Template(source).render({"a": 1})


def test_a_wrong_field_fails_on_an_empty_list_where_docker_tries_first() -> None:
    headings = {"ID": "ID", "Names": "NAMES"}
    checked = Table(headings, ("ID",), "*formatter.ContainerContext", checked=True)
    with pytest.raises(CommandError, match=r"failed to execute template: .* can't evaluate field Foo"):
        checked.result([], template="{{.Foo}}")
    with pytest.raises(CommandError, match="wrong number of args for Label: want 1 got 0"):
        checked.result([], template="{{.Label}}")
    assert checked.result([], template="table {{.ID}}").text == "ID"
    assert Table(headings, ("ID",), "*x").result([], template="{{.Foo}}").text == ""


def test_rows_as_json_hide_what_looks_like_markup() -> None:
    assert Table({"Tag": "TAG"}, ("Tag",), "*x").result([{"Tag": "<none>"}], template="json").text == (
        '{"Tag":"\\u003cnone\\u003e"}'
    )


def test_names_sort_as_people_count() -> None:
    assert sorted(["b10", "b9", "a", "118x", "7b"], key=natural) == ["7b", "118x", "a", "b9", "b10"]
