"""What the process becomes: user, capabilities, limits, seccomp filter, stdio, and at last the program.

Source: credentials(7), capabilities(7), seccomp(2), execve(2).
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import stat
from dataclasses import dataclass, field

from pydock_lab.daemon.linux import capabilities as caps
from pydock_lab.daemon.linux import controlfiles, pty, syscalls
from pydock_lab.daemon.runtime import users
from pydock_lab.daemon.runtime.channel import send_message
from pydock_lab.daemon.runtime.operations.base import CannotStart, Context, Findings, Operation, Skip
from pydock_lab.daemon.runtime.operations.rootfs import inside
from pydock_lab.errors import KernelError


@dataclass
class ResolveUser(Operation):
    """Find the user's numbers in the rootfs."""

    user: str
    groups: list[str]
    environment: list[str]
    numbers: tuple[int, int, list[int]] | None = None

    def describe(self) -> str:
        """Say who."""
        return f"Look up user {self.user or 'root'} in the container's /etc/passwd and /etc/group"

    def execute(self, context: Context) -> Findings:
        """Read the files; set HOME where the environment has none, as runc does."""
        context.environment = dict(entry.partition("=")[::2] for entry in self.environment)
        try:
            spec = self.user if self.numbers is None else f"{self.numbers[0]}:{self.numbers[1]}"
            user = users.resolve(spec, self.groups)
        except users.UnknownUser as error:
            raise CannotStart(str(error), "user") from None
        context.uid, context.gid, context.groups = user.uid, user.gid, user.groups
        if self.numbers is not None:
            context.groups = self.numbers[2]
        if not context.environment.get("HOME"):
            context.environment["HOME"] = user.home
        return {"uid": user.uid, "gid": user.gid, "groups": context.groups, "home": user.home}


@dataclass
class SetLimits(Operation):
    """Set resource limits and the score by which the kernel chooses whom to kill when memory is out."""

    rlimits: list[dict[str, int | str]]
    oom_score_adj: int | None = None

    def describe(self) -> str:
        """List them."""
        limits = [f"{limit['type']}={limit['soft']}:{limit['hard']}" for limit in self.rlimits]
        score = [] if self.oom_score_adj is None else [f"oom_score_adj={self.oom_score_adj}"]
        return f"Set {', '.join(limits + score) or 'no limits'}"

    def execute(self, context: Context) -> Findings:
        """prlimit(2); without CAP_SYS_RESOURCE a limit is clamped to what there is, with a warning."""
        clamped = []
        for limit in self.rlimits:
            kind = getattr(resource, str(limit["type"]), None)
            if kind is None:
                raise CannotStart(f"invalid rlimit type: {limit['type']}")
            soft, hard = (_limit(int(limit[key])) for key in ("soft", "hard"))
            try:
                resource.prlimit(context.process, kind, (soft, hard))
            except (PermissionError, ValueError):
                _, ceiling = resource.prlimit(context.process, kind)
                most = ceiling if hard == resource.RLIM_INFINITY or hard > ceiling else hard
                lower = (min(soft, most) if soft != resource.RLIM_INFINITY else most, most)
                resource.prlimit(context.process, kind, lower)
                clamped.append(limit["type"])
                context.warnings.append(f"{limit['type']} is clamped to {most}: raising it needs CAP_SYS_RESOURCE")
        if self.oom_score_adj is not None:
            try:
                controlfiles.write(f"/proc/{context.process or 'self'}/oom_score_adj", self.oom_score_adj)
            except PermissionError:
                clamped.append("oom_score_adj")
                context.warnings.append("oom_score_adj stays as it is: lowering it needs CAP_SYS_RESOURCE")
        return {"clamped": clamped} if clamped else None


def _limit(value: int) -> int:
    """Return an rlimit as `resource` wants it; OCI writes infinity as 2^64-1, Docker as -1."""
    return resource.RLIM_INFINITY if value < 0 or value >= 2**63 - 1 else value


def become_root() -> None:
    """Become root of the user namespace that this process has entered; until then it is nobody there."""
    # A namespace whose owner gave setgroups(2) up keeps the groups he has.
    with contextlib.suppress(PermissionError):
        os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


@dataclass
class SetStdio(Operation):
    """Become a session of one's own, with the keeper's pipes or the pty as stdin, stdout and stderr."""

    terminal: bool

    def describe(self) -> str:
        """Say which."""
        return "Start a session with " + ("the pty as controlling terminal" if self.terminal else "the keeper's pipes")

    def execute(self, context: Context) -> Findings:
        """setsid(2), dup2(2); the user owns its stdio, so that /dev/stdout can be opened again."""
        os.setsid()
        stdin, stdout, stderr = context.stdio
        if stdin < 0:
            stdin = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        for fd, number in ((stdin, 0), (stdout, 1), (stderr, 2)):
            os.dup2(fd, number)
            status = os.fstat(number)
            null = stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(1, 3)
            if not null and (context.uid or context.gid):
                with contextlib.suppress(OSError):
                    os.fchown(number, context.uid, -1)
        if self.terminal:
            pty.make_controlling(0)
        return None


@dataclass
class JoinKeyring(Operation):
    """Give the container a session keyring of its own; the host's keys are not for it."""

    name: str

    def describe(self) -> str:
        """Name it."""
        return f"Join a new session keyring {self.name}"

    def execute(self, context: Context) -> Findings:
        """keyctl(2); the kernel may have no keyrings, or the user no quota left."""
        try:
            return {"serial": syscalls.keyctl(syscalls.KEYCTL_JOIN_SESSION_KEYRING, self.name)}
        except KernelError as error:
            raise Skip(error.message) from None


@dataclass
class ForbidNewPrivileges(Operation):
    """Make set-uid programs and file capabilities have no effect from here on."""

    def describe(self) -> str:
        """Say so."""
        return "Set no_new_privs"

    def execute(self, context: Context) -> Findings:
        """prctl(2)."""
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        return None


@dataclass
class InstallSeccomp(Operation):
    """Install the filter that decides over every system call."""

    profile: str
    instructions: int

    def describe(self) -> str:
        """Say which."""
        return f"Install the {self.profile} seccomp filter, {self.instructions} BPF instructions"

    def execute(self, context: Context) -> Findings:
        """seccomp(2) of what the keeper compiled."""
        for program in context.filters:
            syscalls.seccomp(program)
        return None


@dataclass
class SetCapabilities(Operation):
    """Drop every capability that is not granted, and become the user."""

    granted: list[str]
    inheritable: list[str] = field(default_factory=list)
    ambient: list[str] = field(default_factory=list)
    bounding: list[str] | None = None

    def describe(self) -> str:
        """List them."""
        names = ", ".join(name.removeprefix("CAP_").lower() for name in self.granted)
        return f"Become the user and keep the capabilities {names or '(none)'}"

    def execute(self, context: Context) -> Findings:
        """Bounding set first (needs CAP_SETPCAP), then the ids, then the other sets."""
        bounding = caps.mask(self.granted if self.bounding is None else self.bounding)
        for number in range(caps.last_capability() + 1):
            if not bounding >> number & 1:
                syscalls.prctl(syscalls.PR_CAPBSET_DROP, number)
        syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 1)
        self._become_user(context)
        syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 0)
        # What we do not have ourselves (in a container, say) we can't grant.
        granted = caps.mask(self.granted) & syscalls.capget()
        # As execve would have it: a user other than root holds nothing, except what is ambient.
        held = granted if context.uid == 0 else caps.mask(self.ambient)
        syscalls.capset(held, held, caps.mask(self.inheritable) & held)
        for name in self.ambient:
            # What isn't inheritable can't be ambient; `runc spec` writes such a config, and runc lets it pass.
            if name in self.inheritable:
                syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_RAISE, caps.NUMBERS[name])
        return {"bounding": f"{bounding:016x}", "effective": f"{held:016x}"}

    @staticmethod
    def _become_user(context: Context) -> None:
        """Set groups and ids; runc's words for those that the user namespace has not mapped."""
        try:
            refused = "setgroups: invalid argument"
            # A user namespace whose owner gave setgroups up has no groups to set.
            with contextlib.suppress(PermissionError):
                os.setgroups(context.groups)
            refused = "cannot set gid to unmapped user in user namespace"
            os.setresgid(context.gid, context.gid, context.gid)
            refused = "cannot set uid to unmapped user in user namespace"
            os.setresuid(context.uid, context.uid, context.uid)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise CannotStart(f"unable to setup user: {refused}", "setup") from None


@dataclass
class ChangeDirectory(Operation):
    """Go to the working directory."""

    cwd: str

    def describe(self) -> str:
        """Say which."""
        return f"Change to the directory {self.cwd}"

    def execute(self, context: Context) -> Findings:
        """chdir(2)."""
        try:
            os.chdir(self.cwd)
        except OSError as error:
            reason = (error.strerror or "").lower()
            message = f'chdir to cwd ("{self.cwd}") set in config.json failed: {reason}'
            raise CannotStart(message, "not_executable" if error.errno == errno.EACCES else "other") from None
        return None


@dataclass
class MakeDirectory(Operation):
    """Make the working directory where the image has none."""

    cwd: str

    def describe(self) -> str:
        """Say which."""
        return f"Make the directory {self.cwd} if it is not there"

    def execute(self, context: Context) -> Findings:
        """Make it with its parents, as root and before the root may become read-only."""
        try:
            os.makedirs(inside(self.cwd), mode=0o755, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise CannotStart(f"Cannot mkdir: {self.cwd} is not a directory", "user") from None
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
        return None


@dataclass
class FindExecutable(Operation):
    """Look args[0] up as the user will."""

    args: list[str]

    def describe(self) -> str:
        """Say what."""
        return f"Find {self.args[0]!r} in the container's PATH"

    def execute(self, context: Context) -> Findings:
        """Search PATH; Docker's words for what is not there or can't be executed."""
        context.executable = find_executable(self.args[0], context.environment.get("PATH", ""))
        return {"path": context.executable}


def find_executable(name: str, search: str) -> str:
    """Return the path of a program, as Go's LookPath finds it.

    Raises:
        CannotStart: of kind `not_found` or `not_executable`.
    """
    if "/" in name:
        try:
            mode = os.stat(name).st_mode
        except OSError as error:
            reason = (error.strerror or "").lower()
            kind = "not_executable" if error.errno == errno.EACCES else "not_found"
            raise CannotStart(f'exec: "{name}": stat {name}: {reason}', kind) from None
        if stat.S_ISDIR(mode) or not os.access(name, os.X_OK, effective_ids=True):
            raise CannotStart(f'exec: "{name}": permission denied', "not_executable")
        return name
    for directory in search.split(":"):
        path = os.path.join(directory or ".", name)
        if os.path.isfile(path) and os.access(path, os.X_OK, effective_ids=True):
            return path
    raise CannotStart(f'exec: "{name}": executable file not found in $PATH', "not_found")


# Python, or the keeper, has set these to something else than the default.
_TOUCHED_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD)


@dataclass
class Execute(Operation):
    """Become the program.

    Attributes:
        args: The program and its arguments.
        preserved: How many fds after stdio it inherits.
    """

    args: list[str]
    preserved: int = 0

    def describe(self) -> str:
        """Say which."""
        return f"Execute {' '.join(self.args)}"

    def execute(self, context: Context) -> Findings:
        """execve(2) with no fd but stdio and every signal at its default.

        What the kernel refuses now (a missing interpreter, a wrong format) Docker's users see on
        the container's stderr, with exit status 255: by then runc has reported success.
        """
        syscalls.close_range(3 + self.preserved, flags=syscalls.CLOSE_RANGE_CLOEXEC)
        if context.mortal:
            # Here, because changing ids clears it.
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        for signum in _TOUCHED_SIGNALS:
            signal.signal(signum, signal.SIG_DFL)
        environment = {os.fsencode(key): os.fsencode(value) for key, value in context.environment.items()}
        try:
            os.execve(context.executable, [os.fsencode(argument) for argument in self.args], environment)
        except OSError as error:
            with contextlib.suppress(OSError):
                send_message(context.report, {"executed": True})
            reason = (error.strerror or "").lower()
            os.write(2, f"exec {context.executable}: {reason}\n".encode())
            os._exit(255)


@dataclass
class ExecuteUnderInit(Execute):
    """Stay as the container's init (`--init`) and become the program in a child."""

    def describe(self) -> str:
        """Say which."""
        return f"Fork, execute {' '.join(self.args)} in the child, and stay as init"

    def execute(self, context: Context) -> Findings:
        """Fork; the parent reaps whatever ends, forwards signals, and ends as the program does."""
        forwarded = set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}
        signal.pthread_sigmask(signal.SIG_BLOCK, forwarded | {signal.SIGCHLD})
        if context.mortal:
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        main = os.fork()
        if main == 0:
            # A group of its own, so that the terminal's signals reach the program and not us twice.
            os.setpgid(0, 0)
            with contextlib.suppress(OSError):
                os.tcsetpgrp(0, os.getpgrp())
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
            context.mortal = False  # it dies with its pid namespace
            return super().execute(context)
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        syscalls.close_range(3)
        while True:
            signum = signal.sigwait(forwarded | {signal.SIGCHLD})
            if signum != signal.SIGCHLD:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(main, signum)
            self._reap(main)

    @staticmethod
    def _reap(main: int) -> None:
        """Reap everyone who has ended; end with the program's status when it is the program."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == main:
                    code = os.waitstatus_to_exitcode(ended[1])
                    os._exit(code if code >= 0 else 128 - code)
