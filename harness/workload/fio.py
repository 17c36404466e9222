"""fio on the initiator: two raw LUNs with block histories, and a file in a file system.

fio stamps every block (verify header) and logs every acknowledgement; it runs as a systemd
unit in the guest, so that it neither depends on an SSH connection nor dies with one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.cluster.form import MOUNT_POINT
from harness.cluster.render import lun_link
from harness.errors import HarnessError
from harness.evidence.blocks import read_headers, with_payloads, write_headers
from harness.evidence.timeline import Channel
from harness.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from harness.evidence.timeline import TimelineWriter
    from harness.lab.lab import Lab

_FOLDER = "/var/lib/fio"
_BLOCK = 4096
# So much of each LUN is copied whole at the end to check payloads: all of the small job's region.
_PAYLOAD_MIB = 4
# Longer than any scenario: the harness stops fio, and only then does it write its logs.
_RUNTIME_S = 7200


@dataclass(frozen=True, slots=True)
class Job:
    """One fio job.

    Attributes:
        name: job and unit name.
        kind: ``raw`` (a whole LUN, with history) or ``file`` (in the formatted file system).
        lun, resource: what it writes to; None for the file.
        size_mib: how much of the LUN, in MiB; 0 for all of it. fio's random map visits every
            block once before any twice: a small region shows overwrites, the whole LUN keeps every
            write of a scenario on the disk, the ones just before the fault included.
        burst, pause_ms: so many writes, then a pause. Not rate_iops: after a stall fio would try to
            catch up with the rate, and starve an emulated node that has just taken over.
        flush_every: a flush (fsync) after so many writes; 0 for none.
    """

    name: str
    kind: str
    lun: str | None
    resource: str | None
    burst: int
    pause_ms: int
    size_mib: int = 0
    flush_every: int = 0

    def command(self, lab: Lab) -> str:
        """The fio command line in the guest."""
        common = (
            f"fio --name={self.name} --ioengine=libaio --direct=1 --rw=randwrite --bs={_BLOCK} "
            f"--time_based=1 --runtime={_RUNTIME_S} --thread=1 "
            f"--thinktime={self.pause_ms}ms --thinktime_blocks={self.burst} "
            f"--verify=crc32c --do_verify=0 --serialize_overlap=1 "
            f"--write_lat_log={self.name} --log_offset=1 --log_unix_epoch=1 "
            f"--output-format=json --output={self.name}.json "
        )
        if self.kind == "raw":
            assert self.lun is not None
            # allow_file_create=0: with the LUN gone, fio would make a regular file and test that.
            return common + (
                f"--filename={lun_link(lab.topology, self.lun)} --iodepth=4 --allow_file_create=0"
                + (f" --size={self.size_mib}M" if self.size_mib else "")
                + (f" --fsync={self.flush_every}" if self.flush_every else "")
            )
        return (
            common + f"--directory={MOUNT_POINT} --size=16M --iodepth=1 --fsync={self.flush_every}"
        )

    def describe(self) -> dict[str, Any]:
        """The job's entry in scenario.json."""
        raw = self.kind == "raw"
        return {
            "name": self.name,
            "kind": self.kind,
            "lun": self.lun,
            "resource": self.resource,
            "block_size": _BLOCK,
            "json": f"fio/{self.name}.json",
            "lat_log": f"fio/{self.name}_lat.1.log",
            "headers": f"fio/{self.lun}.headers.bin" if raw else None,
        }


RAW_JOBS = (
    Job("raw1", "raw", "lun1", "r1", 4, 150, size_mib=4),
    Job("raw2", "raw", "lun2", "r2", 4, 150),
)
FILE_JOB = Job("file0", "file", None, None, 1, 300, flush_every=16)


class Workload:
    """fio jobs running on the initiator; ``start``, then ``stop``, then ``collect``."""

    def __init__(self, lab: Lab, jobs: tuple[Job, ...], writer: TimelineWriter) -> None:
        self._lab = lab
        self._guest = lab.initiator.guest
        self.jobs = jobs
        self._writer = writer
        self.running = False
        self.stuck = False

    def start(self, deadline_s: float = 90.0) -> None:
        """Start all jobs and wait until every one of them has writes acknowledged.

        Raises:
            HarnessError: a job ended at once; with what fio said.
            DeadlineError: no writes within ``deadline_s`` seconds.
        """
        self._guest.run(f"mkdir -p {_FOLDER} && rm -rf {_FOLDER}/*")
        script = " && ".join(
            f"systemd-run -q --unit=fio-{job.name} -p WorkingDirectory={_FOLDER} "
            # 128: how fio ends when it is asked to; not a failure for the journal to tell of.
            f"-p RemainAfterExit=yes -p OOMScoreAdjust=-900 -p SuccessExitStatus=128 "
            f"-p StandardOutput=append:{_FOLDER}/{job.name}.out "
            f"-p StandardError=append:{_FOLDER}/{job.name}.out {job.command(self._lab)}"
            for job in self.jobs
        )
        before = self._counters()
        self._guest.run(script)
        self.running = True
        self._writer.add("client", Channel.WORKLOAD, "start", {"jobs": [j.name for j in self.jobs]})

        def missing() -> str:
            now = self._counters()
            quiet = [
                job.name
                for job in self.jobs
                if now.get(job.lun or "lun0", 0) - before.get(job.lun or "lun0", 0) < 20
            ]
            if quiet:
                self._raise_if_ended()
            return f"writes of {', '.join(quiet)}" if quiet else ""

        wait_until("the workload writes", missing, deadline_s=deadline_s)

    def _counters(self) -> dict[str, int]:
        luns = {job.lun or "lun0" for job in self.jobs}
        script = "; ".join(
            f"echo {lun} $(cat /sys/block/$(basename $(readlink "
            f"{lun_link(self._lab.topology, lun)}))/stat)"
            for lun in sorted(luns)
        )
        rows = [line.split() for line in self._guest.run(script, timeout_s=30).stdout.splitlines()]
        # Documentation/block/stat.rst: field 5 is write I/Os.
        return {row[0]: int(row[5]) for row in rows if len(row) > 5}

    def _raise_if_ended(self) -> None:
        if ended := self.ended():
            raise HarnessError(ended)

    def ended(self) -> str:
        """The first job that ended by itself, with its last words; empty if all still run."""
        for job in self.jobs:
            if self._state(job) != "running":
                said = self._guest.run(f"tail -n 5 {_FOLDER}/{job.name}.out", check=False).stdout
                return f"fio job {job.name} ended by itself: {said.strip()[-300:]}"
        return ""

    def _state(self, job: Job) -> str:
        show = f"systemctl show -p SubState --value fio-{job.name}"
        return self._guest.run(show, timeout_s=30).stdout.strip()

    def stop(self, deadline_s: float) -> None:
        """Ask fio to end (SIGINT, after which it writes its logs) and wait for it.

        A fio that hangs in I/O cannot end: that is a finding, not an error of the harness; the
        timeline says ``stuck`` and the judge decides.
        """
        self._writer.add("client", Channel.WORKLOAD, "stop-asked")
        units = " ".join(f"fio-{job.name}" for job in self.jobs)
        self._guest.run(f"systemctl kill -s INT {units}", check=False)

        def missing() -> str:
            still = [job.name for job in self.jobs if self._state(job) == "running"]
            return f"the end of {', '.join(still)}" if still else ""

        try:
            wait_until("fio ended", missing, deadline_s=deadline_s)
        except HarnessError as error:
            self.stuck = True
            self._writer.add("client", Channel.WORKLOAD, "stuck", {"text": error.message})
        self.running = False
        for job in self.jobs:
            show = f"systemctl show -p ExecMainStatus --value fio-{job.name}"
            code = self._guest.run(show, check=False).stdout.strip()
            self._writer.add(
                "client",
                Channel.WORKLOAD,
                "exit",
                {"jobs": [job.name], "exit_code": int(code) if code.isdigit() else None},
            )

    def collect(self, folder: Path) -> None:
        """Copy fio's results and logs, and the headers that are on the LUNs, to ``folder``/fio."""
        target = folder / "fio"
        target.mkdir(exist_ok=True)
        for job in self.jobs:
            for name in (f"{job.name}.json", f"{job.name}_lat.1.log", f"{job.name}.out"):
                self._copy(f"cat {_FOLDER}/{name}", target / name)
            if job.kind == "raw" and job.lun and not self.stuck:
                link = lun_link(self._lab.topology, job.lun)
                path = target / f"{job.lun}.headers.bin"
                self._copy(f"/usr/local/lib/lab/headers {link}", path)
                self._check_payloads(job, link, path)

    def _check_payloads(self, job: Job, link: str, path: Path) -> None:
        """Read the LUN's first blocks whole and note whether their payloads match their CRCs."""
        try:
            command = f"dd if={link} bs=1M count={_PAYLOAD_MIB} iflag=direct status=none"
            data = self._guest.read_binary(command, timeout_s=180)
            write_headers(path, with_payloads(read_headers(path), data))
        except (HarnessError, OSError, ValueError) as error:
            text = f"payloads of {job.name} not checked: {error}"
            self._writer.add("client", Channel.WORKLOAD, "not-collected", {"text": text})

    def _copy(self, command: str, path: Path) -> None:
        """What is not there is left out: the judge says what that means for the verdict."""
        try:
            path.write_bytes(self._guest.read_binary(command, timeout_s=180))
        except HarnessError as error:
            self._writer.add(
                "client", Channel.WORKLOAD, "not-collected", {"text": f"{path.name}: {error}"}
            )
