"""Dockerfile text → nodes: directives, continuation lines, comments, heredocs, JSON and shell forms.

Knows the shape of the text, not the meaning of an instruction (instructions.py).
`str(Dockerfile)` gives text that parses to the same nodes. Source: BuildKit's
frontend/dockerfile/parser/parser.go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from pydock_lab.dockerfile.expansion import Lexer
from pydock_lab.dockerfile.words import read_arguments, split_line
from pydock_lab.errors import DockerfileError

MAX_LINE = 65_535
"""BuildKit's limit for one line, in bytes (bufio.MaxScanTokenSize - 1)."""

_DIRECTIVE = re.compile(r"^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$")
_DIRECTIVES = ("syntax", "escape", "check")
_HEREDOC = re.compile(r"^(\d*)<<(-?)([^<]*)$")
_TAKES_HEREDOC = ("ADD", "COPY", "RUN")


@dataclass(frozen=True)
class Heredoc:
    """One here-document.

    Attributes:
        name: The word that ends it, without quotes.
        content: Its lines, newlines included.
        expand: Variables are expanded in it (the word was not quoted).
        chomp: Leading tabs are taken off (`<<-`).
        fd: The number before `<<`, 0 for none.
    """

    name: str
    content: str = ""
    expand: bool = True
    chomp: bool = False
    fd: int = 0

    @property
    def text(self) -> str:
        """The content as the file will hold it."""
        return re.sub(r"(?m)^\t+", "", self.content) if self.chomp else self.content


@dataclass(frozen=True)
class Node:
    """One instruction as written.

    Attributes:
        keyword: As written; compare its upper case.
        flags: `--name=value` words before the arguments.
        arguments: As the instruction's own rules split them, variables not expanded.
        is_json: They were a JSON array (exec form).
        original: The logical line: continuation lines joined, comments gone; blanks at its end stay.
        heredocs: Here-documents that follow the line.
        trigger: The instruction behind ONBUILD.
        start_line: 1-based.
        end_line: 1-based, heredocs included.
        comments: Comment lines directly above.
    """

    keyword: str
    flags: tuple[str, ...]
    arguments: tuple[str, ...]
    is_json: bool
    original: str
    heredocs: tuple[Heredoc, ...] = ()
    trigger: Node | None = None
    start_line: int = field(default=0, compare=False)
    end_line: int = field(default=0, compare=False)
    comments: tuple[str, ...] = field(default=(), compare=False)

    @property
    def name(self) -> str:
        """The keyword in upper case."""
        return self.keyword.upper()

    def __str__(self) -> str:
        return "\n".join([self.original, *(f"{h.content}{h.name}" for h in self.heredocs)])


@dataclass(frozen=True)
class Dockerfile:
    """A parsed Dockerfile.

    Attributes:
        nodes: The instructions in order.
        escape: The escape character.
        directives: Parser directives as written (`syntax`, `escape`, `check`).
        warnings: What BuildKit would warn of.
        empty_continuations: Lines, 1-based, that are empty inside an instruction.
    """

    nodes: tuple[Node, ...]
    escape: str = "\\"
    directives: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = field(default=(), compare=False)
    empty_continuations: tuple[int, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        head = "".join(f"# {name}={value}\n" for name, value in self.directives.items())
        # Blanks before a keyword are kept only where it stands on a continuation line.
        body = "\n".join(f"{self.escape}\n{node}" if node.original[:1].isspace() else str(node) for node in self.nodes)
        # A last line that ends in an escape character would read as a continuation without this one.
        tail = f"{self.escape}\n" if _continuation(self.escape).search(body.rpartition("\n")[2]) else "\n"
        text = head + body + tail
        # The first byte order mark of a file is not part of its text.
        return f"\ufeff{text}" if text.startswith("\ufeff") else text


def parse(source: str | bytes) -> Dockerfile:
    """Parse the text of a Dockerfile.

    Raises:
        DockerfileError: `dockerfile parse error on line N: …`, with the line and its text.
    """
    return _Parser(_decode(source)).parse()


def parse_trigger(expression: str, line: int) -> Node:
    """Parse one ONBUILD trigger as an image's config holds it."""
    file = parse(expression)
    return replace(file.nodes[0], start_line=line, end_line=line)


def at_line(error: DockerfileError, line: int, text: str) -> DockerfileError:
    """Give an error its place in the file, in BuildKit's words; one that has a place keeps it."""
    if error.line:
        return error
    message = f"dockerfile parse error on line {line}: {error.message}"
    return DockerfileError(message, line=line, text=text, hint=error.hint)


def _decode(source: str | bytes) -> list[str]:
    """Return the lines without their newlines."""
    if isinstance(source, str):
        lines = source.split("\n")
    else:
        lines = []
        for number, raw in enumerate(source.split(b"\n"), 1):
            try:
                lines.append(raw.decode())
            except UnicodeDecodeError as error:
                text = raw.decode(errors="replace")
                raise at_line(DockerfileError(f"invalid UTF-8 ({error.reason})"), number, text) from None
    lines[0] = lines[0].removeprefix("\ufeff")
    for number, line in enumerate(lines, 1):
        if len(line) * 4 > MAX_LINE and len(line.encode(errors="surrogatepass")) > MAX_LINE:
            problem = DockerfileError(f"dockerfile line greater than max allowed size of {MAX_LINE}")
            raise at_line(problem, number, line[:80])
    return lines[:-1] if lines[-1] == "" else lines


def _continuation(escape: str) -> re.Pattern[str]:
    """The escape character at the end of a line, unless an escape character precedes it."""
    token = re.escape(escape)
    return re.compile(rf"(?:(?<=[^{token}])|^){token}[ \t]*$")


class _Parser:
    """One pass over the lines of one file."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.position = 0
        self.escape = "\\"
        self.continuation = _continuation("\\")
        self.directives: dict[str, str] = {}
        self.warnings: list[str] = []
        self.empty_continuations: list[int] = []

    def parse(self) -> Dockerfile:
        self.read_directives()
        nodes: list[Node] = []
        comments: list[str] = []
        while self.position < len(self.lines):
            line = self.lines[self.position].strip()
            if line.startswith("#"):
                comments.append(line[1:].strip())
                self.position += 1
                continue
            if not line:
                self.position += 1
                continue
            start = self.position + 1
            logical = self.logical_line()
            try:
                if not logical.strip():
                    raise DockerfileError("unknown instruction: ", hint="nothing follows what continues the line")
                nodes.append(self.node(logical, start, tuple(comments)))
            except DockerfileError as error:
                raise at_line(error, start, self.lines[start - 1]) from None
            comments = []
        if not nodes:
            raise DockerfileError("file with no instructions")
        empty = tuple(self.empty_continuations)
        return Dockerfile(tuple(nodes), self.escape, self.directives, tuple(self.warnings), empty)

    def read_directives(self) -> None:
        """Directives stand before everything else; the first other line ends them."""
        for line in self.lines:
            match = _DIRECTIVE.match(line.strip())
            name = match[1].lower() if match else ""
            if match is None or name not in _DIRECTIVES:
                return
            if name in self.directives:
                problem = DockerfileError(f"only one {name} parser directive can be used")
                raise at_line(problem, self.position + 1, line)
            if name == "escape":
                if match[2] not in ("\\", "`"):
                    problem = DockerfileError(f"invalid escape token '{match[2]}' does not match ` or \\")
                    raise at_line(problem, self.position + 1, line)
                self.escape = match[2]
                self.continuation = _continuation(self.escape)
            self.directives[name] = match[2]
            self.position += 1

    def logical_line(self) -> str:
        """Join a line with its continuations; comment lines and empty lines between them vanish."""
        parts: list[str] = []
        empty_lines = False
        first = True
        while self.position < len(self.lines):
            line = self.lines[self.position].rstrip("\r")
            self.position += 1
            if first:
                # Blanks before a keyword that stands on a continuation line stay: BuildKit has it so.
                line = line.lstrip()
            else:
                if line.lstrip().startswith("#"):
                    continue
                if not line.strip():
                    empty_lines = True
                    self.empty_continuations.append(self.position)
                    continue
            first = False
            shortened = self.continuation.sub("", line)
            parts.append(shortened)
            if shortened == line:
                break
        joined = "".join(parts)
        if empty_lines:
            self.warnings.append(f"Empty continuation line found in: {joined.lstrip()}")
        return joined

    def node(self, logical: str, start: int, comments: tuple[str, ...]) -> Node:
        node = self.bare_node(logical)
        inner = node.trigger or node
        heredocs: tuple[Heredoc, ...] = ()
        if inner.name in _TAKES_HEREDOC and not inner.is_json and "<<" in logical:
            heredocs = tuple(self.heredoc_body(opened) for opened in find_heredocs(logical))
        end = self.position
        trigger = node.trigger and replace(node.trigger, heredocs=heredocs, start_line=start, end_line=end)
        return replace(node, heredocs=heredocs, trigger=trigger, comments=comments, start_line=start, end_line=end)

    def bare_node(self, logical: str) -> Node:
        keyword, flags, rest = split_line(logical)
        arguments, is_json = read_arguments(keyword, rest, self.escape)
        trigger = None
        if keyword.upper() == "ONBUILD" and rest:
            inner_keyword = split_line(rest)[0]
            # A chain of ONBUILD is refused later, by its first link; reading it to the end helps nobody.
            if inner_keyword.upper() == "ONBUILD":
                trigger = Node(inner_keyword, (), (), False, rest)
            else:
                # Blanks at its end stay, as in every instruction's text.
                trigger = self.bare_node(rest + logical[len(logical.rstrip()) :])
        return Node(keyword, tuple(flags), tuple(arguments), is_json, logical, trigger=trigger)

    def heredoc_body(self, heredoc: Heredoc) -> Heredoc:
        content: list[str] = []
        while self.position < len(self.lines):
            line = self.lines[self.position]
            self.position += 1
            end = line.rstrip("\r")
            if (end.lstrip("\t") if heredoc.chomp else end) == heredoc.name:
                return replace(heredoc, content="".join(content))
            content.append(line + "\n")
        raise DockerfileError("unterminated heredoc", hint=f"the line {heredoc.name} that ends it is missing")


def find_heredocs(line: str) -> list[Heredoc]:
    """Return the here-documents that a logical line opens, in order, without content."""
    lexer = Lexer(raw_quotes=True, raw_escapes=True, keep_unset=True)
    try:
        words = lexer.split(line, {})
    except DockerfileError:
        return []
    return [heredoc for word in words if (heredoc := read_heredoc(word)) is not None]


def read_heredoc(word: str) -> Heredoc | None:
    """Read `<<EOF`, `<<-"EOF"`, `3<<EOF`; None for any other word."""
    match = _HEREDOC.match(word)
    if match is None or not match[3]:
        return None
    names = Lexer(keep_unset=True).split(match[3], {})
    if len(names) != 1:
        return None
    # Quotes in the raw word that are gone from the plain one: some part of it was quoted.
    raw = Lexer(raw_quotes=True, keep_unset=True).expand(match[3], {})
    expand = sum(map(raw.count, "'\"")) == sum(map(names[0].count, "'\""))
    return Heredoc(name=names[0], expand=expand, chomp=match[2] == "-", fd=int(match[1] or 0))
