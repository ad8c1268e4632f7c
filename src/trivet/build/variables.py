# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment of a build: ``MAGENTO_CLOUD_*``, its ``PLATFORM_*`` twins, and the variables that a build may see.

The contract is Adobe's (environment/variables-cloud.md): what says JSON is base64 of it. A build has no relationships,
no routes and no environment, since its release may go to any.
"""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Mapping
from typing import Any

from trivet.build.recipe import HOME, USER
from trivet.build.settings import BuildSettings
from trivet.project.application import Application

ENV, PHP = "env:", "php:"
PREFIXES = ("MAGENTO_CLOUD_", "PLATFORM_")
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
CACHE = "/cache"
"""Where a builder sees the cache that survives builds."""
PATH = (
    f"{HOME}/.npm-global/bin:{HOME}/.composer/vendor/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)


def environment_of(application: Application, settings: BuildSettings, tree_id: str) -> dict[str, str]:
    """The environment of everything that runs in a build, secrets included."""
    given = {**settings.variables, **settings.secrets}
    cloud = {
        "APP_DIR": "/app",
        "APPLICATION": encoded(described(application)),
        "APPLICATION_NAME": application.name,
        "CACHE_DIR": CACHE,
        "PROJECT": settings.project,
        "TREE_ID": tree_id,
        "VARIABLES": encoded({name: value for name, value in given.items() if not name.startswith((ENV, PHP))}),
    }
    return {
        "HOME": HOME,
        "USER": USER,
        "LOGNAME": USER,
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
        "PATH": PATH,
        # Node.js and OpenSSL look elsewhere for the authorities of the machine.
        "NODE_EXTRA_CA_CERTS": AUTHORITIES,
        "SSL_CERT_FILE": AUTHORITIES,
        "COMPOSER_HOME": f"{HOME}/.composer",
        "COMPOSER_CACHE_DIR": f"{CACHE}/composer",
        "npm_config_cache": f"{CACHE}/npm",
        "npm_config_prefix": f"{HOME}/.npm-global",
        **{prefix + name: value for prefix in PREFIXES for name, value in cloud.items()},
        **application.environment,
        **{name.removeprefix(ENV): value for name, value in given.items() if not name.startswith(PHP)},
    }


def described(application: Application) -> dict[str, Any]:
    """The application as ``MAGENTO_CLOUD_APPLICATION`` tells it: with hooks, and mounts by their path."""
    return {
        "name": application.name,
        "type": f"{application.runtime}:{application.version}",
        "build": {"flavor": application.flavor},
        "dependencies": application.dependencies,
        "runtime": {"extensions": list(application.extensions)},
        "relationships": {item.name: f"{item.service}:{item.endpoint}" for item in application.relationships},
        "mounts": {
            mount.path: {"path": mount.path, "orig": f"{mount.source}:files/{mount.source_path}"}
            for mount in application.mounts
        },
        "hooks": application.hooks,
        "crons": {cron.name: {"spec": cron.spec, "cmd": cron.command} for cron in application.crons},
        "web": {"locations": application.locations},
        "variables": {"env": application.environment, "php": application.ini},
        "disk": application.disk_mb,
    }


def ini_of(application: Application, settings: BuildSettings) -> str:
    """The settings of PHP that the application and the build bring, as a file of PHP's."""
    given = {**settings.variables, **settings.secrets}
    settings_of_php = {
        **application.ini,
        **{name.removeprefix(PHP): value for name, value in given.items() if name.startswith(PHP)},
    }
    return "".join(f"{name} = {_quoted(value)}\n" for name, value in settings_of_php.items())


def exports(environment: Mapping[str, str]) -> str:
    """A script for ``sh`` that sets an environment."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items() if _is_name(name))


def encoded(value: Any) -> str:
    """Base64 of the JSON of a value."""
    return base64.b64encode(json.dumps(value).encode()).decode()


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _is_name(name: str) -> bool:
    return name.isascii() and name.isidentifier()
