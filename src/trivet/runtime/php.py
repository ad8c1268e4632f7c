# SPDX-License-Identifier: GPL-3.0-or-later
"""PHP-FPM's configuration of one release, and the PHP settings of its application."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from trivet.errors import InputError
from trivet.project.application import Application
from trivet.runtime.places import HOME, Places

LOGS = "/var/log/trivet-app"
"""Folder of the slow logs, one for each application; the unit makes it."""
BLACKLIST = re.compile(
    r"^(?P<head>[ \t]*opcache\.blacklist_filename[ \t]*=[ \t]*)(?P<quote>[\"']?)(?=[^/\s\"'$])", re.M
)
_PLAIN = re.compile(r"-?\d+[KMGkmg]?|[A-Za-z]\w*")


def pool(application: Application, places: Places, *, user: str, master_file: str, pool_file: str) -> str:
    """The whole configuration of a PHP-FPM master with one pool, for one release of an application.

    It runs in the foreground below systemd and logs to syslog.

    Args:
        application: gives the pool its name.
        places: where the socket is; the file with the process id lies beside it.
        user: that the pool runs as; the group has the same name.
        master_file: a file of the node with what holds for every master, ``process_control_timeout``.
        pool_file: a file of the node with its sizes, ``pm`` and ``request_slowlog_timeout``.
    """
    lines = [
        "[global]",
        f"pid = {posixpath.splitext(places.socket)[0]}.pid",
        "error_log = syslog",
        f"syslog.ident = trivet-app-{application.name}",
        "log_limit = 8192",
        "daemonize = no",
        f"include = {master_file}",
        "emergency_restart_threshold = 10",
        "emergency_restart_interval = 1m",
        "",
        f"[{application.name}]",
        f"user = {user}",
        f"group = {user}",
        f"listen = {places.socket}",
        f"listen.owner = {user}",
        "listen.group = www-data",
        "listen.mode = 0660",
        "listen.backlog = 1024",
        f"chdir = {places.home}",
        "pm.status_path = /fpm-status",
        "ping.path = /fpm-ping",
        f"slowlog = {LOGS}/{application.name}-slow.log",
        "catch_workers_output = yes",
        "decorate_workers_output = no",
        "; The unit gives the variables of the platform.",
        "clear_env = no",
        f"include = {pool_file}",
    ]
    return "\n".join([*lines, ""])


def ini(application: Application, php_ini: str | None, extra: Mapping[str, str]) -> str:
    """The PHP settings of an application, for PHP-FPM and the command line alike.

    Args:
        application: its ``variables.php`` follow the file.
        php_ini: the project's own ``php.ini``, None when there is none. It is kept as it is, odd lines too, but for
            ``${MAGENTO_CLOUD_APP_DIR}`` and a relative ``opcache.blacklist_filename``, which nothing else resolves.
        extra: settings of the environment (variables ``php:…``); the last word.

    Raises:
        InputError: a name or a value cannot stand in such a file.
    """
    text = (php_ini or "").removeprefix("\ufeff")
    for name in ("MAGENTO_CLOUD_APP_DIR", "PLATFORM_APP_DIR"):
        text = text.replace(f"${{{name}}}", HOME)
    text = BLACKLIST.sub(rf"\g<head>\g<quote>{HOME}/", text)
    settings = {**application.ini, **extra}
    if not settings:
        return text
    # A section of the file would take what follows it.
    lines = ["[PHP]", *(f"{name} = {_value(name, value)}" for name, value in settings.items()), ""]
    return "\n".join([*([text.rstrip("\r\n")] if text else []), *lines])


def _value(name: str, value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][\w.-]*", name):
        raise InputError(f"`{name}` is no name of a PHP setting")
    if re.search(r"[\x00-\x1f\x7f]", value) or "${" in value:
        raise InputError(f"the PHP setting {name} has a control character or `${{`, which a php.ini cannot hold")
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
