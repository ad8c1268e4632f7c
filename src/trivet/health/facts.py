# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node says about itself: plain facts, gathered by the collectors, judged by the verdict.

Every service's facts share two fields. ``error`` says why the collector could not answer; ``down`` is true
when the service is known not to run (its port refuses, its unit is inactive). An error without ``down``
means that nothing is known, which is never the same as healthy.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from enum import StrEnum
from typing import Any, TypeVar, Union


@dataclass(frozen=True, kw_only=True)
class Flag:
    """Something that was set on a node or a cluster for a time: by whom, since when and until when.

    Moments are epoch seconds, None where the flag does not say (``expires`` None: it does not end by itself).
    """

    owner: str = "unknown"
    since: float | None = None
    expires: float | None = None


@dataclass(frozen=True, kw_only=True)
class ServiceFacts:
    """The two fields that every service's facts have."""

    error: str | None = None
    down: bool = False


KEEPALIVED_SILENCE_SECONDS = 10.0
"""Without a sign of it for so long, keepalived counts as hung; it gives one every three seconds."""


@dataclass(frozen=True, kw_only=True)
class GatewayFacts(ServiceFacts):
    """Which gateway addresses this node answers, and the state of the daemons that make it answer."""

    held: tuple[str, ...] = ()
    """Gateway addresses on the node's interface (an address on ``lo`` only is not held)."""
    keepalived: str = "unknown"
    haproxy: str = "unknown"
    """States of the units as systemd names them: active, reloading, activating, inactive, failed …"""
    handover: bool = False
    """True while the table of a hand-over (``inet trivet_handover``) stands in nftables."""
    firewall: bool | None = None
    """Whether the firewall's table (``inet trivet``) is loaded; None when the node's agent does not say yet."""
    forwards: dict[str, Flag] = field(default_factory=dict)
    """Gateway addresses whose new connections this node forwards."""
    releases: dict[str, Flag] = field(default_factory=dict)
    """Gateway addresses that this node must not take."""
    keepalived_silent: float | None = None
    """Seconds since keepalived last showed that it turns; None when it never did since the node started."""

    @property
    def keepalived_error(self) -> str | None:
        """That keepalived is alive and does not turn: it then keeps an address that another node has taken."""
        if self.keepalived != "active" or (self.keepalived_silent or 0.0) <= KEEPALIVED_SILENCE_SECONDS:
            return None
        return f"no answer in {self.keepalived_silent:.0f} s"


@dataclass(frozen=True, kw_only=True)
class ProxyServer:
    """One server of one backend, as this node's HAProxy sees it."""

    backend: str
    server: str
    server_id: int
    status: str
    """As HAProxy writes it: ``UP``, ``DRAIN``, ``MAINT``, ``DOWN 1/2``, ``no check`` …"""
    backup: bool = False
    sessions: int = 0
    queue: int = 0
    last_check: str = ""

    @property
    def usable(self) -> bool:
        """True when HAProxy sends new connections there (``DRAIN`` takes only those that stick)."""
        return self.status.startswith(("UP", "no check"))


@dataclass(frozen=True, kw_only=True)
class ProxiesFacts(ServiceFacts):
    """The servers that this node's HAProxy knows, and where its sticky writer is."""

    servers: tuple[ProxyServer, ...] = ()
    sticky_writer: str | None = None
    """Server name that the table of ``db_writer`` holds; None when the table is empty."""
    version: str = ""
    uptime_seconds: int = 0

    def backend(self, name: str) -> tuple[ProxyServer, ...]:
        """The servers of one backend, in HAProxy's order."""
        return tuple(server for server in self.servers if server.backend == name)


@dataclass(frozen=True, kw_only=True)
class Page:
    """The answer to one request for a real page; ``status`` is 0 when there was none."""

    status: int = 0
    seconds: float = 0.0
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class WebFacts(ServiceFacts):
    """nginx and PHP-FPM: their units, and a real page by both ways."""

    nginx: str = "unknown"
    php_fpm: str = "unknown"
    direct: Page = Page()
    """``/health_check.php`` from the node's own nginx."""
    proxied: Page = Page()
    """``/`` through the node's own HAProxy."""


@dataclass(frozen=True, kw_only=True)
class DatabaseFacts(ServiceFacts):
    """The node's own mariadbd as a member of the Galera cluster."""

    unit: str = "unknown"
    wsrep: bool = False
    """True when replication is on; a database of one node may do without."""
    cluster_status: str = ""
    state: str = ""
    """``wsrep_local_state_comment``: Synced, Donor/Desynced, Joined, Joining … or Initialized."""
    ready: bool = False
    connected: bool = False
    size: int = 0
    cluster_uuid: str = ""
    flow_control: bool = False
    receive_queue: int = 0
    threads_running: int = 0
    threads_connected: int = 0
    last_committed: int = -1
    auto_increment_step: int = 0
    auto_increment_offset: int = 0
    version: str = ""
    transfer: str | None = None
    """The state transfer under way on this node (its process), None when there is none."""
    saved_uuid: str = ""
    saved_seqno: int = -1
    """From ``grastate.dat``: what a stopped member would start from; -1 while it runs and after a crash."""
    safe_to_bootstrap: bool = False


@dataclass(frozen=True, kw_only=True)
class RedisReplica:
    """A replica in its primary's list."""

    address: str
    port: int
    state: str
    """``online``, or ``wait_bgsave`` and ``send_bulk`` during a full resync."""
    offset: int = 0
    lag_seconds: int = 0


@dataclass(frozen=True, kw_only=True)
class RedisInstance(ServiceFacts):
    """One Redis instance of this node."""

    role: str = ""
    """``master`` or ``slave``, in Redis's own words."""
    loading: bool = False
    offset: int = 0
    """Replication offset: written (primary) or applied (replica), in bytes."""
    replicas: tuple[RedisReplica, ...] = ()
    primary_address: str = ""
    primary_link_up: bool = False
    primary_sync_in_progress: bool = False
    failover_state: str = "no-failover"
    used_memory: int = 0
    max_memory: int = 0
    """Bytes; ``max_memory`` 0 means unlimited."""
    uncounted_memory: int = 0
    """What of ``used_memory`` Redis leaves out when it compares it with ``max_memory``: buffers of replicas."""

    @property
    def memory_percent(self) -> float:
        """How full the instance is, as Redis counts; 0 when it is unlimited."""
        counted = max(0, self.used_memory - self.uncounted_memory)
        return 100 * counted / self.max_memory if self.max_memory > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class SentinelView(ServiceFacts):
    """What this node's Sentinel believes of one instance."""

    address: str = ""
    port: int = 0
    flags: tuple[str, ...] = ()
    failover_state: str = "none"
    other_sentinels: int = 0
    quorum: str = ""
    """The answer to ``SENTINEL CKQUORUM``: begins with OK, or with the error's name."""
    tilt: bool = False


@dataclass(frozen=True, kw_only=True)
class RedisFacts(ServiceFacts):
    """The instances of Redis on this node and its Sentinel's view of each, by instance name."""

    instances: dict[str, RedisInstance] = field(default_factory=dict)
    sentinels: dict[str, SentinelView] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SearchFacts(ServiceFacts):
    """The cluster as this node of the search engine sees it."""

    unit: str = "unknown"
    status: str = ""
    """green, yellow or red; empty while the node has found no cluster."""
    cluster_uuid: str = ""
    node_name: str = ""
    version: str = ""
    nodes: int = 0
    initializing_shards: int = 0
    relocating_shards: int = 0
    unassigned_shards: int = 0
    delayed_shards: int = 0
    pending_tasks: int = 0
    allocation: str = "all"
    """``cluster.routing.allocation.enable``: all, primaries, new_primaries, none."""
    allocation_flag: Flag | None = None
    """Who limited the allocation; None when nobody did, or without saying so."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Another member of the storage pool."""

    name: str
    connected: bool
    state: str = ""


@dataclass(frozen=True, kw_only=True)
class BrickHeal:
    """What one brick still has to heal; counts are None when the brick did not answer."""

    brick: str
    connected: bool
    pending: int | None = None
    split_brain: int | None = None


@dataclass(frozen=True, kw_only=True)
class FilesFacts(ServiceFacts):
    """GlusterFS on this node: pool, volume, own brick, self-heal, mount."""

    glusterd: str = "unknown"
    peers: tuple[Peer, ...] = ()
    volume_status: str = ""
    replicas: int = 0
    brick_online: bool = False
    """The node's own brick process runs."""
    self_heal_online: bool = False
    heal_asked: bool = True
    """False when this look left it to another node to ask what there is to heal."""
    heal: tuple[BrickHeal, ...] = ()
    heal_error: str | None = None
    """Why the state of healing is not known; None when it is, or when one copy needs no healing."""
    bricks_unheard: tuple[str, ...] = ()
    """Addresses of the bricks that the mount of this node is not connected to."""
    mounted: bool = False
    writable: bool = False
    mount_error: str | None = None
    written: float | None = None
    previous: float | None = None
    """This node's mark on the volume, epoch seconds of its clock: the one just written, and the last but one before it,
    which every node must have seen. Both None when the mark was too young to be written anew."""
    seen: dict[str, float] = field(default_factory=dict)
    """The marks of all nodes as read here, by node name."""


@dataclass(frozen=True, kw_only=True)
class Disk:
    """Room on one file system, in percent of what an ordinary user may use."""

    free_percent: float
    free_mib: int
    free_inodes_percent: float


@dataclass(frozen=True, kw_only=True)
class Drain(Flag):
    """A drain flag: who took the service out, and why."""

    reason: str = ""


class LeaseMode(StrEnum):
    """What a lease keeps others from.

    Two leases may be held at the same time when neither keeps the other's owner from its work: a repair beside a
    backup. Every other pair excludes each other.
    """

    HANDS_OFF = "hands-off"
    """Nobody else acts on the environment, no healer either."""
    NO_CHANGE = "no-change"
    """Nobody changes the environment; healers go on."""
    REPAIR = "repair"
    """What a healer takes while it repairs what concerns the cluster."""


@dataclass(frozen=True, kw_only=True)
class Vote(Flag):
    """This node's vote in the environment's lease, and what its owner wants it for."""

    purpose: str = ""
    mode: str = LeaseMode.HANDS_OFF
    """A :class:`LeaseMode`; what an older agent wrote has none, and keeps everybody off."""


@dataclass(frozen=True, kw_only=True)
class HostFacts(ServiceFacts):
    """The machine under the services."""

    hostname: str = ""
    clock: float = 0.0
    """Wall clock, epoch seconds, at the moment of collection."""
    clock_source: str | None = None
    """What chrony follows; None when chrony does not run or follows nothing."""
    clock_offset_seconds: float | None = None
    load: tuple[float, float, float] = (0.0, 0.0, 0.0)
    vcpus: int = 0
    memory_mib: int = 0
    memory_available_mib: int = 0
    disks: dict[str, Disk] = field(default_factory=dict)
    """The file systems that services write to, each by one directory on it."""
    package_lock: bool = False
    failed_units: tuple[str, ...] = ()
    uptime_seconds: float = 0.0
    kernel: str = ""
    pending_restarts: dict[str, str] = field(default_factory=dict)
    """Services whose changed configuration waits for a rotation, with the reason."""
    drains: dict[str, Drain] = field(default_factory=dict)
    disabled_units: dict[str, Flag] = field(default_factory=dict)
    """Units that do not start with the machine for a time."""
    vote: Vote | None = None
    """None when nobody has this node's vote, or it has expired."""
    pause: Flag | None = None
    """Who keeps the agent of this node from repairing; None when nobody does, or the pause has expired."""
    units: dict[str, str] = field(default_factory=dict)
    """States of the services that should run here, as systemd has them; ``php-fpm`` of the version that is there."""


@dataclass(frozen=True, kw_only=True)
class IdentityFacts(ServiceFacts):
    """As what this node was set up: the names by which its peers know it. No service; nothing of it is measured."""

    environment: str = ""
    node_id: int = 0
    address: str = ""
    gateways: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    """The contracts' settings that stay as they are; empty from an agent of an earlier release."""


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """All facts of one node, gathered in one go."""

    node: str
    address: str = ""
    seconds: float = 0.0
    """How long the collection took."""
    gateway: GatewayFacts = GatewayFacts(error="not collected")
    proxies: ProxiesFacts = ProxiesFacts(error="not collected")
    web: WebFacts = WebFacts(error="not collected")
    database: DatabaseFacts = DatabaseFacts(error="not collected")
    redis: RedisFacts = RedisFacts(error="not collected")
    search: SearchFacts = SearchFacts(error="not collected")
    files: FilesFacts = FilesFacts(error="not collected")
    host: HostFacts = HostFacts(error="not collected")
    identity: IdentityFacts = IdentityFacts(error="not collected")
    asked_at: float | None = None
    answered_at: float | None = None
    """The asker's clock around the question, epoch seconds; they bound how far the node's is off."""

    def to_dict(self) -> dict[str, Any]:
        """The facts as JSON-able plain data; :func:`facts_from_dict` reads them back."""
        return asdict(self)

    def drained(self, service: str) -> Drain | None:
        """The drain flag that takes ``service`` out on this node, unless it has expired."""
        drain = self.host.drains.get(service) or self.host.drains.get("all")
        if drain is None or (drain.expires is not None and drain.expires <= self.host.clock):
            return None
        return drain


@dataclass(frozen=True)
class Unreachable:
    """Stands for the facts of a node that did not answer."""

    reason: str


ClusterFacts = Mapping[str, NodeFacts | Unreachable]
"""What is known of all nodes, by node name."""

_Facts = TypeVar("_Facts")


def facts_from_dict(
    data: Mapping[str, Any], *, asked_at: float | None = None, answered_at: float | None = None
) -> NodeFacts:
    """Read what ``collect_node`` gave on a node.

    Unknown keys are ignored, since a node may carry another release of the agent. Facts of a service that do
    not fit give that service an ``error`` instead of spoiling the other services.

    Raises:
        ValueError: ``data`` does not name its node, so it is no answer of a collector.
    """
    if not isinstance(data.get("node"), str):
        raise ValueError("the facts name no node")
    values: dict[str, Any] = {"node": data["node"], "address": str(data.get("address", ""))}
    for name, kind in typing.get_type_hints(NodeFacts).items():
        if isinstance(kind, type) and issubclass(kind, ServiceFacts) and name in data:
            try:
                values[name] = decode(kind, data[name])
            except (TypeError, ValueError) as problem:
                values[name] = kind(error=f"facts not understood: {problem}")
    seconds = data.get("seconds")
    values["seconds"] = float(seconds) if isinstance(seconds, int | float) else 0.0
    return NodeFacts(**values, asked_at=asked_at, answered_at=answered_at)


def decode(kind: Any, value: Any) -> Any:
    """Turn plain JSON data into ``kind``: a dataclass, tuple, dict, optional or scalar type.

    Raises:
        TypeError: a value is of another type, or a required key is missing.
    """
    origin = typing.get_origin(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return _decode_dataclass(kind, value)
    if origin in (Union, types.UnionType):
        inner = [option for option in typing.get_args(kind) if option is not type(None)]
        return None if value is None else decode(inner[0], value)
    if origin is tuple:
        return _decode_tuple(typing.get_args(kind), value)
    if origin is dict:
        return {str(key): decode(typing.get_args(kind)[1], item) for key, item in _of(dict, value).items()}
    if kind is float:
        return float(_of((int, float), value))
    return _of(kind, value)


def _decode_dataclass(kind: type[_Facts], value: Any) -> _Facts:
    data = _of(dict, value)
    hints = typing.get_type_hints(kind)
    known = {item.name for item in fields(kind) if item.init}  # type: ignore[arg-type]
    return kind(**{name: decode(hints[name], data[name]) for name in known & data.keys()})


def _decode_tuple(arguments: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    items = _of((list, tuple), value)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(decode(arguments[0], item) for item in items)
    if len(items) != len(arguments):
        raise TypeError(f"{len(arguments)} values expected, {len(items)} found")
    return tuple(decode(kind, item) for kind, item in zip(arguments, items, strict=True))


def _of(kind: Any, value: Any) -> Any:
    # bool is an int to Python; in facts it never stands for a number.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        expected = kind.__name__ if isinstance(kind, type) else "/".join(option.__name__ for option in kind)
        raise TypeError(f"{expected} expected, {type(value).__name__} found")
    return value
