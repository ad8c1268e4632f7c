# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads all files of a project and holds them against each other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trivet.errors import InputError
from trivet.project.application import Application, Relationship, read_application
from trivet.project.findings import Finding, Report, near
from trivet.project.own import FILE as OWN_FILE
from trivet.project.own import Own, read_own
from trivet.project.reader import Table, read
from trivet.project.routes import Route, read_routes, resolved
from trivet.project.services import Service, read_services
from trivet.project.stages import check_stages

PREFIXES = (".magento", ".platform")
CLUSTER_FILES = ("services", "routes")
PASSED_OVER = ("vendor", "node_modules", "var", "generated")
"""Folders that hold other people's repositories, whose files are none of the project's."""


@dataclass(frozen=True)
class Project:
    """What the files of a project say, and what is wrong with them.

    Attributes:
        errors: it cannot be deployed; ordered by file and line.
        warnings: it can, and something is probably not meant.
        notes: worth knowing.
        owns: what ``.trivet.yaml`` says, by application; :meth:`own` asks it.
    """

    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    notes: tuple[Finding, ...]
    applications: tuple[Application, ...]
    services: tuple[Service, ...]
    routes: tuple[Route, ...]
    owns: dict[str, Own] = field(default_factory=dict)

    def own(self, application_name: str) -> Own:
        """What ``.trivet.yaml`` says of an application, defaults where it says nothing."""
        return self.owns.get(application_name, Own())

    @property
    def ok(self) -> bool:
        """Whether it can be deployed."""
        return not self.errors

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "ok": self.ok,
            **{name: [item.to_dict() for item in getattr(self, name)] for name in ("errors", "warnings", "notes")},
            **{name: [item.to_dict() for item in getattr(self, name)] for name in ("services", "routes")},
            "applications": [{**item.to_dict(), "own": self.own(item.name).to_dict()} for item in self.applications],
        }


def check(directory: Path, *, environment: str = "production", domains: Sequence[str] = ()) -> Project:
    """Read the files of a repository and tell every error at once. Writes nothing.

    Args:
        directory: the root of the repository.
        environment: name of the environment that the routes are worked out for.
        domains: its host names, the main one first; none leaves ``{default}`` in the routes as it is.

    Raises:
        InputError: there is no such folder.
    """
    if not directory.is_dir():
        raise InputError(f"{directory} is no folder", "name the folder that has .magento.app.yaml")
    report = Report()
    prefix = _prefix(directory)
    services_file, routes_file = (f"{prefix}/{name}.yaml" for name in CLUSTER_FILES)
    applications = _applications(directory, report)
    table = _read(directory, services_file, report)
    services = read_services(table, services_file, report)
    routes = read_routes(_read(directory, routes_file, report), routes_file, applications, report)
    check_stages(_read(directory, ".magento.env.yaml", report), ".magento.env.yaml", report)
    owns = read_own(_read(directory, OWN_FILE, report), [item.name for item in applications], report)
    # What is said of a service that could not be read is a consequence, and is not told as well.
    told = {pair.key for pair in table or ()} - {service.id for service in services}
    if not any(finding.file == services_file and not finding.key for finding in report.errors):
        applications = [_resolved(item, applications, services, told, services_file, report) for item in applications]
    if not report.errors:
        _note_unused(applications, services, services_file, report)
    _note_missing_crons(applications, report)
    return Project(
        errors=tuple(sorted(report.errors)),
        warnings=tuple(sorted(report.warnings)),
        notes=tuple(sorted(report.notes)),
        applications=tuple(applications),
        services=services,
        routes=tuple(resolved(routes, domains, environment)),
        owns=owns,
    )


def _prefix(directory: Path) -> str:
    """``.magento`` or ``.platform``, whichever the project uses."""
    used = (
        prefix for prefix in PREFIXES if (directory / prefix).is_dir() or (directory / f"{prefix}.app.yaml").is_file()
    )
    return next(used, PREFIXES[0])


def _read(directory: Path, name: str, report: Report) -> Table | None:
    path = directory / name
    try:
        return read(path.read_bytes(), name, report) if path.is_file() else None
    except OSError as problem:
        report.error(name, 0, "", f"cannot be read: {problem.strerror}")
        return None


def _applications(directory: Path, report: Report) -> list[Application]:
    found: list[Application] = []
    names = sorted(_application_files(directory))
    if not names:
        report.error(
            ".magento.app.yaml", 0, "", "there is no application file: neither this one nor .platform.app.yaml"
        )
    for name in names:
        table = _read(directory, name, report)
        if table is None:
            if not any(finding.file == name for finding in report.errors):
                report.error(name, 0, "", "the file says nothing; an application needs `name` and `type`")
            continue
        root = "/" + name.rpartition("/")[0]
        application = read_application(table, name, root, report)
        if application is None:
            continue
        if (twin := next((other for other in found if other.name == application.name), None)) is not None:
            pair = table.get("name")
            line = pair.line if pair is not None else 0
            report.error(name, line, "name", f"`{application.name}` is the name of the application in {twin.file}, too")
            continue
        found.append(application)
    return found


def _application_files(directory: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(directory):
        folders[:] = [name for name in folders if name not in PASSED_OVER and not name.startswith(".")]
        for prefix in PREFIXES:
            if f"{prefix}.app.yaml" in files:
                yield (Path(folder) / f"{prefix}.app.yaml").relative_to(directory).as_posix()
                break


def _resolved(
    application: Application,
    applications: Sequence[Application],
    services: Sequence[Service],
    told: set[str],
    services_file: str,
    report: Report,
) -> Application:
    """The application with the endpoints of its relationships; those that lead nowhere are told."""
    others = {other.name for other in applications if other.name != application.name}
    relationships = []
    for item in application.relationships:
        if item.service in others:
            relationships.append(replace(item, endpoint=item.endpoint or "http"))
        elif (service := next((known for known in services if known.id == item.service), None)) is not None:
            relationships.append(_to_service(application, item, service, report))
        elif item.service not in told:
            message = f"there is no service `{item.service}` in {services_file}{_alternatives(item, services)}"
            report.error(application.file, item.line, f"relationships.{item.name}", message)
    return replace(application, relationships=tuple(relationships))


def _to_service(application: Application, item: Relationship, service: Service, report: Report) -> Relationship:
    key = f"relationships.{item.name}"
    if not service.served:
        report.error(
            application.file, item.line, key, f"service `{service.id}` ({service.label}) is not to be had here"
        )
    elif item.endpoint and item.endpoint not in service.endpoints:
        names = " and ".join(f"`{name}`" for name in service.endpoints)
        its = "its endpoints are" if len(service.endpoints) > 1 else "its endpoint is"
        what = f"service `{service.id}` ({service.label}) has no endpoint `{item.endpoint}`"
        report.error(application.file, item.line, key, f"{what}; {its} {names}")
    return replace(item, endpoint=item.endpoint or service.endpoints[0])


def _alternatives(item: Relationship, services: Sequence[Service]) -> str:
    """A near id, else the services of the kind that is asked for."""
    if hint := near(item.service, [service.id for service in services]):
        return hint
    search = ("opensearch", "elasticsearch")
    kinds = search if item.service in search or item.name in search else (item.service, item.endpoint, item.name)
    same = [service for service in services if service.type in kinds or set(service.endpoints) & set(kinds)]
    told = ", ".join(f"`{service.id}` ({service.label})" for service in same)
    return f"; services of that kind: {told}" if told else ""


def _note_unused(applications: Sequence[Application], services: Sequence[Service], file: str, report: Report) -> None:
    used = {item.service for application in applications for item in application.relationships}
    for service in services:
        if service.id in used:
            continue
        if not service.served:
            message = f"`{service.label}` has no counterpart here; no application relates to it, so nothing is missing"
            report.warning(file, service.line, f"{service.id}.type", message)
        else:
            report.note(file, service.line, service.id, "no application relates to this service")


def _note_missing_crons(applications: Sequence[Application], report: Report) -> None:
    for application in applications:
        if application.runtime == "php" and not application.crons:
            report.note(application.file, 0, "crons", "there are no crons: Magento's own never run")
