# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scale-out or scale-in will do: which nodes, and the steps. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from trivet.errors import InputError
from trivet.model import Environment
from trivet.model.environment import FIRST_WEB_NODE_ID
from trivet.rotation.plan import Refusal
from trivet.scaling.record import UNFINISHED_IN, UNFINISHED_OUT, Progress, Record, WebHost


class OutStep(StrEnum):
    """The steps of a scale-out, each done for all new nodes."""

    CREATE = "create"
    ADMIT = "admit"
    CONFIGURE = "configure"
    GATE = "gate"
    ENTER = "enter"
    VERDICT = "verdict"


class InStep(StrEnum):
    """The steps of a scale-in, each done for all nodes that go."""

    DRAIN = "drain"
    LEAVE = "leave"
    REMOVE = "remove"
    FORGET = "forget"
    VERDICT = "verdict"


WHAT_HAPPENS: Mapping[str, str] = {
    OutStep.CREATE: "the provider makes the machines (or SSH of the given hosts is tried); each is recorded at once",
    OutStep.ADMIT: "the other nodes let them in: names, firewall, shared files, database logins",
    OutStep.CONFIGURE: "the new nodes get the web tier, from packages to a running nginx; nobody uses it yet",
    OutStep.GATE: "a real page answers 200 from each new node, and every check of it is good, or nothing goes on",
    OutStep.ENTER: "every HAProxy gets them as servers and sees them up",
    InStep.DRAIN: "every HAProxy sends nothing new to the nodes; requests in flight end",
    InStep.LEAVE: "every HAProxy forgets them",
    InStep.REMOVE: "the provider stops and removes the machines; on hosts that were given, the services are stopped",
    InStep.FORGET: "the other nodes let them in no more: names, firewall, shared files, database logins",
    # Both directions end with it.
    InStep.VERDICT: "the whole environment is healthy, then the record says that it is done",
}
# The name of the provider's machine size that a given host has.
OWN_SIZE = "its own"
SCALE_OUT = "scale-out"
SCALE_IN = "scale-in"


@dataclass(frozen=True, slots=True)
class ScalePlan:
    """A scale-out or scale-in before it is applied.

    :param kind: ``scale-out`` or ``scale-in``.
    :param nodes: the nodes that come or go; the address of one that is to be made is empty.
    :param size: of the machines to be made; empty for a scale-in.
    :param continued: whether an earlier run had begun it.
    :param refusals: why it is refused as things are.
    """

    kind: str
    environment: str
    nodes: tuple[WebHost, ...]
    steps: tuple[str, ...]
    size: str = ""
    continued: bool = False
    refusals: tuple[Refusal, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the nodes."""
        return tuple(node.name for node in self.nodes)

    @property
    def purpose(self) -> str:
        """What for, in words for another operator."""
        return f"{self.kind} of {', '.join(self.names)}"

    def to_dict(self) -> dict[str, object]:
        """As JSON data."""
        return {
            "kind": self.kind,
            "environment": self.environment,
            "continued": self.continued,
            "size": self.size,
            "nodes": [
                {"name": node.name, "address": node.address, "given": node.given, "progress": node.progress.value}
                for node in self.nodes
            ],
            "steps": [{"step": step, "what": WHAT_HAPPENS[step]} for step in self.steps],
            "refusals": [asdict(item) for item in self.refusals],
        }


def machine_of(host: WebHost, size: str) -> str:
    """Whose machine a web node has, and of which size, in words."""
    if host.given:
        return "a machine of yours, which stays"
    return "a machine of the provider" + (f", size {size}" if size else "")


def plan_scale_out(
    environment: Environment, record: Record, count: int, size: str, given: Mapping[str, str]
) -> ScalePlan:
    """The nodes that a scale-out adds: those that an earlier run had begun, and new ones for the rest.

    :param given: addresses of the operator's own hosts by name; empty when the provider makes the machines.
    :raises InputError: for a count below 1, hosts that do not fit it, a name or address that is taken, or an
        unfinished run of another kind, count or address.
    """
    _check_count(count)
    _refuse_other(record, UNFINISHED_IN, SCALE_IN, environment.label)
    begun = record.of(*UNFINISHED_OUT)
    if begun:
        _check_begun(environment.label, begun, count, given)
    elif given and len(given) != count:
        raise InputError(f"--web is {count}, but {len(given)} hosts are given by --host")
    known = {host.name for host in begun}
    fresh = {name: address for name, address in given.items() if name not in known}
    for name, address in fresh.items():
        _check_given(environment, name, address)
    if len(set(given.values())) != len(given):
        raise InputError("two hosts given by --host have one address")
    nodes = (*begun, *_new_hosts(environment, count - len(begun), fresh))
    steps = tuple(step.value for step in OutStep)
    return ScalePlan(SCALE_OUT, environment.name, nodes, steps, OWN_SIZE if given else size, continued=bool(begun))


def plan_scale_in(environment: Environment, record: Record, count: int) -> ScalePlan:
    """The nodes that a scale-in takes away: those that an earlier run had begun with, else unfinished ones, else the
    youngest.

    :raises InputError: for a count below 1 or above what there is, or an unfinished scale-in of another count.
    """
    _check_count(count)
    steps = tuple(step.value for step in InStep)
    begun = record.of(*UNFINISHED_IN)
    if begun:
        _check_continues(begun, count, SCALE_IN, environment.label)
        return ScalePlan(SCALE_IN, environment.name, begun, steps, continued=True)
    if count > len(record.hosts):
        foreign = len(environment.web_nodes) - len(record.hosts)
        words = f"; {foreign} more are in the inventory's own files: take them out there" if foreign > 0 else ""
        raise InputError(
            f"{environment.name} has {len(record.hosts)} web nodes in {record.path}; {count} cannot go{words}",
            f"trivet status {environment.label}",
        )
    order = sorted(record.hosts, key=lambda host: (host.progress not in UNFINISHED_OUT, -host.node_id))
    return ScalePlan(SCALE_IN, environment.name, tuple(order[:count]), steps)


def _check_count(count: int) -> None:
    if count < 1:
        raise InputError(f"--web is {count}; it takes the number of nodes, 1 or more")


def _refuse_other(record: Record, unfinished: tuple[Progress, ...], kind: str, label: str) -> None:
    begun = record.of(*unfinished)
    if begun:
        raise InputError(f"a {kind} of {_named(begun)} is unfinished", f"trivet {kind} {label} --web {len(begun)}")


def _check_continues(begun: tuple[WebHost, ...], count: int, kind: str, label: str) -> None:
    if len(begun) != count:
        raise InputError(
            f"a {kind} of {_named(begun)} is unfinished; it is to be ended before another begins",
            f"trivet {kind} {label} --web {len(begun)}",
        )


def _check_begun(label: str, begun: tuple[WebHost, ...], count: int, given: Mapping[str, str]) -> None:
    """Refuse a scale-out that does not go on with the one that is begun. Some machines of that may not be made yet.

    :raises InputError: saying what differs.
    """
    missing = count - len(begun)
    # No node goes past its gate before all machines are made.
    if missing < 0 or (missing > 0 and any(host.progress is not Progress.JOINING for host in begun)):
        _check_continues(begun, count, SCALE_OUT, label)
    for host in begun:
        if given.get(host.name, host.address) != host.address:
            raise InputError(
                f"--host {host.name}={given[host.name]}: a scale-out of {host.name} at {host.address} is unfinished; "
                "take that back first",
                f"trivet {SCALE_IN} {label} --web {len(begun)}",
            )
    strangers = [name for name in given if name not in {host.name for host in begun}]
    if all(host.given for host in begun):
        if len(strangers) < missing:
            raise InputError(
                f"a scale-out of {_named(begun)} is unfinished; give the other hosts of --web {count}, too"
            )
        strangers = strangers[missing:]
    if strangers:
        raise InputError(f"a scale-out of {_named(begun)} is unfinished, and {', '.join(strangers)} is none of them")


def _new_hosts(environment: Environment, count: int, given: Mapping[str, str]) -> list[WebHost]:
    """Web nodes that are not recorded yet.

    :param given: the operator's own hosts; empty when the provider makes the machines.
    """
    names = list(given) or _free_names(environment, count)
    return [
        WebHost(name, given.get(name, ""), node_id, Progress.JOINING, given=name in given)
        for name, node_id in zip(names, _free_ids(environment, count), strict=True)
    ]


def _named(hosts: tuple[WebHost, ...]) -> str:
    return ", ".join(host.name for host in hosts)


def _check_given(environment: Environment, name: str, address: str) -> None:
    try:
        ipaddress.IPv4Address(address)
    except ValueError as error:
        raise InputError(f"--host {name}={address}: {address!r} is not an IPv4 address") from error
    plain = name.replace("-", "").replace(".", "")
    if not (plain.isascii() and plain.isalnum() and name[0].isalpha() and name == name.lower()):
        raise InputError(f"--host {name}={address}: {name!r} is not a host name in lower-case letters, digits, dashes")
    for node in environment.machines:
        if node.name == name:
            raise InputError(f"--host {name}={address}: {environment.name} has a node of that name already")
        if node.address == address:
            raise InputError(f"--host {name}={address}: this is the address of {node.name}")
    if address in environment.gateways:
        raise InputError(f"--host {name}={address}: this is a gateway address of {environment.name}")


def _free_names(environment: Environment, count: int) -> list[str]:
    taken = {node.name for node in environment.machines}
    # As the service nodes are called: shop-1.example.net gives shop-web-1.example.net.
    label, dot, domain = environment.nodes[0].name.partition(".")
    stem = re.sub(r"-?\d+$", "", label) or environment.name
    candidates = (f"{stem}-web-{number}{dot}{domain}" for number in range(1, count + len(taken) + 1))
    return [name for name in candidates if name not in taken][:count]


def _free_ids(environment: Environment, count: int) -> list[int]:
    taken = {node.node_id for node in environment.machines}
    highest = FIRST_WEB_NODE_ID + count + len(taken)
    return [number for number in range(FIRST_WEB_NODE_ID, highest) if number not in taken][:count]
