"""Expand variables in an instruction's fields: which fields, and how.

RUN, CMD, ENTRYPOINT, SHELL and ONBUILD are left to the shell or to a later
build. Source: the Dockerfile reference, "Environment replacement"; the Expand
methods of BuildKit's instructions/commands.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from pydock_lab.dockerfile.expansion import Lexer
from pydock_lab.dockerfile.instructions import (
    Add,
    Arg,
    Copy,
    Env,
    Expose,
    From,
    Instruction,
    Label,
    Run,
    StopSignal,
    Transfer,
    User,
    Volume,
    Workdir,
)
from pydock_lab.dockerfile.parser import Heredoc
from pydock_lab.errors import DockerfileError


def substitute(instruction: Instruction, env: Mapping[str, str], escape: str) -> Instruction:
    """Return the instruction with its variables expanded. Raises DockerfileError with the line."""
    try:
        return _substitute(instruction, env, Lexer(escape))
    except DockerfileError as error:
        # The text could be parsed: Docker names no line here, but the error carries it.
        raise DockerfileError(error.message, line=instruction.start_line, text=instruction.text) from None


def _substitute(instruction: Instruction, env: Mapping[str, str], lexer: Lexer) -> Instruction:
    def one(word: str) -> str:
        return lexer.expand(word, env)

    def each(words: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(lexer.expand(word, env) for word in words)

    match instruction:
        case Env(pairs=pairs) | Label(pairs=pairs):
            # All pairs of one line see the environment as it was before the line.
            return replace(instruction, pairs=tuple((one(name), one(value)) for name, value in pairs))
        case Arg(pairs=arguments):
            return replace(
                instruction,
                pairs=tuple((one(name), None if value is None else one(value)) for name, value in arguments),
            )
        case Transfer():
            return _substitute_transfer(instruction, env, lexer)
        case Run(heredocs=heredocs, mounts=mounts):
            # The shell expands a command's heredocs itself.
            return replace(instruction, mounts=each(mounts), heredocs=heredocs)
        case Expose(ports=ports):
            return replace(instruction, ports=tuple(word for port in ports for word in lexer.split(port, env)))
        case Volume(paths=paths):
            return replace(instruction, paths=each(paths))
        case User(user=user):
            return replace(instruction, user=one(user))
        case Workdir(path=path):
            return replace(instruction, path=one(path))
        case StopSignal(signal=signal):
            return replace(instruction, signal=one(signal))
        case From(image=image, platform=platform):
            return replace(instruction, image=one(image), platform=one(platform))
        case _:
            return instruction


def _substitute_transfer(instruction: Transfer, env: Mapping[str, str], lexer: Lexer) -> Transfer:
    changed = replace(
        instruction,
        sources=tuple(lexer.expand(word, env) for word in instruction.sources),
        destination=lexer.expand(instruction.destination, env),
        files=tuple(_substitute_heredoc(file, env, lexer) for file in instruction.files),
        chown=lexer.expand(instruction.chown, env),
        chmod=lexer.expand(instruction.chmod, env),
        excludes=tuple(lexer.expand(word, env) for word in instruction.excludes),
    )
    if isinstance(changed, Copy):
        if re.search(r"\$.", changed.source_image):
            raise DockerfileError("'from' doesn't support variable expansion, define alias stage instead")
    elif isinstance(changed, Add):
        return replace(changed, checksum=lexer.expand(changed.checksum, env))
    return changed


def _substitute_heredoc(heredoc: Heredoc, env: Mapping[str, str], lexer: Lexer) -> Heredoc:
    if not heredoc.expand:
        return heredoc
    body = replace(lexer, process_quotes=False)
    return replace(heredoc, content=body.expand(heredoc.content, env))
