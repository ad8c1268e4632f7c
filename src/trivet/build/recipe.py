# SPDX-License-Identifier: GPL-3.0-or-later
"""What a builder has in it: the packages of the runtime, of its extensions and of the build's tools."""

from __future__ import annotations

import re
from dataclasses import dataclass

from trivet.build.settings import BuildSettings
from trivet.errors import BuildError
from trivet.grid.image import RELEASE, Recipe
from trivet.project.application import Application
from trivet.services.web.contract import PHP_VERSION

DEBIAN_PHP = PHP_VERSION.default
DEBIAN_NODEJS = "18"
USER = "app"
USER_ID = 1000
HOME = f"/home/{USER}"
TOOLS = (
    *("bzip2", "ca-certificates", "curl", "git", "iproute2", "netbase", "openssh-client", "patch", "procps", "rsync"),
    *("tini", "unzip", "xz-utils"),
)
MAGENTO_EXTENSIONS = (*("bcmath", "curl", "gd", "intl", "mbstring", "mysql", "opcache", "redis", "soap", "xml", "zip"),)
"""Packages with the extensions that Magento asks for; php-cli itself brings sodium and what every PHP has."""
COMPILED_IN = frozenset(
    {
        *("calendar", "core", "ctype", "date", "exif", "ffi", "fileinfo", "filter", "ftp", "gettext", "hash"),
        *("iconv", "json", "libxml", "openssl", "pcntl", "pcre", "phar", "posix", "random", "readline", "reflection"),
        *("session", "shmop", "simplexml", "sockets", "sodium", "spl", "standard", "sysvmsg", "sysvsem", "sysvshm"),
        *("tokenizer", "zlib"),
    }
)
IN_PACKAGES = {
    **dict.fromkeys(("dom", "xmlreader", "xmlwriter", "xsl"), "xml"),
    **dict.fromkeys(("mysqli", "mysqlnd", "pdo_mysql"), "mysql"),
    **dict.fromkeys(("pdo_pgsql",), "pgsql"),
    **dict.fromkeys(("pdo_sqlite", "sqlite"), "sqlite3"),
    "pdo": "common",
}
PACKAGED = frozenset(
    {
        *("amqp", "apcu", "ast", "bcmath", "bz2", "curl", "dba", "ds", "enchant", "gd", "gearman", "gmagick", "gmp"),
        *("gnupg", "igbinary", "imagick", "imap", "intl", "ldap", "mailparse", "maxminddb", "mbstring", "mcrypt"),
        *("memcache", "memcached", "mongodb", "msgpack", "mysql", "oauth", "odbc", "opcache", "pcov", "pgsql"),
        *("pspell", "raphf", "redis", "snmp", "soap", "sqlite3", "ssh2", "tideways", "tidy", "uploadprogress"),
        *("uuid", "xdebug", "xml", "xmlrpc", "yaml", "zip"),
    }
)
UNSERVED = {
    "blackfire": "a service of its vendor",
    "ioncube": "a closed loader of its vendor",
    "newrelic": "a service of its vendor",
    "sourceguardian": "a closed loader of its vendor",
}
USES_COMPOSER = re.compile(r"^[^#\n]*\bcomposer\b.*\b(install|update|require|create-project)\b", re.MULTILINE)
USES_NODE = re.compile(r"^[^#\n]*\b(npm|npx|node|yarn|corepack)\b", re.MULTILINE)


@dataclass(frozen=True)
class Needs:
    """What a builder is made of.

    Attributes:
        image: Its recipe.
        php: Version of PHP, empty when there is none.
        warnings: What the application asks for and does not get, in words.
    """

    image: Recipe
    php: str
    warnings: tuple[str, ...]


def uses_composer(application: Application) -> bool:
    """Whether the build installs packages by composer: by its flavor or in its hook."""
    by_flavor = application.runtime == "php" and application.flavor in ("composer", "default")
    return by_flavor or USES_COMPOSER.search(application.hooks.get("build", "")) is not None


def needs_of(application: Application, settings: BuildSettings) -> Needs:
    """What the builder of an application is made of.

    Raises:
        BuildError: The application asks for a runtime or an extension that is not to be had.
    """
    packages: list[str] = [*TOOLS]
    warnings: list[str] = []
    php = ""
    if application.runtime == "php":
        php = application.version
        _refuse_other_php(application, settings)
        packages += ["composer", f"php{php}-cli", *(f"php{php}-{name}" for name in MAGENTO_EXTENSIONS)]
        packages += [f"php{php}-{name}" for name in _more_extensions(application, warnings)]
    if _needs_node(application):
        packages += ["nodejs", "npm"]
    sources = (settings.php_source.line,) if php and settings.php_source is not None else ()
    commands = (
        f"chroot $1 useradd --uid {USER_ID} --create-home --shell /bin/bash {USER}",
        f"chroot $1 install -d -o {USER} -g {USER} /app",
        ": > $1/etc/machine-id",
    )
    name = "-".join(["builder", RELEASE, *([f"php{php}"] if php else []), *(["nodejs"] if "npm" in packages else [])])
    return Needs(Recipe(name, tuple(sorted(set(packages))), commands, sources), php, tuple(warnings))


def _refuse_other_php(application: Application, settings: BuildSettings) -> None:
    source = settings.php_source
    if source is not None and not source.key.is_file():
        raise BuildError(
            f"php_source: there is no key {source.key}, with which the packages of {source.address} are signed"
        )
    if application.version == DEBIAN_PHP or source is not None:
        return
    raise BuildError(
        f"{application.file}: type: found `php:{application.version}`, but Debian {RELEASE} has PHP {DEBIAN_PHP} alone;"
        " name a source of packages that has it in the build's setting `php_source`,"
        f" or write `type: php:{DEBIAN_PHP}`"
    )


def _needs_node(application: Application) -> bool:
    if application.runtime == "nodejs":
        if application.version.split(".")[0] != DEBIAN_NODEJS:
            raise BuildError(
                f"{application.file}: type: found `nodejs:{application.version}`, but Debian {RELEASE} has Node.js"
                f" {DEBIAN_NODEJS} alone; write `type: nodejs:{DEBIAN_NODEJS}`"
            )
        return True
    by_dependencies = bool(application.dependencies.get("nodejs"))
    return by_dependencies or USES_NODE.search(application.hooks.get("build", "")) is not None


def _more_extensions(application: Application, warnings: list[str]) -> list[str]:
    """Packages with the extensions that the application names and the builder would not have."""
    packages = []
    for name in application.extensions:
        plain = name.lower().replace("-", "_")
        package = IN_PACKAGES.get(plain, plain)
        if plain in COMPILED_IN or package == "common" or package in MAGENTO_EXTENSIONS:
            continue
        if plain in UNSERVED:
            warnings.append(
                f"{application.file}: runtime.extensions: `{name}` is not to be had here ({UNSERVED[plain]});"
                " the application is built and runs without it"
            )
        elif package in PACKAGED:
            packages.append(package)
        else:
            raise BuildError(
                f"{application.file}: runtime.extensions: found `{name}`, for which Debian {RELEASE} has no package;"
                " take it out, or give the build a source of packages that has it (`php_source`)"
            )
    return packages
