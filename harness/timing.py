"""Timing profiles: the timeouts and deadlines that fit how fast the guests run.

Under emulation (TCG) guests are 5 to 10 times slower, but not everything slows down alike, so
each class of timeout is scaled by itself and their order is validated (harness.cluster.config).
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

FENCE_MONITOR_S = 120
"""How often Pacemaker asks a fence device whether it is there, in seconds."""


class Timing(BaseModel):
    """Timeouts given to the cluster and deadlines used by the harness; seconds unless named.

    Attributes:
        corosync_token_ms: Corosync's token timeout.
        drbd_timeout_ds: DRBD's net timeout, in tenths of a second as drbd.conf(5) has it.
        drbd_ping_int_s, drbd_connect_int_s: DRBD's keep-alive and reconnect intervals.
        drbd_ping_timeout_ds: how long DRBD waits for a keep-alive's answer, in tenths of a second.
        fence_dc_timeout_s, fence_handler_timeout_s: crm-fence-peer.sh's two timeouts.
        promote_timeout_s, start_timeout_s, stop_timeout_s, monitor_timeout_s: of operations.
        monitor_interval_s: base interval of recurring monitors.
        priority_fencing_delay_s: head start of the node that runs the higher priority; longer
            than that node may be later with its order than the other one. A node that serves and
            is lost is fenced so much later.
        replacement_timeout_s: how long the initiator holds I/O while the session is gone.
        scsi_timeout_s: the initiator's SCSI command timer.
        boot_deadline_s: from power-on to SSH.
        answer_deadline_s: from a revert to SSH; what the revert upset keeps a guest busy.
        form_deadline_s: each wait while the cluster is formed.
        settle_deadline_s: from heal to a whole cluster.
        reboot_deadline_s: a clean reboot of a node, to SSH.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    corosync_token_ms: int
    drbd_timeout_ds: int
    drbd_ping_int_s: int
    drbd_connect_int_s: int
    drbd_ping_timeout_ds: int
    fence_dc_timeout_s: int
    fence_handler_timeout_s: int
    promote_timeout_s: int
    start_timeout_s: int
    stop_timeout_s: int
    monitor_timeout_s: int
    monitor_interval_s: int
    priority_fencing_delay_s: int
    replacement_timeout_s: int
    scsi_timeout_s: int
    boot_deadline_s: float
    answer_deadline_s: float
    form_deadline_s: float
    settle_deadline_s: float
    reboot_deadline_s: float

    @property
    def peer_noticed_s(self) -> float:
        """By then DRBD has noticed that its peer is gone, whatever was under way; seconds.

        It asks after drbd_ping_int_s without traffic, and gives up drbd_timeout_ds later; three
        times that, for a node that is busy. Under emulation 6 to 19 s were measured of 27.
        """
        return 3 * (self.drbd_ping_int_s + self.drbd_timeout_ds / 10)

    @property
    def fence_asked_s(self) -> float:
        """Within this a fence device was asked whether it is there, and found dead if it is; s.

        It was asked just before it went at worst, and after its monitor Pacemaker tries a start:
        each may take the monitor's timeout.
        """
        return FENCE_MONITOR_S + 2.0 * self.monitor_timeout_s

    @property
    def take_over_s(self) -> float:
        """From a promotion to the first claim of the address, seconds.

        One operation starts before the address's own, and both may take start_timeout_s; a node
        on which they take half of that each is slow enough.
        """
        return float(self.start_timeout_s)


KVM = Timing(
    name="kvm",
    corosync_token_ms=3000,
    drbd_timeout_ds=40,
    drbd_ping_int_s=5,
    drbd_connect_int_s=5,
    drbd_ping_timeout_ds=10,
    fence_dc_timeout_s=30,
    fence_handler_timeout_s=45,
    promote_timeout_s=90,
    start_timeout_s=60,
    stop_timeout_s=60,
    monitor_timeout_s=30,
    monitor_interval_s=10,
    priority_fencing_delay_s=5,
    replacement_timeout_s=180,
    scsi_timeout_s=240,
    boot_deadline_s=60,
    answer_deadline_s=60,
    form_deadline_s=120,
    settle_deadline_s=120,
    reboot_deadline_s=120,
)

# Measured on two emulated cores; docs/measurements.md has the figures behind each.
TCG = Timing(
    name="tcg",
    corosync_token_ms=3000,
    drbd_timeout_ds=40,
    drbd_ping_int_s=5,
    drbd_connect_int_s=5,
    drbd_ping_timeout_ds=20,
    fence_dc_timeout_s=45,
    fence_handler_timeout_s=60,
    promote_timeout_s=120,
    start_timeout_s=90,
    stop_timeout_s=90,
    monitor_timeout_s=60,
    monitor_interval_s=20,
    priority_fencing_delay_s=20,
    replacement_timeout_s=420,
    scsi_timeout_s=540,
    boot_deadline_s=180,
    answer_deadline_s=60,
    form_deadline_s=240,
    settle_deadline_s=240,
    reboot_deadline_s=300,
)

# Several emulated clusters on the same cores. Each has half of them or less, so that what computing
# bounds takes twice as long; the head start is more than that. On a host that was busy the serving
# node ordered its peer's fencing up to 8.0 s after the passive one ordered its own, and beside a
# second lab more than 13 s after the loss, and was fenced itself (docs/measurements.md, "Who orders
# the fencing first"). The classes keep their order, as all of them are doubled. Reasoned, not
# measured: no two clusters have run with it yet.
TCG_SHARED = TCG.model_copy(
    update={
        "name": "tcg-shared",
        "corosync_token_ms": 6000,
        "drbd_timeout_ds": 80,
        "drbd_ping_int_s": 10,
        "drbd_connect_int_s": 10,
        "drbd_ping_timeout_ds": 60,
        "fence_dc_timeout_s": 90,
        "fence_handler_timeout_s": 120,
        "promote_timeout_s": 240,
        "start_timeout_s": 180,
        "stop_timeout_s": 180,
        "monitor_timeout_s": 120,
        "monitor_interval_s": 40,
        "priority_fencing_delay_s": 40,
        "replacement_timeout_s": 840,
        "scsi_timeout_s": 1080,
        "boot_deadline_s": 360.0,
        "answer_deadline_s": 120.0,
        "form_deadline_s": 480.0,
        "settle_deadline_s": 480.0,
        "reboot_deadline_s": 600.0,
    }
)

PROFILES = {profile.name: profile for profile in (KVM, TCG, TCG_SHARED)}

# What a cluster keeps busy of a host by emulation, in cores (docs/measurements.md).
CORES_BUSY = 2
_SLOWER = {TCG_SHARED.name: 2.0}


def profile_of(accelerator: str, *, sharing: bool) -> Timing:
    """The profile for guests under an accelerator.

    Args:
        accelerator: ``kvm`` or ``tcg``.
        sharing: whether several clusters share the host's cores; under KVM that changes nothing.
    """
    return TCG_SHARED if accelerator == "tcg" and sharing else PROFILES[accelerator]


def share_cores(clusters: int, cores: int) -> bool:
    """Whether so many emulated clusters on so many cores take from each other."""
    return clusters > 1 and clusters * CORES_BUSY > cores


def bound_s(timing: Timing, *, tcg: float, kvm: float) -> float:
    """A time that a feature states for both kinds of guests, in seconds, by a run's profile."""
    return kvm if timing.name == KVM.name else tcg * _SLOWER.get(timing.name, 1.0)


class Recovery(BaseModel):
    """How long writes may stand still while the cluster deals with one thing; seconds.

    The bounds that docs/scenarios.md ("Choosing the bound of the stall") gives for a scenario by
    itself, with measurements behind them in docs/measurements.md.

    Attributes:
        disturbed: nothing fails, something is slower.
        freeze: DRBD holds writes until its fence-peer handler is done.
        fencing: a node that does not serve is fenced; writes are held until then.
        failover: the serving node is lost; the other one fences it and takes over.
        move: everything is stopped on one node in order, and started on the other.
        ping_rule: the same, once the ping rule has noticed that nobody reaches the portal.
        login: the initiator finds its portal again after its own link was away.
        boot: power-on until a node has its resources again, where it is waited for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    disturbed: float
    freeze: float
    fencing: float
    failover: float
    move: float
    ping_rule: float
    login: float
    boot: float


RECOVERY = {
    "kvm": Recovery(
        disturbed=5, freeze=12, fencing=25, failover=45, move=90, ping_rule=45, login=15, boot=30
    ),
    "tcg": Recovery(
        disturbed=15,
        freeze=45,
        fencing=75,
        failover=180,
        move=300,
        ping_rule=300,
        login=45,
        boot=100,
    ),
}
