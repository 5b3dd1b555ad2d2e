"""The way of one packet to a published port, step by step, with the rule that decides each step.

Every rule shown was read from the kernel a moment before. Where one is missing
(somebody flushed it) the steps say so, and lead through the proxy, as packets do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydock_lab.daemon.network.endpoint import Endpoint, PortBinding
from pydock_lab.daemon.network.nat import Rule
from pydock_lab.daemon.network.view import HostView


@dataclass(frozen=True)
class Step:
    """One step: where in the kernel, what happens, and the rule, route or link that decides it ("" for none)."""

    where: str
    what: str
    rule: str = ""


@dataclass(frozen=True)
class Published:
    """A published port, and what the kernel knows that concerns it."""

    endpoint: Endpoint
    binding: PortBinding
    rules: Sequence[Rule]
    host: HostView

    @property
    def target(self) -> str:
        """The container's address of the port's family, or the other one: the proxy joins both."""
        own, other = self.endpoint.address, self.endpoint.address6
        return (other or own) if ":" in self.binding.host_ip else (own or other)

    @property
    def anywhere(self) -> bool:
        """It can be reached at every address of the host."""
        return self.binding.host_ip in ("0.0.0.0", "::")

    @property
    def translated(self) -> bool:
        """The kernel translates it; else the proxy carries it."""
        return bool(self._translation("prerouting"))

    def from_outside(self) -> list[Step]:
        """Return the way of a packet from another machine; none if the port is on the loopback only."""
        if self.binding.host_ip in ("127.0.0.1", "::1"):
            return []
        asked = "this host" if self.anywhere else self.binding.host_ip
        start = Step("arrival", f"A packet from another machine arrives for {asked}, port {self._port}")
        return [start, *self._through("prerouting")]

    def from_host(self) -> list[Step]:
        """Return the way of a packet from a program on this host."""
        loopback = "::1" if ":" in self.binding.host_ip else "127.0.0.1"
        asked = loopback if self.anywhere else self.binding.host_ip
        start = Step("socket", f"A program on this host connects to {asked}, port {self._port}")
        if asked == "::1":
            return [start, *self._by_proxy("IPv6 packets never leave the loopback")]
        return [start, *self._through("output")]

    @property
    def _place(self) -> str:
        target = f"[{self.target}]" if ":" in self.target else self.target
        return f"{target}:{self.binding.container_port}"

    @property
    def _port(self) -> str:
        return f"{self.binding.host_port}/{self.binding.protocol}"

    def _through(self, hook: str) -> list[Step]:
        translation = self._translation(hook)
        if not translation:
            return self._by_proxy(f"no rule in the kernel's {hook} translates it")
        steps = [
            Step(
                hook,
                f"Its destination becomes {self._place}; conntrack remembers that, so answers find their way back",
                "; ".join(rule.text for rule in translation),
            ),
            self._route(),
        ]
        if hook == "prerouting":
            steps.append(self._forward())
        elif masquerade := self._find("postrouting", "127.0.0.0/8", self.endpoint.bridge) or self._find(
            "postrouting", "127.0.0.0/8", "@bridges"
        ):
            what = f"Its source, a loopback address, becomes {self.endpoint.gateway or 'the address of the bridge'}"
            steps.append(Step("postrouting", what, masquerade.text))
        return [*steps, *self._arrival()]

    def _by_proxy(self, reason: str) -> list[Step]:
        binding = self.binding
        listener = f"[{binding.host_ip}]" if ":" in binding.host_ip else binding.host_ip
        return [
            Step(
                "proxy",
                f"The daemon takes it at its own socket ({reason}) and makes a second connection to {self._place}",
                f"listening: {binding.protocol} {listener}:{binding.host_port}",
            ),
            self._route(),
            *self._arrival(),
        ]

    def _translation(self, hook: str) -> list[Rule]:
        """The rule at a hook that translates our port, and with nftables the element of its map."""
        port = self.binding.host_port
        for rule in self.rules:
            if hook in rule.hooks and f"--dport {port} " in rule.text and rule.text.endswith(f" {self._place}"):
                return [rule]
        name = f"published{'6' if ':' in self.target else ''}{'' if self.anywhere else '_at'}"
        key = f"{self.binding.protocol} . {port} : {self.target} . {self.binding.container_port}"
        if not self.anywhere:
            key = f"{self.binding.host_ip} . {key}"
        element = next((rule for rule in self.rules if rule.chain == f"map {name}" and rule.text == key), None)
        user = next((rule for rule in self.rules if hook in rule.hooks and rule.text.endswith(f"map @{name}")), None)
        return [user, element] if user and element else []

    def _route(self) -> Step:
        route = self.host.route_to(self.target)
        if route is None:
            return Step("routing", f"There is no route to {self.target}: the packet is lost")
        shown = f"{route.to} {f'via {route.gateway} ' if route.gateway else ''}dev {route.link}"
        return Step("routing", f"{self.target} lies behind {route.link}", shown)

    def _forward(self) -> Step:
        bridge = self.endpoint.bridge
        rule = self._find("forward", bridge, "dnat") or self._find("forward", bridge, "ctstate DNAT")
        what = f"It may enter {bridge}, since it was translated; any other packet from outside is dropped here"
        if rule is None:
            return Step("forward", f"No rule guards {bridge}: the packet passes")
        return Step("forward", what, rule.text)

    def _arrival(self) -> list[Step]:
        veth = self.host.by_name(self.endpoint.host_ifname)
        bridge = self.host.by_name(self.endpoint.bridge)
        joined = veth is not None and bridge is not None and veth.master == bridge.index
        shown = f"{veth.index}: {veth.name} master {self.endpoint.bridge}" if veth and joined else ""
        what = f"The bridge hands it to {self.endpoint.host_ifname}, a cable into the container"
        lost = f"{self.endpoint.host_ifname} is not on the bridge: the packet is lost"
        return [
            Step("bridge", what if joined else lost, shown),
            Step(
                "container",
                f"It comes out of {self.endpoint.ifname} in {self.endpoint.name}; whoever listens on port "
                f"{self.binding.container_port} gets it",
            ),
        ]

    def _find(self, hook: str, *parts: str) -> Rule | None:
        lowered = [part.lower() for part in parts]
        return next(
            (rule for rule in self.rules if hook in rule.hooks and all(part in rule.text.lower() for part in lowered)),
            None,
        )
