# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of the application's releases."""

from __future__ import annotations

from pathlib import Path

from trivet.services.contract import Contract, Place

RELEASES = Place(name="releases_directory", default=Path("/srv/releases"), what="the code of each release, root's")
INSTANCES = Place(
    name="instances_directory",
    default=Path("/etc/trivet/application"),
    what="a folder for each instance; `current` is a link to the one that customers get",
)
LOCAL = Place(
    name="local_mounts_directory",
    default=Path("/srv/local"),
    what="mounts of the application that each node has for itself",
)
SOCKETS = Place(name="instances_sockets", default=Path("/run/trivet-app"), what="sockets between nginx and an instance")
STORE = ".trivet"
"""Folder of the shared volume with the archives of releases and the instance of the environment; only root reads it."""
UNIT = "trivet-app@"
"""The template that an instance is a unit of."""
HOME = "/app"
"""Where an instance sees its code (Platform.sh: ``PLATFORM_APP_DIR``)."""
BUILT = "init"
"""Folder of a release in which ece-tools keeps what the build made below a mount. ``pub/static`` is made of absolute
links into it (``Filesystem/DirectoryCopier/SubSymlinkStrategy``)."""
HOOKS = ("deploy", "post_deploy")

CONTRACT = Contract(service="application", places=(RELEASES, INSTANCES, LOCAL, SOCKETS), secrets=("application_key",))
