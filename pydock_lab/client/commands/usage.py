"""Help pages in Docker's layout, made from the command table."""

from __future__ import annotations

from pydock_lab.client.commands.grammar import Command, Flag, Grammar

_HELP = Flag("help", "", "bool", "", "Print usage")
_WIDTH = 79  # of a terminal with 80 columns
_SLOP, _NARROWEST = 5, 24
_REFER = (
    "\n'json':             Print in JSON format\n"
    "'TEMPLATE':         Print output using the given Go template.\n"
    "Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates"
)
_ONE = f"Format output using a custom template:{_REFER}"
_TABLE = (
    "Format output using a custom template:\n"
    "'table':            Print output in table format with column headers (default)\n"
    f"'table TEMPLATE':   Print output in table format using the given Go template{_REFER}"
)
_CGROUPNS = (
    "Cgroup namespace to use (host|private)\n"
    "'host':    Run the container in the Docker host's cgroup namespace\n"
    "'private': Run the container in its own private cgroup namespace\n"
    "'':        Use the cgroup namespace as configured by the\n"
    "           default-cgroupns-mode option on the daemon (default)"
)


def usage_line(command: Command) -> str:
    """`Usage:  docker run [OPTIONS] IMAGE [COMMAND] [ARG...]`."""
    return f"Usage:  {command.line} {command.usage}".rstrip()


def command_page(command: Command) -> str:
    """The page of `docker COMMAND --help`."""
    parts = [usage_line(command), command.description]
    if command.aliases:
        names = ", ".join(f"{command.program} {' '.join(name)}" for name in command.names)
        parts.append(f"Aliases:\n  {names}")
    flags = command.flags
    if command.flag_of_letter("h"):  # Docker lists --help where -h is another flag
        flags = tuple(sorted((*flags, _HELP), key=lambda flag: flag.name))
    if flags:
        parts.append("Options:\n" + _option_lines(flags))
    return "\n\n".join(parts)


def noun_page(grammar: Grammar, noun: str, program: str) -> str:
    """The page of `docker container`."""
    borrowed = {name[1]: c for c in grammar.commands for name in c.aliases if len(name) == 2 and name[0] == noun}
    own = grammar.of_noun(noun)
    commands = {verb: c for verb, c in sorted((borrowed | own).items()) if verb in own or c.path[0] != noun}
    return "\n\n".join(
        (
            f"Usage:  {program} {noun} COMMAND",
            grammar.nouns[noun],
            "Commands:\n" + _rows({verb: command.summary for verb, command in commands.items()}),
            f"Run '{program} {noun} COMMAND --help' for more information on a command.",
        )
    )


def program_page(grammar: Grammar, program: str, *, extra: dict[str, str] | None = None) -> str:
    """The page of `docker --help`.

    Args:
        grammar: The command table.
        program: `docker` or `pydock`.
        extra: Commands that only this program has, with their summaries.
    """
    top = grammar.top_level()
    common = {name: top[name].summary for name in grammar.common if name in top}
    rest = {
        name: command.summary
        for name, command in top.items()
        if name not in common and not (len(command.path) == 2 and (name, command.path) == ("list", command.path))
    }
    sections = [
        f"Usage:  {program} [OPTIONS] COMMAND",
        "A self-sufficient runtime for containers",
        "Common Commands:\n" + _rows(common),
        "Management Commands:\n" + _rows(dict(grammar.nouns)),
        "Commands:\n" + _rows(rest),
    ]
    if extra:
        sections.append("Lab Commands:\n" + _rows(extra))
    sections.append(
        "Global Options:\n"
        "      --config string      Location of client config files\n"
        "  -c, --context string     Name of the context to use to connect to the daemon\n"
        "  -H, --host string        Daemon socket to connect to\n"
        "      --tls                Use TLS; implied by --tlsverify\n"
        "      --tlscacert string   Trust certs signed only by this CA\n"
        "      --tlscert string     Path to TLS certificate file\n"
        "      --tlskey string      Path to TLS key file\n"
        "      --tlsverify          Use TLS and verify the remote\n"
        "  -v, --version            Print version information and quit"
    )
    sections.append(f"Run '{program} COMMAND --help' for more information on a command.")
    return "\n\n".join(sections)


def _rows(summaries: dict[str, str]) -> str:
    width = max(11, *(len(name) for name in summaries))
    return "\n".join(f"  {name:<{width}} {summary}" for name, summary in summaries.items())


def _option_lines(flags: tuple[Flag, ...]) -> str:
    left = [_option(flag) for flag in flags]
    column = max(len(text) for text in left) + 3
    lines: list[str] = []
    for text, flag in zip(left, flags, strict=True):
        wrapped = _wrapped(_help(flag) + _default_note(flag), column)
        lines.append(f"{text:<{column}}{wrapped[0]}".rstrip())
        lines += [" " * column + line for line in wrapped[1:]]
    return "\n".join(lines)


def _help(flag: Flag) -> str:
    """A flag's help as its page has it: the table keeps the long one in a line, for completion and the reference."""
    if flag.name == "cgroupns":
        return _CGROUPNS
    if not flag.help.startswith("Format output using a custom template"):
        return flag.help
    one = "'table'" not in flag.help if ":" in flag.help else flag.shorthand == "f"  # `inspect -f`
    return _ONE if one else _TABLE


def _wrapped(text: str, indent: int) -> list[str]:
    """Break a flag's help where Docker's CLI does, which leaves some room for a last word (pflag flag.go, wrapN)."""
    if _WIDTH - indent < _NARROWEST:
        return text.split("\n")
    room, lines = _WIDTH - indent - _SLOP, []
    while len(text) >= room + _SLOP or "\n" in text:
        newline, blank = text[:room].find("\n"), text[:room].rfind(" ")
        at = newline if newline >= 0 else blank
        if at <= 0:
            break
        lines.append(text[:at])
        text = text[at + 1 :]
    return [*lines, text]


def _option(flag: Flag) -> str:
    letter = f"-{flag.shorthand}, " if flag.shorthand else "    "
    kind = f" {flag.kind}" if flag.takes_value else ""
    return f"  {letter}--{flag.name}{kind}"


def _default_note(flag: Flag) -> str:
    if not flag.default:
        return ""
    return f' (default "{flag.default}")' if flag.kind == "string" else f" (default {flag.default})"
