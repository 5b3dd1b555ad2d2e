"""The iptables backend (chains of our own), and a way through other people's FORWARD policy.

Used whole where the kernel has no nft tables. `ForwardAccept` is also used
beside nftables: when dockerd or a firewall set the policy of FORWARD to DROP,
an accept in a table of our own does not help, since every base chain has to
let a packet pass.

Source: iptables(8), iptables-extensions(8), iptables-restore(8).
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from pydock_lab.daemon.network.nat import BridgeRules, Forward, Policy, Rule
from pydock_lab.errors import SystemFailure, Unavailable

_TIMEOUT_S = 20


class Iptables:
    """One of the iptables programs; each call takes some 3 ms.

    Args:
        program: Absolute path of `iptables`, `iptables-nft` or `iptables-legacy`.
    """

    def __init__(self, program: str) -> None:
        self.program = program

    @classmethod
    def usable(cls) -> Iptables:
        """Return the first program that works here. Raises Unavailable."""
        for name in ("iptables", "iptables-nft", "iptables-legacy"):
            program = find_program(name)
            if program and cls(program).succeeds("-t", "nat", "-S"):
                return cls(program)
        raise Unavailable("no usable iptables")

    def for_ipv6(self) -> Iptables | None:
        """Return the same program for IPv6, None where that can't be used."""
        program = find_program(Path(self.program).name.replace("iptables", "ip6tables"))
        return Iptables(program) if program and Iptables(program).succeeds("-t", "nat", "-S") else None

    def run(self, *arguments: str) -> str:
        """Run once and return what it prints. Raises SystemFailure."""
        done = self._run([self.program, "-w", *arguments], "")
        if done.returncode:
            raise SystemFailure(f"iptables {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def succeeds(self, *arguments: str) -> bool:
        """Tell whether a call exits with 0."""
        return self._run([self.program, "-w", *arguments], "").returncode == 0

    def restore(self, text: str) -> None:
        """Load a table in iptables-save's form, leaving chains it does not name. Raises SystemFailure."""
        done = self._run([f"{self.program}-restore", "-w", "--noflush"], text)
        if done.returncode:
            raise SystemFailure(f"iptables-restore: {done.stderr.strip()}")

    def ensure(self, table: str, *rule: str) -> None:
        """Put a rule in front of a chain unless it is there; `rule` begins with the chain."""
        if not self.succeeds("-t", table, "-C", *rule):
            self.run("-t", table, "-I", *rule)

    def drop_chain(self, table: str, chain: str, *jumps_from: str) -> None:
        """Remove our chain and every jump to it; no error if it is gone."""
        if not self.succeeds("-t", table, "-S", chain):
            return
        rules = self.run("-t", table, "-S").splitlines()
        for rule in rules:
            if rule.startswith("-A ") and rule.endswith(f"-j {chain}") and rule.split()[1] in jumps_from:
                self.succeeds("-t", table, "-D", *rule.split()[1:])
        self.succeeds("-t", table, "-F", chain)
        self.succeeds("-t", table, "-X", chain)

    def _run(self, command: list[str], text: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(command, input=text, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return subprocess.CompletedProcess(command, 1, "", str(error))


def find_program(name: str) -> str | None:
    """Find a program that lives in an sbin directory, which a plain user's PATH may lack."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


class ForwardAccept:
    """Accept rules for our links in iptables' FORWARD chain, for as long as its policy is DROP."""

    def __init__(self, tag: str) -> None:
        self._chain = f"PYDOCK-{tag}"

    def apply(self, names: Iterable[str]) -> None:
        """Let packets from and to these links pass every iptables variant that would drop them.

        Args:
            names: Link names; `prefix+` stands for all that begin so.
        """
        for iptables in _dropping():
            rules = "".join(f"-A {self._chain} -{way} {name} -j ACCEPT\n" for name in names for way in "io")
            iptables.restore(f"*filter\n:{self._chain} - [0:0]\n{rules}COMMIT\n")
            iptables.ensure("filter", "FORWARD", "-j", self._chain)

    def clear(self) -> None:
        """Remove our chain and the jump to it."""
        for iptables in _variants():
            iptables.drop_chain("filter", self._chain, "FORWARD")


def _variants() -> list[Iptables]:
    """The iptables programs whose filter table is in use, of both families; looking must not load the other ones."""
    programs = []
    for family, tables in (("ip", "ip_tables_names"), ("ip6", "ip6_tables_names")):
        if default := find_program(f"{family}tables"):
            programs.append(default)
        try:
            legacy_in_use = "filter" in Path("/proc/self/net", tables).read_text().split()
        except OSError:
            legacy_in_use = False
        if legacy_in_use and (legacy := find_program(f"{family}tables-legacy")):
            programs.append(legacy)
    distinct = {Path(program).resolve().name + Path(program).name: program for program in programs}
    return [Iptables(program) for program in distinct.values()]


def _dropping() -> list[Iptables]:
    return [
        iptables
        for iptables in _variants()
        if iptables.succeeds("-S", "FORWARD") and iptables.run("-S", "FORWARD").startswith("-P FORWARD DROP")
    ]


_PLACES = {
    "GUARD": ("raw", ("prerouting",)),
    "DNAT": ("nat", ("prerouting", "output")),
    "FWD": ("filter", ("forward",)),
    "SNAT": ("nat", ("postrouting",)),
}
"""Kind of chain → its table, and the hooks that jump to it."""


class IptablesFirewall:
    """One daemon's chains in the tables nat, filter and raw, of both families where IPv6 has them."""

    name = "iptables"

    def __init__(self, iptables: Iptables, tag: str) -> None:
        ipv6 = iptables.for_ipv6()
        self._programs = {4: iptables, **({6: ipv6} if ipv6 else {})}
        self._chains = {kind: f"PYDOCK-{tag}-{kind}" for kind in ("DNAT", "SNAT", "FWD", "GUARD")}
        self._policy = Policy()

    def apply(self, policy: Policy) -> None:
        """Rewrite our chains and see that the built-in ones jump to them."""
        self._policy = policy
        local = ("-m", "addrtype", "--dst-type", "LOCAL")
        for version, iptables in self._programs.items():
            iptables.restore(chains(self._chains, policy, version))
            iptables.ensure("nat", "PREROUTING", *local, "-j", self._chains["DNAT"])
            iptables.ensure("nat", "OUTPUT", *local, "-j", self._chains["DNAT"])
            iptables.ensure("nat", "POSTROUTING", "-j", self._chains["SNAT"])
            iptables.ensure("filter", "FORWARD", "-j", self._chains["FWD"])
            iptables.ensure("raw", "PREROUTING", "-j", self._chains["GUARD"])

    def add(self, forwards: Iterable[Forward]) -> None:
        """Append DNAT rules in one call of each program; a rule for one address goes before those for any."""
        chain, added = self._chains["DNAT"], list(forwards)
        for version, iptables in self._programs.items():
            place = len(_leading(self._policy, version)) + 1
            rules = "".join(
                f"-I {chain} {place} {_dnat(forward)}\n" if forward.host_ip else f"-A {chain} {_dnat(forward)}\n"
                for forward in added
                if forward.version == version
            )
            if rules:
                iptables.restore(f"*nat\n{rules}COMMIT\n")

    def remove(self, forwards: Iterable[Forward]) -> None:
        """Delete DNAT rules."""
        for forward in forwards:
            if iptables := self._programs.get(forward.version):
                iptables.succeeds("-t", "nat", "-D", self._chains["DNAT"], *_dnat(forward).split())

    def clear(self) -> None:
        """Remove our chains and the jumps to them."""
        for iptables in self._programs.values():
            iptables.drop_chain("nat", self._chains["DNAT"], "PREROUTING", "OUTPUT")
            iptables.drop_chain("nat", self._chains["SNAT"], "POSTROUTING")
            iptables.drop_chain("filter", self._chains["FWD"], "FORWARD")
            iptables.drop_chain("raw", self._chains["GUARD"], "PREROUTING")

    def rules(self) -> list[Rule]:
        """List our chains."""
        found = []
        for iptables in self._programs.values():
            for kind, (table, hooks) in _PLACES.items():
                chain = self._chains[kind]
                listed = iptables.run("-t", table, "-S", chain).splitlines()
                found += [Rule(chain, hooks, line) for line in listed if line.startswith("-A ")]
        return found


def chains(names: dict[str, str], policy: Policy, version: int = 4) -> str:
    """Return the input of iptables-restore (of ip6tables-restore for version 6) that fills our chains."""
    forwards = [forward for forward in policy.forwards if forward.version == version]
    ordered = sorted(forwards, key=lambda forward: not forward.host_ip)
    nat = [f"-A {names['DNAT']} {rule}" for rule in [*_leading(policy, version), *map(_dnat, ordered)]]
    forward_rules, guard = [], []
    forward_rules.append(f"-A {names['FWD']} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT")
    for bridge in policy.bridges:
        nat += [f"-A {names['SNAT']} {rule}" for rule in _snat(bridge, version)]
        forward_rules += [f"-A {names['FWD']} {rule}" for rule in _forward(bridge)]
        if version == 4:
            guard.append(f"-A {names['GUARD']} -i {bridge.name} -d 127.0.0.0/8 -j DROP")
    return "\n".join(
        (
            "*nat",
            f":{names['DNAT']} - [0:0]",
            f":{names['SNAT']} - [0:0]",
            *nat,
            "COMMIT",
            "*filter",
            f":{names['FWD']} - [0:0]",
            *forward_rules,
            "COMMIT",
            "*raw",
            f":{names['GUARD']} - [0:0]",
            *guard,
            "COMMIT",
            "",
        )
    )


def _leading(policy: Policy, version: int) -> list[str]:
    """What is not ours to translate, before all published ports (the reasons stand in nftables.py).

    A container that calls a published port is answered by the proxy, as with Docker; so is ::1.
    """
    rules = [f"-i {bridge.name} -j RETURN" for bridge in policy.bridges]
    return rules if version == 4 else [*rules, "-d ::1/128 -j RETURN"]


def _dnat(forward: Forward) -> str:
    ipv6 = forward.version == 6
    address = f"-d {forward.host_ip}/{128 if ipv6 else 32} " if forward.host_ip else ""
    target = f"[{forward.address}]" if ipv6 else forward.address
    return (
        f"{address}-p {forward.protocol} -m {forward.protocol} --dport {forward.host_port} "
        f"-j DNAT --to-destination {target}:{forward.port}"
    )


def _snat(bridge: BridgeRules, version: int) -> list[str]:
    rules = [f"-s 127.0.0.0/8 -o {bridge.name} -j MASQUERADE"] if version == 4 else []
    if subnet := bridge.subnet4 if version == 4 else bridge.subnet6:
        rules.append(f"-s {subnet} -d {subnet} -m conntrack --ctstate DNAT -j MASQUERADE")
        if bridge.masquerade:
            rules.append(f"-s {subnet} ! -o {bridge.name} -j MASQUERADE")
    return rules


def _forward(bridge: BridgeRules) -> list[str]:
    name = bridge.name
    if bridge.internal:
        return [f"-i {name} ! -o {name} -j DROP", f"-o {name} ! -i {name} -j DROP"]
    inside = "ACCEPT" if bridge.icc else "DROP"
    return [
        f"-i {name} -o {name} -j {inside}",
        f"-o {name} -m conntrack --ctstate DNAT -j ACCEPT",
        f"-o {name} -j DROP",
        f"-i {name} -j ACCEPT",
    ]
