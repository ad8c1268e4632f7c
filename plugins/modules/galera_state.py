#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Report the state of this node's Galera member, or decide from all of them how the cluster comes up."""

from __future__ import annotations

DOCUMENTATION = r"""
module: galera_state
short_description: State of a Galera member, and how its cluster may come up
description:
  - Without O(members), reports the state of the member on this node; it reads only.
  - With O(members), the reports of all nodes, decides how the cluster may come up, and fails with the
    evidence when starting it could lose data. It never trusts one node alone.
  - Both are asked of C(trivet-agent) on the node, which has the rules; role C(agent) comes first.
version_added: 0.1.0
author: Trivet
options:
  members:
    description: Report of every node by its inventory name, as this module returned them.
    type: dict
attributes:
  check_mode:
    description: Reads only. A node without the agent has no member yet.
    support: full
"""

EXAMPLES = r"""
- name: Read the state of MariaDB
  trivet.commerce.galera_state:
  register: member
"""

RETURN = r"""
node:
  description: Name of the node.
  type: str
  returned: without members
unit:
  description: State of the systemd unit, for instance C(active), C(activating), C(inactive), C(failed).
  type: str
  returned: without members
synced:
  description: The server is ready, in the primary component and in step with it.
  type: bool
  returned: without members
standalone:
  description: A server answers that was started without Galera.
  type: bool
  returned: without members
primary:
  description: The server is in the primary component (it may still be joining).
  type: bool
  returned: without members
uuid:
  description: Cluster UUID of the data on the disk; empty when there is none.
  type: str
  returned: without members
seqno:
  description: Position of the data on the disk; -1 when it is not known.
  type: int
  returned: without members
safe_to_bootstrap:
  description: The server was the last one to leave its cluster.
  type: bool
  returned: without members
view_saved:
  description: A saved view of the primary component is there (the server did not stop cleanly).
  type: bool
  returned: without members
databases:
  description: Databases beside the system's own.
  type: list
  elements: str
  returned: without members
formation:
  description: >-
    C(join) a running primary component, C(bootstrap) a new cluster (no node has data), or C(recover)
    (all members start and the primary component restores itself).
  type: str
  returned: with members
"""

import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule

NOTHING_YET = {"unit": "inactive", "synced": False, "standalone": False, "primary": False}


def ask_agent(module: AnsibleModule, *words: str) -> dict[str, Any]:
    """The answer of ``trivet-agent galera …`` on this node."""
    program = module.get_bin_path("trivet-agent")
    if program is None:
        if module.check_mode:
            return dict(NOTHING_YET)
        module.fail_json(msg="trivet-agent is not installed: role trivet.commerce.agent comes first")
    _code, out, err = module.run_command([program, "galera", *words])
    try:
        answer: dict[str, Any] = json.loads(out)
    except ValueError:
        module.fail_json(msg=f"trivet-agent galera {words[0]}: {err.strip() or out.strip() or 'no answer'}")
    if "node" not in answer and "outcome" not in answer:
        module.fail_json(msg=f"trivet-agent galera {words[0]}: {answer.get('error')}")
    return answer


def main() -> None:
    module = AnsibleModule(argument_spec={"members": {"type": "dict"}}, supports_check_mode=True)
    members = module.params["members"]
    if members is None:
        module.exit_json(changed=False, **ask_agent(module, "report"))
    decision = ask_agent(module, "elect", json.dumps(members))
    if decision["formation"] is None:
        module.fail_json(
            msg="No member of the Galera cluster is primary and there is data: "
            "starting a node now could lose committed orders.\n"
            f"{decision['evidence']}\n{decision['reason']}\n"
            "next: `trivet recover ENV galera --plan` elects the member with the newest data (docs/operations.md)."
        )
    module.exit_json(changed=False, formation=decision["formation"])


if __name__ == "__main__":
    main()
