"""Build checks: what is allowed in a Dockerfile and still better not written.

Rules, names and sentences are BuildKit's (`docker build --check`), so that what
a learner looks up is there. Pure; the builder puts the findings into its record,
`pydock build --check` prints them. Source: the Docker docs, "Build checks";
BuildKit's frontend/dockerfile/linter.

A line `# check=skip=RULE,…` (or `skip=all`) in the Dockerfile turns rules off.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pydock_lab.dockerfile.expansion import Lexer
from pydock_lab.dockerfile.ignore import Ignore
from pydock_lab.dockerfile.instructions import Add, Arg, Cmd, Copy, Entrypoint, Env, From, Instruction, Shell, Workdir
from pydock_lab.dockerfile.parser import Dockerfile, Node
from pydock_lab.dockerfile.rules import DESCRIPTIONS
from pydock_lab.dockerfile.stages import Program, Stage, read_program
from pydock_lab.dockerfile.suggestion import closest
from pydock_lab.dockerfile.typed import instruction as typed
from pydock_lab.dockerfile.variables import PLATFORM_ARGUMENTS, PREDEFINED, used_variables
from pydock_lab.errors import DockerfileError

_SECRET_WORDS = "apikey|auth|credential|credentials|key|password|pword|passwd|secret|token"
_SECRET = re.compile(rf"(?:_|^)(?:{_SECRET_WORDS})(?:_|$)", re.IGNORECASE)
_PUBLIC = re.compile(r"(?:_|^)public(?:_|$)", re.IGNORECASE)
_RESERVED = ("context", "scratch")
_ONCE = ("CMD", "ENTRYPOINT", "HEALTHCHECK")
_VARIABLE_ONLY = re.compile(r"\$\{?(\w+)\}?")
_EXPOSED = re.compile(r"\d+(?:-\d+)?(?:/\w+)?")
_LEGACY_PAIR = re.compile(r"^\s*\w+\s+[^\s=]+\s")


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        rule: BuildKit's name, `StageNameCasing`.
        detail: What was found, in BuildKit's words.
        line: 1-based.
        end_line: 1-based.
    """

    rule: str
    detail: str
    line: int
    end_line: int

    @property
    def description(self) -> str:
        """What the rule is about."""
        return DESCRIPTIONS[self.rule]

    @property
    def url(self) -> str:
        """Where it is explained."""
        dashed = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=JSON)(?=A)", "-", self.rule).lower()
        return f"https://docs.docker.com/go/dockerfile/rule/{dashed}/"

    @property
    def document(self) -> dict[str, str | int]:
        """As the record of a build has it."""
        return {
            "rule": self.rule,
            "description": self.description,
            "detail": self.detail,
            "url": self.url,
            "line": self.line,
            "end_line": self.end_line,
        }


def check(
    source: str | bytes, ignore: Ignore | None = None, arguments: Mapping[str, str] | None = None
) -> list[Finding]:
    """Return the findings of a Dockerfile that parses, by line.

    Args:
        source: The Dockerfile.
        ignore: `.dockerignore` of its context.
        arguments: Values of `--build-arg`.

    Raises:
        DockerfileError: it does not parse.
    """
    return check_program(read_program(source), ignore, arguments)


def check_program(
    program: Program, ignore: Ignore | None = None, arguments: Mapping[str, str] | None = None
) -> list[Finding]:
    """Return the findings of a Dockerfile that is parsed already; else as `check`."""
    linter = _Linter(program.file, ignore, dict(arguments or {}))
    linter.run(program.stages)
    skipped = _skipped(program.file.directives.get("check", ""))
    kept = [each for each in linter.found if "all" not in skipped and each.rule.lower() not in skipped]
    return sorted(dict.fromkeys(kept), key=lambda each: each.line)


def _skipped(directive: str) -> set[str]:
    for option in directive.split(";"):
        name, _, value = option.partition("=")
        if name.strip().lower() == "skip":
            return {rule.strip().lower() for rule in value.split(",")}
    return set()


@dataclass
class _Linter:
    file: Dockerfile
    ignore: Ignore | None
    given: dict[str, str]
    found: list[Finding] = field(default_factory=list)

    def run(self, stages: tuple[Stage, ...]) -> None:
        self._casing()
        self._continuations()
        for node in self.file.nodes:
            self._node(node)
        self._stage_names(stages)
        global_values = self._globals()
        for stage in stages:
            self._base(stage, global_values)
        self._walk()

    def say(self, rule: str, detail: str, at: Node | Instruction) -> None:
        self.found.append(Finding(rule, detail, at.start_line, at.end_line))

    def _casing(self) -> None:
        """All keywords in one case: the one that most of them have."""
        words = [node.keyword for node in self.file.nodes]
        upper, lower = sum(map(str.isupper, words)), sum(map(str.islower, words))
        majority = "lowercase" if lower > upper else "uppercase"
        right = str.islower if lower > upper else str.isupper
        for node in self.file.nodes:
            if not right(node.keyword):
                detail = f"Command '{node.keyword}' should match the case of the command majority ({majority})"
                self.say("ConsistentInstructionCasing", detail, node)

    def _continuations(self) -> None:
        for line in self.file.empty_continuations:
            self.found.append(Finding("NoEmptyContinuation", "Empty continuation line", line, line))

    def _node(self, node: Node) -> None:
        if node.name == "MAINTAINER":
            self.say("MaintainerDeprecated", "Maintainer instruction is deprecated in favor of using label", node)
        elif node.name in ("ENV", "LABEL") and _LEGACY_PAIR.match(node.original) and len(node.arguments) == 2:
            form = f'"{node.name} key=value" should be used instead of legacy "{node.name} key value" format'
            self.say("LegacyKeyValueFormat", form, node)
        elif node.name == "EXPOSE":
            self._expose(node)
        elif node.name == "FROM":
            self._from(node)
        if node.name in ("ARG", "ENV"):
            self._secrets(node)
        if node.name in ("ARG", "FROM"):
            self._comment(node)

    def _expose(self, node: Node) -> None:
        for port in node.arguments:
            protocol = port.partition("/")[2]
            if protocol != protocol.lower() and "$" not in port:
                detail = f"Defined protocol '{port}' in EXPOSE instruction should be lowercase"
                self.say("ExposeProtoCasing", detail, node)
            if "$" not in port and not _EXPOSED.fullmatch(port):
                detail = f"EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'"
                self.say("ExposeInvalidFormat", detail, node)

    def _from(self, node: Node) -> None:
        if len(node.arguments) != 3:
            return
        word, name = node.arguments[1:]
        if word.isupper() != node.keyword.isupper() or word.islower() != node.keyword.islower():
            detail = f"'{word}' and '{node.keyword}' keywords' casing do not match"
            self.say("FromAsCasing", detail, node)
        if name != name.lower():
            self.say("StageNameCasing", f"Stage name '{name}' should be lowercase", node)

    def _secrets(self, node: Node) -> None:
        names = node.arguments[::2] if node.name == "ENV" else [word.partition("=")[0] for word in node.arguments]
        for name in names:
            if _SECRET.search(name) and not _PUBLIC.search(name):
                detail = f"Do not use ARG or ENV instructions for sensitive data ({node.name} {json.dumps(name)})"
                self.say("SecretsUsedInArgOrEnv", detail, node)

    def _comment(self, node: Node) -> None:
        """Off unless asked for: BuildKit calls this rule experimental."""
        wanted = self.file.directives.get("check", "")
        if "experimental=" not in wanted or not ("all" in wanted or "InvalidDefinitionDescription" in wanted):
            return
        names = [node.arguments[2]] if len(node.arguments) == 3 else []
        if node.name == "ARG":
            names = [word.partition("=")[0] for word in node.arguments]
        for name in names:
            if node.comments and not node.comments[-1].startswith(f"{name} "):
                kind = "ARG" if node.name == "ARG" else "FROM"
                detail = f"Comment for {kind} should follow the format: `# {name} <description>`"
                self.say("InvalidDefinitionDescription", detail, node)

    def _stage_names(self, stages: tuple[Stage, ...]) -> None:
        seen: set[str] = set()
        shells: set[str] = set()
        for stage in stages:
            self._shell_forms(stage, shells)
            if stage.name in _RESERVED:
                detail = f"Stage name should not use the same name as reserved stage {json.dumps(stage.name)}"
                self.say("ReservedStageName", detail, stage.base)
            if stage.name and stage.name in seen:
                detail = f"Duplicate stage name {json.dumps(stage.name)}, stage names should be unique"
                self.say("DuplicateStageName", detail, stage.base)
            seen.add(stage.name)
            self._repeated(stage)
            self._relative_workdir(stage, stages)

    def _shell_forms(self, stage: Stage, shells: set[str]) -> None:
        """A shell that was chosen with SHELL, here or in the stage this one is built on, is meant."""
        chosen = stage.base.image.lower() in shells
        for step in stage.instructions:
            if isinstance(step, Shell):
                chosen = True
            elif isinstance(step, Cmd | Entrypoint) and step.command.shell_form and not chosen:
                signals = "to prevent unintended behavior related to OS signals"
                self.say("JSONArgsRecommended", f"JSON arguments recommended for {step.keyword} {signals}", step)
        if chosen and stage.name:
            shells.add(stage.name)

    def _repeated(self, stage: Stage) -> None:
        counts = Counter(step.keyword for step in stage.instructions)
        for step in stage.instructions:
            if step.keyword in _ONCE and counts[step.keyword] > 1:
                counts[step.keyword] -= 1  # the last one is the one that counts
                detail = (
                    f"Multiple {step.keyword} instructions should not be used in the same stage "
                    "because only the last one will be used"
                )
                self.say("MultipleInstructionsDisallowed", detail, step)

    def _relative_workdir(self, stage: Stage, stages: tuple[Stage, ...]) -> None:
        earlier = next((s for s in stages[: stage.index] if s.name and s.name == stage.base.image.lower()), None)
        absolute = earlier is not None and any(isinstance(step, Workdir) for step in earlier.instructions)
        for step in stage.instructions:
            if isinstance(step, Workdir):
                if not absolute and not step.path.startswith(("/", "$")):
                    path = json.dumps(step.path)
                    detail = f"Relative workdir {path} can have unexpected results if the base image changes"
                    self.say("WorkdirRelativePath", detail, step)
                absolute = True
            if isinstance(step, Copy | Add) and self.ignore is not None:
                self._ignored(step, self.ignore)

    def _ignored(self, step: Copy | Add, ignore: Ignore) -> None:
        if isinstance(step, Copy) and step.source_image:
            return
        for source in step.sources:
            path = source.strip("/").removeprefix("./")
            if path not in ("", ".") and not re.search(r"[$*?\[]|://", path) and ignore.excludes(path):
                verb = step.keyword.title()
                detail = f"Attempting to {verb} file {json.dumps(source)} that is excluded by .dockerignore"
                self.say("CopyIgnoredFile", detail, step)

    def _globals(self) -> dict[str, str]:
        """The values of ARGs before the first FROM."""
        values: dict[str, str] = {}
        for node in self.file.nodes:
            if node.name == "FROM":
                break
            step = typed(node)
            if isinstance(step, Arg):
                for name, default in step.pairs:
                    values[name] = self.given.get(name, self._expand(default or "", values))
        return values

    def _expand(self, word: str, env: Mapping[str, str]) -> str:
        try:
            return Lexer(self.file.escape).expand(word, env)
        except DockerfileError:
            return word

    def _base(self, stage: Stage, values: dict[str, str]) -> None:
        base = stage.base
        known = {**dict.fromkeys(PLATFORM_ARGUMENTS, "x"), **values}
        for word in (base.image, base.platform):
            for name, has_default in used_variables(word, self.file.escape):
                if name not in known and not has_default:
                    detail = f"FROM argument '{name}' is not declared{closest(name, known)}"
                    self.say("UndefinedArgInFrom", detail, base)
        image = self._expand(base.image, values)
        unset = [n for n, default in used_variables(base.image, self.file.escape) if not default and n in values]
        if unset and (not image or image.startswith(":") or image.endswith((":", "@"))):
            detail = f"Default value for ARG {base.image} results in empty or invalid base image name"
            self.say("InvalidDefaultArgInFrom", detail, base)
        self._platform(base)

    def _platform(self, base: From) -> None:
        match = _VARIABLE_ONLY.fullmatch(base.platform)
        if match is not None and match[1] == "TARGETPLATFORM":
            detail = (
                f"Setting platform to predefined {base.platform} in FROM is redundant as this is the default behavior"
            )
            self.say("RedundantTargetPlatform", detail, base)
        # A stage that is called after its platform (`AS build_amd64`) is for that one alone.
        named = any(part in base.name for part in base.platform.lower().split("/"))
        if base.platform and "$" not in base.platform and not named:
            quoted = json.dumps(base.platform)
            detail = f"FROM --platform flag should not use constant value {quoted}"
            self.say("FromPlatformFlagConstDisallowed", detail, base)

    def _walk(self) -> None:
        """Follow which variables each line may use.

        What an image brings along is not known here; its names are in capitals. So on an image only
        names that are not, and names close to a known one, are taken for mistakes.
        """
        scopes: dict[str, tuple[set[str], bool]] = {}
        known: set[str] = set()
        complete = True
        for node in self.file.nodes:
            step = typed(node)
            if isinstance(step, From):
                base = step.image.lower()
                inherited, complete = scopes.get(base, (set(), base == "scratch"))
                known = {"PATH", *PREDEFINED, *inherited}
                if step.name:
                    scopes[step.name] = known, complete
                continue
            if not scopes and not known:
                continue  # before the first FROM
            for name, has_default in _variables_of(node, self.file.escape):
                meant = _meant(name, known)
                if name not in known and not has_default and (complete or meant or not name.isupper()):
                    self.say("UndefinedVar", f"Usage of undefined variable '${name}'{meant}", step)
            if isinstance(step, Arg | Env):
                known.update(name for name, _ in step.pairs)


def _meant(name: str, known: set[str]) -> str:
    return closest(name, sorted(known)).replace("did you mean ", "did you mean $")


_EXPANDED = ("ADD", "ARG", "COPY", "ENV", "EXPOSE", "LABEL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR")


def _variables_of(node: Node, escape: str) -> Iterator[tuple[str, bool]]:
    """Yield the variables that an instruction's own words use; RUN and its kin are left to the shell."""
    if node.name in _EXPANDED:
        for word in (*node.flags, *node.arguments):
            yield from used_variables(word, escape)
