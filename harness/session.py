"""A run: one lab with a healthy cluster, one folder of evidence and reports, all its scenarios."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import sys
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from harness import __version__
from harness.checks import ScenarioVerdict, Verdict
from harness.cluster.config import load_config
from harness.cluster.formed import bring_up, open_formed, qemu_version
from harness.errors import BadInputError, MissingEnvironmentError
from harness.evidence.clock import now_ns
from harness.lab.accelerator import probe_kvm
from harness.lab.gc import collect_garbage
from harness.lab.image import ImageOptions, ensure_image
from harness.lab.lab import Lab
from harness.lab.paths import PROJECT, REPORTS, default_cache
from harness.progress import console
from harness.scenario import Scenario, ScenarioInfo
from harness.timing import PROFILES
from harness.watching import LabWitnesses

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab.paths import Cache


class Keep(StrEnum):
    """Whether the lab outlives the run."""

    NEVER = "never"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a user chooses for a run.

    Attributes:
        cache: the cache root.
        image: options of the image build.
        config: a TOML file with overrides of the cluster's configuration, or None.
        accelerator: ``auto``, ``kvm`` or ``tcg``.
        connect: URI of an existing libvirt daemon for a new lab; empty for a private one.
        lab: name of a kept lab to use, or None for a new one.
        fresh: form the cluster anew.
        keep: whether the lab outlives the run.
        max_stall_s: a bound on the longest stall that replaces every scenario's own, in seconds.
        folder: where the run lands; None for a new folder under reports/.
        resume: go on with the run in ``folder``: what is VALID there already is not run again.
        only: names of scenarios (with or without their example) to run; empty for all.
        tags: run only scenarios with one of these tags; empty for all.
        everything: also those tagged ``@nightly``, which otherwise run only when they are named
            or their tag is.
    """

    cache: Cache
    image: ImageOptions = field(default_factory=ImageOptions)
    config: Path | None = None
    accelerator: str = "auto"
    connect: str = ""
    lab: str | None = None
    fresh: bool = False
    keep: Keep = Keep.NEVER
    max_stall_s: float | None = None
    folder: Path | None = None
    resume: bool = False
    only: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    everything: bool = False


def default_options() -> RunOptions:
    """Options of a run that pytest was called for: its own ``-k`` and ``-m`` choose."""
    return RunOptions(cache=default_cache(), everything=True)


def choose_accelerator(options: RunOptions, kernel: Path) -> str:
    """``kvm`` where it truly works and is wanted, else ``tcg``.

    Raises:
        BadInputError: KVM was demanded and does not work here.
    """
    if options.accelerator == "tcg":
        return "tcg"
    found = probe_kvm(kernel=kernel, cache=options.cache.root)
    if options.accelerator == "kvm" and found.kind != "kvm":
        raise BadInputError(
            f"KVM was asked for and does not work here: {found.reason}",
            hint="use --accelerator auto, or see harness doctor",
        )
    if found.kind != "kvm":
        console.print(
            f"• No usable KVM ({found.reason}): emulation, 5 to 10 times slower", markup=False
        )
    return found.kind


_NO_PART_OF_A_RESULT = (
    "harness/report", "harness/mutants", "harness/cli.py", "harness/commands", "harness/lint",
    "harness/cluster/lintable.py", "harness/points", "scenarios/mutants", "scenarios/findings",
)  # fmt: skip


def code_hash() -> str:
    """Hash of everything that a result depends on: results of other code are never merged.

    How results are shown is not among it, nor what judges a configuration without running it, nor
    mutants: a mutant's own file is its run's configuration.
    """
    digest = hashlib.sha256()
    apart = tuple(PROJECT / part for part in _NO_PART_OF_A_RESULT)
    for top in ("harness", "features", "scenarios", "vagrant"):
        for path in sorted((PROJECT / top).rglob("*")):
            if any(path.is_relative_to(part) for part in apart):
                continue
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(PROJECT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def done_before(options: RunOptions, chosen: set[str]) -> set[str]:
    """Names of the scenarios that the run to be resumed has judged VALID.

    Others of the ``chosen`` are set aside below ``superseded/``: nothing is lost, they run again.

    Raises:
        BadInputError: the run was made by other code, or cannot be read.
    """
    folder = options.folder
    if not options.resume or folder is None or not (folder / "run.json").exists():
        return set()
    facts = _read_json(folder / "run.json")
    if facts.get("code") != code_hash():
        raise BadInputError(
            f"{folder} holds results of other code than this",
            hint="start a new run, or check out the code of that one",
        )
    done = set()
    for evidence in sorted((folder / "evidence").glob("*/scenario.json")):
        name = str(_read_json(evidence).get("name", ""))
        stored = evidence.with_name("verdict.json")
        if name and _is_valid(stored):
            done.add(name)
            continue
        if name not in chosen:
            continue
        aside = folder / "superseded"
        aside.mkdir(exist_ok=True)
        evidence.parent.rename(aside / f"{evidence.parent.name}-{now_ns()}")
    return done


def _read_json(path: Path) -> dict[str, Any]:
    """A JSON object; an empty one if a kill -9 left half of it."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return raw if isinstance(raw, dict) else {}


def _is_valid(verdict: Path) -> bool:
    try:
        return ScenarioVerdict.load(verdict).verdict is Verdict.VALID
    except (OSError, ValueError):
        return False


def new_run_folder() -> Path:
    """A new folder under reports/, named by local time."""
    base = time.strftime("%Y%m%d-%H%M%S")
    for suffix in ("", *(f"-{n}" for n in range(2, 100))):
        folder = REPORTS / (base + suffix)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise BadInputError(f"no free name for a run under {REPORTS}")


class LabSession:
    """One run. ``start`` is slow and may fail; ``close`` always leaves things as ``keep`` says."""

    def __init__(self, options: RunOptions) -> None:
        self.options = options
        self.folder = options.folder or new_run_folder()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lab: Lab | None = None
        self.witnesses: LabWitnesses | None = None
        self.failed = False
        self._slugs: set[str] = set()

    def start(self) -> None:
        """Image, lab, cluster, witnesses.

        Raises:
            HarnessError: something is missing or did not come up; nothing is left behind.
        """
        options = self.options
        # A malformed configuration is told now, not after minutes of building.
        load_config(options.config, PROFILES["tcg"])
        try:
            collect_garbage(options.cache)
        except MissingEnvironmentError as error:
            # A daemon that is down must not keep another lab from starting.
            console.print(f"• an abandoned lab is still there: {error}", markup=False)
        image = ensure_image(options.cache, options.image)
        accelerator = choose_accelerator(options, image.kernel)
        self.timing = PROFILES[accelerator]
        config = load_config(options.config, self.timing)
        self.timing = config.timing
        if options.lab is not None:
            self.lab = Lab.attach(options.cache, options.lab)
            open_formed(self.lab)
            how, seconds, entry = "attached", 0.0, ""
        else:
            self.lab = Lab.create(options.cache, options.connect)
            try:
                bringup = bring_up(
                    self.lab, image, config, accelerator=accelerator, fresh=options.fresh
                )
            except BaseException:
                self._collect_trouble()
                self.lab.destroy()
                self.lab = None
                raise
            how, seconds, entry = bringup.how, bringup.seconds, bringup.entry.name
        self.witnesses = LabWitnesses(self.lab)
        packages = image.package_versions()
        names = ("drbd-utils", "corosync", "pacemaker", "crmsh", "resource-agents", "fio")
        kernel = next((n for n in packages if re.match(r"linux-image-\d", n)), "")
        versions = {name: packages[name] for name in names if name in packages}
        versions |= {
            "kernel": packages.get(kernel, "?"),
            "qemu": qemu_version(),
            "python": sys.version.split()[0],
        }
        facts = {
            "run": self.folder.name,
            "started_ns": now_ns(),
            "accelerator": accelerator,
            "host": self.lab.host.uri if options.connect else "private",
            "timing": self.timing.model_dump(),
            "versions": versions,
            "harness": __version__,
            "seed": None,
            "command": shlex.join(["harness", *sys.argv[1:]]),
            "kept": None,
            "code": code_hash(),
            "cluster": {"how": how, "seconds": round(seconds, 1), "entry": entry},
            "config": config.model_dump(mode="json", exclude={"timing"}),
        }
        (self.folder / "run.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")

    def scenario(self, name: str, feature: str, tags: list[str], gherkin: list[str]) -> Scenario:
        """A new scenario with its own evidence folder."""
        assert self.lab is not None
        assert self.witnesses is not None
        slug = base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:80]
        number = 1
        while slug in self._slugs or (self.folder / "evidence" / slug).exists():
            number += 1
            slug = f"{base}-{number}"
        self._slugs.add(slug)
        folder = self.folder / "evidence" / slug
        folder.mkdir(parents=True)
        info = ScenarioInfo(
            slug=slug,
            name=name,
            feature=feature,
            tags=tags,
            gherkin=gherkin,
            reproduce=shlex.join([".venv/bin/harness", "run", name]),
        )
        return Scenario(
            self.lab,
            self.witnesses,
            self.timing,
            folder,
            info,
            max_stall_s=self.options.max_stall_s,
        )

    def close(self) -> None:
        """End the witnesses; destroy the lab or keep it."""
        if self.witnesses is not None:
            self.witnesses.close()
            self.witnesses = None
        if self.lab is None:
            return
        wanted = self.options.keep is Keep.ALWAYS or (
            self.options.keep is Keep.ON_FAILURE and self.failed
        )
        if wanted or self.options.lab is not None:
            self.lab.keep("asked for with --keep" if wanted else "attached with --lab")
            self._note_kept(self.lab.name)
            console.print(
                f"• The lab is kept: harness ssh --lab {self.lab.name} alpha", markup=False
            )
        else:
            self.lab.destroy()
        self.lab = None

    def _note_kept(self, name: str) -> None:
        path = self.folder / "run.json"
        facts = json.loads(path.read_text(encoding="utf-8"))
        facts["kept"] = name
        path.write_text(json.dumps(facts, indent=1), encoding="utf-8")

    def _collect_trouble(self) -> None:
        """What there is to see of a lab that did not come up, before it is removed."""
        assert self.lab is not None
        target = self.folder / "trouble"
        target.mkdir(exist_ok=True)
        for path in (
            *self.lab.folder.glob("*.log"),
            *(self.lab.folder / "console").glob("*.log"),
            *(self.lab.folder / "var-log-libvirt").glob("qemu/*.log"),
        ):
            (target / path.name).write_bytes(path.read_bytes()[-(1 << 20) :])
        console.print(f"• What was seen is in {target}", markup=False)
