# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders what the roles write, without a host: by Ansible's own templating, with the inventories of Trivet.

The scenario is production with three nodes, or integration with one; the facts of the nodes are made up here.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from tests.templates.daemons import Daemons
from trivet.ansible import load_environment
from trivet.ansible.secrets import PLATFORM_SECRETS
from trivet.paths import collections_path
from trivet.scaling.record import Progress, Record, WebHost
from trivet.services.registry import CONTRACTS

init_plugin_loader(collections_path().split(":"))

from ansible_collections.trivet.commerce.plugins.action.files import ActionModule

ROOT = Path(__file__).resolve().parents[2]
INVENTORIES = ROOT / "inventories"
# The role of the grid machine is played on no node; tests/push tries it on a machine.
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir() and path.name != "grid")

# As long as generated ones, and told apart by their names.
DEMO = yaml.safe_load((ROOT / "demo" / "store" / "application.yml").read_text(encoding="utf-8"))["trivet_application"]
NAMES = (*DEMO["secrets"], *PLATFORM_SECRETS, *(name for contract in CONTRACTS for name in contract.secrets))
SECRETS = {name: f"{name}-0123456789" for name in NAMES}
FACTS: dict[str, Any] = {
    "default_ipv4": {"interface": "eth0"},
    "processor_nproc": 2,
    "memtotal_mb": 3840,
    "distribution": "Debian",
    "distribution_major_version": "12",
    "packages": {},
}
# What tasks of the roles have registered by the time they render.
REGISTERED: dict[str, Any] = {
    "__base_look": {"stdout": "", "stdout_lines": []},
    "__search_look": {"stdout": "map_count 262144", "stdout_lines": ["map_count 262144"]},
    "ansible_check_mode": False,
}


@dataclass(frozen=True)
class Written:
    """A file as a role would write it."""

    dest: str
    content: str
    owner: str
    group: str
    mode: str
    validate: str | None
    only_once: bool

    @property
    def lines(self) -> list[str]:
        """The lines without indentation, comments and blanks."""
        stripped = (line.strip() for line in self.content.splitlines())
        return [line for line in stripped if line and not line.startswith(("#", ";", "//"))]

    @property
    def settings(self) -> dict[str, str]:
        """Lines of the form ``name = value``."""
        pairs = (line.partition("=") for line in self.lines if "=" in line)
        return {name.strip(): value.strip() for name, _sign, value in pairs}


@dataclass
class Environment:
    """One inventory, with facts and secrets."""

    name: str
    folder: Path
    facts: Mapping[str, Any] = field(default_factory=lambda: FACTS)
    web_hosts: tuple[WebHost, ...] = ()

    def __post_init__(self) -> None:
        (self.folder / "group_vars").mkdir(parents=True, exist_ok=True)
        shutil.copy(INVENTORIES / self.name / "hosts.yml", self.folder)
        shutil.copytree(INVENTORIES / "common" / "group_vars" / "all", self.folder / "group_vars" / "all")
        self._known: dict[tuple[str, str], dict[str, Written]] = {}
        self.loader = DataLoader()
        sources = [str(self.folder / "hosts.yml")]
        if self.web_hosts:
            record = Record(load_environment(str(self.folder)))
            record.add(self.web_hosts)
            sources.append(str(record.path))
        inventory = InventoryManager(self.loader, sources=sources)
        self.variables = VariableManager(self.loader, inventory)
        self.variables._extra_vars = {"trivet_secrets": SECRETS, **REGISTERED}
        self.nodes = [host.name for host in inventory.get_hosts("trivet_nodes")]
        self.hosts = {host.name: host for host in inventory.get_hosts("trivet_nodes:trivet_web")}
        for name in self.hosts:
            self.variables.set_host_facts(name, dict(self.facts))
        self.host_variables = HostVars(inventory, self.variables, self.loader)
        self.loader.set_basedir(str(ROOT))

    def address(self, node: str) -> str:
        """The node's own address."""
        return str(self.host_variables[node]["trivet_address"])

    def scope(self, role: str, node: str, **overrides: Any) -> dict[str, Any]:
        """The variables of a task of the role on the node, in Ansible's order of precedence, not templated yet."""
        folder = ROOT / "roles" / role
        return {
            **self._file(folder / "defaults" / "main.yml"),
            **self.variables.get_vars(host=self.hosts[node]),
            **self._file(folder / "vars" / "main.yml"),
            **overrides,
            "hostvars": self.host_variables,
            "role_path": str(folder),
            "ansible_search_path": [str(folder), str(folder / "tasks")],
        }

    def _file(self, path: Path) -> Any:
        return (self.loader.load_from_file(str(path), trusted_as_template=True) or {}) if path.exists() else {}

    def value(self, role: str, node: str, expression: str, **overrides: Any) -> Any:
        """What a variable of the role is on the node."""
        templar = Templar(loader=self.loader, variables=self.scope(role, node, **overrides))
        return templar.evaluate_expression(trust_as_template(expression))

    def written(self, role: str, node: str | None = None, **overrides: Any) -> dict[str, Written]:
        """Every file that the role's configure.yml writes on a node, by destination.

        :param node: by default the first one.
        :param overrides: variables of the play.
        """
        node = node or self.nodes[0]
        if overrides:
            return self.render(role, node, **overrides)
        if (role, node) not in self._known:
            self._known[role, node] = self.render(role, node)
        return self._known[role, node]

    def render(self, role: str, node: str, **overrides: Any) -> dict[str, Written]:
        """As :meth:`written`, anew at each call."""
        scope = self.scope(role, node, **overrides)
        found: dict[str, Written] = {}
        for task in self._file_tasks(role):
            variables = {**scope, **task.get("vars", {})}
            templar = Templar(loader=self.loader, variables=variables)
            for entry in templar.template(task["trivet.commerce.files"].get("files", [])):
                written = self._rendered(ROOT / "roles" / role, dict(entry), templar, variables)
                found[written.dest] = written
        return found

    def _file_tasks(self, role: str, tasks: str = "configure.yml") -> Iterator[Any]:
        for task in self._file(ROOT / "roles" / role / "tasks" / tasks):
            if "ansible.builtin.import_tasks" in task:
                yield from self._file_tasks(role, task["ansible.builtin.import_tasks"])
            # The one with a condition marks a pending restart: it depends on what the daemon does.
            elif "trivet.commerce.files" in task and "when" not in task:
                yield task

    @staticmethod
    def _rendered(folder: Path, entry: dict[str, Any], templar: Templar, variables: dict[str, Any]) -> Written:
        content = entry.get("content", "")
        if "src" in entry:
            path = folder / "templates" / entry["src"]
            action = object.__new__(ActionModule)
            action._templar = templar
            given = {**variables, **entry.get("vars", {})}
            content = action._render(path.read_text(encoding="utf-8"), str(path), given)
        return Written(
            dest=entry["dest"],
            content=content,
            owner=entry.get("owner", "root"),
            group=entry.get("group", "root"),
            mode=entry.get("mode", "0644"),
            validate=entry.get("validate"),
            only_once=not entry.get("force", True),
        )


@pytest.fixture(scope="session")
def production(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Three nodes."""
    return Environment("production", tmp_path_factory.mktemp("production"))


@pytest.fixture(scope="session")
def scaled_out(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Three nodes, and a web node in each state."""
    hosts = tuple(
        WebHost(f"production-{progress}", f"192.0.2.{30 + number}", 10 + number, progress)
        for number, progress in enumerate(Progress, 1)
    )
    return Environment("production", tmp_path_factory.mktemp("scaled-out"), web_hosts=hosts)


@pytest.fixture(scope="session")
def integration(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """One node."""
    return Environment("integration", tmp_path_factory.mktemp("integration"))


@pytest.fixture(scope="session")
def sized(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], Environment]:
    """Three nodes with so many CPUs and MiB."""

    def make(cpus: int, memory_mib: int) -> Environment:
        facts = {**FACTS, "processor_nproc": cpus, "memtotal_mb": memory_mib}
        return Environment("production", tmp_path_factory.mktemp("sized"), facts)

    return make


@pytest.fixture(scope="session")
def daemons(production: Environment) -> Daemons:
    """A Debian root with the packages of the roles whose daemons can check a configuration."""
    roles = ["base", "haproxy", "gateway", "database", "nginx", "php_fpm", "redis"]
    node = production.nodes[0]
    packages = [str(name) for role in roles for name in production.value(role, node, f"{role}_packages")]
    made = Daemons(packages)
    with made.locked():
        made.ensure()
    return made
