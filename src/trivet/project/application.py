# SPDX-License-Identifier: GPL-3.0-or-later
"""``.magento.app.yaml``: an application (Adobe's guide, application/*.md; Platform.sh's documentation)."""

from __future__ import annotations

import posixpath
import re
from dataclasses import asdict, dataclass
from typing import Any

from trivet.project import cron, keys, patterns
from trivet.project.findings import Report, near
from trivet.project.reader import Leaf, Table, plain
from trivet.project.section import Section, as_text
from trivet.project.services import disk, older

RUNTIMES = ("php", "nodejs")
UNSERVED_RUNTIMES = ("dotnet", "elixir", "golang", "java", "lisp", "python", "ruby", "rust")
OLDEST_PHP = (7, 4)
FLAVORS = ("none", "composer", "default")
SOURCES = ("local", "service", "tmp", "storage", "instance")
LONGEST_CRON_SECONDS = 86400
EXPIRES = re.compile(r"-1|\d+(ms|[smhdwMy])?")


@dataclass(frozen=True)
class Relationship:
    """A name under which the application gets an endpoint of a service, or of another application.

    Attributes:
        name: as the application knows it.
        service: id of the service, or name of the application.
        endpoint: empty for the default one.
        line: where it stands.
    """

    name: str
    service: str
    endpoint: str
    line: int


@dataclass(frozen=True)
class Mount:
    """A directory that stays writable after the build.

    Attributes:
        path: within the application, without slashes at its ends.
        source: ``shared`` (one for all nodes), ``local``, ``tmp``, ``service``, ``storage`` or ``instance``.
        source_path: within the source.
        line: where it stands.
    """

    path: str
    source: str
    source_path: str
    line: int


@dataclass(frozen=True)
class Cron:
    """A command that runs at times."""

    name: str
    spec: str
    command: str
    shutdown_timeout_seconds: int
    timeout_seconds: int


@dataclass(frozen=True)
class Application:
    """What one application file says; every value as it is used, defaults filled in."""

    file: str
    root: str
    name: str
    runtime: str
    version: str
    flavor: str
    dependencies: dict[str, Any]
    extensions: tuple[str, ...]
    disabled_extensions: tuple[str, ...]
    relationships: tuple[Relationship, ...]
    disk_mb: int | None
    mounts: tuple[Mount, ...]
    hooks: dict[str, str]
    crons: tuple[Cron, ...]
    workers: dict[str, str]
    locations: dict[str, dict[str, Any]]
    environment: dict[str, str]
    ini: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        data = asdict(self)
        for item in (*data["relationships"], *data["mounts"]):
            del item["line"]
        return data


def read_application(table: Table, file: str, root: str, report: Report) -> Application | None:
    """The application of a file; what is wrong with it is told.

    Args:
        table: the file's content.
        file: its path within the project.
        root: the folder that it stands in, ``/`` for the project's own.
        report: takes what is wrong.

    Returns:
        None when it has no name, so that nothing can refer to it.
    """
    top = Section(table, file, (), report)
    top.only(keys.APPLICATION)
    name = _name(top)
    runtime, version = _type(top)
    variables = top.section("variables")
    variables.only(keys.VARIABLES)
    dependencies = plain(top.section("dependencies").table)
    runtime_section = top.section("runtime")
    runtime_section.only(keys.RUNTIME)
    source = top.section("source")
    source.only(keys.SOURCE)
    web = top.section("web")
    web.only(keys.WEB)
    application = Application(
        file=file,
        root=source.text("root", root),
        name=name,
        runtime=runtime,
        version=version,
        flavor=_flavor(top),
        dependencies=dependencies,
        extensions=_extensions(runtime_section),
        disabled_extensions=runtime_section.texts("disabled_extensions"),
        relationships=_relationships(top.section("relationships")),
        disk_mb=disk(top),
        mounts=_mounts(top.section("mounts")),
        hooks=_hooks(top.section("hooks")),
        crons=_crons(top.section("crons")),
        workers=_workers(top.section("workers")),
        locations=_locations(web.section("locations")),
        environment=_variables(variables.section("env")),
        ini=_variables(variables.section("php")),
    )
    _note_port(application, variables.section("env"))
    return application if name else None


def _name(top: Section) -> str:
    name = top.text("name")
    if not name:
        top.error("name", "`name` is missing; routes refer to the application by it")
    elif not re.fullmatch(r"[a-z0-9]+(?:[-_][a-z0-9]+)*", name):
        top.error("name", f"`{name}` is no name: use lower-case letters and digits")
        return ""
    return name


def _type(top: Section) -> tuple[str, str]:
    text = top.text("type")
    if not text:
        top.error("type", "`type` is missing; write for instance `type: php:8.2`")
        return "", ""
    match = re.fullmatch(r"(?P<name>[a-z-]+):(?P<version>\d[\w.]*)", text)
    if match is None:
        parts = re.fullmatch(r"(?P<name>[a-z]+)[ :=-]*(?P<version>\d[\w.]*)", text)
        hint = f"; did you mean `{parts['name']}:{parts['version']}`?" if parts is not None else ""
        top.error("type", f"`{text}` is not `<name>:<version>`{hint}")
        return "", ""
    if match["name"] in UNSERVED_RUNTIMES:
        top.error("type", f"`{match['name']}` is not served here; applications run on {' or '.join(RUNTIMES)}")
    elif match["name"] not in RUNTIMES:
        top.error("type", f"there is no runtime `{match['name']}`{near(match['name'], RUNTIMES)}")
    elif match["name"] == "php" and older(match["version"], OLDEST_PHP):
        wanted = ".".join(str(part) for part in OLDEST_PHP)
        top.warning("type", f"`{text}` is past its end of life; php:{wanted} or later is offered instead")
    return match["name"], match["version"]


def _flavor(top: Section) -> str:
    build = top.section("build")
    build.only(keys.BUILD)
    flavor = build.text("flavor", "none")
    if flavor not in FLAVORS:
        build.error("flavor", f"`{flavor}` is no flavor; one of {', '.join(FLAVORS)}{near(flavor, FLAVORS)}")
    return flavor


def _extensions(runtime: Section) -> tuple[str, ...]:
    """Names of extensions; one may be a mapping with its name and configuration."""
    pair = runtime.table.get("extensions")
    if pair is None or not hasattr(pair.value, "items"):
        return runtime.texts("extensions")
    names = []
    for item in pair.value.items:
        if isinstance(item, Leaf):
            names.append(as_text(item))
        elif isinstance(item, Table) and item.get("name") is not None:
            names.append(str(plain(item)["name"]))
        else:
            runtime.error("extensions", "an extension is a name, or a mapping with `name`")
    return tuple(names)


def _relationships(section: Section) -> tuple[Relationship, ...]:
    found = []
    for pair in section:
        if isinstance(pair.value, Table):
            inner = section.section(pair.key)
            inner.only(keys.RELATIONSHIP)
            service, endpoint = inner.text("service", pair.key), inner.text("endpoint")
        else:
            # Without a value the relationship has the name of the service.
            service, _, endpoint = section.text(pair.key, pair.key).partition(":")
        found.append(Relationship(pair.key, service, endpoint, pair.line))
    return tuple(found)


def _mounts(section: Section) -> tuple[Mount, ...]:
    mounts = []
    for pair in section.table:
        if pair.key.startswith(".") and not pair.key.startswith(".."):
            message = f"keys that start with a dot are ignored, so this is not writable; write `/{pair.key}`"
            section.warning(pair.key, message)
            continue
        mount = _mount(section, pair.key)
        if mount is not None:
            mounts.append(mount)
    _check_nested(section, mounts)
    return tuple(sorted(mounts, key=lambda mount: mount.path))


def _mount(section: Section, key: str) -> Mount | None:
    path = posixpath.normpath(key.strip("/") or ".")
    if path == "." or path.split("/")[0] == "..":
        section.error(key, "a mount must lie inside the application; this one leads out of it")
        return None
    line = section.line(key)
    pair = section.table.get(key)
    if pair is None or not isinstance(pair.value, Table):
        source, separator, inner = section.text(key).partition(":")
        if not separator:
            section.error(key, "a mount is `shared:files/<folder>`, or a mapping with `source`")
            return None
        source_path = _inside(re.sub(r"^files(/|$)", "", inner.strip("/")) or path)
        if source_path is None:
            section.error(key, "the path leads out of the source")
            return None
        return Mount(path, source, source_path, line)
    mount = section.section(key)
    mount.only(keys.MOUNT)
    source = mount.text("source")
    if source not in SOURCES:
        mount.error("source", f"`{source}` is no source; one of {', '.join(SOURCES)}{near(source, SOURCES)}")
        return None
    if source == "service" and not mount.has("service"):
        mount.error("source", "`source: service` needs the key `service` with the id of a service")
    source_path = _inside(mount.text("source_path", path))
    if source_path is None:
        mount.error("source_path", "the path leads out of the source")
        return None
    return Mount(path, source, source_path, line)


def _inside(path: str) -> str | None:
    """The path without slashes at its ends and without detours; None when it leads out."""
    path = posixpath.normpath(path.strip("/") or ".")
    return None if path.split("/")[0] == ".." else path


def _check_nested(section: Section, mounts: list[Mount]) -> None:
    """A mount inside another of another kind is refused by the platform."""
    for inner in mounts:
        for outer in mounts:
            if inner.path.startswith(outer.path + "/") and inner.source != outer.source:
                message = (
                    f"lies inside the mount `{outer.path}`, whose source is `{outer.source}` and not `{inner.source}`"
                )
                section.report.error(section.file, inner.line, section.name(inner.path), message)


def _hooks(section: Section) -> dict[str, str]:
    section.only(keys.HOOKS)
    hooks = {}
    for name in keys.names(keys.HOOKS):
        script = section.text(name)
        if not script:
            continue
        hooks[name] = script
        commands = [row for row in script.splitlines() if row.strip() and not row.lstrip().startswith("#")]
        if len(commands) > 1 and not re.search(r"^\s*set\s+-\w*e", script, re.MULTILINE):
            section.warning(name, "has several lines without `set -e`: only the status of the last one counts")
    return hooks


def _crons(section: Section) -> tuple[Cron, ...]:
    crons = []
    for pair in section:
        entry = section.section(pair.key)
        entry.only(keys.CRON)
        spec = entry.text("spec")
        command = entry.text("cmd") or entry.section("commands").text("start")
        if not spec:
            section.error(pair.key, "`spec` is missing; write for instance `spec: '*/5 * * * *'`")
        elif (wrong := cron.problem(spec)) is not None:
            entry.error("spec", wrong)
        if not command:
            section.error(pair.key, "`cmd` (or `commands.start`) is missing")
        timeout = entry.number("timeout", LONGEST_CRON_SECONDS) or LONGEST_CRON_SECONDS
        if timeout > LONGEST_CRON_SECONDS:
            entry.error("timeout", f"{timeout} is above {LONGEST_CRON_SECONDS} seconds")
        crons.append(Cron(pair.key, spec, command, entry.number("shutdown_timeout", 10) or 0, timeout))
    return tuple(crons)


def _workers(section: Section) -> dict[str, str]:
    workers = {}
    for pair in section:
        worker = section.section(pair.key)
        worker.only(keys.WORKER)
        workers[pair.key] = worker.section("commands").text("start")
        if not workers[pair.key]:
            section.error(pair.key, "`commands.start` is missing: a worker is a command that runs all the time")
    return workers


def _locations(section: Section) -> dict[str, dict[str, Any]]:
    locations = {}
    for pair in section:
        if not pair.key.startswith("/"):
            section.error(pair.key, "a location begins with a slash")
            continue
        location = section.section(pair.key)
        location.only(keys.LOCATION)
        if _inside(location.text("root")) is None:
            location.error("root", "the path leads out of the application")
        locations[pair.key] = _answers(location, None)
        rules = location.section("rules")
        for rule in rules.table:
            rules.section(rule.key).only(keys.ANSWERS)
        locations[pair.key]["rules"] = {rule.key: _answers(rules.section(rule.key), rule.key) for rule in rules.table}
    return locations


def _answers(section: Section, rule: str | None) -> dict[str, Any]:
    """The keys that a location and a rule share, those that are given; ``rule`` is the rule's pattern."""
    answers: dict[str, Any] = {
        pair.key: plain(pair.value) for pair in section if pair.key in keys.names(keys.LOCATION) and pair.key != "rules"
    }
    passthru = answers.get("passthru")
    if isinstance(passthru, str) and not passthru.startswith("/"):
        answers["passthru"] = f"/{passthru}"
        section.warning("passthru", f"has no leading slash; it is read as `/{passthru}`")
    elif passthru is not None and not isinstance(passthru, str | bool):
        section.error("passthru", "must be true, false or a path")
    for name in patterns.unknown(passthru, rule) if isinstance(passthru, str) else ():
        section.error("passthru", f"`${name.removeprefix('$')}` is no group of the rule's expression")
    _check_headers(section.section("headers"))
    for key in ("scripts", "allow"):
        if key in answers:
            section.truth(key, True)
    expires = answers.get("expires")
    if expires is not None and not EXPIRES.fullmatch(str(expires)):
        section.error("expires", f"`{expires}` is no duration; write -1, or a number with ms, s, m, h, d, w, M or y")
    return answers


def _check_headers(section: Section) -> None:
    for pair in section:
        if "$" in pair.key + section.text(pair.key):
            section.error(pair.key, "a header may not have a `$`, which nginx takes for a variable")


def _variables(section: Section) -> dict[str, str]:
    return {pair.key: section.text(pair.key) for pair in section}


def _note_port(application: Application, env: Section) -> None:
    if application.runtime == "nodejs" and env.has("PORT"):
        env.note("PORT", "the platform sets PORT for this application; that value wins over this one")
