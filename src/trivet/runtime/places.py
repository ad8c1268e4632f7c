# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the parts of a release lie on a node, and what its mounts are made of."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from trivet.errors import InputError
from trivet.project.application import Application, Mount

HOME = "/app"
"""The code as the application sees it: shops write this path into php.ini, op-exclude.txt and scripts."""


@dataclass(frozen=True)
class Places:
    """Where things are on a node; every path is absolute.

    Attributes:
        release: the code, read-only, as the host (and so nginx) sees it.
        shared: folder of the application's shared mounts, the same on all nodes.
        local: folder of its ``local``, ``instance`` and ``storage`` mounts, of this node alone.
        temporary: folder of its ``tmp`` mounts.
        socket: between nginx and PHP-FPM.
        home: the code as PHP-FPM, hooks, crons and workers see it, in their own mount namespace.
    """

    release: str
    shared: str
    local: str
    temporary: str
    socket: str
    home: str = HOME

    def source(self, mount: Mount) -> str:
        """The folder of the host that a mount shows.

        Raises:
            InputError: the mount leads out of its folder.
        """
        folders = {"shared": self.shared, "service": self.shared, "tmp": self.temporary}
        return _below(folders.get(mount.source, self.local), mount.source_path)

    def on_host(self, application: Application, path: str) -> str:
        """A path of the application, relative to its root, as the host sees it: below a mount it is the mount's folder.

        Raises:
            InputError: the path leads out of the application.
        """
        path = posixpath.normpath(path or ".")
        mount = mount_of(application, path)
        if mount is None:
            return _below(self.release, path)
        return _below(self.source(mount), posixpath.relpath(path, mount.path))


@dataclass(frozen=True)
class BindMount:
    """A folder that is shown at another place.

    Attributes:
        source: on the host.
        target: in the mount namespace, below the code.
    """

    source: str
    target: str


def mounts(application: Application, places: Places) -> tuple[BindMount, ...]:
    """What the mounts of an application are made of; parents come before what lies in them.

    Raises:
        InputError: a mount leads out of the application or of its source.
    """
    return tuple(
        BindMount(places.source(mount), _below(places.home, mount.path))
        for mount in sorted(application.mounts, key=lambda mount: mount.path.split("/"))
    )


def mount_of(application: Application, path: str) -> Mount | None:
    """The innermost mount that a path of the application lies in; None when it is part of the release."""
    around = [mount for mount in application.mounts if path == mount.path or path.startswith(f"{mount.path}/")]
    return max(around, key=lambda mount: len(mount.path), default=None)


def _below(folder: str, path: str) -> str:
    whole = posixpath.normpath(posixpath.join(folder, path))
    if whole != folder and not whole.startswith(f"{folder.rstrip('/')}/"):
        raise InputError(f"{path} leads out of {folder}", "trivet project check names the key")
    return whole
