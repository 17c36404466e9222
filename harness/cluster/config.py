"""The cluster's configuration as typed, validated values; a variant is data that overrides some.

Defaults are the reference configuration (docs/architecture.md, "Reference configuration").
Files for the guests are rendered from these values by harness.cluster.render.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from harness.cluster.fits import check_fits
from harness.errors import BadInputError
from harness.lab.guests import DEFAULT, guest_names, load_guest
from harness.lab.shape import Shape
from harness.timing import TCG, Timing

if TYPE_CHECKING:
    from pathlib import Path

AfterSplitBrain = Literal[
    "disconnect",
    "discard-younger-primary",
    "discard-older-primary",
    "discard-zero-changes",
    "discard-least-changes",
    "discard-secondary",
    "consensus",
    "call-pri-lost-after-sb",
    "violently-as0p",
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Drbd(_Part):
    """DRBD 8.4 (drbd.conf(5)); handlers empty are left out."""

    protocol: Literal["A", "B", "C"] = "C"
    fencing: Literal["dont-care", "resource-only", "resource-and-stonith"] = "resource-and-stonith"
    on_io_error: Literal["detach", "pass_on", "call-local-io-error"] = "detach"
    disk_flushes: bool = True
    md_flushes: bool = True
    ko_count: Annotated[int, Field(ge=0, le=200)] = 7
    fence_peer: bool = True
    unfence_peer: bool = True
    # One resource, r0, with three volumes, in place of r0, r1 and r2 with one each.
    volumes: bool = False
    after_sb_0pri: AfterSplitBrain = "disconnect"
    after_sb_1pri: AfterSplitBrain = "disconnect"
    after_sb_2pri: AfterSplitBrain = "disconnect"


class Corosync(_Part):
    """Corosync 3 with knet (corosync.conf(5)); ``rings`` in order of ring number."""

    rings: tuple[Literal["mgmt", "drbd"], ...] = ("mgmt", "drbd")
    link_mode: Literal["passive", "active", "rr"] = "passive"
    wait_for_all: bool = True
    # A third vote, of corosync-qnetd on the initiator, by this algorithm (corosync-qdevice(8)), in
    # place of two_node.
    qdevice: Literal["none", "ffsplit", "lms"] = "none"
    # In a tie the node that is Primary gets it, by a heuristic; else the lowest node id.
    qdevice_prefers_serving: bool = False

    @model_validator(mode="after")
    def _at_most_two_rings(self) -> Self:
        if not 1 <= len(set(self.rings)) == len(self.rings) <= 2:
            raise ValueError("one or two different rings")
        return self


class Pacemaker(_Part):
    """Cluster properties, resources and constraints."""

    stonith_enabled: bool = True
    resource_stickiness: Annotated[int, Field(ge=0)] = 200
    portblock: bool = True
    ping_rule: bool = True
    order: bool = True
    # "post": three promotable clones in one colocation set with the group, as the post has it.
    colocation: Literal["group-with-promoted", "promoted-with-group", "post", "none"] = (
        "group-with-promoted"
    )
    priority_fencing_delay: bool = True
    # Whether Pacemaker asks the fence devices at times, so that a dead one is known beforehand.
    fence_monitor: bool = True


class Target(_Part):
    """The iSCSI target: LIO in the kernel, or tgt in user space.

    tgt needs guests that have it; its agent knows initiators by their addresses alone.
    """

    implementation: Literal["lio-t", "tgt"] = "lio-t"
    # rtslib wants a dot in the reversed domain.
    iqn: Annotated[
        str, Field(pattern=r"^iqn\.\d{4}-\d{2}\.[a-z0-9-]+\.[a-z0-9.-]+:[a-z0-9.-]+$")
    ] = "iqn.2026-11.com.example:failover"
    # "fileio" goes through the serving node's page cache.
    backstore: Literal["block", "fileio"] = "block"
    allowed_initiators: tuple[str, ...] = ("iqn.2026-11.com.example:client",)
    # By node, where a node's target is to let others in than the rest does.
    allowed_initiators_on: dict[Literal["alpha", "bravo"], tuple[str, ...]] = Field(
        default_factory=dict
    )
    # By node, where its LUNs are to have other unit serial numbers than "failover0", ...
    serial_on: dict[Literal["alpha", "bravo"], Annotated[str, Field(pattern=r"^[a-z]{1,20}$")]] = (
        Field(default_factory=dict)
    )


class Initiator(_Part):
    """open-iscsi on the client."""

    iqn: str = "iqn.2026-11.com.example:client"
    login_timeout_s: Annotated[int, Field(gt=0)] = 5
    noop_interval_s: Annotated[int, Field(ge=0)] = 5
    noop_timeout_s: Annotated[int, Field(ge=0)] = 5
    # A second portal, on mgmt, and dm-multipath over both sessions.
    multipath: bool = False
    # With multipath, in place of timing.replacement_timeout_s: how long a session holds I/O that
    # could go another way.
    path_timeout_s: Annotated[int, Field(ge=1, le=60)] = 10


class Guest(_Part):
    """The guests' operating system, and what of it matters for a failover.

    Attributes:
        name: of a guest profile (harness.lab.guests, docs/guests.md).
    """

    name: str = DEFAULT
    # With systemd-networkd's defaults a pulled cable takes the static address away, and DRBD
    # goes StandAlone for good ("bind before listen failed").
    keep_address_without_carrier: bool = True
    portblock_patched: bool = True
    # By machine and link, where a card is to have another MTU than its link.
    mtu: dict[
        Literal["alpha", "bravo", "client"],
        dict[Literal["data", "drbd", "mgmt"], Annotated[int, Field(ge=576, le=9000)]],
    ] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _there_is_one(cls, name: str) -> str:
        if name not in (known := guest_names()):
            raise ValueError(f"there is no guest {name}; there are: {', '.join(known)}")
        return name


# Where it lies in a seed, the guest takes the agent as its distribution ships it.
UNPATCHED = "/etc/lab/unpatched-portblock"


class ClusterConfig(_Part):
    """Everything about the cluster that a variant can change.

    Attributes:
        files: guest files that replace or add to the rendered ones: machine (or ``nodes``) to
            absolute path to content.
    """

    timing: Timing = TCG
    drbd: Drbd = Drbd()
    corosync: Corosync = Corosync()
    pacemaker: Pacemaker = Pacemaker()
    target: Target = Target()
    initiator: Initiator = Initiator()
    guest: Guest = Guest()
    files: dict[str, dict[str, str]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _something_to_leave_out(self) -> Self:
        """Without the patch there is no unpatched agent to go back to: the guest would not boot."""
        leaves_out = not self.guest.portblock_patched or any(
            UNPATCHED in files for files in self.files.values()
        )
        if leaves_out and "portblock" not in load_guest(self.guest.name).workarounds:
            raise ValueError(f"portblock is not patched in the guest {self.guest.name}")
        return self

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        check_fits(self)
        return self

    @model_validator(mode="after")
    def _ordered_timeouts(self) -> Self:
        """The orders that keep the layers from undercutting each other."""
        timing = self.timing
        if timing.drbd_timeout_ds >= 10 * min(timing.drbd_ping_int_s, timing.drbd_connect_int_s):
            raise ValueError("drbd_timeout_ds must be below ping-int and connect-int")
        if not timing.fence_dc_timeout_s <= timing.fence_handler_timeout_s:
            raise ValueError("fence_dc_timeout_s must not exceed fence_handler_timeout_s")
        if timing.fence_handler_timeout_s >= timing.promote_timeout_s:
            raise ValueError("promote_timeout_s must be above fence_handler_timeout_s")
        if any(value <= 0 for value in timing.model_dump(exclude={"name"}).values()):
            raise ValueError("timeouts must be positive")
        if unknown := set(self.files) - {"nodes", "initiator", "alpha", "bravo", "client"}:
            raise ValueError(f"files: no machine called {', '.join(sorted(unknown))}")
        if self.initiator.noop_timeout_s + self.initiator.noop_interval_s > 60:
            raise ValueError("noop interval and timeout above 60 s never notice a dead portal")
        return self

    @property
    def shape(self) -> Shape:
        """What has to be known of such a cluster to deal with it."""
        return Shape(
            volumes=self.drbd.volumes,
            tgt=self.target.implementation == "tgt",
            third_vote=self.corosync.qdevice != "none",
            multipath=self.initiator.multipath,
        )


def load_config(
    path: Path | None, timing: Timing, *, guest_name: str = "", **overrides: Any
) -> ClusterConfig:
    """The reference configuration with the overrides of a TOML file (a variant) on top.

    ``guest_name`` is the guests' profile, whatever the file says; empty for what it says.

    Raises:
        BadInputError: no such file, not TOML, an unknown key or a value out of range.
    """
    data: dict[str, Any] = {}
    if path is not None:
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            raise BadInputError(f"{path} is not UTF-8 text: {error}") from error
        except OSError as error:
            raise BadInputError(
                f"cannot read the configuration {path}: {error.strerror}"
            ) from error
        except tomllib.TOMLDecodeError as error:
            raise BadInputError(f"{path} is not TOML: {error}") from error
        except RecursionError as error:
            # tomllib goes down a level of Python calls for each level of the file's.
            raise BadInputError(f"{path} is nested too deeply") from error
    # A mutant's file is a configuration; what must catch it is of no account here.
    data.pop("mutant", None)
    own_timing = data.pop("timing", {})
    if not isinstance(own_timing, dict):
        raise BadInputError(f"{path}: timing must be a table", hint="write [timing]")
    own_guest = data.setdefault("guest", {})
    if guest_name and isinstance(own_guest, dict):
        data["guest"] = {**own_guest, "name": guest_name}
    timing_data = {**timing.model_dump(), **own_timing}
    try:
        return ClusterConfig(timing=Timing(**timing_data), **{**data, **overrides})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "configuration"
        raise BadInputError(
            f"{path or 'configuration'}: {where}: {first['msg']}",
            hint="docs/configuration.md lists the keys",
        ) from error
