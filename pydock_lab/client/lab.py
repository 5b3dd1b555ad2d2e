"""What `pydock` has beside Docker's commands: `check`, `catalog`, `daemon`, `explain`, `registry` and a few more."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydock_lab.client import registry
from pydock_lab.client.commands.failure import CommandError, EngineError, UsageError
from pydock_lab.client.commands.session import Result, Session

STANDIN_LABEL = "io.pydock.standin"


class LabCommand(NamedTuple):
    """One command.

    Attributes:
        usage: What follows its name.
        summary: One line.
        arguments: How many words follow at least and at most; None: any number.
        act: Carries it out.
    """

    usage: str
    summary: str
    arguments: tuple[int, int | None]
    act: Callable[[Sequence[str], Session], Result]


def run(words: Sequence[str], session: Session) -> Result:
    """Carry out one command line.

    Args:
        words: Its name first.
        session: The terminal's.

    Raises:
        UsageError: it takes other arguments.
        LabError: it failed.
    """
    name = " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]
    command, rest = COMMANDS.get(name), list(words[len(name.split()) :])
    if command is None:
        return Result(text=_group_page(name))
    least, most = command.arguments
    if most is not None:  # the engine's own programs read their flags themselves
        if rest in (["--help"], ["-h"]):
            return Result(text=f"Usage:  pydock {name} {command.usage}".rstrip() + f"\n\n{command.summary}")
        if not least <= len(rest) <= most or any(word.startswith("-") and word != "-" for word in rest):
            raise UsageError(
                f"pydock: 'pydock {name}' {_wanted(least, most)}\n\nUsage:  pydock {name} {command.usage}".rstrip()
                + f"\n\nRun 'pydock {name} --help' for more information"
            )
    return command.act(rest, session)


def summaries() -> dict[str, str]:
    """Each command's line on the help page, by its first word."""
    found = {name: command.summary for name, command in COMMANDS.items() if " " not in name and name[0] != "_"}
    return dict(sorted((found | _GROUPS).items()))


def _wanted(least: int, most: int) -> str:
    if most == 0:
        return "accepts no arguments"
    plural = "argument" if least == 1 else "arguments"
    return f"requires {least} {plural}" if least == most else f"requires at least {least} {plural}"


def _daemon(flags: Sequence[str], session: Session) -> Result:
    """Replace this process: the learner's wing never imports the engine's."""
    os.execv(sys.executable, [sys.executable, "-m", "pydock_lab.daemon", *flags])


def _daemon_stop(words: Sequence[str], session: Session) -> Result:
    from pydock_lab.client.daemon_stop import stop_daemon

    return Result(
        text="stopped: its containers, links, rules and mounts are gone" if stop_daemon() else "it did not run"
    )


def _doctor(words: Sequence[str], session: Session) -> Result:
    from pydock_lab.client.explain import doctor_text

    return Result(text=doctor_text(session.connection))


def _explain(words: Sequence[str], session: Session) -> Result:
    from pydock_lab.client.explain import explain_text

    return Result(text=explain_text(session.connection, words[0]))


def _completion(words: Sequence[str], session: Session) -> Result:
    from pydock_lab.client.commands.completion.words import bash_script

    if words[0] != "bash":
        raise CommandError(f"pydock: there is no completion for {words[0]}: only for bash")
    return Result(text=bash_script())


def _complete(words: Sequence[str], session: Session) -> Result:
    from pydock_lab.client.commands.completion.words import complete

    line, point = words
    text = line.partition(" ")[2]
    cursor = max(int(point) - (len(line) - len(text)), 0)
    return Result(text="\n".join(complete(text, cursor, connection=session.connection)))


def _check(words: Sequence[str], session: Session) -> Result:
    """Check work from outside the learner's kernel: the lines of a `%%check` cell in a file."""
    from pydock_lab.client.grading.check import check

    lines = sys.stdin if words[0] == "-" else (session.directory / words[0]).read_text("utf-8").splitlines()
    report = check(lines, session.connection)
    return Result(text=report.plain(), exit_code=0 if report.share == 1 else 1)


def _catalog_ls(words: Sequence[str], session: Session) -> Result:
    from pydock_lab.client.commands.text.tables import Table

    recipes: list[dict[str, Any]] = session.connection.lab("catalog")
    rows = [
        {"Name": found["Name"], "For": _listed(found["StandsFor"]), "Summary": found["Summary"]} for found in recipes
    ]
    headings = {"Name": "NAME", "For": "STANDS IN FOR", "Summary": "WHAT IT IS"}
    return Table(headings, tuple(headings), "*lab.recipe", quiet="Name").result(rows)


def _catalog_build(words: Sequence[str], session: Session) -> Result:
    built = session.connection.lab_request("POST", f"catalog/{words[0]}/build").json()
    for line in built.get("Notice") or ():
        session.say(line)
    return Result(text=f"{built['Reference']}: {built['Id']}", image_id=built["Id"], names=(built["Reference"],))


def _catalog_export(words: Sequence[str], session: Session) -> Result:
    """Save the stand-ins that there are, or those named, made where need be, into one archive for `docker load`."""
    from pydock_lab.client.commands.filters import filters_of
    from pydock_lab.client.commands.image.transfer import write_archive

    target, *names = words
    if not names:
        query = {"filters": filters_of({"label": [f"{STANDIN_LABEL}=true"]})}  # what was built from one has it, too
        images = session.connection.request("GET", "/images/json", query=query).json()
        tags = (name for image in images for name in image.get("RepoTags") or ())
        made = {name for recipe in session.connection.lab("catalog") for name in recipe["StandsFor"]}
        names = sorted(tag for tag in tags if tag.rpartition(":")[0] in made)
    for name in names:
        try:
            session.connection.request("GET", f"/images/{name}/json")
        except EngineError as error:
            if error.status_code != 404:
                raise
            session.connection.lab_request("POST", f"catalog/{name}/build")
    if not names:
        raise CommandError("there are no stand-ins to export", hint="`pydock catalog build python` makes one")
    with session.connection.request("GET", "/images/get", stream=True, query={"names": names}) as response:
        write_archive(session, response, "" if target == "-" else target)
    return Result(text="" if target == "-" else "\n".join([*names, f"saved in {target}"]), names=tuple(names))


def _lesson_ls(words: Sequence[str], session: Session) -> Result:
    from pydock_lab.client.commands.text.tables import Table
    from pydock_lab.client.lesson.ledger import all_ledgers

    rows = [
        {"Lesson": ledger.lesson, "Engine": ledger.address, "Made": str(len(ledger))} for ledger, _ in all_ledgers()
    ]
    headings = {"Lesson": "LESSON", "Engine": "ENGINE", "Made": "MADE"}
    return Table(headings, tuple(headings), "*lab.lesson", quiet="Lesson").result(rows)


def _lesson_reset(words: Sequence[str], session: Session) -> Result:
    """Reset lessons from outside their notebooks: one that was deleted, or a class's at the end of a day."""
    from pydock_lab.client.connection import Connection
    from pydock_lab.client.lesson.ledger import all_ledgers
    from pydock_lab.client.lesson.reset import reset

    name = words[0]
    found = [ledger for ledger, _ in all_ledgers() if name in (ledger.lesson, Path(ledger.lesson).stem)]
    if not found:
        raise CommandError(f"Error: no such lesson: {name}", hint="`pydock lesson ls` lists those that made something")
    return Result(text="\n".join(str(reset(Connection(ledger.address), ledger)) for ledger in found))


_GROUPS = {
    "catalog": "Base images that this machine makes itself",
    "lesson": "What notebooks made in the engine",
}


_OWN_RECIPES = """A recipe of your own is a file recipes/NAME.yaml in the engine's data root (`pydock info` shows it);
the package's daemon/catalog/recipes/README.md says what stands in one."""


def _group_page(group: str) -> str:
    rows = {name: command for name, command in COMMANDS.items() if name.startswith(f"{group} ")}
    lines = [f"  {name.split()[1] + ' ' + command.usage:<24} {command.summary}" for name, command in rows.items()]
    more = ["", _OWN_RECIPES] if group == "catalog" else []
    return "\n".join([f"Usage:  pydock {group} COMMAND", "", _GROUPS[group], "", "Commands:", *lines, *more])


def _listed(value: Any) -> str:
    return ", ".join(str(entry) for entry in value) if isinstance(value, list) else str(value)


COMMANDS: Mapping[str, LabCommand] = {
    "catalog ls": LabCommand("", "List the recipes", (0, 0), _catalog_ls),
    "catalog build": LabCommand("IMAGE", "Make the stand-in for an image", (1, 1), _catalog_build),
    "catalog export": LabCommand(
        "FILE|- [IMAGE...]", "Save stand-ins into one archive for `docker load`", (1, 1000), _catalog_export
    ),
    "check": LabCommand("FILE|-", "Check work: a question to the engine on each line", (1, 1), _check),
    "completion": LabCommand("bash", "Print a script that completes commands in a shell", (1, 1), _completion),
    "__complete": LabCommand("LINE POINT", "Print what may stand at a point of a line", (2, 2), _complete),
    "daemon": LabCommand(
        "[OPTIONS]", "Run the engine in the foreground; `daemon stop` ends your own", (0, None), _daemon
    ),
    "daemon stop": LabCommand("", "Stop your engine, with its containers; its data stays", (0, 0), _daemon_stop),
    "doctor": LabCommand("", "Show which boundaries are real on this machine", (0, 0), _doctor),
    "explain": LabCommand("CONTAINER", "Show what the engine did to start a container", (1, 1), _explain),
    "lesson ls": LabCommand("", "List the notebooks that made something", (0, 0), _lesson_ls),
    "lesson reset": LabCommand("LESSON", "Remove what a notebook made, and nothing else", (1, 1), _lesson_reset),
    "registry": LabCommand("COMMAND", "A registry for this machine or a class", (0, None), registry.run),
}
NAMES = frozenset({name.split()[0] for name in COMMANDS})
