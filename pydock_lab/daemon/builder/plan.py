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
from pathlib import Path

from pydock_lab.daemon.builder import context as contexts
from pydock_lab.daemon.builder import remote
from pydock_lab.daemon.builder.arguments import StageArguments
from pydock_lab.daemon.builder.cache import Inputs
from pydock_lab.daemon.builder.container import PIPES, RunSettings
from pydock_lab.daemon.builder.copying import Copier, Ownership, resolve_owner
from pydock_lab.daemon.builder.digests import combined_digest
from pydock_lab.daemon.builder.draft import Draft
from pydock_lab.daemon.builder.options import BuildOptions
from pydock_lab.daemon.builder.rootfs import Rootfs, WritableRootfs
from pydock_lab.daemon.builder.sources import Source, SourceTree
from pydock_lab.daemon.builder.threads import finished
from pydock_lab.dockerfile.filemode import FileMode
from pydock_lab.dockerfile.instructions import Add, Copy, Healthcheck, Instruction, Run, Transfer, Workdir
from pydock_lab.dockerfile.mounts import BIND, Mount, read_mount
from pydock_lab.errors import DockerfileError, InvalidParameter, LabError

_PIVOT = "/./"
_GIT = ".git"

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
        mounts: What its container sees besides the image.
        note: What is to be said of it, or "".
    """

    inputs: Inputs
    created_by: str
    write: Write | None = None
    run: RunSettings | None = None
    mounts: tuple[Mount, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Found:
    """A source and where it is from."""

    source: Source
    tree: SourceTree
    word: str
    unpack: bool


@dataclass
class Planner:
    """Prepares the steps of one stage.

    Args:
        options: Of the build.
        draft: The stage's image so far; its config is changed here.
        arguments: ARGs in scope.
        find_tree: Finds the files behind `--from`; "" is the build context.
        scratch: Where downloads go.
        constants: Options that count for every step.
    """

    options: BuildOptions
    draft: Draft
    arguments: StageArguments
    find_tree: FindTree
    scratch: Path
    rootless: bool = False
    constants: dict[str, str] = field(default_factory=dict)

    async def prepare(self, instruction: Instruction) -> Prepared:
        """Prepare one instruction whose variables are expanded.

        Raises:
            LabError: it can't be carried out; nothing is changed then but the draft.
        """
        match instruction:
            case Run():
                return await self._run(instruction)
            case Copy() | Add():
                return await self._transfer(instruction)
            case Workdir():
                path = self.draft.set_workdir(instruction.path)
                comment = f"WORKDIR {path}"
                write: Write = lambda target: target.ensure_directory(path)  # noqa: E731
                return Prepared(self._inputs("WORKDIR", comment, comment), self.draft.nop(comment), write=write)
            case _:
                note = _overridden(self.draft, instruction)
                comment = self.draft.apply(instruction)
                # Two blanks: Docker joins an empty word here, and its history shows it.
                inputs = self._inputs(instruction.keyword, comment, instruction.meaning)
                return Prepared(inputs, self.draft.nop(f" {comment}"), note=note)

    def _inputs(
        self,
        keyword: str,
        text: str,
        meaning: str,
        *,
        arguments: dict[str, str] | None = None,
        files: dict[str, str] | None = None,
        options: dict[str, str] | None = None,
    ) -> Inputs:
        return Inputs(
            parent=self.draft.parent,
            keyword=keyword,
            instruction=text,
            meaning=meaning,
            arguments=arguments or {},
            files=files or {},
            options={**self.constants, **(options or {})},
        )

    async def _run(self, instruction: Run) -> Prepared:
        mounts = _read_mounts(instruction)
        words, files = _command_words(instruction, self.draft.shell)
        env = self.draft.env
        declared = self.arguments.in_key(env)
        network = instruction.network or self.options.network
        settings = RunSettings(
            # `RUN []` is what the image would run, as in dockerd.
            args=words or list(self.draft.config.get("Cmd") or ()),
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
            privileged=instruction.security == "insecure",
        )
        shown = sorted(f"{name}={value}" for name, value in declared.items())
        if self.arguments.for_run(env):  # also where all of it is predefined, and left out
            shown.insert(0, f"|{len(shown)}")
        text = " ".join(words) if instruction.command.shell_form else json.dumps(words)
        inputs = self._inputs(
            "RUN",
            text + "".join(f"\n{body}" for body in files.values()),
            json.dumps([words, sorted(files.items())]),
            arguments=declared,
            files=await self._mounted_files(mounts),
            options=_run_options(instruction, settings),
        )
        return Prepared(inputs, " ".join([*shown, *words]), run=settings, mounts=mounts)

    async def _mounted_files(self, mounts: tuple[Mount, ...]) -> dict[str, str]:
        """The content of bind mounts counts like that of copies; what the other types show does not."""
        files: dict[str, str] = {}
        for mount in mounts:
            if mount.type == BIND:
                tree = await self.find_tree(mount.from_image)
                for source in await finished(asyncio.to_thread(tree.find, mount.source or "/")):
                    files |= {"/".join(filter(None, (mount.target, path))): d for path, d in source.digests.items()}
        return files

    async def _transfer(self, instruction: Copy | Add) -> Prepared:
        _check(instruction)
        found = await self._find(instruction)
        sources = [each.source for each in found]
        if len(found) + len(instruction.files) > 1 and not instruction.destination.endswith("/"):
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
        # A repository's own files are told by its commit: they hold times.
        counted = {path: digest for path, digest in files.items() if path.split("/")[0] != _GIT}
        text = " ".join([instruction.keyword, *words])
        done = json.dumps([self._way(instruction), [s.name for s in sources], [h.name for h in instruction.files]])
        inputs = self._inputs(instruction.keyword, text, done, files=counted)
        return Prepared(inputs, self.draft.nop(comment), write=self._writer(instruction, found))

    def _way(self, instruction: Copy | Add) -> list[object]:
        """How it copies: of an instruction all but what it names, for that is told by its digests."""
        keeps_owner = isinstance(instruction, Copy) and bool(instruction.source_image) and not instruction.chown
        way: list[object] = [
            self.draft.absolute(instruction.destination),
            keeps_owner or instruction.chown,
            instruction.chmod,
            instruction.sources if instruction.parents else None,
        ]
        return [*way, instruction.unpack, instruction.keep_git_dir] if isinstance(instruction, Add) else way

    def _writer(self, instruction: Copy | Add, found: list[Found]) -> Write:
        """Return what copies the sources of one instruction."""
        source_image = instruction.source_image if isinstance(instruction, Copy) else ""
        keep_owner = bool(source_image) and not instruction.chown
        destination = self.draft.absolute(instruction.destination)

        def write(target: WritableRootfs) -> None:
            owner = resolve_owner(instruction.chown, target) if instruction.chown else (0, 0)
            mode = FileMode.parse(instruction.chmod) if instruction.chmod else None
            ownership = Ownership(None if keep_owner else owner, mode)
            copiers = {lent: Copier(target, ownership, lent=lent) for lent in (False, True)}
            for each in found:
                copier = copiers[each.tree.is_context and not each.tree.kept]
                files = each.tree.files()
                place = files.resolve(each.source.place.path, follow=False)
                if each.unpack and place is not None and not place.is_directory and contexts.is_tar(place.real[0]):
                    directory = target.real_directory(destination)
                    contexts.unpack_tar(place.real[0], directory, rootless=self.rootless)
                else:
                    where = _below_parents(each, destination) if instruction.parents else destination
                    copier.copy(each.source, files, where)
            for heredoc in instruction.files:
                copiers[False].write(heredoc.text.encode(), heredoc.name, destination)

        return write

    async def _find(self, instruction: Copy | Add) -> list[Found]:
        tree = await self.find_tree(instruction.source_image if isinstance(instruction, Copy) else "")
        found: list[Found] = []
        try:
            for word in instruction.sources:
                if isinstance(instruction, Add) and (remote.is_git(word) or remote.is_url(word)):
                    found.append(await finished(asyncio.to_thread(self._fetch, instruction, word)))
                    continue
                unpack = isinstance(instruction, Add) and instruction.unpack is not False
                sources = await finished(asyncio.to_thread(tree.find, word, instruction.excludes))
                found += [Found(source, tree, word, unpack) for source in sources]
            if not found and not instruction.files:
                raise InvalidParameter("no source files were specified")
        except LabError as error:
            raise InvalidParameter(f"{instruction.keyword} failed: {error.message}", hint=error.hint) from None
        return found

    def _fetch(self, instruction: Add, word: str) -> Found:
        """Download what ADD names by a URL."""
        self.scratch.mkdir(exist_ok=True)
        directory = self.scratch / f"{len(list(self.scratch.iterdir()))}"
        if remote.is_git(word):
            source = remote.GitSource.read(word)
            directory = remote.clone(source, directory, keep_git_dir=instruction.keep_git_dir)
            tree = SourceTree(Rootfs([directory]), is_context=True)
            return Found(tree.find("/", instruction.excludes)[0], tree, word, unpack=False)
        directory.mkdir()
        name = "" if instruction.destination.endswith("/") else "download"
        path = remote.download(word, directory, checksum=instruction.checksum, name=name)
        tree = SourceTree(Rootfs([directory]), is_context=True)
        return Found(tree.find(path.name)[0], tree, word, unpack=bool(instruction.unpack))


def _overridden(draft: Draft, instruction: Instruction) -> str:
    """Docker says of HEALTHCHECK alone that it replaces another one."""
    test = (draft.config.get("Healthcheck") or {}).get("Test") or ["NONE"]
    if not isinstance(instruction, Healthcheck) or test[0] == "NONE":
        return ""
    return f"Note: overriding previous HEALTHCHECK: [{' '.join(test)}]\n"


def _read_mounts(instruction: Run) -> tuple[Mount, ...]:
    try:
        return tuple(read_mount(text) for text in instruction.mounts)
    except DockerfileError as error:
        raise DockerfileError(error.message, line=instruction.start_line, text=instruction.text) from None


def _run_options(instruction: Run, settings: RunSettings) -> dict[str, str]:
    options = {
        "network": "" if settings.network == "default" else settings.network,
        "mounts": " ".join(instruction.mounts),
        "security": "" if instruction.security == "sandbox" else instruction.security,
    }
    return {name: value for name, value in options.items() if value}


def _below_parents(found: Found, destination: str) -> str:
    """Where `--parents` puts a source: its own path, from the pivot (`/./`) on, below the destination."""
    pivot = found.word.partition(_PIVOT)[0] if _PIVOT in found.word else ""
    dropped = len([part for part in pivot.split("/") if part not in ("", ".")])
    parts = found.source.name.split("/")[dropped:]
    if not found.source.place.is_directory:
        parts = parts[:-1]
    return "/".join([destination.rstrip("/"), *parts, ""])


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


def _check(instruction: Transfer) -> None:
    """Refuse what can't be, before anything is looked at."""
    urls = [source for source in instruction.sources if remote.is_url(source) or remote.is_git(source)]
    if not isinstance(instruction, Add):
        if any(remote.is_url(source) for source in urls):
            raise InvalidParameter("COPY failed: source can't be a URL for COPY")
    elif instruction.checksum and len(instruction.sources) != 1:
        raise InvalidParameter("checksum can't be specified for multiple sources")
    elif instruction.checksum and (not urls or remote.is_git(urls[0])):
        raise InvalidParameter("checksum requires HTTP(S) sources")
    if instruction.chmod:
        FileMode.parse(instruction.chmod)


def _flags(instruction: Copy | Add) -> list[str]:
    flags = []
    if isinstance(instruction, Copy) and instruction.source_image:
        flags.append(f"--from={instruction.source_image}")
    if instruction.chown:
        flags.append(f"--chown={instruction.chown}")
    if instruction.chmod:
        flags.append(f"--chmod={instruction.chmod}")
    if instruction.parents:
        flags.append("--parents")
    return flags + [f"--exclude={pattern}" for pattern in instruction.excludes]


def _fingerprint(sources: list[Source], files: dict[str, str]) -> str:
    """Docker's word for what was copied: `file:…`, `dir:…`, `multi:…`."""
    if len(sources) == 1 and len(files) == len(sources[0].digests):
        return sources[0].fingerprint
    return "multi:" + combined_digest(files.items()).removeprefix("sha256:")
