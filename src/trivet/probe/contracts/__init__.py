# SPDX-License-Identifier: GPL-3.0-or-later
"""The contracts that the probe knows, one module for each kind of application."""

from __future__ import annotations

from collections.abc import Mapping

from trivet.errors import InputError
from trivet.probe.contract import Contract
from trivet.probe.contracts.demo import DEMO
from trivet.probe.contracts.magento import MAGENTO
from trivet.probe.contracts.pages import PAGES

DEFAULT = DEMO.name
CONTRACTS: Mapping[str, Contract] = {contract.name: contract for contract in (DEMO, MAGENTO, PAGES)}


def contract_named(name: str) -> Contract:
    """The contract of a name.

    Raises:
        InputError: There is none.
    """
    if name not in CONTRACTS:
        raise InputError(f"the probe has no contract {name!r}; it has {', '.join(CONTRACTS)}")
    return CONTRACTS[name]
