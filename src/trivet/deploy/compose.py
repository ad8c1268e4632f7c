# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release runs with in an environment: the description of an instance, and the accounts that it needs. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trivet.build import Release
from trivet.deploy.database import Account, password, user_name
from trivet.deploy.plan import Data
from trivet.errors import InputError
from trivet.model import Environment
from trivet.project import Project, cron
from trivet.project.application import Application
from trivet.project.services import Service
from trivet.runtime import access, nginx, php, places, routes, variables
from trivet.runtime.access import Login, database_name, rights_of
from trivet.runtime.places import Places
from trivet.services.application import contract
from trivet.services.application.instance import Instance, Mount
from trivet.services.application.schedule import Cron
from trivet.services.files.contract import MOUNT
from trivet.services.rabbitmq import contract as rabbitmq
from trivet.services.web.contract import PHP_VERSION

MASTER_FILE, POOL_FILE = "/etc/trivet/php-fpm/master.conf", "/etc/trivet/php-fpm/pool.conf"
"""Written by the role ``php_fpm``: what a master and its pool get of their node."""
UNNAMED = "0" * 8
"""Stands for what is not known before everything else is: the name follows from the rest."""


@dataclass(frozen=True, slots=True)
class Composed:
    """What a deploy brings to the nodes beside the code."""

    instance: Instance
    accounts: tuple[Account, ...]

    @property
    def data(self) -> Data:
        """Where it keeps its data."""
        databases = (name for account in self.accounts for name in account.rights)
        mounts = (mount.source for mount in self.instance.mounts if mount.shared)
        return Data(self.instance.application, frozenset(databases), frozenset(mounts))


def compose(
    environment: Environment,
    project: Project,
    application: Application,
    release: Release,
    files: Path,
    custom: Mapping[str, str],
) -> Composed:
    """Describe the instance of a release in an environment.

    :param files: folder with the project's files.
    :param custom: variables of the environment, by names as the platform has them.
    :raises InputError: the environment does not have what the application asks for.
    """
    check_runtime(environment, project, application)
    accounts = _accounts(environment, project, application)
    draft = _instance(environment, project, application, release, files, custom, f"{release.name}-{UNNAMED}")
    made = hashlib.sha256(json.dumps(draft.to_dict(), sort_keys=True).encode()).hexdigest()[:8]
    name = f"{release.name}-{made}"
    return Composed(_instance(environment, project, application, release, files, custom, name), accounts)


def check_runtime(environment: Environment, project: Project, application: Application) -> None:
    """Refuse an application that the nodes cannot run.

    :raises InputError: naming file and key.
    """
    if application.runtime != "php":
        raise InputError(
            f"{application.file}: type is {application.runtime}:{application.version}; "
            f"applications of Staging and Production run on PHP"
        )
    if (here := environment.terms[PHP_VERSION]) != application.version:
        raise InputError(
            f"{application.file}: type is php:{application.version}, and {environment.name} has php:{here}",
            f"set php_fpm_version in the inventory, or write `type: php:{here}`",
        )
    if not environment.terms[rabbitmq.ENABLED] and (queue := _relates_to(project, application, "rabbitmq")):
        raise InputError(
            f"{application.file}: the relationship {queue} is a RabbitMQ, and {environment.name} has none",
            f"set rabbitmq_enabled: true in the inventory, and run trivet converge {environment.label}",
        )
    asked = environment.application.health_page if environment.application else None
    if asked is not None and asked != (own := project.own(application.name).health_page):
        raise InputError(
            f".trivet.yaml: health_page of {application.name} is {own}, and every HAProxy of {environment.name} asks "
            f"for {asked}",
            f"set trivet_application.health_page to {own} and run trivet converge {environment.label}",
        )


def _relates_to(project: Project, application: Application, kind: str) -> str | None:
    """The first relationship to a kind of service."""
    kinds = {service.id: service.type for service in project.services}
    return next((item.name for item in application.relationships if kinds.get(item.service) == kind), None)


def _instance(
    environment: Environment,
    project: Project,
    application: Application,
    release: Release,
    files: Path,
    custom: Mapping[str, str],
    name: str,
) -> Instance:
    where = _places(environment, application, release, name)
    inside = application.root.strip("/")
    ini = files / inside / "php.ini"
    own = project.own(application.name)
    logins = _logins(environment, project, application)
    given = variables.variables(
        project,
        application,
        environment=environment.name,
        project_id=environment.name,
        tree=release.tree,
        services=access.accesses(project, application, environment.terms, logins),
        domains=environment.domains,
        custom=custom,
    )
    user = str(environment.variables["trivet_application"]["user"])
    return Instance(
        name=name,
        release=release.name,
        application=application.name,
        user=user,
        archive_sha256=release.sha256,
        health_page=own.health_page,
        domain=environment.domain,
        nginx="\n".join((routes.redirects(project.routes, environment.domains), nginx.server(application, where))),
        mounts=tuple(
            Mount(item.source, item.target, item.source.startswith(f"{environment.terms[MOUNT]}/"))
            for item in places.mounts(application, where)
        ),
        files={
            "php-fpm.conf": php.pool(application, where, user=user, master_file=MASTER_FILE, pool_file=POOL_FILE),
            "php/99-application.ini": php.ini(
                application,
                ini.read_text(encoding="utf-8") if ini.is_file() else None,
                variables.settings(custom),
            ),
        },
        environment={**given, "TRIVET_NODES": str(len(environment.nodes))},
        warm_up=own.warm_up,
        crons=tuple(
            Cron(
                name=item.name,
                command=item.command,
                times=cron.times(item.spec, f"{application.name}/{item.name}"),
                any_day=cron.any_day(item.spec),
                timeout_seconds=item.timeout_seconds,
                shutdown_seconds=item.shutdown_timeout_seconds,
            )
            for item in application.crons
        ),
        workers=application.workers,
        hooks={hook: application.hooks[hook] for hook in contract.HOOKS if hook in application.hooks},
    )


def _places(environment: Environment, application: Application, release: Release, name: str) -> Places:
    shared = Path(environment.terms[MOUNT])
    local = contract.LOCAL.default / application.name
    # The application that the inventory names has the volume as its own; others have a folder of it.
    main = environment.application is not None and environment.application.name == application.name
    return Places(
        release=str(contract.RELEASES.default / release.name / "app"),
        shared=str(shared if main else shared / application.name),
        local=str(local),
        temporary=str(local / "tmp"),
        socket=str(contract.SOCKETS.default / f"{name}.sock"),
        home=contract.HOME,
    )


def _key(environment: Environment) -> str:
    key = (environment.variables.get("trivet_secrets") or {}).get("application_key")
    if not key:
        raise InputError(
            f"{environment.name} has no secret application_key, from which accounts get their passwords",
            f"trivet converge {environment.label} generates it",
        )
    return str(key)


REDIS = ("redis", "redis-persistent", "valkey", "valkey-persistent")
DATABASES = ("mysql", "mariadb")


def _logins(environment: Environment, project: Project, application: Application) -> dict[tuple[str, str], Login]:
    """By what the application enters each endpoint that it relates to, by service and endpoint."""
    known = {service.id: service for service in project.services}
    secrets = environment.variables["trivet_secrets"]
    found = {}
    for item in application.relationships:
        service = known.get(item.service)
        if service is not None and service.type in DATABASES:
            account = _account(environment, application, service, item.endpoint)
            found[item.service, item.endpoint] = Login(account.user, account.password)
        elif service is not None and service.type in REDIS:
            found[item.service, item.endpoint] = Login(password=secrets["redis_password"])
        elif service is not None and service.type == "rabbitmq":
            login = Login(environment.terms[rabbitmq.USER], secrets["rabbitmq_password"])
            found[item.service, item.endpoint] = login
    return found


def _accounts(environment: Environment, project: Project, application: Application) -> tuple[Account, ...]:
    """One account for each endpoint of a database that the application relates to."""
    known = {service.id: service for service in project.services}
    made: dict[str, Account] = {}
    for relationship in application.relationships:
        service = known.get(relationship.service)
        if service is None or service.type not in DATABASES:
            continue
        account = _account(environment, application, service, relationship.endpoint)
        made[account.user] = account
    return tuple(made.values())


def _account(environment: Environment, application: Application, service: Service, endpoint: str) -> Account:
    rights = {
        database_name(application.name, service.id, schema): right
        for schema, right in rights_of(service, endpoint).items()
    }
    user = user_name(application.name, service.id, endpoint)
    return Account(user, password(_key(environment), application.name, service.id, endpoint), rights)
