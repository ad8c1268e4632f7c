# SPDX-License-Identifier: GPL-3.0-or-later
"""``services.yaml``: the services of a project (Adobe's guide, services/*.md; Platform.sh's documentation)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from trivet.project import keys
from trivet.project.findings import Report, near
from trivet.project.reader import Table, plain
from trivet.project.section import Section

SMALLEST_DISK_MB = 128
LARGEST_PACKET_MB = 100
PRIVILEGES = ("ro", "rw", "admin")


@dataclass(frozen=True)
class Family:
    """What a type of service is.

    Attributes:
        endpoints: names that a relationship may use; the first is the default.
        disk: whether it keeps data on a disk of its own.
        oldest: the oldest version that Magento 2.4.3 asks for; None when it does not matter.
        served: whether this installation has a counterpart.
    """

    endpoints: tuple[str, ...]
    disk: bool = True
    oldest: tuple[int, ...] | None = None
    served: bool = True


_MYSQL = Family(("mysql",), oldest=(10, 4))
_REDIS = Family(("redis", "redis-replica"), disk=False, oldest=(6,))
_VALKEY = Family(("valkey", "valkey-replica"), disk=False)
FAMILIES: Mapping[str, Family] = {
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "redis": _REDIS,
    "redis-persistent": Family(_REDIS.endpoints, oldest=_REDIS.oldest),
    "valkey": _VALKEY,
    "valkey-persistent": Family(_VALKEY.endpoints),
    "opensearch": Family(("opensearch",)),
    "elasticsearch": Family(("elasticsearch",), oldest=(7,)),
    "rabbitmq": Family(("rabbitmq",)),
    **{
        name: Family((endpoint,), served=False)
        for name, endpoint in {
            "activemq-artemis": "artemis",
            "chrome-headless": "http",
            "gotenberg": "http",
            "influxdb": "influxdb",
            "kafka": "kafka",
            "memcached": "memcached",
            "mongodb": "mongodb",
            "network-storage": "network-storage",
            "oracle-mysql": "mysql",
            "postgresql": "postgresql",
            "solr": "solr",
            "varnish": "http",
            "vault-kms": "vault-kms",
        }.items()
    },
}


@dataclass(frozen=True)
class Service:
    """One service of a project.

    Attributes:
        id: its name in the file; a renamed one is another service, without the data.
        type: family, such as ``mysql``.
        version: as written, such as ``10.6``; empty when none is given.
        disk_mb: megabytes; None when the family keeps none or none is given.
        endpoints: names that a relationship may use; the first is the default.
        configuration: as written.
        line: where it stands.
    """

    id: str
    type: str
    version: str
    disk_mb: int | None
    endpoints: tuple[str, ...]
    configuration: dict[str, Any]
    line: int

    @property
    def label(self) -> str:
        """As the file names its type, such as ``rabbitmq:3.11``."""
        return f"{self.type}:{self.version}" if self.version else self.type

    @property
    def served(self) -> bool:
        """Whether this installation has a counterpart."""
        return FAMILIES[self.type].served

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        data = asdict(self)
        del data["line"]
        return {**data, "endpoints": list(self.endpoints)}


def read_services(table: Table | None, file: str, report: Report) -> tuple[Service, ...]:
    """The services of the file; what cannot be read is told and left out.

    Args:
        table: the file's content; None for no services.
        file: its path within the project.
        report: takes what is wrong.
    """
    if table is None:
        return ()
    top = Section(table, file, (), report)
    services = [_service(top, pair.key) for pair in top]
    return tuple(service for service in services if service is not None)


def _service(top: Section, name: str) -> Service | None:
    section = top.section(name)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        top.error(name, "a service id has letters, digits, hyphens and underscores only")
        return None
    kind, _, version = section.text("type").partition(":")
    if not kind:
        top.error(name, "`type` is missing; write for instance `type: mysql:10.6`")
        return None
    if kind not in FAMILIES:
        section.error("type", f"`{kind}` is no type of service{near(kind, FAMILIES)}")
        return None
    section.only(keys.SERVICE)
    family = FAMILIES[kind]
    _check_version(section, kind, version, family)
    configuration = section.section("configuration")
    if kind in ("mysql", "mariadb"):
        _check_mysql(configuration)
    return Service(
        id=name,
        type=kind,
        version=version,
        disk_mb=disk(section) if family.disk else section.number("disk"),
        endpoints=_endpoints(family, configuration),
        configuration=plain(configuration.table),
        line=section.line(),
    )


def disk(section: Section) -> int | None:
    """The key ``disk`` in megabytes, told when it is below the platform's least."""
    size = section.number("disk")
    if size is not None and size < SMALLEST_DISK_MB:
        section.error("disk", f"{size} is below the minimum of {SMALLEST_DISK_MB} MB")
    return size


def older(version: str, than: tuple[int, ...]) -> bool:
    """Whether a version such as ``10.0`` is below ``(10, 4)``; one that is no number is not."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version))
    return bool(numbers) and numbers < than[: len(numbers)]


def _check_version(section: Section, kind: str, version: str, family: Family) -> None:
    if not version:
        section.warning("type", f"`{kind}` has no version; write for instance `{kind}:1.2`")
    elif family.oldest is not None and older(version, family.oldest):
        wanted = ".".join(str(part) for part in family.oldest)
        section.warning(
            "type", f"`{kind}:{version}` is past its end of life; {kind} {wanted} or later is offered instead"
        )


def _endpoints(family: Family, configuration: Section) -> tuple[str, ...]:
    """The endpoints that the configuration names, else the family's own."""
    named = tuple(pair.key for pair in configuration.section("endpoints")) if configuration.has("endpoints") else ()
    return named or family.endpoints


def _check_mysql(configuration: Section) -> None:
    schemas = configuration.texts("schemas", ("main",))
    for pair in configuration.section("endpoints") if configuration.has("endpoints") else ():
        endpoint = configuration.section("endpoints").section(pair.key)
        default = endpoint.text("default_schema")
        if default and default not in schemas:
            endpoint.error("default_schema", f"there is no schema `{default}`{near(default, schemas)}")
        privileges = endpoint.section("privileges")
        for entry in privileges:
            if entry.key not in schemas:
                privileges.error(entry.key, f"there is no schema `{entry.key}`{near(entry.key, schemas)}")
            if (right := privileges.text(entry.key)) not in PRIVILEGES:
                privileges.error(entry.key, f"`{right}` is no right; one of {', '.join(PRIVILEGES)}")
    properties = configuration.section("properties")
    packet = properties.number("max_allowed_packet")
    if packet is not None and not 1 <= packet <= LARGEST_PACKET_MB:
        properties.error("max_allowed_packet", f"{packet} is not between 1 and {LARGEST_PACKET_MB} MB")
