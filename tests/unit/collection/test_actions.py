# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's actions, with this machine's shell and Python in place of a node's, and a systemctl of the test."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import yaml
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.loader import init_plugin_loader

from trivet.paths import collections_path

# A unit is a file that holds its state; one that is enabled has a second file beside it.
SYSTEMCTL = """\
#!/bin/sh
echo "$*" >> "$UNITS/calls"
for unit; do :; done
case "$*" in
  *daemon-reload*) ;;
  show*) case "$unit" in missing*) echo not-found ;; *) echo loaded ;; esac ;;
  *is-active*) state=$(cat "$UNITS/$unit" 2>/dev/null || echo inactive)
    case "$*" in *--quiet*) ;; *) echo "$state" ;; esac
    [ "$state" = active ] ;;
  *is-enabled*) [ -e "$UNITS/$unit.enabled" ] ;;
  *enable*) touch "$UNITS/$unit.enabled" ;;
  *disable*) rm "$UNITS/$unit.enabled" ;;
  stop*) echo inactive > "$UNITS/$unit" ;;
  *) [ "$unit" != broken ] || { echo "Job for broken failed." >&2; exit 1; }
    echo active > "$UNITS/$unit" ;;
esac
"""

Act = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def _loader() -> None:
    init_plugin_loader(collections_path().split(":"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """First on the path of what the actions run; units live in it."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("UNITS", str(tmp_path))
    program(tmp_path, "systemctl", SYSTEMCTL)
    return tmp_path


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)


def act(action_name: str, /, check_mode: bool = False, **arguments: Any) -> dict[str, Any]:
    """Run an action of the collection as Ansible does."""
    module = importlib.import_module(f"ansible_collections.trivet.commerce.plugins.action.{action_name}")
    task = MagicMock(args=arguments, check_mode=check_mode, diff=False, async_val=0)
    action = module.ActionModule(task, MagicMock(), MagicMock(), MagicMock(), MagicMock(), MagicMock())

    def here(text: str, in_data: bytes) -> dict[str, Any]:
        ended = subprocess.run(["/bin/sh", "-c", f"{text} && sleep 0"], input=in_data, capture_output=True, check=False)
        out, err = ended.stdout.decode(), ended.stderr.decode()
        return {
            "rc": ended.returncode,
            "stdout": out,
            "stdout_lines": out.splitlines(),
            "stderr": err,
            "stderr_lines": err.splitlines(),
        }

    action._low_level_execute_command = here
    result: dict[str, Any] = action.run(task_vars={})
    return result


def calls(folder: Path) -> list[str]:
    """What systemctl was called to change."""
    path = folder / "calls"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line for line in lines if line.split()[0] not in ("is-active", "is-enabled", "show")]


# --------------------------------------------------------------------------------------------------------- command


def test_no_shell_reads_the_words_of_a_command() -> None:
    result = act("command", cmd="printf '%s|' 'a b' $HOME ;")
    assert (result["stdout"], result["rc"], result["changed"]) == ("a b|$HOME|;|", 0, True)
    assert act("command", argv=["printf", "%s|", "$(date)"])["stdout_lines"] == ["$(date)|"]


def test_a_script_is_one() -> None:
    assert act("command", script="for n in 1 2; do echo $n; done")["stdout_lines"] == ["1", "2"]


def test_a_command_reads_what_it_is_given_and_else_nothing() -> None:
    assert act("command", cmd="cat", stdin="SELECT 1;\nSELECT 2;\n")["stdout"] == "SELECT 1;\nSELECT 2;"
    assert act("command", cmd="cat")["stdout"] == ""


def test_a_command_that_fails_fails_with_its_exit_code_and_words() -> None:
    result = act("command", script="echo why >&2; exit 3")
    assert (result["failed"], result["rc"], result["stderr"], result["msg"]) == (True, 3, "why", "exit code 3")


def test_the_exit_code_by_which_ssh_means_an_unreachable_node_is_never_a_commands() -> None:
    assert act("command", script="exit 255")["rc"] == 254
    assert act("command", script="cat >/dev/null; exit 255", stdin="x")["rc"] == 254


def test_a_command_is_not_run_in_check_mode(tmp_path: Path) -> None:
    assert act("command", check_mode=True, argv=["touch", str(tmp_path / "x")])["skipped"]
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("arguments", [{}, {"cmd": "a", "script": "b"}, {"cmd": "a", "chdir": "/"}])
def test_a_command_is_given_once_and_nothing_unknown(arguments: dict[str, str]) -> None:
    with pytest.raises(AnsibleError):
        act("command", **arguments)


# ------------------------------------------------------------------------------------------------------------ unit


def test_what_is_missing_is_done_once_and_in_order(folder: Path) -> None:
    wanted = {"name": ["b", "a"], "state": "started", "enabled": True, "daemon_reload": True}
    first = act("unit", **wanted)
    assert (first["changed"], first["done"]) == (True, ["enable b", "start b", "enable a", "start a"])
    assert calls(folder) == [
        "daemon-reload",
        "enable --quiet -- b",
        "start -- b",
        "enable --quiet -- a",
        "start -- a",
    ]
    second = act("unit", **wanted)
    assert (second["changed"], second["done"], second.get("failed")) == (False, [], None)


def test_check_mode_says_the_same_and_does_nothing(folder: Path) -> None:
    (folder / "up").write_text("active\n")
    (folder / "up.enabled").touch()
    result = act("unit", check_mode=True, name="up", state="stopped", enabled=False, daemon_reload=True)
    assert (result["changed"], result["done"]) == (True, ["disable up", "stop up"])
    assert calls(folder) == []


@pytest.mark.parametrize(
    ("before", "state", "done"),
    [
        ("active", "started", []),
        ("activating", "started", ["start u"]),
        ("deactivating", "started", ["start u"]),
        ("failed", "started", ["start u"]),
        ("active", "stopped", ["stop u"]),
        ("activating", "stopped", ["stop u"]),
        ("deactivating", "stopped", ["stop u"]),
        ("failed", "stopped", []),
        ("inactive", "stopped", []),
        ("active", "restarted", ["restart u"]),
        ("active", "reloaded", ["reload u"]),
        ("inactive", "reloaded", ["start u"]),
    ],
)
def test_a_unit_on_its_way_is_neither_up_nor_down(before: str, state: str, done: list[str], folder: Path) -> None:
    (folder / "u").write_text(f"{before}\n")
    assert act("unit", name="u", state=state)["done"] == done


@pytest.mark.parametrize("wanted", [{"state": "stopped"}, {"state": "started"}, {"enabled": False}])
def test_a_unit_that_is_not_there_is_not_taken_for_one_that_is_down(wanted: dict[str, Any], folder: Path) -> None:
    result = act("unit", name="missing.service", **wanted)
    assert (result["failed"], result["msg"]) == (True, "Unit missing.service could not be found.")
    assert "failed" not in act("unit", check_mode=True, name="missing.service", **wanted)
    assert calls(folder) == []


def test_a_start_need_not_be_waited_for(folder: Path) -> None:
    act("unit", name="u", state="started", no_block=True)
    assert calls(folder) == ["start --no-block -- u"]


def test_the_first_unit_that_does_not_come_up_ends_it_with_the_words_of_systemd(folder: Path) -> None:
    result = act("unit", name=["broken", "later"], state="started")
    assert (result["failed"], result["msg"]) == (True, "Job for broken failed.")
    assert not (folder / "later").exists()


# ----------------------------------------------------------------------------------------------------------- files


def test_the_tree_is_applied_by_the_nodes_python(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    wanted = {
        "files": [{"dest": str(path), "content": "pässword\n", "mode": "0600"}],
        "links": [{"path": str(tmp_path / "link"), "target": "secret"}],
    }
    assert act("files", check_mode=True, **wanted)["changed"]
    assert not path.exists()
    first, second = act("files", **wanted), act("files", **wanted)
    assert (first["changed_files"], second["changed"]) == ([str(path), str(tmp_path / "link")], False)
    assert path.read_text() == "pässword\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_check_that_fails_is_told_with_its_words(tmp_path: Path) -> None:
    entry = {"dest": str(tmp_path / "a"), "content": "x", "validate": "sh -c 'echo line 7; exit 1' %s"}
    result = act("files", files=[entry])
    assert result["failed"] and "nothing was changed" in result["msg"]
    assert result["detail"] == "line 7"


@pytest.mark.parametrize("entry", [{"dest": "/a"}, {"content": "x"}, {"dest": "/a", "content": "x", "mood": "0644"}])
def test_wrong_arguments_are_refused_before_the_node_is_asked(entry: dict[str, str]) -> None:
    with pytest.raises(AnsibleError):
        act("files", files=[entry])


def test_a_node_without_python_is_told_with_what_it_said(folder: Path) -> None:
    program(folder, "python3", "#!/bin/sh\necho no such interpreter >&2\nexit 126\n")
    with pytest.raises(AnsibleActionFail, match="exit code 126; it said: no such interpreter"):
        act("files", absent=["/nonexistent"])


# ---------------------------------------------------------------------------------------------------- galera_state


def agent(folder: Path, answer: dict[str, Any]) -> None:
    program(
        folder, "trivet-agent", f"#!/bin/sh\necho \"$*\" > {folder}/asked\ncat <<'EOF'\n{json.dumps(answer)}\nEOF\n"
    )


def test_the_state_is_what_the_agent_says(folder: Path) -> None:
    agent(folder, {"node": "n1", "unit": "active", "synced": True})
    result = act("galera_state")
    assert (result["changed"], result["unit"], result["synced"]) == (False, "active", True)
    assert (folder / "asked").read_text() == "galera report\n"


def test_a_missing_agent_is_never_taken_for_an_empty_member(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(AnsibleActionFail, match="not installed"):
        act("galera_state")
    assert act("galera_state", check_mode=True)["synced"] is False


@pytest.mark.parametrize("answer", [{"error": "no such key"}, {}])
def test_an_answer_that_is_none_fails(answer: dict[str, str], folder: Path) -> None:
    agent(folder, answer)
    with pytest.raises(AnsibleActionFail, match="galera report"):
        act("galera_state")


def test_an_unsafe_start_is_refused_with_the_evidence(folder: Path) -> None:
    agent(folder, {"outcome": "refused", "formation": None, "evidence": "TABLE", "reason": "why"})
    with pytest.raises(AnsibleActionFail, match=r"(?s)TABLE.*trivet recover"):
        act("galera_state", members={"n1": {}})
    agent(folder, {"outcome": "join", "formation": "join"})
    assert act("galera_state", members={"n1": {}})["formation"] == "join"
    assert (folder / "asked").read_text() == 'galera elect {"n1": {}}\n'


# ------------------------------------------------------------------------------------------------- gluster_cluster

WANTED = {
    "address": "192.0.2.11",
    "nodes": ["192.0.2.11", "192.0.2.12"],
    "volume": "shared",
    "brick": "/srv/brick",
    "options": {"network.ping-timeout": 5, "performance.quick-read": False},
}
PEERS = "<peer><connected>1</connected><state>3</state><hostname>192.0.2.12</hostname></peer>"
VOLUME = """<volInfo><volumes><volume><status>1</status>
<bricks><brick><name>192.0.2.11:/srv/brick</name></brick><brick><name>192.0.2.12:/srv/brick</name></brick></bricks>
<options><option><name>network.ping-timeout</name><value>{timeout}</value></option>
<option><name>performance.quick-read</name><value>off</value></option></options></volume></volumes></volInfo>"""


def gluster(folder: Path, peers: str, volume: str) -> None:
    """A gluster that tells of these peers and this volume, and accepts every change."""
    answers = {name: f"<cliOutput><opRet>0</opRet>{body}</cliOutput>" for name, body in (("p", peers), ("v", volume))}
    text = f"""\
#!/bin/sh
case "$*" in
  *"peer status"*) echo '{answers["p"]}' ;;
  *"volume info"*) echo '{answers["v"]}' ;;
  *) echo "$*" >> {folder}/changes; echo '<cliOutput><opRet>0</opRet></cliOutput>' ;;
esac
"""
    program(folder, "gluster", text)


def test_a_settled_cluster_is_left_alone(folder: Path) -> None:
    gluster(folder, PEERS, VOLUME.format(timeout=5))
    result = act("gluster_cluster", **WANTED)
    assert (result["changed"], result["actions"], result.get("failed")) == (False, [], None)
    assert not (folder / "changes").exists()


def test_only_the_option_that_differs_is_set(folder: Path) -> None:
    gluster(folder, PEERS, VOLUME.format(timeout=42))
    assert act("gluster_cluster", check_mode=True, **WANTED)["changed"]
    assert not (folder / "changes").exists()
    assert act("gluster_cluster", **WANTED)["actions"] == ["volume set shared network.ping-timeout 5"]
    assert "volume set shared network.ping-timeout 5" in (folder / "changes").read_text()


def test_other_bricks_are_never_changed(folder: Path) -> None:
    gluster(folder, PEERS, VOLUME.format(timeout=5).replace("192.0.2.12:", "192.0.2.13:"))
    result = act("gluster_cluster", **WANTED)
    assert result["failed"] and "a converge does not" in result["msg"]


def test_a_new_cluster_is_described_before_gluster_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("python3", "sh"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert act("gluster_cluster", check_mode=True, **WANTED)["actions"] == [
        "peer probe 192.0.2.12",
        "volume create shared replica 2 192.0.2.11:/srv/brick 192.0.2.12:/srv/brick",
        "volume set shared network.ping-timeout 5 performance.quick-read off",
        "volume start shared",
    ]
    assert act("gluster_cluster", **WANTED)["msg"] == "gluster is not installed"


# ------------------------------------------------------------------------------------------------------ node_facts


def test_a_node_is_looked_at_once_for_all_that_the_roles_ask(folder: Path) -> None:
    program(folder, "ip", "#!/bin/sh\necho 'default via 192.0.2.1 dev enp1s0 proto dhcp'\n")
    program(folder, "nproc", "#!/bin/sh\necho 6\n")
    listing = "installed package curl 7.88.1-10\ndeinstall package nano 7.2\n"
    program(folder, "dpkg-query", f"#!/bin/sh\nprintf '%b' {listing!r}\n")
    facts = act("node_facts", check_mode=True, packages=True)["ansible_facts"]
    assert facts["ansible_processor_nproc"] == 6
    assert facts["ansible_memtotal_mb"] > 0
    assert facts["ansible_default_ipv4"] == {"interface": "enp1s0"}
    assert facts["packages"] == {"curl": "7.88.1-10"}
    assert "packages" not in act("node_facts")["ansible_facts"]


def test_a_node_that_does_not_say_what_it_has_is_no_node_of_nothing(folder: Path) -> None:
    program(folder, "nproc", "#!/bin/sh\necho no cores here >&2\nexit 1\n")
    with pytest.raises(AnsibleActionFail, match=r"does not say what it is: .*no cores here"):
        act("node_facts")


# --------------------------------------------------------------------------------------------------- documentation


def documented(options: dict[str, Any]) -> dict[str, Any]:
    """Documented options, in the shape of those that are validated."""
    shape = {}
    for name, option in options.items():
        kept = {key: option[key] for key in ("type", "elements", "default", "required", "choices") if key in option}
        if "suboptions" in option:
            kept["options"] = documented(option["suboptions"])
        shape[name] = kept
    return shape


def validated(options: dict[str, Any]) -> dict[str, Any]:
    """Validated options, without what is no matter of their documentation."""
    shape = {name: {key: value for key, value in option.items() if key != "no_log"} for name, option in options.items()}
    for option in shape.values():
        if "options" in option:
            option["options"] = validated(option["options"])
    return shape


@pytest.mark.parametrize("name", ["command", "files", "galera_state", "gluster_cluster", "node_facts", "unit"])
def test_the_documentation_of_an_action_is_what_it_takes(name: str) -> None:
    plugins = "ansible_collections.trivet.commerce.plugins"
    documentation = importlib.import_module(f"{plugins}.modules.{name}").DOCUMENTATION
    action = importlib.import_module(f"{plugins}.action.{name}")
    assert documented(yaml.safe_load(documentation)["options"]) == validated(action.OPTIONS)
