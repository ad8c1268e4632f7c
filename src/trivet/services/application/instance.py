# SPDX-License-Identifier: GPL-3.0-or-later
"""An instance on this node: what it consists of, its files, its unit."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from trivet.node.command import run_command
from trivet.node.errors import AgentError
from trivet.services.application.contract import BUILT, HOME, INSTANCES, RELEASES, UNIT
from trivet.services.application.schedule import Cron

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}-[0-9a-f]{12}-[0-9a-f]{8}")
"""Application, release, and what it runs with."""
CURRENT = "current"
DESCRIPTION = "instance.json"
PHP_SETTINGS = "php"
"""Folder of an instance that its account may read as well: PHP on the command line runs as that one."""
UNITS = Path("/etc/systemd/system")
STOP_SECONDS = 120.0


@dataclass(frozen=True)
class Mount:
    """A folder that stays writable.

    Attributes:
        source: on the node.
        target: below ``/app``.
        shared: one for all nodes, on the shared volume.
    """

    source: str
    target: str
    shared: bool


@dataclass(frozen=True)
class Instance:
    """A release with what it runs with.

    Attributes:
        user: account of the node that it runs as.
        archive_sha256: checksum of the release's archive.
        nginx: directives that stand inside of a server.
        files: further files of its folder, the text by the name.
        environment: variables of PHP-FPM, hooks, crons and workers.
        warm_up: paths that are asked for before customers come.
        hooks: scripts by ``deploy`` and ``post_deploy``.
        workers: commands that run all the time on every node, by their names.
    """

    name: str
    release: str
    application: str
    user: str
    archive_sha256: str
    health_page: str
    domain: str
    nginx: str
    mounts: tuple[Mount, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    warm_up: tuple[str, ...] = ()
    hooks: Mapping[str, str] = field(default_factory=dict)
    crons: tuple[Cron, ...] = ()
    workers: Mapping[str, str] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        """Its folder on the node."""
        return INSTANCES.default / self.name

    @property
    def code(self) -> Path:
        """The code of its release on the node."""
        return RELEASES.default / self.release / "app"

    @property
    def unit(self) -> str:
        """Its unit."""
        return f"{UNIT}{self.name}.service"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON; :meth:`from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Instance:
        """Read what :meth:`to_dict` gave.

        Raises:
            AgentError: it does not fit.
        """
        try:
            mounts = tuple(Mount(**item) for item in data["mounts"])
            crons = tuple(Cron(**{**item, "times": tuple(map(tuple, item["times"]))}) for item in data.get("crons", ()))
            found = cls(**{**data, "mounts": mounts, "warm_up": tuple(data["warm_up"]), "crons": crons})
        except (KeyError, TypeError) as problem:
            raise AgentError(f"the description of an instance does not fit: {problem!r}") from problem
        found.check()
        return found

    def check(self) -> None:
        """Refuse what could lead out of its folders.

        Raises:
            AgentError: it could.
        """
        if not NAME.fullmatch(self.name) or not self.name.startswith(f"{self.release}-"):
            raise AgentError(f"{self.name!r} is no instance of the release {self.release!r}")
        parts = [Path(name).parts for name in self.files]
        if any(".." in item or item[:1] == ("/",) for item in parts):
            raise AgentError("a file of the instance leads out of its folder")
        names = (*self.workers, *(cron.name for cron in self.crons))
        if bad := [name for name in names if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name)]:
            raise AgentError(f"{bad[0]!r} is no name of a cron or worker")
        for mount in self.mounts:
            target = Path(mount.target)
            if target.parts[:2] != ("/", HOME.strip("/")) or ".." in target.parts:
                raise AgentError(f"the mount {mount.target} leads out of the application")


def known() -> list[str]:
    """Names of the instances that this node has."""
    return sorted(path.name for path in INSTANCES.default.glob("*") if NAME.fullmatch(path.name) and path.is_dir())


def current() -> str | None:
    """Name of the instance that customers get from this node; None when there is none."""
    link = INSTANCES.default / CURRENT
    return str(link.readlink()) if link.is_symlink() else None


def load(name: str) -> Instance:
    """An instance that this node has.

    Raises:
        AgentError: it has none of that name.
    """
    path = INSTANCES.default / name / DESCRIPTION
    if not NAME.fullmatch(name) or not path.is_file():
        raise AgentError(f"this node has no instance {name}; it has {', '.join(known()) or 'none'}")
    return Instance.from_dict(json.loads(path.read_text(encoding="utf-8")))


def write(instance: Instance, group: int) -> None:
    """Write the files and the unit of an instance. Harmless when they are there.

    Args:
        group: number of the group of its account.

    Raises:
        AgentError: systemd refuses the unit.
    """
    INSTANCES.default.mkdir(mode=0o755, parents=True, exist_ok=True)
    staged = INSTANCES.default / f".{instance.name}"
    shutil.rmtree(staged, ignore_errors=True)
    # What lies in it is root's alone, but for the settings of PHP.
    staged.mkdir(mode=0o711)
    texts = {
        **instance.files,
        "environment": environment_file(instance.environment),
        **{f"hooks/{name}": script for name, script in instance.hooks.items()},
        DESCRIPTION: json.dumps(instance.to_dict()),
    }
    for name, text in texts.items():
        path = staged / name
        path.parent.mkdir(mode=0o755, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        if path.parent.name == PHP_SETTINGS:
            os.chown(path, -1, group)
            path.chmod(0o640)
    shutil.rmtree(instance.directory, ignore_errors=True)
    staged.rename(instance.directory)
    _write_drop_in(instance)


def _write_drop_in(instance: Instance) -> None:
    folder = UNITS / f"{instance.unit}.d"
    folder.mkdir(exist_ok=True)
    text = "[Service]\n" + "".join(f"{line}\n" for line in namespace(instance))
    path = folder / "mounts.conf"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
        run_command(["systemctl", "daemon-reload"], 60.0)


def namespace(instance: Instance) -> list[str]:
    """What a unit needs to see the instance as its own processes do, as settings of systemd."""
    mounts = [f"BindPaths={mount.source}:{mount.target}" for mount in instance.mounts]
    return [f"BindReadOnlyPaths={instance.code}:{HOME}", *mounts]


def command_line(instance: Instance) -> list[str]:
    """What a unit needs so that PHP on its command line has the application's settings; settings of systemd.

    The empty first part stands for the folder that each kind of PHP was made with (PHP manual, *Scan directories*).
    """
    return [f"Environment=PHP_INI_SCAN_DIR=:{instance.directory}/{PHP_SETTINGS}"]


def built(instance: Instance, path: str) -> str:
    """What a unit needs to see a file as the build made it, in the place of the one in a mount; a setting of systemd.

    ece-tools keeps such files in ``init/``, and its deploy hook brings them into the mount. Nothing changes where the
    build kept no such file.

    Args:
        path: of the file, relative to the application's root.
    """
    return f"BindReadOnlyPaths=-{instance.code}/{BUILT}/{path}:{HOME}/{path}"


def environment_file(values: Mapping[str, str]) -> str:
    """Variables as systemd reads them (systemd.exec, EnvironmentFile)."""
    return "".join(f"{name}={quoted(value)}\n" for name, value in sorted(values.items()))


def quoted(value: str) -> str:
    """A value in double quotes, in which a backslash takes the meaning from the next character."""
    return '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'


def is_active(unit: str) -> bool:
    """Whether a unit runs."""
    try:
        run_command(["systemctl", "is-active", "--quiet", unit], 30.0)
    except AgentError:
        return False
    return True


def stop(name: str) -> None:
    """End an instance when its last request has ended.

    Raises:
        AgentError: it does not end in time.
    """
    run_command(["systemctl", "stop", f"{UNIT}{name}.service"], STOP_SECONDS)


def remove(name: str) -> None:
    """Stop an instance and remove all of it but its release. Harmless when it is not there.

    Raises:
        AgentError: customers get it, or it does not end.
    """
    if name == current():
        raise AgentError(f"{name} is what customers get from this node")
    stop(name)
    shutil.rmtree(UNITS / f"{UNIT}{name}.service.d", ignore_errors=True)
    shutil.rmtree(INSTANCES.default / name, ignore_errors=True)
    shutil.rmtree(INSTANCES.default / f".{name}", ignore_errors=True)


def make_mounts(instance: Instance, account: tuple[int, int], *, shared: bool) -> list[str]:
    """Have the folders of its mounts, owned by its account; those that were made now.

    Args:
        account: numbers of user and group.
        shared: those on the shared volume, else those of this node.
    """
    made = []
    for mount in _outermost_first(item for item in instance.mounts if item.shared == shared):
        path = Path(mount.source)
        if not path.is_dir():
            path.mkdir(mode=0o775, parents=True)
            os.chown(path, *account)
            made.append(str(path))
    return made


def _outermost_first(mounts: Iterable[Mount]) -> list[Mount]:
    return sorted(mounts, key=lambda mount: mount.source)
