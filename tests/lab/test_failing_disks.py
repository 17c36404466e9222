"""Disks behind nbdkit's error filter: QEMU's block layer for real, without a VM."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.errors import HarnessError
from harness.lab import failing, qmp
from harness.lab.failing import FailingDisks
from harness.lab.machine import guest_disk
from harness.lab.nbd import end_servers, need_private_lab, outside, remove_files, serve
from harness.lab.shared import SharedHost
from harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.lab.machine import Machine

TOOLS = ("qemu-storage-daemon", "qemu-img", "qemu-io", "nbdkit")
MIB = 1 << 20


class Host:
    """A lab whose daemons see the same files as this process."""

    private = True

    def __init__(self, folder: Path) -> None:
        self.folder, self.lab_path = folder, str(folder)
        self.started: list[subprocess.Popen[bytes]] = []

    def run(self, *command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def spawn(self, command: list[str], _log: str) -> None:
        self.started.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))


class Daemon:
    """qemu-storage-daemon: QEMU's block layer and monitor, with an NBD export for a guest."""

    def __init__(self, folder: Path, image: Path) -> None:
        cache = {"direct": True, "no-flush": False}
        below = {"driver": "file", "filename": str(image), "node-name": "libvirt-3-storage",
                 "cache": cache, "auto-read-only": True, "discard": "unmap"}  # fmt: skip
        above = {"driver": "qcow2", "file": "libvirt-3-storage", "backing": None,
                 "node-name": "libvirt-3-format", "read-only": False, "cache": cache,
                 "discard": "unmap"}  # fmt: skip
        self.export = f"nbd+unix:///e?socket={folder}/guest.sock"
        self.process = subprocess.Popen(
            ["qemu-storage-daemon", "--blockdev", json.dumps(below),
             "--blockdev", json.dumps(above),
             "--chardev", f"socket,id=m,path={folder}/mon,server=on,wait=off",
             "--monitor", "chardev=m",
             "--nbd-server", f"addr.type=unix,addr.path={folder}/guest.sock",
             "--export", "type=nbd,id=e,node-name=libvirt-3-format,name=e,writable=on"],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until(
            "the daemon answers",
            lambda: "" if (folder / "guest.sock").exists() else "its socket",
            deadline_s=20,
            interval_s=0.05,
        )
        link = socket.socket(socket.AF_UNIX)
        link.connect(str(folder / "mon"))
        self._link = link.makefile("rw")
        self._link.readline()
        self.ask(None, "qmp_capabilities", {})

    def ask(self, _machine: object, command: str, arguments: dict[str, Any]) -> Any:
        """What stands for libvirt's way to the monitor."""
        self._link.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._link.flush()
        while True:
            answer = json.loads(self._link.readline())
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise HarnessError(str(answer["error"]["desc"]))

    def guest(self, request: str) -> bool:
        """Whether a guest's request succeeds."""
        done = subprocess.run(
            ["qemu-io", "-f", "raw", self.export, "-c", request],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        said = (done.stdout + done.stderr).lower()
        return done.returncode == 0 and "error" not in said and "verification failed" not in said


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    (tmp_path / "disks").mkdir()
    made = Host(tmp_path)
    yield made
    for process in made.started:
        process.kill()
        process.wait()


@pytest.fixture
def daemon(host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    if lacking := [tool for tool in TOOLS if shutil.which(tool) is None]:
        pytest.skip(f"not installed: {', '.join(lacking)}")
    image = host.folder / "disks" / "alpha-r1.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(image), "65M"], check=True)
    made = Daemon(host.folder, image)
    monkeypatch.setattr(failing, "ask", made.ask)
    monkeypatch.setattr(qmp, "ask", made.ask)
    # It has no devices: what a device's disk is on, nobody can ask it.
    monkeypatch.setattr(failing, "guest_node", lambda *_: "libvirt-3-format")
    yield made
    made.process.kill()
    made.process.wait()


def machine(host: Host, pid: Callable[[], int] = lambda: 7) -> Machine:
    return cast("Machine", SimpleNamespace(name="alpha", host=host, qemu_pid=pid))


def test_a_disk_fails_while_its_switch_is_on(host: Host, daemon: Daemon) -> None:
    image = host.folder / "disks" / "alpha-r1.qcow2"
    assert daemon.guest("write -P 17 0 64k")
    assert daemon.guest("write -P 18 64M 1M")
    disks = FailingDisks(machine(host), ("r1",))
    assert not disks.in_use()
    disks.attach()
    assert disks.in_use()
    assert daemon.guest("read -P 17 0 64k"), "nothing fails before the switch is on"
    assert daemon.guest("write -P 19 1M 64k")
    disks.switch(on=True)
    for request in ("read 0 4k", "write 0 4k", "write 2M 64k", "read 64M 4k"):
        assert not daemon.guest(request), request
    disks.switch(on=False)
    assert daemon.guest("read -P 17 0 64k")
    disks.switch(on=True)
    disks.detach()
    assert not disks.in_use()
    assert daemon.guest("read -P 19 1M 64k"), "what was written meanwhile is in the image"
    assert daemon.guest("write -P 20 2M 64k")
    assert daemon.guest("read -P 18 64M 1M")
    (server,) = host.started
    assert server.wait(10) == -9
    assert [path.name for path in image.parent.iterdir()] == [image.name]
    daemon.process.terminate()
    daemon.process.wait(10)
    checked = subprocess.run(["qemu-img", "check", "-q", str(image)], check=False)
    assert checked.returncode == 0


def test_a_power_cut_loses_nothing_of_a_failing_disk(host: Host, daemon: Daemon) -> None:
    """Overlays of volatile caches are merged after it; here the image has everything."""
    image = host.folder / "disks" / "alpha-r1.qcow2"
    pids = [7]
    disks = FailingDisks(machine(host, lambda: pids[0]), ("r1",))
    disks.attach()
    assert daemon.guest("write -P 33 0 1M")
    assert daemon.guest("flush")
    disks.switch(on=True)
    assert not daemon.guest("write 4M 64k")
    daemon.process.kill()
    daemon.process.wait()
    pids[0] = 8
    assert not disks.in_use(), "a new QEMU uses the plain file"
    disks.detach()
    done = subprocess.run(
        ["qemu-io", "-f", "qcow2", "-c", "read -P 33 0 1M", str(image)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "verification failed" not in done.stdout


def test_the_image_never_shrinks(host: Host, daemon: Daemon) -> None:
    image = host.folder / "disks" / "alpha-r1.qcow2"
    subprocess.run(["truncate", "-s", str(900 * MIB), str(image)], check=True)
    disks = FailingDisks(machine(host), ("r1",))
    disks.attach()
    disks.detach()
    assert image.stat().st_size == 900 * MIB


def test_a_machine_that_is_off_uses_no_server(host: Host) -> None:
    def off() -> int:
        raise HarnessError("alpha has no QEMU process")

    disks = FailingDisks(machine(host, off), ("r1",))
    disks._nodes["r1"] = ("format", "file")
    assert not disks.in_use()
    disks.detach()


def test_without_nbdkit_the_remedy_is_told(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.lab.nbd._DEADLINE_S", 0.1)
    monkeypatch.setattr(host, "spawn", lambda *_: None)
    with pytest.raises(HarnessError, match="no NBD server") as error:
        serve(machine(host), "r1", "errors-nbd", [])
    assert "nbdkit" in error.value.hint


def test_an_existing_daemons_vms_are_left_alone(tmp_path: Path) -> None:
    there = SimpleNamespace(host=SharedHost.__new__(SharedHost))
    with pytest.raises(HarnessError, match="failing disks need a private lab"):
        need_private_lab(cast("Machine", there), "failing disks")


def test_servers_of_one_kind_are_ended_and_their_files_removed(host: Host) -> None:
    alpha = machine(host)
    kept, ended = (subprocess.Popen(["sleep", "60"]) for _ in range(2))
    try:
        outside(alpha, "r1", "nbd-pid").write_text(f"{kept.pid}\n")
        outside(alpha, "r2", "errors-nbd-pid").write_text(f"{ended.pid}\n")
        outside(alpha, "r2", "errors").touch()
        end_servers(alpha, "errors-nbd")
        assert ended.wait(10) == -9
        assert kept.poll() is None
        assert remove_files(alpha, "errors-nbd")
        assert not remove_files(alpha, "errors-nbd")
        assert [path.name for path in (host.folder / "disks").iterdir()] == ["alpha-r1.nbd-pid"]
        end_servers(alpha)
        assert kept.wait(10) == -9
    finally:
        kept.kill()
        ended.kill()


BLOCK = [{"device": "", "qdev": "/machine/peripheral/virtio-disk1/virtio-backend",
          "inserted": {"file": "/run/lab/disks/alpha-r1.qcow2", "node-name": "libvirt-3-format"}},
         {"device": "", "qdev": "empty drive"}]  # fmt: skip
NODES = [{"drv": "qcow2", "file": "/run/lab/disks/alpha-r1.qcow2", "node-name": "libvirt-3-format"},
         {"drv": "file", "file": "/run/lab/disks/alpha-r1.qcow2",
          "node-name": "libvirt-3-storage"}]  # fmt: skip


def test_the_nodes_of_a_disk_are_found_by_its_image(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"query-block": BLOCK, "query-named-block-nodes": NODES}
    monkeypatch.setattr(qmp, "ask", lambda _machine, command, _arguments: answers[command])
    alpha = cast("Machine", SimpleNamespace(name="alpha"))
    image = "/run/lab/disks/alpha-r1.qcow2"
    assert qmp.guest_node(alpha, image) == "libvirt-3-format"
    assert qmp.file_node(alpha, image) == "libvirt-3-storage"
    for ask in (qmp.guest_node, qmp.file_node):
        with pytest.raises(HarnessError, match="alpha has no"):
            ask(alpha, "/run/lab/disks/alpha-r9.qcow2")


def test_qemu_s_refusal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = json.dumps({"error": {"class": "GenericError", "desc": "no such node"}})
    monkeypatch.setattr("libvirt_qemu.qemuMonitorCommand", lambda *_: answer)
    alpha = cast("Machine", SimpleNamespace(name="alpha", domain=None))
    with pytest.raises(HarnessError, match="QEMU of alpha: blockdev-del: no such node"):
        qmp.ask(alpha, "blockdev-del", {})


def test_disks_are_named_as_in_the_domain() -> None:
    assert [guest_disk(resource) for resource in ("r0", "r1", "r2")] == ["vdb", "vdc", "vdd"]
