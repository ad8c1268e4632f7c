# SPDX-License-Identifier: GPL-3.0-or-later
"""``.magento.env.yaml``: what ece-tools reads; handed to it unchanged, and checked here in its own words.

Names, types, stages and values are those of ece-tools 2002.2 (``config/schema.yaml``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trivet.project import keys
from trivet.project.findings import Report, near
from trivet.project.reader import Leaf, Listing, Table, plain
from trivet.project.section import Section

STAGES = ("global", "build", "deploy", "post-deploy")


@dataclass(frozen=True)
class Variable:
    """A variable: its type as PHP calls it, the stages it may stand in, and the values it may have."""

    type: str
    stages: tuple[str, ...]
    allowed: tuple[str, ...] = ()
    between: tuple[int, int] | None = None


_ALL = STAGES
_GLOBAL = ("global",)
_BUILD = ("build",)
_DEPLOY = ("deploy",)
_POST = ("post-deploy",)
_STATIC = ("global", "build", "deploy")
_GLOBAL_DEPLOY = ("global", "deploy")
_BACKENDS = (
    "Cm_Cache_Backend_Redis",
    "\\Magento\\Framework\\Cache\\Backend\\Redis",
    "\\Magento\\Framework\\Cache\\Backend\\RemoteSynchronizedCache",
)
_LEVELS = ("", "debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")

VARIABLES: Mapping[str, Variable] = {
    "CACHE_CONFIGURATION": Variable("array", _DEPLOY),
    "CLEAN_STATIC_FILES": Variable("boolean", _GLOBAL_DEPLOY),
    "CONSUMERS_WAIT_FOR_MAX_MESSAGES": Variable("boolean", _DEPLOY),
    "CRON_CONSUMERS_RUNNER": Variable("array", _DEPLOY),
    "DATABASE_CONFIGURATION": Variable("array", _DEPLOY),
    "DEPLOYED_MAGENTO_VERSION_FROM_GIT": Variable("string", _GLOBAL),
    "DEPLOY_FROM_GIT_OPTIONS": Variable("array", _GLOBAL),
    "ELASTICSUITE_CONFIGURATION": Variable("array", _DEPLOY),
    "ENABLE_EVENTING": Variable("boolean", _GLOBAL),
    "ENABLE_GOOGLE_ANALYTICS": Variable("boolean", _GLOBAL_DEPLOY),
    "ENABLE_WEBHOOKS": Variable("boolean", _GLOBAL),
    "ERROR_REPORT_DIR_NESTING_LEVEL": Variable("integer", _BUILD, between=(0, 32)),
    "FORCE_UPDATE_URLS": Variable("boolean", _GLOBAL_DEPLOY),
    "GENERATED_CODE_SYMLINK": Variable("boolean", _DEPLOY),
    "LOCK_PROVIDER": Variable("string", _GLOBAL_DEPLOY, ("db", "file")),
    "MIN_LOGGING_LEVEL": Variable("string", _GLOBAL, _LEVELS),
    "MYSQL_USE_SLAVE_CONNECTION": Variable("boolean", _GLOBAL_DEPLOY),
    "QUALITY_PATCHES": Variable("array", _BUILD),
    "QUEUE_CONFIGURATION": Variable("array", _DEPLOY),
    "REDIS_BACKEND": Variable("string", _DEPLOY, _BACKENDS),
    "REDIS_USE_SLAVE_CONNECTION": Variable("boolean", _GLOBAL_DEPLOY),
    "REMOTE_STORAGE": Variable("array", _DEPLOY),
    "RESOURCE_CONFIGURATION": Variable("array", _DEPLOY),
    "SCD_COMPRESSION_LEVEL": Variable("integer", _STATIC, between=(0, 9)),
    "SCD_COMPRESSION_TIMEOUT": Variable("integer", _STATIC),
    "SCD_MATRIX": Variable("array", _STATIC),
    "SCD_MAX_EXECUTION_TIME": Variable("integer", _STATIC),
    "SCD_NO_PARENT": Variable("boolean", _STATIC),
    "SCD_ON_DEMAND": Variable("boolean", _GLOBAL),
    "SCD_STRATEGY": Variable("string", _STATIC, ("compact", "quick", "standard")),
    "SCD_THREADS": Variable("integer", _STATIC),
    "SCD_USE_BALER": Variable("boolean", ("global", "build")),
    "SEARCH_CONFIGURATION": Variable("array", _DEPLOY),
    "SESSION_CONFIGURATION": Variable("array", _DEPLOY),
    "SKIP_COMPOSER_DUMP_AUTOLOAD": Variable("boolean", _BUILD),
    "SKIP_HTML_MINIFICATION": Variable("boolean", _GLOBAL),
    "SKIP_SCD": Variable("boolean", _STATIC),
    "SPLIT_DB": Variable("array", _GLOBAL_DEPLOY),
    "TTFB_TESTED_PAGES": Variable("array", _POST),
    "UPDATE_URLS": Variable("boolean", _GLOBAL_DEPLOY),
    "USE_LUA": Variable("boolean", _DEPLOY),
    "USE_LUA_ON_GC": Variable("boolean", _DEPLOY),
    "VALKEY_BACKEND": Variable("string", _DEPLOY, _BACKENDS),
    "VALKEY_USE_SLAVE_CONNECTION": Variable("boolean", _GLOBAL_DEPLOY),
    "VERBOSE_COMMANDS": Variable("string", _ALL, ("", "-v", "-vv", "-vvv")),
    "WARM_UP_CONCURRENCY": Variable("integer", _POST),
    "WARM_UP_PAGES": Variable("array", _POST),
    "X_FRAME_CONFIGURATION": Variable("string", _GLOBAL),
}


def check_stages(table: Table | None, file: str, report: Report) -> None:
    """Tell what ece-tools would refuse.

    Args:
        table: the file's content; None when it says nothing, which is as good as no file.
        file: its path within the project.
        report: takes what is wrong.
    """
    if table is None:
        return
    top = Section(table, file, (), report)
    top.only(keys.STAGES_FILE)
    top.section("log").only(keys.LOGS)
    top.section("system").section("variables").only(keys.SYSTEM_VARIABLES)
    stages = top.section("stage")
    for pair in stages:
        if pair.key not in STAGES:
            stages.error(
                pair.key, f"The stage {pair.key} is not allowed; one of {', '.join(STAGES)}{near(pair.key, STAGES)}"
            )
            continue
        stage = stages.section(pair.key)
        for entry in stage:
            _check(stage, pair.key, entry.key, entry.value)


def _check(stage: Section, stage_name: str, name: str, value: Leaf | Listing | Table) -> None:
    variable = VARIABLES.get(name)
    what = f"The {name} variable"
    if variable is None:
        stage.error(name, f"{what} is not allowed in configuration{near(name, VARIABLES)}")
    elif stage_name not in variable.stages:
        move = f"Move it to one of the possible stages: {', '.join(variable.stages)}."
        stage.error(name, f"{what} is not supposed to be in stage {stage_name}. {move}")
    elif value.kind != variable.type:
        use = f"Use the following type: {variable.type}."
        stage.error(name, f"{what} contains an invalid value of type {value.kind}. {use}")
    elif (wrong := _unfit(variable, plain(value))) is not None:
        stage.error(name, f"{what} contains an invalid value {wrong}")


def _unfit(variable: Variable, given: Any) -> str | None:
    """The value with what could be used instead; None when it may be used."""
    if variable.allowed and given not in variable.allowed:
        options = ", ".join(option for option in variable.allowed if option)
        return f"{given}. Use one of the available value options: {options}."
    if variable.between is not None and not variable.between[0] <= given <= variable.between[1]:
        low, high = variable.between
        return f"{given}. Use a value from {low} to {high}."
    return None
