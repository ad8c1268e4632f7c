# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a runner goes while the nodes come first, on a tree of files like the kernel's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trivet.lab import cores

GROUP = cores.GROUP


class Tree:
    """Files in place of control groups: what was written is what the kernel would have been told."""

    def __init__(self, folder: Path, own: str) -> None:
        self.root = folder / "cgroup"
        self.root.mkdir()
        self.own = folder / "own"
        self.own.write_text(own, encoding="utf-8")

    def lower_runner_priority(self):  # type: ignore[no-untyped-def]
        return cores.lower_runner_priority(self.root, self.own)

    def read(self, path: str) -> str | None:
        file = self.root / path
        return file.read_text(encoding="utf-8") if file.exists() else None


def test_with_controllers_of_their_own_the_runner_gets_a_small_share_and_returns_to_where_it_was(
    tmp_path: Path,
) -> None:
    tree = Tree(tmp_path, "3:cpuset:/\n2:cpu,cpuacct:/session\n0::/\n")
    (tree.root / "cpu" / "session").mkdir(parents=True)
    with tree.lower_runner_priority():
        assert tree.read(f"cpu/{GROUP}/cpu.shares") == "30"
        assert tree.read(f"cpu/{GROUP}/cgroup.procs") == str(os.getpid())
        assert tree.read("cpu/session/cgroup.procs") is None
    assert tree.read("cpu/session/cgroup.procs") == str(os.getpid())


def test_with_one_tree_of_all_controllers_too(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "0::/user.slice/session-1.scope\n")
    (tree.root / "user.slice" / "session-1.scope").mkdir(parents=True)
    (tree.root / "cgroup.subtree_control").write_text("memory cpu pids\n", encoding="utf-8")
    with tree.lower_runner_priority():
        assert tree.read(f"{GROUP}/cpu.weight") == "3"
        assert tree.read(f"{GROUP}/cgroup.procs") == str(os.getpid())
    assert tree.read("user.slice/session-1.scope/cgroup.procs") == str(os.getpid())


@pytest.mark.parametrize("own", ["0::/\n", "3:cpuset:/\n0::/\n"])
def test_without_a_controller_nothing_is_done(tmp_path: Path, own: str) -> None:
    tree = Tree(tmp_path, own)
    (tree.root / "cgroup.subtree_control").write_text("memory pids\n", encoding="utf-8")
    with tree.lower_runner_priority():
        assert [file.name for file in tree.root.iterdir()] == ["cgroup.subtree_control"]


def test_what_may_not_be_written_to_stops_nobody(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "1:cpu:/\n")
    with tree.lower_runner_priority():
        assert list(tree.root.iterdir()) == []


def test_a_failure_meanwhile_does_not_keep_the_runner_at_low_priority(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "1:cpu:/\n")
    (tree.root / "cpu").mkdir()
    with pytest.raises(KeyError), tree.lower_runner_priority():
        raise KeyError
    assert tree.read("cpu/cgroup.procs") == str(os.getpid())


def cpuset(root: Path, name: str, cpus: str) -> Path:
    file = root / f"lxc.payload.{name}" / "cpuset.cpus"
    file.parent.mkdir(parents=True)
    file.write_text(f"{cpus}\n", encoding="utf-8")
    return file


@pytest.mark.parametrize("place", ["cpuset", "."])
def test_containers_of_one_core_do_not_share_it(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {2, 3})
    files = [cpuset(tmp_path / place, name, cpus) for name, cpus in (("a", "3"), ("b", "2-3"), ("c", "3"), ("d", "3"))]
    # One that has stopped has no group.
    cores.pin_one_core_each(["a", "b", "stopped", "c", "d"], tmp_path)
    assert [file.read_text(encoding="utf-8").strip() for file in files] == ["2", "2-3", "3", "2"]


@pytest.mark.parametrize("own", ["1:cpu:/\n", "0::/\n"])
def test_where_the_kernel_can_the_runner_gives_way(own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree(tmp_path, own)
    (tree.root / "cgroup.subtree_control").write_text("cpu\n", encoding="utf-8")
    group = tree.root / ("cpu" if "cpu" in own else ".") / GROUP
    group.mkdir(parents=True)
    (group / "cpu.idle").write_text("0", encoding="utf-8")
    with tree.lower_runner_priority():
        assert (group / "cpu.idle").read_text(encoding="utf-8") == "1"
        assert (group / "cgroup.procs").read_text(encoding="utf-8") == str(os.getpid())
        # The kernel refuses a share of a group that gives way.
        assert not (group / "cpu.shares").exists()
        assert not (group / "cpu.weight").exists()


@pytest.mark.parametrize("place", ["cpu", "."])
def test_a_container_gives_way_and_takes_part_again(place: str, tmp_path: Path) -> None:
    file = tmp_path / place / "lxc.payload.a" / "cpu.idle"
    file.parent.mkdir(parents=True)
    file.write_text("0\n", encoding="utf-8")
    cores.set_idle("a", True, tmp_path)
    assert file.read_text(encoding="utf-8") == "1"
    cores.set_idle("a", False, tmp_path)
    assert file.read_text(encoding="utf-8") == "0"


def test_where_the_kernel_cannot_have_it_give_way_a_container_keeps_its_share(tmp_path: Path) -> None:
    (tmp_path / "cpu" / "lxc.payload.a").mkdir(parents=True)
    for name in ("a", "stopped"):
        cores.set_idle(name, True, tmp_path)
    assert [path.name for path in tmp_path.rglob("cpu.idle")] == []


@pytest.mark.parametrize("place", ["cpu", "."])
def test_who_is_waited_for_takes_part_meanwhile_and_gives_way_again(place: str, tmp_path: Path) -> None:
    file = tmp_path / place / GROUP / "cpu.idle"
    file.parent.mkdir(parents=True)
    file.write_text("1\n", encoding="utf-8")
    with pytest.raises(RuntimeError), cores.normal_runner_priority(tmp_path):
        assert file.read_text(encoding="utf-8") == "0"
        raise RuntimeError
    assert file.read_text(encoding="utf-8") == "1"


def test_where_no_runner_gives_way_none_is_made_to(tmp_path: Path) -> None:
    with cores.normal_runner_priority(tmp_path):
        assert list(tmp_path.rglob("*")) == []


def test_a_group_that_is_gone_meanwhile_is_no_failure(tmp_path: Path) -> None:
    file = tmp_path / GROUP / "cpu.idle"
    file.parent.mkdir(parents=True)
    file.write_text("1\n", encoding="utf-8")
    with cores.normal_runner_priority(tmp_path):
        file.unlink()
        file.parent.rmdir()
