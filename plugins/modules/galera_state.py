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
version_added: 0.1.0
author: Trivet
options:
  members:
    description: Report of every node by its inventory name, as this module returned them.
    type: dict
  socket:
    description: Socket of the server.
    type: path
    default: /run/mysqld/mysqld.sock
  datadir:
    description: Data directory of the server.
    type: path
    default: /var/lib/mysql
attributes:
  check_mode:
    description: Reads only.
    support: full
"""

EXAMPLES = r"""
- name: Read the state of MariaDB
  trivet.commerce.galera_state:
  register: member
"""

RETURN = r"""
service:
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
status:
  description: The wsrep status variables of the server; empty when it does not answer.
  type: dict
  returned: without members
uuid:
  description: Cluster UUID of the saved state; empty when there is none.
  type: str
  returned: without members
seqno:
  description: Position of the saved state; -1 after a crash.
  type: int
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

import os
import re

from ansible.module_utils.basic import AnsibleModule

NO_UUID = "00000000-0000-0000-0000-000000000000"
SYSTEM_DATABASES = {"mysql", "sys", "performance_schema", "information_schema"}
ANSWER_SECONDS = "5"
STATUS_NAMES = (
    "wsrep_cluster_size",
    "wsrep_cluster_state_uuid",
    "wsrep_cluster_status",
    "wsrep_connected",
    "wsrep_last_committed",
    "wsrep_local_state_comment",
    "wsrep_ready",
)


def service_state(module: AnsibleModule) -> str:
    command = ["systemctl", "show", "--property=ActiveState", "--value", "mariadb.service"]
    _code, out, _err = module.run_command(command)
    return out.strip() or "unknown"


def server_status(module: AnsibleModule) -> dict[str, str]:
    """The wsrep status of the running server, empty when none answers in time."""
    client = module.get_bin_path("mariadb")
    if client is None or not os.path.exists(module.params["socket"]):
        return {}
    names = ", ".join(f"'{name}'" for name in STATUS_NAMES)
    query = f"SELECT 'wsrep_on', @@GLOBAL.wsrep_on; SHOW GLOBAL STATUS WHERE Variable_name IN ({names})"
    command = ["timeout", ANSWER_SECONDS, client, f"--socket={module.params['socket']}", "--batch"]
    code, out, _err = module.run_command([*command, "--skip-column-names", f"--execute={query}"])
    if code != 0:
        return {}
    return dict(line.split("\t", 1) for line in out.splitlines() if "\t" in line)


def saved_state(datadir: str) -> dict[str, object]:
    """What the data directory tells about a server that is down."""
    try:
        with open(os.path.join(datadir, "grastate.dat"), encoding="utf-8") as stream:
            text = stream.read()
    except FileNotFoundError:
        text = ""
    fields = dict(re.findall(r"^(\w+):\s*(\S+)", text, re.MULTILINE))
    uuid = fields.get("uuid", "")
    return {
        "uuid": "" if uuid == NO_UUID else uuid,
        "seqno": int(fields.get("seqno", "-1")),
        "safe_to_bootstrap": fields.get("safe_to_bootstrap") == "1",
        "view_saved": file_has_content(os.path.join(datadir, "gvwstate.dat")),
        "databases": databases(datadir),
    }


def file_has_content(path: str) -> bool:
    return os.path.exists(path) and os.path.getsize(path) > 0


def databases(datadir: str) -> list[str]:
    if not os.path.isdir(datadir):
        return []
    folders = {entry.name for entry in os.scandir(datadir) if entry.is_dir()}
    names = folders - SYSTEM_DATABASES - {"lost+found"}
    return sorted(name for name in names if not name.startswith((".", "#")))


def member_report(module: AnsibleModule) -> dict[str, object]:
    status = server_status(module)
    primary = status.get("wsrep_cluster_status") == "Primary"
    return {
        "service": service_state(module),
        "status": status,
        "standalone": status.get("wsrep_on") == "0",
        "primary": primary,
        "synced": primary
        and status.get("wsrep_ready") == "ON"
        and status.get("wsrep_local_state_comment") in {"Synced", "Donor/Desynced"},
        **saved_state(module.params["datadir"]),
    }


def formation(members: dict[str, dict[str, object]]) -> str | None:
    """How the cluster may come up; ``None`` when nothing but an election by a human's order is safe.

    A single member is its own majority: it has nobody to disagree with.
    """
    reports = list(members.values())
    if any(report["primary"] for report in reports):
        return "join"
    if not any(report["uuid"] or report["view_saved"] or report["databases"] for report in reports):
        return "bootstrap"
    if len(reports) == 1 or all(report["view_saved"] for report in reports):
        return "recover"
    return None


def evidence(members: dict[str, dict[str, object]]) -> str:
    columns = ("service", "uuid", "seqno", "safe_to_bootstrap", "view_saved")
    rows = [("node", *columns)]
    rows += [(name, *(str(report[column]) or "-" for column in columns)) for name, report in members.items()]
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(widths[index]) for index, cell in enumerate(row)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "members": {"type": "dict"},
            "socket": {"type": "path", "default": "/run/mysqld/mysqld.sock"},
            "datadir": {"type": "path", "default": "/var/lib/mysql"},
        },
        supports_check_mode=True,
    )
    members = module.params["members"]
    if members is None:
        module.exit_json(changed=False, **member_report(module))
    decision = formation(members)
    if decision is None:
        module.fail_json(
            msg="No member of the Galera cluster is primary and there is data: "
            "starting a node now could lose committed orders.\n"
            f"{evidence(members)}\n"
            'How to elect the member with the newest data: docs/operations.md, section "All nodes were down".'
        )
    module.exit_json(changed=False, formation=decision)


if __name__ == "__main__":
    main()
