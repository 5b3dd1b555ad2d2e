"""`compose logs`."""

from __future__ import annotations

from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.compose.project import begin
from pydock_lab.client.commands.filters import api_time
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.compose.follow import Follower, Lines


def logs(arguments: Arguments, session: Session) -> Result:
    """Show what a project's containers wrote, each line with the container's name."""
    work = begin(arguments, session, arguments.positional, files=False)
    index = arguments.number("index") if arguments.has("index") else 0
    containers = work.of(arguments.positional, index=index)
    query = {
        "follow": arguments.on("follow"),
        "timestamps": arguments.on("timestamps"),
        "tail": arguments.text("tail"),
        "since": api_time(arguments.text("since")),
        "until": api_time(arguments.text("until")),
    }
    colour = session.output.terminal() is not None and not arguments.on("no-color")
    names = [one.short_name for one in containers]
    lines = Lines(session, names, prefix=not arguments.on("no-log-prefix"), colour=colour)
    followers = []
    for container in containers:
        tty = bool(session.inspect("containers", container.id)["Config"]["Tty"])
        followers.append(Follower(session, container, lines, query, tty=tty, joined=True))
    with session.interruptible():
        for follower in followers:
            follower.start()
            if not arguments.on("follow"):
                follower.join()
        for follower in followers:
            while follower.is_alive():
                follower.join(timeout=1)
    for follower in followers:
        follower.close()
    return Result()
