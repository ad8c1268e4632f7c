# SPDX-License-Identifier: GPL-3.0-or-later
"""How an application reaches the services that it relates to: on the node itself, at the ports of the contracts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from trivet.errors import InputError
from trivet.project.application import Application, Relationship
from trivet.project.check import Project
from trivet.project.services import Service
from trivet.services.contract import Port, Terms
from trivet.services.rabbitmq import contract as rabbitmq
from trivet.services.registry import BACKENDS
from trivet.services.web import contract as web

HOST = "127.0.0.1"
REPLICA_SUFFIXES = ("-slave", "-replica")
"""What ends the name of a relationship, or of an endpoint, that only reads."""
DEFAULT_SCHEMA = "main"
LONGEST_NAME = 64
_DATABASES = ("mysql", "mariadb")
_REDIS = ("redis", "redis-persistent", "valkey", "valkey-persistent")
_SEARCH = ("opensearch", "elasticsearch")
SCHEMES = {
    **dict.fromkeys(_DATABASES, "mysql"),
    **dict.fromkeys(_REDIS, "redis"),
    **dict.fromkeys(_SEARCH, "http"),
    "rabbitmq": "amqp",
}


@dataclass(frozen=True)
class Login:
    """By what an endpoint is entered.

    Attributes:
        username: None where the service knows none, as Redis.
        password: None where none is asked.
    """

    username: str | None = None
    password: str | None = None


@dataclass(frozen=True)
class ServiceAccess:
    """What an endpoint of a service is on a node.

    Attributes:
        service: its id, or the name of an application.
        endpoint: its name.
        type: as the file names it, such as ``mysql:10.6``.
        path: schema or virtual host; None where there is none.
        query: what the platform adds, such as ``is_master``.
    """

    service: str
    endpoint: str
    type: str
    scheme: str
    host: str
    port: int
    path: str | None = None
    username: str | None = None
    password: str | None = None
    query: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self, cluster: str) -> dict[str, Any]:
        """As it stands in ``MAGENTO_CLOUD_RELATIONSHIPS``."""
        found: dict[str, Any] = {
            "scheme": self.scheme,
            "host": self.host,
            "hostname": self.host,
            "ip": self.host,
            "port": self.port,
            "path": self.path,
            "username": self.username,
            "password": self.password,
            "rel": self.endpoint,
            "service": self.service,
            "cluster": cluster,
            "type": self.type,
            "public": False,
            "host_mapped": False,
            "fragment": None,
            "query": dict(self.query),
        }
        return {**found, "vhost": self.path} if self.scheme == "amqp" else found


def accesses(
    project: Project, application: Application, terms: Terms, logins: Mapping[tuple[str, str], Login]
) -> dict[str, ServiceAccess]:
    """The endpoints that an application relates to, by the name of the relationship.

    A relationship to a database or to the cache gets a twin that only reads, ``<name>-slave``, as every Pro cluster
    has: ece-tools asks for it when ``MYSQL_USE_SLAVE_CONNECTION`` or ``REDIS_USE_SLAVE_CONNECTION`` is set.

    Args:
        project: that the application is part of.
        application: whose relationships are meant.
        terms: the ports of the environment.
        logins: by service id and endpoint; one that is missing needs none.

    Raises:
        InputError: a relationship leads to what this installation does not have.
    """
    found: dict[str, ServiceAccess] = {}
    for item in application.relationships:
        found[item.name] = _access(project, application, item, terms, logins)
    for item in application.relationships:
        twin = f"{item.name}-slave"
        service = _service(project, item)
        if service is None or _reads(item) or twin in found:
            continue
        if service.type in _DATABASES or (service.type in _REDIS and not _keeps_sessions(item, service)):
            found[twin] = _access(project, application, replace(item, name=twin), terms, logins)
    return found


def database_name(application: str, service: str, schema: str) -> str:
    """What a schema of a database service is called in the cluster, which is one for all of them.

    That of the first schema is the application's own name.

    Raises:
        InputError: it would be too long.
    """
    words = [application, *([service] if service not in (*_DATABASES, "database") else [])]
    name = re.sub(r"[^a-z0-9_]", "_", "_".join([*words, *([schema] if schema != DEFAULT_SCHEMA else [])]).lower())
    if len(name) > LONGEST_NAME:
        raise InputError(f"the database of schema {schema} of {application} would be called {name}, which is too long")
    return name


def rights_of(service: Service, endpoint: str) -> Mapping[str, str]:
    """What an endpoint of a database may do, by schema (Adobe's guide, services/mysql.md).

    Without ``endpoints`` the one endpoint ``mysql`` is the administrator of every schema.
    """
    configured = service.configuration.get("endpoints") or {}
    if endpoint in configured:
        return dict(configured[endpoint].get("privileges") or {})
    return {str(schema): "admin" for schema in service.configuration.get("schemas") or [DEFAULT_SCHEMA]}


def _access(
    project: Project,
    application: Application,
    item: Relationship,
    terms: Terms,
    logins: Mapping[tuple[str, str], Login],
) -> ServiceAccess:
    service = _service(project, item)
    if service is None:
        other = next((one for one in project.applications if one.name == item.service), None)
        if other is None:
            raise InputError(f"relationship {item.name}: there is no service {item.service}", "trivet project check")
        label = f"{other.runtime}:{other.version}"
        return ServiceAccess(other.name, "http", label, "http", HOST, terms[web.NGINX_PORT])
    if service.type not in SCHEMES:
        raise InputError(f"relationship {item.name}: {service.label} is not to be had here", "trivet project check")
    login = logins.get((service.id, item.endpoint), Login())
    return ServiceAccess(
        service=service.id,
        endpoint=item.endpoint,
        type=service.label,
        scheme=SCHEMES[service.type],
        host=HOST,
        port=terms[_port(item, service)],
        path=_path(application, item, service, terms),
        username=login.username,
        password=login.password,
        query={"is_master": not _reads(item)} if service.type in _DATABASES else {},
    )


def _service(project: Project, item: Relationship) -> Service | None:
    return next((service for service in project.services if service.id == item.service), None)


def _reads(item: Relationship) -> bool:
    return item.name.endswith(REPLICA_SUFFIXES) or item.endpoint.endswith(REPLICA_SUFFIXES)


def _keeps_sessions(item: Relationship, service: Service) -> bool:
    return "session" in item.name or "session" in service.id or service.type.endswith("-persistent")


def _port(item: Relationship, service: Service) -> Port:
    if service.type in _DATABASES:
        backend = "db_reader" if _reads(item) else "db_writer"
    elif service.type in _REDIS:
        instance = "session" if _keeps_sessions(item, service) else "cache"
        backend = f"redis_{instance}_{'replica' if _reads(item) else 'primary'}"
    else:
        backend = "search" if service.type in _SEARCH else "rabbitmq"
    port = BACKENDS[backend].local
    assert port is not None, f"{backend} is reached by applications"
    return port


def _path(application: Application, item: Relationship, service: Service, terms: Terms) -> str | None:
    if service.type == "rabbitmq":
        return terms[rabbitmq.VIRTUAL_HOST]
    if service.type not in _DATABASES:
        return None
    endpoint = (service.configuration.get("endpoints") or {}).get(item.endpoint) or {}
    schema = endpoint.get("default_schema") or next(iter(rights_of(service, item.endpoint)), DEFAULT_SCHEMA)
    return database_name(application.name, service.id, str(schema))
