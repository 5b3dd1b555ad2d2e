"""What each instruction means for the builder: its inputs for the cache, and how to carry it out.

`prepare` looks and computes digests but changes nothing; the `execute` it
returns makes the step's files and knows nothing of the cache. An instruction
that only changes the config has no `execute`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from pydock_lab.daemon.builder import context as contexts
from pydock_lab.daemon.builder.arguments import StageArguments
from pydock_lab.daemon.builder.cache import Inputs
from pydock_lab.daemon.builder.container import PIPES, RunSettings
from pydock_lab.daemon.builder.copying import Copier, Ownership, resolve_owner
from pydock_lab.daemon.builder.digests import combined_digest
from pydock_lab.daemon.builder.draft import Draft
from pydock_lab.daemon.builder.options import BuildOptions
from pydock_lab.daemon.builder.rootfs import WritableRootfs
from pydock_lab.daemon.builder.sources import Source, SourceTree
from pydock_lab.daemon.builder.threads import finished
from pydock_lab.dockerfile.instructions import Add, Copy, Instruction, Run, Transfer, Workdir
from pydock_lab.errors import InvalidParameter, LabError, NotImplementedYet

_URL_SCHEMES = ("http://", "https://", "ftp://", "git://", "git@")

Write = Callable[[WritableRootfs], None]
FindTree = Callable[[str], Awaitable[SourceTree]]


@dataclass(frozen=True)
class Prepared:
    """A step that is ready to be looked up and, if need be, carried out.

    Attributes:
        inputs: What its result depends on.
        created_by: The history's text.
        write: Makes its files without a container, or None.
        run: What its container runs, or None.
    """

    inputs: Inputs
    created_by: str
    write: Write | None = None
    run: RunSettings | None = None


@dataclass
class Planner:
    """Prepares the steps of one stage.

    Args:
        options: Of the build.
        draft: The stage's image so far; its config is changed here.
        arguments: ARGs in scope.
        context: The build context.
        find_tree: Finds the files behind `--from`.
        constants: Options that count for every step.
    """

    options: BuildOptions
    draft: Draft
    arguments: StageArguments
    context: SourceTree
    find_tree: FindTree
    rootless: bool = False
    constants: dict[str, str] = field(default_factory=dict)

    async def prepare(self, instruction: Instruction) -> Prepared:
        """Prepare one instruction whose variables are expanded.

        Raises:
            LabError: it can't be carried out; nothing is changed then but the draft.
        """
        match instruction:
            case Run():
                return self._run(instruction)
            case Copy() | Add():
                return await self._transfer(instruction)
            case Workdir():
                path = self.draft.set_workdir(instruction.path)
                comment = f"WORKDIR {path}"
                write: Write = lambda target: target.ensure_directory(path)  # noqa: E731
                return Prepared(self._inputs("WORKDIR", comment), self.draft.nop(comment), write=write)
            case _:
                comment = self.draft.apply(instruction)
                # Two blanks: Docker joins an empty word here, and its history shows it.
                return Prepared(self._inputs(instruction.keyword, comment), self.draft.nop(f" {comment}"))

    def _inputs(
        self,
        keyword: str,
        text: str,
        *,
        arguments: dict[str, str] | None = None,
        files: dict[str, str] | None = None,
        options: dict[str, str] | None = None,
    ) -> Inputs:
        return Inputs(
            parent=self.draft.parent,
            keyword=keyword,
            instruction=text,
            arguments=arguments or {},
            files=files or {},
            options={**self.constants, **(options or {})},
        )

    def _run(self, instruction: Run) -> Prepared:
        if instruction.mounts:
            raise NotImplementedYet(f"RUN --mount is not implemented yet (line {instruction.start_line})")
        if instruction.security == "insecure":
            raise NotImplementedYet(f"RUN --security=insecure is not implemented yet (line {instruction.start_line})")
        words, files = _command_words(instruction, self.draft.shell)
        env = self.draft.env
        declared = self.arguments.in_key(env)
        network = instruction.network or self.options.network
        settings = RunSettings(
            args=words,
            env=[f"{name}={value}" for name, value in {**env, **self.arguments.for_run(env)}.items()],
            cwd=self.draft.workdir,
            user=str(self.draft.config.get("User") or ""),
            network="default" if network == "bridge" else network,
            extra_hosts=self.options.extra_hosts,
            shm_bytes=self.options.shm_bytes,
            resources=self.options.resources,
            rlimits=self.options.rlimits,
            cgroup_parent=self.options.cgroup_parent,
            volumes=tuple(self.draft.config.get("Volumes") or ()),
            files=files,
        )
        shown = sorted(f"{name}={value}" for name, value in declared.items())
        if shown:
            shown.insert(0, f"|{len(shown)}")
        text = " ".join(words) if instruction.command.shell_form else json.dumps(words)
        inputs = self._inputs(
            "RUN",
            text + "".join(f"\n{body}" for body in files.values()),
            arguments=declared,
            options={} if settings.network == "default" else {"network": settings.network},
        )
        return Prepared(inputs, " ".join([*shown, *words]), run=settings)

    async def _transfer(self, instruction: Copy | Add) -> Prepared:
        _refuse_unknown(instruction)
        source_image = instruction.source_image if isinstance(instruction, Copy) else ""
        tree = await self.find_tree(source_image) if source_image else self.context
        sources = await finished(asyncio.to_thread(self._find, instruction, tree))
        several = len(sources) + len(instruction.files) > 1
        if several and not instruction.destination.endswith("/"):
            raise InvalidParameter(
                f"When using {instruction.keyword} with more than one source file, "
                "the destination must be a directory and end with a /"
            )
        files = {"/".join(filter(None, (s.name, path))): d for s in sources for path, d in s.digests.items()}
        for heredoc in instruction.files:
            files[heredoc.name] = combined_digest([("", heredoc.text)])
        words = [
            *_flags(instruction),
            *instruction.sources,
            *(f"<<{h.name}" for h in instruction.files),
            instruction.destination,
        ]
        # Of the flags only this one, and without a blank behind it: so Docker's own history has it.
        chown = f"--chown={instruction.chown}" if instruction.chown else ""
        comment = f"{instruction.keyword} {chown}{_fingerprint(sources, files)} in {instruction.destination} "
        unpack = isinstance(instruction, Add) and instruction.unpack is not False
        keep_owner = bool(source_image) and not instruction.chown
        destination = self.draft.absolute(instruction.destination)

        def write(target: WritableRootfs) -> None:
            owner = resolve_owner(instruction.chown, target) if instruction.chown else (0, 0)
            mode = int(instruction.chmod, 8) if instruction.chmod else None
            copier = Copier(target, Ownership(None if keep_owner else owner, mode))
            for source in sources:
                if unpack and not source.place.is_directory and contexts.is_tar(source.place.real[0]):
                    directory = target.real_directory(destination)
                    contexts.unpack_tar(source.place.real[0], directory, rootless=self.rootless)
                else:
                    copier.copy(source, tree.rootfs, destination)
            for heredoc in instruction.files:
                copier.write(heredoc.text.encode(), heredoc.name, destination)

        inputs = self._inputs(instruction.keyword, " ".join([instruction.keyword, *words]), files=files)
        return Prepared(inputs, self.draft.nop(comment), write=write)

    def _find(self, instruction: Copy | Add, tree: SourceTree) -> list[Source]:
        found: list[Source] = []
        try:
            for word in instruction.sources:
                found += tree.find(word, instruction.excludes)
            if not found and not instruction.files:
                raise InvalidParameter("no source files were specified")
        except LabError as error:
            raise InvalidParameter(f"{instruction.keyword} failed: {error.message}", hint=error.hint) from None
        return found


def _command_words(instruction: Run, shell: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return the argument vector of RUN and the scripts it needs, its here-documents taken in."""
    if not instruction.heredocs:
        return instruction.command.resolve(shell), {}
    line = " ".join(instruction.command.words)
    first = instruction.heredocs[0]
    if len(instruction.heredocs) == 1 and line.lstrip("0123456789").startswith("<<") and len(line.split()) == 1:
        # The here-document is the command: a script by itself, or text for the shell.
        if first.text.startswith("#!"):
            return [f"{PIPES}/{first.name}"], {first.name: first.text}
        return [*shell, first.text], {}
    # The shell reads its here-documents itself.
    bodies = "".join(f"\n{heredoc.content}{heredoc.name}" for heredoc in instruction.heredocs)
    return [*shell, line + bodies], {}


def _refuse_unknown(instruction: Transfer) -> None:
    """Refuse what the parser knows and the builder can't do, naming the line."""
    where = f"is not implemented yet (line {instruction.start_line})"
    if instruction.parents:
        raise NotImplementedYet(f"{instruction.keyword} --parents {where}")
    if isinstance(instruction, Add):
        if instruction.checksum or instruction.keep_git_dir:
            raise NotImplementedYet(f"ADD --checksum and --keep-git-dir {where}")
        if any(source.startswith(_URL_SCHEMES) for source in instruction.sources):
            raise NotImplementedYet(f"ADD of a URL {where}", hint="RUN wget does the same in this engine")
    elif any(source.startswith(("http://", "https://")) for source in instruction.sources):
        raise InvalidParameter("COPY failed: source can't be a URL for COPY")
    if instruction.chmod and not all(digit in "01234567" for digit in instruction.chmod):
        raise InvalidParameter(
            f"invalid chmod parameter: '{instruction.chmod}'. it should be octal string and between 0 and 07777"
        )


def _flags(instruction: Copy | Add) -> list[str]:
    flags = []
    if isinstance(instruction, Copy) and instruction.source_image:
        flags.append(f"--from={instruction.source_image}")
    if instruction.chown:
        flags.append(f"--chown={instruction.chown}")
    if instruction.chmod:
        flags.append(f"--chmod={instruction.chmod}")
    return flags + [f"--exclude={pattern}" for pattern in instruction.excludes]


def _fingerprint(sources: list[Source], files: dict[str, str]) -> str:
    """Docker's word for what was copied: `file:…`, `dir:…`, `multi:…`."""
    if len(sources) == 1 and len(files) == len(sources[0].digests):
        return sources[0].fingerprint
    return "multi:" + combined_digest(files.items()).removeprefix("sha256:")
