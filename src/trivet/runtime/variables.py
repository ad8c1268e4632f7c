# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables that the platform promises to hooks, crons, workers, PHP-FPM and shells.

Names and shapes [Adobe's guide, environment/variables-cloud.md; ece-tools, src/Config/Environment*.php]. Each is given
under both names, ``MAGENTO_CLOUD_X`` and ``PLATFORM_X``.
"""

from __future__ import annotations

import base64
import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any

from trivet.errors import InputError
from trivet.project.application import Application
from trivet.project.check import Project
from trivet.project.routes import Route
from trivet.runtime.access import ServiceAccess
from trivet.runtime.places import HOME, mount_of
from trivet.runtime.routes import concrete

PREFIXES = ("MAGENTO_CLOUD_", "PLATFORM_")
LARGEST_BYTES = 128 * 1024
"""Of one variable with its name: what the kernel takes (``MAX_ARG_STRLEN``)."""
ENVIRONMENT, INI = "env:", "php:"
"""How the names of variables begin that become real ones, and settings of PHP."""


def variables(
    project: Project,
    application: Application,
    *,
    environment: str,
    project_id: str,
    tree: str,
    services: Mapping[str, ServiceAccess],
    domains: Sequence[str],
    custom: Mapping[str, str],
) -> dict[str, str]:
    """Everything that an application's processes get.

    Of two with the same name, the environment's (``env:X``) wins over the application's (``variables.env``), and the
    platform's own over both.

    Args:
        project: the whole of it, for its routes.
        application: whose processes are meant.
        environment: its name, which is the branch's.
        project_id: of the project.
        tree: id of the Git tree that was built.
        services: by the name of the relationship, from :func:`trivet.runtime.access.accesses`.
        domains: host names, the main one first.
        custom: variables of the environment, by their names with prefixes.

    Raises:
        InputError: a name or a value cannot be a variable, or is larger than 128 KiB.
    """
    own = {
        "APP_DIR": HOME,
        "APPLICATION": _encoded(_application(application)),
        "APPLICATION_NAME": application.name,
        "BRANCH": environment,
        "DOCUMENT_ROOT": document_root(application),
        "ENVIRONMENT": environment,
        "LOCKS_DIR": locks(application),
        "PROJECT": project_id,
        "RELATIONSHIPS": _encoded(
            {name: [access.to_dict(f"{project_id}-{environment}")] for name, access in services.items()}
        ),
        "ROUTES": _encoded(_routes(concrete(project, domains, environment))),
        "TREE_ID": tree,
        "VARIABLES": _encoded(
            {name: value for name, value in custom.items() if not name.startswith((ENVIRONMENT, INI))}
        ),
    }
    found = {
        **application.environment,
        **_named(custom, ENVIRONMENT),
        **{f"{prefix}{name}": value for prefix in PREFIXES for name, value in own.items()},
    }
    for name, value in found.items():
        _check(name, value)
    return found


def settings(custom: Mapping[str, str]) -> dict[str, str]:
    """Those of the environment that are settings of PHP (``php:x``), by their own names."""
    return _named(custom, INI)


def document_root(application: Application) -> str:
    """The root of the location ``/``, as the application sees it."""
    root = str(application.locations.get("/", {}).get("root") or "").strip("/")
    return posixpath.normpath(posixpath.join(HOME, root))


def locks(application: Application) -> str:
    """The folder of Magento's file locks: on the shared mount ``var``, so that a lock holds on every node."""
    mount = mount_of(application, "var/locks")
    return f"{HOME}/var/locks" if mount is not None and mount.source in ("shared", "service") else "/tmp/locks"


def _named(custom: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {name.removeprefix(prefix): value for name, value in custom.items() if name.startswith(prefix)}


def _check(name: str, value: str) -> None:
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        raise InputError(f"`{name}` is no name of a variable: it takes letters, digits and _")
    if "\0" in value:
        raise InputError(f"variable {name} has a byte of zero, which no variable can hold")
    size = len(name.encode()) + len(value.encode()) + 2
    if size > LARGEST_BYTES:
        raise InputError(f"variable {name} has {size} bytes; the kernel takes {LARGEST_BYTES}")


def _encoded(data: Any) -> str:
    return base64.b64encode(json.dumps(data, separators=(",", ":")).encode()).decode("ascii")


def _application(application: Application) -> dict[str, Any]:
    """The application as its file says it, defaults filled in."""
    return {
        "name": application.name,
        "type": f"{application.runtime}:{application.version}",
        "build": {"flavor": application.flavor},
        "dependencies": application.dependencies,
        "runtime": {
            "extensions": list(application.extensions),
            "disabled_extensions": list(application.disabled_extensions),
        },
        "relationships": {item.name: f"{item.service}:{item.endpoint}" for item in application.relationships},
        "disk": application.disk_mb,
        "mounts": {
            mount.path: {"path": mount.source_path, "orig": f"{mount.source}:files/{mount.source_path}"}
            for mount in application.mounts
        },
        "hooks": {name: application.hooks.get(name) for name in ("build", "deploy", "post_deploy")},
        "crons": {
            item.name: {
                "spec": item.spec,
                "cmd": item.command,
                "shutdown_timeout": item.shutdown_timeout_seconds,
                "timeout": item.timeout_seconds,
            }
            for item in application.crons
        },
        "workers": {name: {"commands": {"start": start}} for name, start in application.workers.items()},
        "variables": {"env": application.environment, "php": application.ini},
        "web": {"locations": application.locations},
    }


def _routes(routes: Sequence[Route]) -> dict[str, Any]:
    """As the platform gives them: one is primary, and redirects of paths are left out."""
    primary = _primary(routes)
    return {
        route.url: {
            "type": route.type,
            "original_url": route.original_url,
            "primary": route is primary,
            "id": route.id,
            "attributes": route.attributes,
            **({"upstream": route.upstream} if route.type == "upstream" else {"to": route.to}),
        }
        for route in routes
    }


def _primary(routes: Sequence[Route]) -> Route | None:
    """The one that says so; else the first upstream of the main domain, by https where there is one."""
    upstream = [route for route in routes if route.type == "upstream"]
    named = [route for route in upstream if route.primary]
    return min(
        named or upstream,
        key=lambda route: (
            not re.fullmatch(r"https?://\{(default|all)\}/", route.original_url),
            not route.url.startswith("https://"),
        ),
        default=None,
    )
