"""Lines of kernels, pacemakerd and systemd: which are alarms, which are told, which are nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.checks import judge_one
from tests.checks.build import Folder, healthy

if TYPE_CHECKING:
    from pathlib import Path

    from harness.checks import CheckResult

LOUD = (
    # report_bug() of lib/bug.c, die() of arch/x86/kernel/dumpstack.c: no "BUG: ", no "Oops".
    "kernel BUG at drivers/block/drbd/drbd_worker.c:1234!",
    "invalid opcode: 0000 [#1] PREEMPT SMP PTI",
    "general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1]",
    "WARNING: CPU: 0 PID: 771 at drivers/target/target_core_transport.c:3038 "
    "target_wait_for_sess_cmds+0x3f/0x50",
    # drbd_req.c and drbd_int.h of 8.4.
    "block drbd1: IO ERROR: neither local nor remote data, sector 1928+8",
    "block drbd1: ASSERT( device->open_cnt == 0 ) in drivers/block/drbd/drbd_main.c:2290",
    "drbd r1: ASSERTION connection->cstate >= C_CONNECTED FAILED in receive_Barrier",
    # blk_errors of block/blk-core.c other than "I/O"; drivers/scsi, fs/jbd2, mm/oom_kill.c.
    "critical target error, dev sdb, sector 1928 op 0x1:(WRITE) flags 0x8800 phys_seg 1",
    "critical medium error, dev vdb, sector 1928 op 0x0:(READ) flags 0x0 phys_seg 1",
    "timeout error, dev sdb, sector 1928 op 0x1:(WRITE) flags 0x8800 phys_seg 1",
    "operation not supported error, dev sdb, sector 1928 op 0x1:(WRITE) flags 0x8800 phys_seg 1",
    "sd 2:0:0:1: Device offlined - not ready after error recovery",
    "JBD2: Detected IO errors while flushing file data on sdb1-8",
    "Out of memory: Killed process 812 (pacemaker-contr) total-vm:61000kB, anon-rss:9000kB",
    "pacemaker-fence[771]: segfault at 0 ip 00007f1c4b2a1b90 sp 00007ffd1 error 4 in libc.so.6",
    "traps: corosync[691] general protection fault ip:7f1c4b2a1b90 sp:7ffd1 error:0 in libqb.so",
)
STARVED = (
    "watchdog: Watchdog detected hard LOCKUP on cpu 0",
    "WARNING: CPU: 0 PID: 0 at net/sched/sch_generic.c:525 dev_watchdog+0x20b/0x210",
)
QUIET = (
    "operation not supported error, dev sda, sector 8 op 0x9:(WRITE_ZEROES) flags 0x400 phys_seg 0",
    "critical target error, dev fd0, sector 0 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2",
    # What conn_disconnect() of drbd_receiver.c says of writes that a lost connection left.
    "drbd r0: ASSERTION FAILED: connection->current_epoch->list not empty",
    "python3[812]: segfault at 0 ip 000000000051c2f0 sp 00007ffd1 error 4 in python3.11",
    "traps: python3[812] general protection fault ip:51c2f0 sp:7ffd1 error:0 in python3.11",
    "sd 2:0:0:0: [sda] tag#7 Sense Key : Unit Attention [current]",
    "EDAC MC: Ver: 3.0.0",
    "mce: CPU0: Thermal monitoring enabled (TM1)",
    "ACPI Error: No handler for Region [SYSI] (00000000) [IPMI] (20220331/evregion-130)",
    "NX (Execute Disable) protection: active",
    "print_req_error: 12 callbacks suppressed",
)
# As seen on a survivor of a cut; "? " marks what is no frame for certain.
WARNING = (
    "WARNING: CPU: 0 PID: 1200 at kernel/rcu/tree_plugin.h:320 rcu_note_context_switch+0x4ee/0x650"
)
TRACE = (
    "CPU: 0 PID: 1200 Comm: drbd_w_r1 Not tainted 6.1.0-56-cloud-amd64 #1  Debian 6.1.192-2",
    "RIP: 0010:rcu_note_context_switch+0x4ee/0x650",
    "Call Trace:",
    " <TASK>",
    " __schedule+0xae/0xa00",
    " ? cpuusage_read+0x10/0x10",
    " drbd_md_sync+0x63/0x90 [drbd]",
    " drbd_uuid_new_current+0xc0/0x100 [drbd]",
    " w_after_conn_state_ch+0x1fd/0x280 [drbd]",
    " drbd_worker+0x108/0x420 [drbd]",
    " </TASK>",
    "---[ end trace 0000000000000000 ]---",
)


def alarms(folder: Folder, path: Path) -> CheckResult:
    return judge_one(folder.save(path), "kernel-alarms")


def said(node: str, *lines: str) -> Folder:
    """A node's kernel says these from 40 s on, one soon after the other."""
    folder = healthy()
    for number, text in enumerate(lines):
        folder.kernel(40 + number / 100, node, text)
    return folder


@pytest.mark.parametrize("text", LOUD)
def test_a_kernel_that_is_ill_is_an_alarm(tmp_path: Path, text: str) -> None:
    result = alarms(said("bravo", text), tmp_path)
    assert (str(result.verdict), result.details["failures"]) == ("INVALID", 1), result.seen


@pytest.mark.parametrize("text", STARVED)
def test_what_may_be_a_guest_without_a_processor_is_in_doubt(tmp_path: Path, text: str) -> None:
    assert str(alarms(said("bravo", text), tmp_path).verdict) == "INCONCLUSIVE"


@pytest.mark.parametrize("text", QUIET)
def test_what_only_looks_so_is_no_alarm(tmp_path: Path, text: str) -> None:
    result = alarms(said("client", text), tmp_path)
    assert str(result.verdict) == "VALID", result.seen


@pytest.mark.parametrize(
    ("identifier", "text", "verdict"),
    [
        (
            "pacemakerd",
            "pacemaker-fenced[771] terminated with signal 11 (Segmentation fault)",
            "INVALID",
        ),
        (
            "pacemakerd",
            " error: pacemaker-based[7] terminated with signal 6 (Aborted) and dumped core",
            "INVALID",
        ),
        # pacemakerd's own doing, where a daemon does not answer it; seen on a starved node.
        ("pacemakerd", "warning: pacemaker-based[722] terminated with signal 9 (Killed)", "VALID"),
        (
            "systemd",
            "corosync.service: Main process exited, code=dumped, status=6/ABRT",
            "INVALID",
        ),
        ("systemd", "corosync.service: Main process exited, code=killed, status=9/KILL", "VALID"),
        ("systemd", "fio-raw0.service: Main process exited, code=killed, status=11/SEGV", "VALID"),
        ("sshd", "pacemaker-fenced[771] terminated with signal 11 (Segmentation fault)", "VALID"),
    ],
)
def test_a_daemon_that_crashes_by_itself_is_an_alarm(
    tmp_path: Path, identifier: str, text: str, verdict: str
) -> None:
    folder = healthy()
    folder.journal(70, "bravo", text, identifier=identifier)
    result = alarms(folder, tmp_path)
    assert str(result.verdict) == verdict, result.seen


def test_a_known_warning_is_told_and_no_alarm(tmp_path: Path) -> None:
    result = alarms(said("bravo", WARNING, *TRACE), tmp_path)
    assert str(result.verdict) == "VALID"
    assert "known WARNING of bravo: DRBD sleeps" in result.seen
    assert (result.details["known_warnings"], len(result.evidence)) == (1, 2)


def test_a_known_warning_is_told_beside_an_alarm(tmp_path: Path) -> None:
    result = alarms(said("bravo", WARNING, *TRACE, LOUD[0]), tmp_path)
    assert (str(result.verdict), result.details["failures"]) == ("INVALID", 1)
    assert "known WARNING of bravo: DRBD sleeps" in result.seen


def test_one_witness_of_its_trace_is_enough(tmp_path: Path) -> None:
    folder = said("bravo", WARNING, *TRACE)
    folder.drop(lambda e: e.channel == "console" and "drbd_md_sync" in str(e.data.get("text")))
    assert str(alarms(folder, tmp_path).verdict) == "VALID"


@pytest.mark.parametrize(
    "lines",
    [
        (WARNING,),
        (WARNING, *(line for line in TRACE if "drbd_uuid_new_current" not in line)),
        (WARNING, *(line.replace(" drbd_md_sync", " ? drbd_md_sync") for line in TRACE)),
        (WARNING.replace("rcu_note_context_switch", "drbd_md_write"), *TRACE),
        (WARNING, TRACE[-1], *TRACE),  # the trace of something else
    ],
)
def test_the_same_warning_of_another_caller_is_an_alarm(
    tmp_path: Path, lines: tuple[str, ...]
) -> None:
    assert str(alarms(said("bravo", *lines), tmp_path).verdict) == "INVALID"


LOST = "Buffer I/O error on dev drbd1, logical block 77, lost async page write"
READ = "Buffer I/O error on dev drbd1, logical block 77, async page read"
FAILED = "block drbd1: disk( UpToDate -> Failed ) "


@pytest.mark.parametrize(
    ("order", "text", "verdict"),
    [
        ("Initiating stop operation d1_stop_0 locally on bravo", READ, "VALID"),
        ("Initiating stop operation d1_stop_0 locally on bravo", FAILED, "VALID"),
        ("Initiating stop operation d1:0_stop_0 on bravo", FAILED, "VALID"),
        ("Requesting local execution of stop operation for d1 on bravo", FAILED, "VALID"),
        ("Requesting local execution of stop operation for d1 on bravo",
         "drbd r1: disk( UpToDate -> Failed ) ", "VALID"),
        ("Initiating stop operation d1_stop_0 locally on bravo", LOST, "INVALID"),
        ("Initiating stop operation d1_stop_0 locally on bravo",
         "block drbd1: IO ERROR: neither local nor remote data, sector 1928+8", "INVALID"),
        ("Initiating stop operation d1_stop_0 on alpha", FAILED, "INVALID"),
        ("Initiating stop operation d0_stop_0 on bravo", FAILED, "INVALID"),
        ("Initiating stop operation d0_stop_0 on bravo", READ, "INVALID"),
        ("Initiating stop operation d11_stop_0 on bravo", FAILED, "INVALID"),
        ("Initiating stop operation p_vip_stop_0 locally on bravo", FAILED, "INVALID"),
        ("Initiating stop operation p_vip_stop_0 locally on bravo", READ, "INVALID"),
        ("Initiating demote operation d1_demote_0 locally on bravo", FAILED, "INVALID"),
    ],
)  # fmt: skip
def test_a_planned_stop_explains_that_resource_s_disk_and_reads_alone(
    tmp_path: Path, order: str, text: str, verdict: str
) -> None:
    folder = healthy()
    folder.journal(40, "bravo", f" notice: {order}", identifier="pacemaker-controld")
    folder.kernel(70, "bravo", text)
    result = alarms(folder, tmp_path)
    assert str(result.verdict) == verdict, result.seen


BROKEN = "drbd r1: fence-peer helper broken, returned {}"
REFUSED = "WARNING All peer disks are UpToDate! Did not place the constraint."


@pytest.mark.parametrize(
    ("code", "words", "connection", "suspended", "resource", "verdict"),
    [
        (1, REFUSED, "Connected", "no", "r1", "VALID"),
        (1, "", "Connected", "no", "r1", "INVALID"),
        (1, REFUSED, "Connecting", "no", "r1", "INVALID"),
        (1, REFUSED, "Connected", "fencing", "r1", "INVALID"),
        (1, REFUSED, "Connected", "no", "r2", "INVALID"),
        (0, REFUSED, "Connected", "no", "r1", "INVALID"),
    ],
)
def test_a_handler_whose_peer_was_back_before_it_looked_is_not_broken(
    tmp_path: Path,
    code: int,
    words: str,
    connection: str,
    suspended: str,
    resource: str,
    verdict: str,
) -> None:
    """As bravo's were where a switch port of the drbd link took no large frames."""
    folder = healthy()
    lost = {"name": "r1", "conn-name": "peer", "connection": "Timeout"}
    folder.add(38, "bravo", "events2", "change", object="connection", fields=lost, raw="")
    held = {"name": "r1", "suspended": "fencing"}
    folder.add(38, "bravo", "events2", "change", object="resource", fields=held, raw="")
    back = {"name": resource, "conn-name": "peer", "connection": connection}
    folder.add(39, "bravo", "events2", "change", object="connection", fields=back, raw="")
    goes_on = {"name": resource, "suspended": suspended}
    folder.add(39, "bravo", "events2", "change", object="resource", fields=goes_on, raw="")
    if words:
        folder.journal(41, "bravo", words, identifier="crm-fence-peer.sh")
    folder.kernel(41, "bravo", BROKEN.format(code))
    result = alarms(folder, tmp_path)
    assert str(result.verdict) == verdict, result.seen
    assert result.details["refusals"] == (verdict == "VALID")
