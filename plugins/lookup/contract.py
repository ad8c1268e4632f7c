# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports, paths and names of the services, as they hold for the host that asks."""

from __future__ import annotations

DOCUMENTATION = r"""
name: contract
author: Trivet
version_added: 0.1.0
short_description: Ports, paths and names of the services
description:
  - What the services rely on of each other, from their contracts (C(src/trivet/services/*/contract.py)).
  - A setting has the value of the variable of its name, else the contract's default. Set it in the inventory, for all
    nodes alike. Everything else is fixed.
options:
  _terms:
    description:
      - Names of ports, paths and other terms, or C(settings), C(backends), C(firewall), C(reserved_ports).
      - Without any, a dictionary of everything.
    type: list
    elements: str
"""

EXAMPLES = r"""
redis_cache_port: "{{ lookup('trivet.commerce.contract', 'redis_cache_port') }}"

# In a template:
# {% set contract = lookup('trivet.commerce.contract') %}
# bind 127.0.0.1:{{ contract.backends.db_writer.local }}
"""

RETURN = r"""
_raw:
  description: The values asked for, or one dictionary.
  type: list
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.trivet.commerce.plugins.plugin_utils.source import registry

NAME = "trivet.commerce.contract"


class LookupModule(LookupBase):
    """Called with names, or without."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        """The values that hold for this host."""
        self.set_options(var_options=variables, direct=kwargs)
        contracts = registry()
        given = {name: variables[name] for name in contracts.SETTINGS if variables and name in variables}
        try:
            found = contracts.for_roles(contracts.terms_of({name: self._value(given[name]) for name in own(given)}))
        except ValueError as problem:
            raise AnsibleLookupError(str(problem)) from problem
        unknown = [name for name in terms if name not in found]
        if unknown:
            raise AnsibleLookupError(f"no contract has {', '.join(map(str, unknown))}")
        return [found[name] for name in terms] if terms else [found]

    def _value(self, value: Any) -> Any:
        return self._templar.template(value)


def own(given: dict[str, Any]) -> list[str]:
    """The variables that somebody has set: a role's default asks this very lookup, and is none."""
    return [name for name, value in given.items() if not (isinstance(value, str) and NAME in value)]
