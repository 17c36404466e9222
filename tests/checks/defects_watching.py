"""Defects of faults, machines, witnesses, kernels and single samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.checks.planting import INCONCLUSIVE, INVALID, defect, with_a_file_job

if TYPE_CHECKING:
    from tests.checks.build import Folder


@defect(faults=INCONCLUSIVE, spanning_writes=INCONCLUSIVE)
def no_proof_of_the_heal(f: Folder) -> None:
    f.drop(lambda e: e.kind == "healed")


@defect(faults=INCONCLUSIVE)
def the_fault_did_not_bite(f: Folder) -> None:
    for event in f.events:
        if event.kind == "bitten":
            event.kind = "not-bitten"


@defect(faults=INCONCLUSIVE, spanning_writes=INCONCLUSIVE, machines=INVALID)
def no_fault_at_all(f: Folder) -> None:
    f.drop(lambda e: e.channel == "fault")


@defect(faults=INCONCLUSIVE)
def a_cut_ended_by_itself(f: Folder) -> None:
    nobody_looked_whether_a_cut_lasted(f)
    f.add(49.9, "host", "fault", "no-longer-bitten", id="f2", fault="cut", proof="carrier is 1")


@defect()
def a_machine_was_powered_on_before_its_heal(f: Folder) -> None:
    f.add(54.9, "host", "fault", "no-longer-bitten", id="f1-power-off", proof="")


def _gone_before_its_heal(f: Folder, kind: str, inject_s: float, **facts: str) -> None:
    """A second fault, from 5 s on, that is not there any more when it is about to be healed."""
    fault = {"id": "f2", "fault": kind, "kind": kind, "target": "something", **facts}
    f.add(inject_s, "host", "fault", "plan", **fault)
    for t_s, stage in ((inject_s, "inject"), (inject_s + 1, "bitten"), (58.4, "no-longer-bitten"),
                       (58.5, "heal"), (59, "healed")):  # fmt: skip
        f.add(t_s, "host", "fault", stage, **fault, proof="seen")


@defect()
def a_fault_ended_with_the_machine_it_was_in(f: Folder) -> None:
    """alpha lost its power at 20 s: its limits, signals and settings are gone with it."""
    _gone_before_its_heal(f, "slow-disk", 15, machine="alpha")


@defect(faults=INCONCLUSIVE)
def a_fault_ended_by_itself_beside_a_machine_that_went_down(f: Folder) -> None:
    _gone_before_its_heal(f, "slow-disk", 15, machine="bravo")


@defect(faults=INCONCLUSIVE)
def a_fault_ended_by_itself_after_its_machine_had_booted(f: Folder) -> None:
    _gone_before_its_heal(f, "slow-disk", 50, machine="alpha")


@defect(faults=INCONCLUSIVE)
def a_cut_of_no_machine_ended_by_itself(f: Folder) -> None:
    _gone_before_its_heal(f, "cut-carrier", 15)


@defect(machines=INVALID)
def a_machine_crashed_by_itself(f: Folder) -> None:
    f.add(82, "client", "domain", "lifecycle", event="crashed", detail="panicked")


@defect(machines=INVALID)
def a_node_stopped_once_more(f: Folder) -> None:
    f.add(35, "alpha", "domain", "lifecycle", event="stopped", detail="failed")
    f.add(36, "alpha", "domain", "lifecycle", event="started", detail="booted")
    f.add(37, "alpha", "domain", "lifecycle", event="stopped", detail="failed")


@defect(machines=INVALID)
def a_machine_booted_by_itself(f: Folder) -> None:
    f.journal(85, "client", "Started", identifier="x", boot="2")


@defect(machines=INVALID)
def a_node_booted_more_often_than_it_was_put_down(f: Folder) -> None:
    f.journal(83, "alpha", "Started", identifier="x", boot="3")


@defect()
def a_reboot_that_was_asked_for(f: Folder) -> None:
    f.journal(85, "bravo", "Started", identifier="x", boot="2")
    value = {"node": "bravo", "seconds": 20.0, "boot_id_before": "bravo-boot-1",
             "boot_id_after": "bravo-boot-2", "deadline_s": 60.0}  # fmt: skip
    f.sample(91, "reboot", "after", "bravo", value)


@defect()
def a_revert_is_no_stop(f: Folder) -> None:
    f.add(0.1, "client", "domain", "lifecycle", event="stopped", detail="from-snapshot")


@defect(fencings=INCONCLUSIVE)
def fence_virtd_acted_twice(f: Folder) -> None:
    f.add(29, "host", "fence", "line", text="ENTER libvirt_off fh0-alpha 6")


@defect(fencings=INCONCLUSIVE)
def fence_virtd_acted_on_the_other_node(f: Folder) -> None:
    for event in f.events:
        if "ENTER" in str(event.data.get("text")):
            event.data["text"] = "ENTER libvirt_reboot fh0-bravo 5"


@defect(fencings=INCONCLUSIVE)
def fence_virtd_did_nothing(f: Folder) -> None:
    f.drop(lambda e: "ENTER" in str(e.data.get("text")))


@defect()
def fence_virtd_told_a_request_twice(f: Folder) -> None:
    f.add(27.1, "host", "fence", "line", text="ENTER libvirt_reboot fh0-alpha 5")


@defect(faults=INCONCLUSIVE)
def nobody_looked_whether_a_cut_lasted(f: Folder) -> None:
    fault = {"id": "f2", "fault": "cut", "kind": "cut-carrier", "target": "data"}
    for t_s, kind in (
        (40, "plan"), (40, "inject"), (41, "bitten"), (50, "heal"), (51, "healed"),
    ):  # fmt: skip
        f.add(t_s, "host", "fault", kind, **fault, proof="seen")


@defect()
def a_cut_that_lasted(f: Folder) -> None:
    nobody_looked_whether_a_cut_lasted(f)
    f.add(49.9, "host", "fault", "still-bitten", id="f2", fault="cut", proof="carrier is 0")


@defect()
def a_cut_of_a_guest_that_could_not_be_asked(f: Folder) -> None:
    nobody_looked_whether_a_cut_lasted(f)
    f.add(49.9, "host", "fault", "still-unknown", id="f2", fault="cut", unreachable=True)


@defect(faults=INCONCLUSIVE)
def rules_on_the_host_that_could_not_be_asked_for(f: Folder) -> None:
    """Of a silent cut the host tells, which has no fault: silence is trouble of the harness's."""
    a_cut_of_a_guest_that_could_not_be_asked(f)
    for event in f.events:
        if event.channel == "fault" and event.data.get("id") == "f2":
            event.data["kind"] = "cut-silent"


@defect(settled=INVALID)
def the_cluster_did_not_settle(f: Folder) -> None:
    f.add(89, "host", "state", "not-settled", text="not within 300 s; bravo: r1 is Inconsistent")


@defect(healthy_start=INCONCLUSIVE)
def a_replica_was_stale_before(f: Folder) -> None:
    f.value("drbd", "before", "alpha")["r1"]["peer_disk"] = "Outdated"


@defect(healthy_start=INCONCLUSIVE)
def a_connection_was_down_before(f: Folder) -> None:
    f.value("drbd", "before", "alpha")["r1"]["cs"] = "WFConnection"


@defect(healthy_start=INCONCLUSIVE)
def a_resource_was_stopped_before(f: Folder) -> None:
    f.value("group", "before")["resources"]["vip"] = "Stopped"


@defect(healthy_start=INCONCLUSIVE)
def a_constraint_was_there_before(f: Folder) -> None:
    f.value("fence_constraints", "before").append("drbd-fence-by-handler-r0-msg")


@defect(healthy_start=INCONCLUSIVE)
def an_action_had_failed_before(f: Folder) -> None:
    f.value("failed_actions", "before").append("lun0_start_0 on bravo: error")


@defect(healthy_start=INCONCLUSIVE)
def a_node_was_in_standby_before(f: Folder) -> None:
    f.value("membership", "before")["alpha"] = "standby"


@defect(healthy_start=INCONCLUSIVE)
def nobody_asked_for_the_instances_before(f: Folder) -> None:
    f.drop(lambda e: e.data.get("what") == "instances" and e.data.get("when") == "before")


@defect(witnesses=INCONCLUSIVE)
def a_stream_without_nonce(f: Folder) -> None:
    f.drop(lambda e: e.kind == "nonce" and e.source == "client" and e.channel == "console")


@defect(witnesses=INCONCLUSIVE, failover_phases=INCONCLUSIVE)
def a_stream_with_an_old_nonce(f: Folder) -> None:
    for event in f.events:
        if event.kind == "nonce" and event.source == "client" and event.channel == "journal":
            event.data["nonce"] = "n0"


@defect(witnesses=INCONCLUSIVE)
def a_stream_broke_by_itself(f: Folder) -> None:
    f.add(65, "bravo", "journal", "lost", reason="end of stream")
    f.add(66, "bravo", "journal", "open")


@defect(witnesses=INCONCLUSIVE)
def a_stream_never_opened_again(f: Folder) -> None:
    f.drop(
        lambda e: e.kind == "open" and e.source == "alpha" and e.channel == "console" and e.t_s > 0
    )


@defect(witnesses=INCONCLUSIVE)
def a_stream_without_a_nonce_at_the_end(f: Folder) -> None:
    f.drop(lambda e: e.kind == "end-nonce" and (e.source, e.channel) == ("bravo", "events2"))


@defect(witnesses=INCONCLUSIVE)
def another_nonce_at_the_end(f: Folder) -> None:
    for event in f.events:
        if event.kind == "end-nonce" and event.source == "client" and event.channel == "journal":
            event.data["nonce"] = "end-e0"


@defect()
def a_nonce_at_the_end_twice(f: Folder) -> None:
    """Through /dev/kmsg and by logger."""
    f.add(94.5, "alpha", "journal", "end-nonce", nonce="end-e1")


@defect(witnesses=INCONCLUSIVE)
def a_garbled_line(f: Folder) -> None:
    """One is enough: it may have been the one that counts."""
    f.add(40, "bravo", "journal", "garbled", text="{")


@defect(witnesses=INCONCLUSIVE)
def a_garbled_event_of_drbd(f: Folder) -> None:
    f.add(40, "bravo", "events2", "garbled", text="chan")


@defect()
def lines_that_were_torn_when_the_vm_died(f: Folder) -> None:
    f.add(20.1, "alpha", "journal", "garbled", text='{"MESSAGE":"fa')
    f.add(20.1, "alpha", "events2", "garbled", text="chan")


@defect()
def events_that_overtook_each_other(f: Folder) -> None:
    """As seen: nothing is missing in the end."""
    for n, count in enumerate((2, -4, 3, -4, 3)):
        f.add(40 + n, "bravo", "events2", "skipped", count=count)


@defect(witnesses=INCONCLUSIVE)
def events_that_were_lost(f: Folder) -> None:
    for n, count in enumerate((2, -4, 3)):
        f.add(40 + n, "bravo", "events2", "skipped", count=count)


@defect(witnesses=INCONCLUSIVE)
def events_that_were_lost_before_events2_started_again(f: Folder) -> None:
    f.add(40, "bravo", "events2", "skipped", count=1)
    f.add(41, "bravo", "events2", "dump-end", object="-", fields={}, raw="exists -")
    f.add(42, "bravo", "events2", "skipped", count=-1)


@defect(witnesses=INCONCLUSIVE)
def a_witness_on_the_host_died(f: Folder) -> None:
    f.add(40, "host", "arp", "witness-died", reason="OSError: Network is down")


@defect(witnesses=INCONCLUSIVE)
def no_counters_for_half_a_minute(f: Folder) -> None:
    f.drop(lambda e: e.channel == "progress" and 22 < e.t_s < 54)


@defect(witnesses=INCONCLUSIVE)
def no_counters_after_the_heal(f: Folder) -> None:
    f.drop(lambda e: e.channel == "progress" and e.t_s > 58)


@defect(witnesses=INCONCLUSIVE)
def no_counters_before_the_fault(f: Folder) -> None:
    f.drop(lambda e: e.channel == "progress" and e.t_s < 21)


@defect(witnesses=INCONCLUSIVE)
def no_counters_at_all(f: Folder) -> None:
    f.drop(lambda e: e.channel == "progress")


@defect(kernel_alarms=INVALID)
def an_oops(f: Folder) -> None:
    f.kernel(40, "bravo", "BUG: unable to handle page fault for address: ffffc90000a4a000")


@defect(kernel_alarms=INVALID)
def an_io_error_of_the_initiator(f: Folder) -> None:
    f.kernel(40, "client", "I/O error, dev sda, sector 2048 op 0x1:(WRITE) flags 0x800")


@defect(kernel_alarms=INVALID)
def the_file_system_became_read_only(f: Folder) -> None:
    f.journal(40, "client", "EXT4-fs (sda1): Remounting filesystem read-only", "kernel", "kernel")


@defect(kernel_alarms=INVALID)
def drbd_gave_up_its_disk(f: Folder) -> None:
    f.kernel(40, "bravo", "block drbd0: disk( UpToDate -> Failed ) ")


@defect()
def drbd_detached_because_pacemaker_stopped_it(f: Folder) -> None:
    text = " notice: Initiating stop operation d0_stop_0 on bravo"
    f.journal(38, "alpha", text, identifier="pacemaker-controld", boot="2")
    drbd_gave_up_its_disk(f)


@defect(kernel_alarms=INVALID)
def pacemaker_stopped_what_had_failed(f: Folder) -> None:
    f.kernel(
        37, "bravo", "block drbd0: Local IO failed in drbd_endio_write_sec_final. Detaching..."
    )
    drbd_detached_because_pacemaker_stopped_it(f)


@defect(kernel_alarms=INVALID)
def pacemaker_stopped_it_afterwards(f: Folder) -> None:
    text = " notice: Initiating stop operation d0_stop_0 on bravo"
    f.journal(50, "alpha", text, identifier="pacemaker-controld", boot="2")
    drbd_gave_up_its_disk(f)


@defect(kernel_alarms=INVALID)
def the_fence_handler_is_broken(f: Folder) -> None:
    f.kernel(40, "bravo", "drbd r0: fence-peer helper broken, returned 0")


@defect(kernel_alarms=INVALID)
def the_initiator_gave_up_on_a_command(f: Folder) -> None:
    f.kernel(40, "bravo", "ABORT_TASK: Found referenced iSCSI task_tag: 10")


@defect(kernel_alarms=INCONCLUSIVE)
def a_soft_lockup(f: Folder) -> None:
    f.kernel(40, "bravo", "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [fio:812]")


@defect(kernel_alarms=INCONCLUSIVE)
def a_card_that_sends_nothing_more(f: Folder) -> None:
    stuck = "NETDEV WATCHDOG: CPU: 0: transmit queue 0 timed out 5376 ms"
    f.kernel(40, "bravo", f"virtio_net virtio3 data: {stuck}")


@defect(kernel_alarms=INCONCLUSIVE)
def an_rcu_stall(f: Folder) -> None:
    f.kernel(40, "client", "rcu: INFO: rcu_preempt self-detected stall on CPU")


@defect(kernel_alarms=INCONCLUSIVE)
def a_timer_interrupt_of_seconds(f: Folder) -> None:
    f.kernel(40, "client", "hrtimer: interrupt took 2356730000 ns")


@defect(kernel_alarms=INCONCLUSIVE)
def a_task_blocked_without_a_stall(f: Folder) -> None:
    f.kernel(15, "client", "INFO: task fio:812 blocked for more than 120 seconds.")


@defect()
def kernel_lines_that_are_no_alarm(f: Folder) -> None:
    f.kernel(34, "client", "INFO: task fio:812 blocked for more than 120 seconds.")
    f.kernel(21, "client", " connection1:0: detected conn error (1022)")
    f.kernel(40, "client", "hrtimer: interrupt took 9356730 ns")
    f.kernel(40, "alpha", "EXT4-fs (vda): re-mounted. Quota mode: none.", boot="2")
    f.kernel(40, "alpha", "rcu: Preemptible hierarchical RCU implementation.", boot="2")
    f.kernel(40, "alpha", "systemd[1]: x: I/O error", boot="2")
    f.add(40, "alpha", "console", "line", text="login: I/O error")
    f.journal(40, "client", "fio: I/O error", identifier="fio")
    f.kernel(-3, "client", "I/O error, dev sda, sector 2048")


@defect(fsck=INVALID)
def fsck_found_errors(f: Folder) -> None:
    f.value("fsck", "after")["exit_code"] = 4


@defect(fsck=INCONCLUSIVE)
def a_file_job_without_fsck(f: Folder) -> None:
    f.drop(lambda e: e.data.get("what") == "fsck")
    with_a_file_job(f)


@defect(files=INVALID)
def a_file_changed(f: Folder) -> None:
    f.value("files", "after")["seen"]["/b"] = "23"


@defect(jumbo=INVALID)
def a_jumbo_frame_is_dropped(f: Folder) -> None:
    f.value("jumbo", "after")["exit_code"] = 1


@defect(jumbo=INCONCLUSIVE)
def nobody_pinged_with_jumbo_frames(f: Folder) -> None:
    f.scenario["gherkin"].append("Then jumbo frames pass unfragmented on the drbd link")
    f.drop(lambda e: e.data.get("what") == "jumbo")


@defect(reboot=INCONCLUSIVE)
def what_became_of_a_reboot_nobody_noted(f: Folder) -> None:
    f.scenario["gherkin"].append("When the passive node is rebooted cleanly")
    f.drop(lambda e: e.data.get("what") == "reboot")


@defect(reboot=INVALID)
def a_reboot_hangs(f: Folder) -> None:
    f.value("reboot", "after")["seconds"] = None


@defect(reboot=INVALID)
def a_reboot_that_was_none(f: Folder) -> None:
    f.value("reboot", "after")["boot_id_after"] = "a"
