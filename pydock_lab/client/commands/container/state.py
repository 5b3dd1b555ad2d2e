"""What changes a container's state: `stop`, `kill`, `rm`, `wait`, `rename`, `update`, `prune`, …"""

from __future__ import annotations

from typing import Any

from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.container.options import restart_policy
from pydock_lab.client.commands.container.run import each_named
from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.filters import confirmed, filters_json
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.commands.text import humanize

_UPDATES = {
    "cpu-period": "CpuPeriod",
    "cpu-quota": "CpuQuota",
    "cpu-rt-period": "CpuRealtimePeriod",
    "cpu-rt-runtime": "CpuRealtimeRuntime",
    "cpu-shares": "CpuShares",
    "blkio-weight": "BlkioWeight",
    "pids-limit": "PidsLimit",
}


def stop(arguments: Arguments, session: Session) -> Result:
    """Stop containers: their stop signal, then SIGKILL."""
    return _stop_or_restart(arguments, session, "stop")


def restart(arguments: Arguments, session: Session) -> Result:
    """Stop containers and start them again."""
    return _stop_or_restart(arguments, session, "restart")


def kill(arguments: Arguments, session: Session) -> Result:
    """Send containers a signal, SIGKILL by default."""
    return _each(arguments, session, "kill", {"signal": arguments.text("signal") or None})


def pause(arguments: Arguments, session: Session) -> Result:
    """Freeze all processes of containers."""
    return _each(arguments, session, "pause")


def unpause(arguments: Arguments, session: Session) -> Result:
    """Let the processes of paused containers go on."""
    return _each(arguments, session, "unpause")


def remove(arguments: Arguments, session: Session) -> Result:
    """Remove containers; with `-v` their anonymous volumes too."""
    query = {"v": arguments.on("volumes"), "link": arguments.on("link"), "force": arguments.on("force")}
    return each_named(
        arguments.positional,
        session,
        lambda name: session.connection.request("DELETE", f"/containers/{name.strip('/')}", query=query),
    )


def rename(arguments: Arguments, session: Session) -> Result:
    """Give a container another name."""
    old, new = arguments.positional
    if not old.strip() or not new.strip():
        raise CommandError("Error: Neither old nor new names may be empty")
    session.connection.request("POST", f"/containers/{old}/rename", query={"name": new})
    return Result(names=(new,))


def wait(arguments: Arguments, session: Session) -> Result:
    """Wait until containers stop; print their exit statuses."""

    def one(name: str) -> None:
        status = session.connection.request("POST", f"/containers/{name}/wait").json()["StatusCode"]
        session.say(str(status))

    return each_named(arguments.positional, session, one, say=False)


def update(arguments: Arguments, session: Session) -> Result:
    """Change the limits and the restart policy of containers."""
    if not arguments.given:
        raise CommandError("you must provide one or more flags when using this command")
    body: dict[str, Any] = {name: arguments.number(flag) for flag, name in _UPDATES.items() if arguments.has(flag)}
    for flag, name in (
        ("memory", "Memory"),
        ("memory-reservation", "MemoryReservation"),
        ("memory-swap", "MemorySwap"),
    ):
        if arguments.has(flag):
            body[name] = arguments.size(flag)
    for flag, name in (("cpuset-cpus", "CpusetCpus"), ("cpuset-mems", "CpusetMems")):
        if arguments.has(flag):
            body[name] = arguments.text(flag)
    if arguments.has("cpus"):
        from pydock_lab.client.commands.values import nano_cpus

        body["NanoCpus"] = nano_cpus(arguments.text("cpus"))
    if arguments.has("restart"):
        try:
            body["RestartPolicy"] = restart_policy(arguments.text("restart"))
        except ValueError as error:
            raise CommandError(str(error)) from None

    def one(name: str) -> None:
        answer = session.connection.request("POST", f"/containers/{name}/update", body).json()
        for warning in answer.get("Warnings") or ():
            session.say(str(warning), "stderr")

    return each_named(arguments.positional, session, one)


def prune(arguments: Arguments, session: Session) -> Result:
    """Remove all stopped containers."""
    if not confirmed(arguments, session, "This will remove all stopped containers."):
        return Result()
    query = {"filters": filters_json(arguments)}
    return pruned(session, "/containers/prune", query, "Deleted Containers", "ContainersDeleted")


def pruned(session: Session, path: str, query: dict[str, Any], title: str, key: str) -> Result:
    """Carry a prune out and say what went and how much room that made."""
    answer = session.connection.request("POST", path, query=query).json()
    gone = tuple(answer.get(key) or ())
    lines = [f"{title}:", *gone, ""] if gone else []
    lines.append(f"Total reclaimed space: {humanize.size(answer.get('SpaceReclaimed') or 0, precision=4)}")
    return Result(text="\n".join(lines), names=gone, documents=[answer])


def _stop_or_restart(arguments: Arguments, session: Session, verb: str) -> Result:
    query = {
        "t": arguments.number("timeout") if arguments.has("timeout") else None,
        "signal": arguments.text("signal") or None,
    }
    return _each(arguments, session, verb, query)


def _each(arguments: Arguments, session: Session, verb: str, query: dict[str, Any] | None = None) -> Result:
    """POST /containers/NAME/VERB for each container named."""
    return each_named(
        arguments.positional,
        session,
        lambda name: session.connection.request("POST", f"/containers/{name}/{verb}", query=query),
    )
