# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible acts: the only place that runs Ansible (inventory, vault, playbooks by ansible-runner)."""

from __future__ import annotations

from trivet.ansible.inventory import load_environment
from trivet.ansible.playbook import PlaybookEvent, run_on_controller, run_playbook
from trivet.ansible.secrets import ensure_secrets

__all__ = ["PlaybookEvent", "ensure_secrets", "load_environment", "run_on_controller", "run_playbook"]
