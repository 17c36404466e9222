"""A lab on another host: its objects there, its witnesses, its end; through a real sshd.

libvirt's own test driver stands in for the daemon there: it has domains, networks and storage pools
without a hypervisor. Everything else is real: bridges, rules, processes, sockets, files, SSH.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import libvirt
import pytest

from harness.cluster.formed import forget_cluster, qemu_version
from harness.errors import HarnessError, MissingEnvironmentError
from harness.evidence.witness import Stream, Witnesses
from harness.lab import elsewhere
from harness.lab.fencing import start_fence_device
from harness.lab.gc import collect_garbage
from harness.lab.lab import Lab, host_runs
from harness.lab.machine import domain_xml
from harness.lab.paths import Cache
from harness.lab.remote import RemoteHost
from harness.lab.topology import Link
from tests.sshd.farhost import FarHost, alive, until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.sshd


class Daemon:
    """libvirt's test driver, which has no keep-alive, and whose volumes take no upload."""

    def __init__(self) -> None:
        libvirt.registerErrorHandler(lambda _context, _error: None, None)
        self.real = libvirt.open("test:///default")
        self.uploaded: dict[str, bytes] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def setKeepAlive(self, _interval: int, _count: int) -> int:
        return 0

    def close(self) -> int:
        return 0

    def names(self) -> set[str]:
        kinds = self.real.listAllDomains(), self.real.listAllNetworks()
        return {one.name() for kind in kinds for one in kind} - {"test", "default"}


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    made = Daemon()
    monkeypatch.setattr(libvirt, "open", lambda _uri: made)
    yield made
    for domain in made.real.listAllDomains():
        if domain.name() != "test":
            domain.undefine()
    made.real.close()


@pytest.fixture
def cache() -> Iterator[Cache]:
    """At a short path: unix sockets live below it."""
    with tempfile.TemporaryDirectory(prefix="fh-", dir="/tmp") as path:
        yield Cache(Path(path))


@pytest.fixture
def lab(far: FarHost, daemon: Daemon, cache: Cache) -> Iterator[Lab]:
    made = Lab.create(cache, far.uri)
    yield made
    made.destroy()


def host_of(lab: Lab) -> RemoteHost:
    assert isinstance(lab.host, RemoteHost)
    return lab.host


def beside(far: FarHost) -> dict[str, str]:
    """What a lab could leave there."""
    return {
        "links": far.run("ip", "-o", "-br", "link"),
        "addresses": far.run("ip", "-o", "-br", "address"),
        "rules": far.run("nft", "list", "ruleset"),
        "labs": far.run("sh", "-c", f"ls {elsewhere.ROOT}/labs 2> /dev/null || true"),
        "processes": far.run("sh", "-c", "ps -e -o args= | grep -c '[f]ence_virt' || true"),
    }


def define(lab: Lab, name: str, place: str = "") -> libvirt.virDomain:
    plan = lab.topology.machine(name)
    xml = domain_xml(plan, lab.host, "tcg", "key").replace("<domain type='qemu'>",
                                                           "<domain type='test'>")  # fmt: skip
    return lab.host.connection.defineXML(
        xml.replace(host_of(lab).lab_path, place) if place else xml
    )


def test_its_links_are_there_and_go_with_it(far: FarHost, daemon: Daemon, cache: Cache) -> None:
    outside = os.listdir("/sys/class/net")
    far.run("mkdir", "-p", f"{elsewhere.ROOT}/labs")
    before = beside(far)
    lab = Lab.create(cache, far.uri)
    topology = lab.topology
    cards = {card["ifname"]: card for card in json.loads(far.run("ip", "-j", "-d", "addr"))}
    for link in Link:
        card = cards[topology.bridge(link)]
        assert card["linkinfo"]["info_kind"] == "bridge"
        assert card["linkinfo"]["info_data"]["mcast_snooping"] == 0
        assert card["mtu"] == (9000 if link in (Link.DATA, Link.DRBD) else 1500)
        own = [a["local"] for a in card["addr_info"] if a["family"] == "inet"]
        assert own == ([] if link is Link.DRBD else [topology.host_address(link)])
    assert daemon.names() == {topology.bridge(link) for link in Link}
    assert os.listdir("/sys/class/net") == outside, "nothing was made on this machine"
    lab.host.run("nft", "-f", "-", input_text="table bridge fh0_cut {\n}\n")
    define(lab, "alpha")
    assert beside(far) != before
    assert host_runs(lab.folder)
    lab.destroy()
    assert beside(far) == before
    assert daemon.names() == set()
    assert not lab.folder.exists()


def test_the_next_lab_takes_the_next_slot(far: FarHost, lab: Lab, cache: Cache) -> None:
    far.run("ip", "link", "add", "name", "fh1-mgmt", "type", "bridge")  # somebody else's
    second = Lab.create(cache, far.uri)
    try:
        assert (lab.topology.slot, second.topology.slot) == (0, 2)
        assert host_of(lab).lab_path != host_of(second).lab_path
        left = {one["ifname"] for one in json.loads(far.run("ip", "-j", "link"))}
        assert "fh1-data" not in left, "what was begun in the slot that was taken is gone"
    finally:
        second.destroy()
        far.run("ip", "link", "del", "dev", "fh1-mgmt")


def test_gc_removes_what_a_killed_run_left_there(
    far: FarHost, daemon: Daemon, cache: Cache
) -> None:
    far.run("mkdir", "-p", f"{elsewhere.ROOT}/labs")
    before = beside(far)
    lab = Lab.create(cache, far.uri)
    theirs = define(lab, "bravo", "/srv/theirs")
    define(lab, "alpha")
    (lab.folder / "fence.key").write_bytes(b"k")
    lab.host.publish("fence.key")
    start_fence_device(lab.host)
    lab.host.run("nft", "add", "table", "bridge", "fh0_fault")
    lab._lease.release()  # as the kernel does when its process is gone
    assert collect_garbage(cache) == ["lab lab0"]
    assert daemon.names() == {theirs.name()}, "somebody else's of the same name stays"
    assert beside(far) == before


def test_a_host_that_does_not_answer_keeps_its_lab_to_be_found_again(
    far: FarHost, daemon: Daemon, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Lab.create(cache, far.uri)
    lab._lease.release()
    host_of(lab).elsewhere.shell.close()
    assert host_of(lab).answers()
    with monkeypatch.context() as broken:
        broken.setenv("PATH", "/nonexistent")  # the ssh of the URI execs ssh(1) by its path
        far.ssh.rename(far.folder / "away")
        try:
            with pytest.raises(MissingEnvironmentError):
                collect_garbage(cache)
            assert not host_runs(lab.folder)
            assert not host_of(lab).answers()
        finally:
            (far.folder / "away").rename(far.ssh)
    assert lab.folder.exists()
    assert collect_garbage(cache) == ["lab lab0"]


def test_files_get_there_and_are_root_s_alone(far: FarHost, lab: Lab) -> None:
    (lab.folder / "fence.key").write_bytes(bytes(range(256)))
    lab.host.publish("fence.key")
    place = f"{host_of(lab).lab_path}/fence.key"
    assert far.run("stat", "-c", "%a %u %s", place).strip() == "600 0 256"
    assert lab.host.run("sha256sum", place).split()[0] == (
        subprocess.run(["sha256sum", lab.folder / "fence.key"], capture_output=True, text=True)
        .stdout.split()[0]
    )  # fmt: skip


def test_the_fence_device_runs_there_and_its_log_is_here(far: FarHost, lab: Lab) -> None:
    (lab.folder / "fence.key").write_bytes(b"k" * 64)
    lab.host.publish("fence.key")
    start_fence_device(lab.host)
    relay = host_of(lab).relay
    log = lab.folder / "fence.log"
    until("its first words", lambda: log.exists() and log.stat().st_size > 0)
    assert not relay.lost
    there = f"{host_of(lab).lab_path}/fence.log"
    until("all its words", lambda: log.read_text() == far.run("cat", there))
    listening = far.run("cat", f"{host_of(lab).lab_path}/fence_virt.conf")
    assert "10.77.4.1" in listening
    assert 'uri = "qemu:///system"' in listening, "as it is called over there"


WITNESS = """
import os, socket, sys, time
path = sys.argv[1]
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen(1)
client, _ = server.accept()
for number in range(int(sys.argv[2])):
    client.sendall(b"line %d\\n" % number)
sys.stdin.readline()
client.close()
server.close()
os.unlink(path)
sys.stdin.readline()
"""


def vm(far: FarHost, path: str, lines: int) -> subprocess.Popen[str]:
    """A VM, as far as a witness stream goes: it ends it, and then itself, by a line each."""
    return subprocess.Popen(
        [*far.enter(), "python3", "-c", WITNESS, path, str(lines)],
        stdin=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_witness_stream_is_as_whole_as_beside_the_vm(far: FarHost, lab: Lab) -> None:
    seen: list[tuple[str, str]] = []
    lock = threading.Lock()

    def add(_source: str, _channel: object, kind: str, data: dict[str, Any]) -> None:
        with lock:
            seen.append((kind, str(data.get("text", ""))))

    def kinds() -> list[str]:
        with lock:
            return [kind for kind, _text in seen if kind != "line"]

    streams = [one for one in lab_streams(lab) if one.source == "alpha"]
    witnesses = Witnesses(streams, add)
    try:
        assert kinds() == [], "no VM runs"
        path = f"{host_of(lab).lab_path}/ch/alpha-console"
        for life in range(2):
            process = vm(far, path, 20_000)
            assert process.stdin is not None
            until("it is open", lambda: kinds().count("open") == life + 1)  # noqa: B023
            until("all lines", lambda: len(seen) >= 20_000)
            process.stdin.write("\n")
            process.stdin.flush()
            until("its end", lambda: kinds().count("lost") == life + 1)  # noqa: B023
            process.communicate("\n")
            assert [text for kind, text in seen if kind == "line"] == [
                f"line {number}" for number in range(20_000)
            ]
            with lock:
                seen[:] = [one for one in seen if one[0] != "line"]
        assert kinds() == ["open", "lost"] * 2
    finally:
        witnesses.close()


def lab_streams(lab: Lab) -> list[Stream]:
    lab.machines = {  # without keys: nobody logs in
        plan.name: type("Named", (), {"name": plan.name, "plan": plan})()
        for plan in lab.topology.machines
    }
    streams = lab.streams()
    lab.machines = {}
    return streams


def test_a_stream_that_nobody_listens_to_holds_up_no_other(far: FarHost, lab: Lab) -> None:
    """Else the guest's writers would stand still, and be in its snapshot so."""
    place = host_of(lab).lab_path
    process = vm(far, f"{place}/ch/bravo-journal", 200_000)
    try:
        relay = host_of(lab).relay
        logged = lab.folder / "fence.log"
        until("it was read", lambda: _exists(relay, "bravo-journal"))
        far.run("sh", "-c", f"echo later >> {place}/fence.log")
        until("what came later", lambda: logged.exists() and "later" in logged.read_text())
    finally:
        process.communicate("\n\n")


def _exists(relay: Any, name: str) -> bool:
    try:
        relay.dial(name).close()
    except OSError:
        return False
    return True


def test_who_claims_the_address_is_seen_there(far: FarHost, lab: Lab) -> None:
    claims: list[tuple[str, str]] = []
    died: list[str] = []
    watch = lab.host.watch_vip(lambda ip, mac: claims.append((ip, mac)), died.append)
    topology = lab.topology
    guest = "52:54:00:00:00:08"
    far.run("ip", "netns", "add", "guest")
    inside = ("ip", "-n", "guest")
    pair = "ip link add name port type veth peer name data netns guest address"
    far.run(*pair.split(" "), guest)
    far.run("ip", "link", "set", "dev", "port", "master", topology.bridge(Link.DATA), "up")
    far.run(*inside, "link", "set", "dev", "data", "up")
    try:
        assert claims == []
        # It answers the outpost's own question, which comes each second.
        far.run(*inside, "address", "add", f"{topology.vip}/24", "dev", "data")
        until("the claim", lambda: (topology.vip, guest) in claims)
    finally:
        watch.close()
        far.run("ip", "link", "del", "dev", "port")
        far.run("ip", "netns", "del", "guest")
    assert died == []


def test_when_the_connection_is_lost_every_witness_says_so(far: FarHost, lab: Lab) -> None:
    told: list[str] = []
    lab.host.watch_vip(lambda *_: None, told.append)
    lab.host.when_cut_off(told.append)
    pid = host_of(lab).relay._process.pid
    os.kill(pid, 9)
    until("both say so", lambda: len(told) == 2)
    assert told == ["the connection to its host ended"] * 2
    with pytest.raises(OSError, match="ended"):
        lab.host.dial("alpha-console")
    until(
        "the outpost there has ended", lambda: "outpost" not in far.run("ps", "-e", "-o", "args=")
    )


def test_no_python_there_is_said(far: FarHost, lab: Lab) -> None:
    host = host_of(lab)
    shell = host.elsewhere.shell
    shell._sudo = ["env", "PATH=/nonexistent"]
    try:
        with pytest.raises(HarnessError, match=r"no witnesses on far.example: .*python3"):
            _ = host.relay
    finally:
        shell._sudo = []


def test_processes_there(far: FarHost, lab: Lab) -> None:
    """As QEMU is called by libvirt (-name guest=NAME,debug-threads=on)."""
    host = host_of(lab)
    assert host.qemu_pid("fh0-alpha") is None
    sleeping = ["python3", "-c", "import time; time.sleep(600)", "-name", "guest=fh0-alpha,debug"]
    process = subprocess.Popen([*far.enter(), *sleeping], stdin=subprocess.DEVNULL)
    try:
        until("it runs", lambda: host.qemu_pid("fh0-alpha") is not None)
        assert host.qemu_pid("fh0-alph") is None
        assert host.qemu_pid("fh0.alpha") is None, "a name is no pattern"
        pid = host.qemu_pid("fh0-alpha")
        assert pid is not None
        assert host.runs(pid)
        (thread,) = host.threads_of(pid).items()
        assert thread[0] == f"python3 {pid}"
        assert thread[1][2] in "SR"
        host.kill(pid)
        until("it has ended", lambda: not host.runs(pid))
        with pytest.raises(OSError):  # noqa: PT011  (as for a process of this machine)
            host.threads_of(pid)
    finally:
        process.kill()
        process.wait()
    assert not alive(process.pid)


def test_disks_are_kept_there_with_the_keys_that_belong_to_them(
    far: FarHost, lab: Lab, cache: Cache
) -> None:
    host, place = host_of(lab), host_of(lab).lab_path
    far.run("sh", "-c", f"echo one > {place}/disks/alpha-r0.qcow2")
    entry, building = cache.clusters / "0123456789abcdef", cache.clusters / ".building"
    building.mkdir(parents=True)
    (building / "secrets.json").write_text("first keys")
    host.keep_disks(entry, building)
    building.rename(entry)
    assert host.has_disks(entry)
    far.run("sh", "-c", f"echo changed > {place}/disks/alpha-r0.qcow2; touch {place}/disks/more")
    host.restore_disks(entry)
    assert far.run("sh", "-c", f"cd {place}/disks; cat *; ls").split() == ["one", "alpha-r0.qcow2"]
    # Formed anew elsewhere under the same name: other keys, so these are not its disks.
    (entry / "secrets.json").write_text("other keys")
    assert not host.has_disks(entry)
    (entry / "secrets.json").write_text("first keys")
    forget_cluster(cache, entry.name)
    assert far.run("sh", "-c", f"ls {elsewhere.ROOT}/clusters").split() == []


def test_a_disk_is_read_from_there(far: FarHost, lab: Lab, tmp_path: Path) -> None:
    place = f"{host_of(lab).lab_path}/disks"
    data = b"begin" + bytes(1 << 20) + b"end".ljust(512 - 5, b".")
    far.run("sh", "-c", f"head -c 5 /dev/zero > {place}/raw")
    raw = tmp_path / "raw"
    raw.write_bytes(data)
    subprocess.run(
        ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, lab.folder / "disks/a.qcow2"],
        check=True,
    )
    lab.host.publish("disks/a.qcow2")
    lab.host.read_disk("a.qcow2", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data
    assert "raw-" not in far.run("ls", host_of(lab).lab_path)
    with pytest.raises(HarnessError, match=r"none.qcow2"):
        lab.host.read_disk("none.qcow2", tmp_path / "none")


def test_an_image_is_brought_there_once(
    far: FarHost, daemon: Daemon, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test driver's volumes take no bytes; what is made there, and when, is real."""
    brought: list[str] = []
    monkeypatch.setattr(elsewhere, "upload", lambda _c, pool, path: brought.append(path.name))
    for _ in range(2):
        lab.host.provide(tmp_path, "0123")
    assert brought == list(elsewhere.IMAGE_FILES)
    assert far.run("ls", "-A", f"{elsewhere.ROOT}/images").split() == ["0123"]
    assert [pool.name() for pool in daemon.real.listAllStoragePools()] == ["default-pool"]
    monkeypatch.setattr(elsewhere, "upload", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        lab.host.provide(tmp_path, "4567")
    monkeypatch.setattr(elsewhere, "upload", lambda _c, pool, path: brought.append(path.name))
    lab.host.provide(tmp_path, "4567")
    assert len(brought) == 6, "what was not whole is brought anew"


def test_its_qemu_is_told_as_that_of_this_machine_is(lab: Lab) -> None:
    """Parts of a run that were made on several hosts are compared by it."""
    there = host_of(lab).elsewhere
    assert there.qemu() == qemu_version()
    there.shell._sudo = ["env", "PATH=/nonexistent"]
    try:
        assert re.fullmatch(r"QEMU \d+\.\d+\.\d+", there.qemu()), "libvirt's word for it"
    finally:
        there.shell._sudo = []


def test_kvm_is_tried_there_by_that_host_s_python(far: FarHost, lab: Lab, tmp_path: Path) -> None:
    """The same code as here, with whatever QEMU that host has: a script that boots nothing."""
    there = host_of(lab).elsewhere
    qemu = tmp_path / "qemu-system-x86_64"
    qemu.write_text("#!/bin/sh\necho KVM-EXECUTES\nsleep 5\n", encoding="utf-8")
    qemu.chmod(0o755)
    there.shell._sudo = ["env", f"PATH={tmp_path}:/usr/bin:/bin"]
    try:
        found = there.probe_kvm("0123")
    finally:
        there.shell._sudo = []
    if Path("/dev/kvm").exists():  # that host has the /dev of this one
        assert found.kind == "kvm"
        assert "a boot sector ran under KVM" in found.reason
        assert found.weak
    else:
        assert (found.kind, found.reason) == ("tcg", "/dev/kvm does not exist")
    there.shell._sudo = ["env", "PATH=/nonexistent"]
    try:
        refused = there.probe_kvm("0123")
    finally:
        there.shell._sudo = []
    assert refused.kind == "tcg"
    assert refused.reason.startswith("KVM cannot be tried on far.example: ")


def test_a_guest_s_shell_goes_through_that_host(far: FarHost, lab: Lab) -> None:
    command = lab.host.shell_in("10.77.0.11")
    assert command[0] == "ssh"
    (through,) = (word for word in command if word.startswith("ProxyCommand="))
    assert "-W %h:%p" in through
    assert str(far.ssh) in through
    assert command[-1] == "root@10.77.0.11"
