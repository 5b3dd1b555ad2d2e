"""What a build fetches itself: files behind URLs, git repositories. Blocks; called in worker threads.

Source: the Dockerfile reference, "ADD" (URLs, `--checksum`, git); BuildKit's
util/gitutil for what counts as a repository and for `#ref:directory`.
"""

from __future__ import annotations

import email.utils
import hashlib
import os
import posixpath
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydock_lab.daemon.dial import dial_error
from pydock_lab.errors import InvalidParameter, SystemFailure

_TIMEOUT_S = 30
_GIT_TIMEOUT_S = 600
_CHUNK = 1 << 20
_GIT_SUFFIX = re.compile(r"\.git(?:#|$)")
_SCP = re.compile(r"^[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:(?!//)")
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}")


def is_url(source: str) -> bool:
    """Whether ADD downloads this source."""
    return source.startswith(("http://", "https://"))


def is_git(source: str) -> bool:
    """Whether a source names a git repository."""
    if source.startswith(("git://", "ssh://", "git@")) or _SCP.match(source):
        return True
    return is_url(source) and bool(_GIT_SUFFIX.search(source))


def download(url: str, directory: Path, *, checksum: str = "", name: str = "") -> Path:
    """Download one file as it comes, checking its digest.

    Args:
        url: http or https.
        directory: An existing directory.
        checksum: `sha256:…` that it must have, or "".
        name: The file's name, or "" for the one that the URL ends in.

    Raises:
        InvalidParameter: it can't be had, has no name, or is another file than expected.
    """
    if checksum and not _CHECKSUM.fullmatch(checksum):
        raise InvalidParameter(f"invalid checksum digest format: {checksum}")
    name = name or unquote(posixpath.basename(urlsplit(url).path))
    if not name or name in (".", ".."):
        raise InvalidParameter(f"cannot determine filename from url: {url}")
    target = directory / name.replace("/", "_")
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response, target.open("xb") as file:
            while chunk := response.read(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
            modified = response.headers.get("Last-Modified", "")
    except urllib.error.HTTPError as error:
        error.close()
        raise InvalidParameter(f"failed to GET {url} with status {error.code} {error.reason}") from None
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        message = f'Get "{url}": {dial_error(url, reason)}'
        raise InvalidParameter(message, hint="is there a network, and is the URL right?") from None
    found = f"sha256:{digest.hexdigest()}"
    if checksum and found != checksum:
        raise InvalidParameter(f"digest mismatch {found}: {checksum}", hint=f"what {url} holds now has another digest")
    target.chmod(0o600)
    stamp = email.utils.parsedate_to_datetime(modified).timestamp() if modified else 0
    os.utime(target, (stamp, stamp))
    return target


@dataclass(frozen=True)
class GitSource:
    """`URL#ref:directory`, taken apart."""

    url: str
    ref: str
    directory: str

    @classmethod
    def read(cls, text: str) -> GitSource:
        """Read a repository as Docker writes it."""
        url, _, fragment = text.partition("#")
        ref, _, directory = fragment.partition(":")
        if url.startswith("github.com/"):
            url = f"https://{url}"
        if ref.startswith("-") or url.startswith("-"):
            raise InvalidParameter(f"invalid git ref: {ref or url}")
        return cls(url, ref, directory)

    @property
    def name(self) -> str:
        """What the repository is called."""
        return posixpath.basename(self.url).removesuffix(".git")


def clone(source: GitSource, directory: Path, *, keep_git_dir: bool = False) -> Path:
    """Check a repository out; return the directory that was asked for.

    Args:
        source: The repository.
        directory: Where to; must not exist.
        keep_git_dir: Leave `.git` in place.

    Raises:
        InvalidParameter: it can't be fetched, or has no such ref or directory.
    """
    if shutil.which("git") is None:
        raise InvalidParameter("git is not installed where the engine runs", hint="install git, or ADD an archive")
    directory.mkdir(parents=True)
    _git(directory, "init", "-q")
    _git(directory, "remote", "add", "origin", source.url)
    ref = source.ref or "HEAD"
    try:
        _git(directory, "fetch", "-q", "--depth=1", "origin", ref)
    except InvalidParameter:
        # Servers of plain files have no shallow histories, and not every one gives single commits out.
        _git(directory, "fetch", "-q", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*")
        _git(directory, "fetch", "-q", "origin", *([] if re.fullmatch(r"[0-9a-f]{7,64}", ref) else [ref]))
        if re.fullmatch(r"[0-9a-f]{7,64}", ref):
            (directory / ".git" / "FETCH_HEAD").write_text(f"{_git(directory, 'rev-parse', '--verify', ref)}\t\t\n")
    _git(directory, "checkout", "-q", "FETCH_HEAD")
    if (directory / ".gitmodules").exists():
        _git(directory, "submodule", "update", "-q", "--init", "--recursive", "--depth=1")
    top = directory / posixpath.normpath("/" + source.directory).lstrip("/")
    if not top.resolve().is_relative_to(directory.resolve()) or not top.is_dir():
        raise InvalidParameter(f"failed to find {source.directory} in {source.url}")
    if not keep_git_dir:
        shutil.rmtree(directory / ".git")
    return top


def _git(directory: Path, *words: str) -> str:
    # Nobody is there to be asked for a password, and only what fetches over the network may run.
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "http:https:git:ssh"}
    try:
        done = subprocess.run(
            ["git", *words], cwd=directory, env=environment, capture_output=True, timeout=_GIT_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise SystemFailure(f"git {words[0]} did not end within {_GIT_TIMEOUT_S} s") from None
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise InvalidParameter(f"failed to fetch remote: git {words[0]}: {lines[-1] if lines else 'failed'}")
    return done.stdout.decode().strip()
