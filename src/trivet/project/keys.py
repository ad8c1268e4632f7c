# SPDX-License-Identifier: GPL-3.0-or-later
"""Every key of the files: what it is for and what becomes of it. Check and reference are made of it.

A key that stands in no group is nobody's: the check warns and names a near one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Use(StrEnum):
    """What becomes of a key."""

    SERVED = "served"
    READ = "read and checked; nothing acts on it"
    IGNORED = "ignored, with a warning"


@dataclass(frozen=True)
class Key:
    """One key.

    Attributes:
        name: as it is written.
        what: for a reader, without a full stop.
        use: what becomes of it.
        refused: what is an error; empty when only a wrong type is.
    """

    name: str
    what: str
    use: Use = Use.SERVED
    refused: str = ""


@dataclass(frozen=True)
class Group:
    """The keys of one mapping.

    Attributes:
        path: keys that lead to it, joined by dots; ``*`` stands for a name of the project's own; empty at the top.
    """

    path: str
    keys: tuple[Key, ...]


def names(keys: Iterable[Key]) -> tuple[str, ...]:
    """The names of keys."""
    return tuple(key.name for key in keys)


APPLICATION = (
    Key("name", "the application's name, which routes refer to", refused="a missing one, one that another has"),
    Key("type", "`<runtime>:<version>`", refused="a missing one, a runtime that is not served"),
    Key("build", "how it is built"),
    Key("dependencies", "global packages of the build, by language"),
    Key("runtime", "extensions of PHP"),
    Key("relationships", "names of the endpoints that it uses", refused="one that leads nowhere"),
    Key("disk", "megabytes of its mounts", Use.READ, "less than 128"),
    Key("mounts", "folders that stay writable", refused="one that leads out, one inside of another kind"),
    Key("hooks", "commands of build and deploy"),
    Key("crons", "commands that run at times"),
    Key("workers", "commands that run all the time"),
    Key("variables", "environment variables and settings of PHP"),
    Key("web", "what is sent and what runs"),
    Key("access", "who may log in", Use.READ),
    Key("size", "how large its container is", Use.READ),
    Key("timezone", "of its crons", Use.READ),
    Key("source", "the folder that it is built from"),
    Key("additional_hosts", "names for addresses", Use.IGNORED),
    Key("firewall", "where it may connect to", Use.IGNORED),
    Key("operations", "commands that are run by name", Use.IGNORED),
    Key("preflight", "checks for known vulnerabilities", Use.IGNORED),
    Key("resources", "how many containers it has", Use.IGNORED),
)
BUILD = (Key("flavor", "`none`, or `composer`, which installs before the hook", refused="another"),)
RUNTIME = (
    Key("extensions", "of PHP, that are added"),
    Key("disabled_extensions", "of PHP, that are taken away"),
    Key("sizing_hints", "memory of a request; the node's size decides", Use.READ),
)
RELATIONSHIP = (
    Key("service", "id of a service, or another application"),
    Key("endpoint", "its default one without it"),
)
MOUNT = (
    Key("source", "`shared` for all nodes; `local`, `instance`, `storage`, `tmp`, `service`", refused="another"),
    Key("source_path", "folder within the source", refused="one that leads out"),
    Key("service", "id of a network storage; the shared volume takes its place"),
)
HOOKS = (
    Key("build", "after the dependencies, without services; the code is writable"),
    Key("deploy", "on one node, before traffic; the code is read-only"),
    Key("post_deploy", "on one node, with traffic"),
)
CRON = (
    Key("spec", "five fields; `0/5`, names and `H` too", refused="a missing one, one that never runs"),
    Key("cmd", "what runs", refused="neither this nor `commands.start`"),
    Key("commands", "the newer spelling: `commands.start`"),
    Key("shutdown_timeout", "seconds from SIGTERM to SIGKILL"),
    Key("timeout", "longest time in seconds", refused="more than 86400"),
)
WORKER = (
    Key("commands", "`commands.start` is what runs", refused="a missing one"),
    *(
        Key(name, "as the application's", Use.IGNORED)
        for name in (
            "size",
            "disk",
            "mounts",
            "relationships",
            "variables",
            "access",
            "timezone",
            "runtime",
            "resources",
        )
    ),
)
VARIABLES = (Key("env", "environment variables"), Key("php", "settings of PHP"))
WEB = (
    Key("locations", "what answers for which paths", refused="one that begins without a slash"),
    Key("commands", "the program of an application that is no PHP", Use.READ),
    Key("upstream", "how that program is reached", Use.READ),
    Key("document_root", "older spelling of a location's root", Use.IGNORED),
    Key("passthru", "older spelling of a location's passthru", Use.IGNORED),
)
ANSWERS = (
    Key("passthru", "what answers for a missing or refused file", refused="a group that its rule does not have"),
    Key("index", "files that answer for a folder"),
    Key("expires", "how long a static answer may be kept; -1 for no header", refused="what is no duration"),
    Key("scripts", "whether PHP files run"),
    Key("allow", "whether files are sent"),
    Key("headers", "of static answers", refused="a `$`"),
    Key("request_buffering", "`enabled` and `max_request_size`"),
)
LOCATION = (
    Key("root", "folder of the files; takes the place of the location's prefix", refused="one that leads out"),
    *ANSWERS,
    Key("rules", "the same keys by a regular expression (PCRE) over the whole path; the first that matches counts"),
)
SOURCE = (
    Key("root", "the folder that the application is built from"),
    Key("operations", "commands that change the source", Use.IGNORED),
)

SERVICE = (
    Key("type", "`<family>:<version>`", refused="an unknown family"),
    Key("disk", "megabytes", Use.READ, "less than 128"),
    Key("configuration", "schemas, endpoints, properties; plugins", refused="a schema or a right that is not there"),
    Key("relationships", "of a service to another", Use.READ),
    Key("size", "how large its container is", Use.IGNORED),
    Key("resources", "how large its container is", Use.IGNORED),
)

ROUTE = (
    Key("type", "`upstream` or `redirect`", refused="another; only redirects"),
    Key("upstream", "`<application>:http`", refused="an application that is not there"),
    Key("to", "where a redirect leads", refused="a missing one; a loop"),
    Key("redirects", "of single paths"),
    Key("primary", "the route that base URLs are taken from", refused="a second one"),
    Key("id", "a name for the routes variable"),
    Key("attributes", "values for the routes variable"),
    Key("cache", "how answers are kept before the application", Use.READ),
    Key("ssi", "whether pages include others", Use.READ),
    Key("tls", "of the certificate", Use.READ),
    Key("sticky", "whether a client keeps its node", Use.READ),
)
REDIRECTS = (Key("expires", "of all of them", refused="what is no duration"), Key("paths", "the redirects by path"))
REDIRECT = (
    Key("to", "a path or URL", refused="a missing one"),
    Key("regexp", "the path is a regular expression (PCRE)"),
    Key("prefix", "deeper paths are redirected, too"),
    Key("append_suffix", "what follows the prefix is kept"),
    Key("code", "302 without it", refused="another than 301, 302, 307, 308"),
    Key("expires", "how long the answer may be kept", refused="what is no duration"),
)

STAGES_FILE = (
    Key("stage", "variables by stage; ece-tools reads them", refused="an unknown variable, stage, type or value"),
    Key("log", "where ece-tools logs to"),
    Key("system", "other names for ece-tools' inputs"),
)
LOGS = tuple(Key(name, "as ece-tools has it") for name in ("slack", "email", "syslog", "syslog_udp", "gelf"))
SYSTEM_VARIABLES = tuple(
    Key(name, "the variable that ece-tools reads instead")
    for name in ("ENV_RELATIONSHIPS", "ENV_ROUTES", "ENV_VARIABLES", "ENV_APPLICATION", "ENV_ENVIRONMENT")
)

OWN = (Key("applications", "by name", refused="one that is not there"),)
OWN_APPLICATION = (
    Key("health_page", "path that a node must answer with 200; `/health_check.php`", refused="one without a slash"),
    Key("warm_up", 'pages that are asked before traffic; `["/"]`', refused="one without a slash"),
    Key("hold", "whether requests wait: `auto` (default), `always`, `never`, or a command (exit 0: no, 2: yes)"),
)

FILES: dict[str, tuple[Group, ...]] = {
    ".magento.app.yaml": (
        Group("", APPLICATION),
        Group("build", BUILD),
        Group("runtime", RUNTIME),
        Group("relationships.*", RELATIONSHIP),
        Group("mounts.*", MOUNT),
        Group("hooks", HOOKS),
        Group("crons.*", CRON),
        Group("workers.*", WORKER),
        Group("variables", VARIABLES),
        Group("web", WEB),
        Group("web.locations.*", LOCATION),
        Group("source", SOURCE),
    ),
    "services.yaml": (Group("*", SERVICE),),
    "routes.yaml": (Group("*", ROUTE), Group("*.redirects", REDIRECTS), Group("*.redirects.paths.*", REDIRECT)),
    ".magento.env.yaml": (
        Group("", STAGES_FILE),
        Group("log", LOGS),
        Group("system.variables", SYSTEM_VARIABLES),
    ),
    ".trivet.yaml": (Group("", OWN), Group("applications.*", OWN_APPLICATION)),
}
"""The keys of each file, in the order of the reference."""
