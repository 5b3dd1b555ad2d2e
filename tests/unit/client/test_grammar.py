"""The command table and what carries it out stay together."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

from pydock_lab.client.commands.grammar import Command, find, load
from pydock_lab.client.commands.handlers import HANDLERS
from pydock_lab.client.commands.usage import command_page, noun_page

COMMANDS = load().commands
# Flags that Docker accepts too and that change nothing here: content trust and other systems' isolation
# are gone or not Linux's, and the engine neither compresses contexts nor mounts its own socket.
WITHOUT_EFFECT = {
    "compress",
    "disable-content-trust",
    "isolation",
    "sig-proxy",
    "use-api-socket",
    "gw-priority",
    "ipv4",
    # Nothing is asked, and an attached `up` has no keys of its own.
    "menu",
    "yes",
}
# Nothing to be quiet about: progress of a copy is not shown.
WITHOUT_EFFECT_OF = {("container", "cp"): {"quiet"}}


def name_of(command: Command) -> str:
    return " ".join(command.path)


def test_table_and_handlers_name_the_same_commands() -> None:
    assert {name_of(command) for command in COMMANDS} == set(HANDLERS)


@pytest.mark.parametrize("command", COMMANDS, ids=name_of)
def test_every_command_has_a_function(command: Command) -> None:
    assert list(inspect.signature(command.function).parameters) == ["arguments", "session"]


@pytest.mark.parametrize("command", COMMANDS, ids=name_of)
def test_every_flag_is_read(command: Command) -> None:
    modules = {command.handler.partition(":")[0]}
    if modules == {"container.run"}:
        modules.add("container.options")
    if modules == {"build.build"}:
        modules.add("build.inputs")
    if command.path[0] == "compose":
        modules |= {"compose.project", "compose.up"}
    sources = [import_module(f"pydock_lab.client.commands.{module}").__file__ for module in (*modules, "filters")]
    text = "\n".join(Path(str(source)).read_text() for source in sources)
    literals = set(re.findall(r'"([a-z][\w-]*)"', text))
    unread = (
        {flag.name for flag in command.flags} - literals - WITHOUT_EFFECT - WITHOUT_EFFECT_OF.get(command.path, set())
    )
    unread = {name for name in unread if not re.match(r"device-(read|write)-(bps|iops)$", name)}
    assert not unread


def test_aliases_lead_to_one_command() -> None:
    for line in ("run", "container run"):
        assert find(line.split())[0].path == ("container", "run")
    assert find(["images"])[0].path == ("image", "ls")
    assert find(["container", "ps"])[0].path == ("container", "ls")
    assert find(["rmi", "x"]) == (find(["rmi"])[0], ["x"])
    assert find(["ps"])[0].line == "docker ps"


def test_letters_and_names_are_unique_within_a_command() -> None:
    for command in COMMANDS:
        letters = [flag.shorthand for flag in command.flags if flag.shorthand]
        assert len(letters) == len(set(letters)), command.path
        assert len({flag.name for flag in command.flags}) == len(command.flags), command.path


def test_help_is_broken_where_dockers_cli_breaks_it() -> None:
    """As `docker 28.2 builder prune --help` and `docker ps --help` print it on 80 columns."""
    page = command_page(load().command("builder", "prune"))
    assert "-a, --all                  Remove all unused build cache, not just\n" in page
    assert f"\n{' ' * 29}dangling ones\n" in page
    page = command_page(load().command("container", "ls"))
    assert f"--format string   Format output using a custom template:\n{' ' * 24}'table':            Print" in page
    assert f"{' ' * 24}using the given Go template\n{' ' * 24}'json':             Print in JSON format\n" in page


def test_a_nouns_page_lists_what_it_borrows() -> None:
    page = noun_page(load(), "builder", "docker")
    assert "\n  build       Build an image from a Dockerfile\n  prune " in page
    assert "list" not in noun_page(load(), "volume", "docker")  # another name of one of its own
