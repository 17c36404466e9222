"""A run: one lab with a healthy cluster, one folder of evidence and reports, all its scenarios."""

from __future__ import annotations

import re
import shlex
import sys
import time
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from harness import __version__
from harness.cluster.config import load_config
from harness.cluster.formed import (
    bring_up,
    check_formed,
    formed_key,
    open_formed,
    qemu_version,
)
from harness.cluster.inventory import packages_of, versions_of
from harness.errors import BadInputError, MissingEnvironmentError
from harness.evidence.clock import now_ns
from harness.evidence.files import read_json, write_json
from harness.evidence.model import SpanFile
from harness.evidence.phases import SPAN
from harness.lab.gc import collect_garbage
from harness.lab.image import ImageOptions, ensure_image
from harness.lab.lab import Lab
from harness.lab.paths import PROJECT, REPORTS, default_cache
from harness.leaving import Leftovers
from harness.nightly.durations import Durations
from harness.progress import console
from harness.resuming import RUN, check_mergeable, set_aside, set_aside_fragments
from harness.resuming import code_hash as code_hash
from harness.scenario import Scenario, ScenarioInfo
from harness.timing import PROFILES, TCG_SHARED, profile_of
from harness.watching import LabWitnesses
from harness.where import choose_accelerator as choose_accelerator
from harness.where import elsewhere

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab.image import Image
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
        image: options of the image build; whose guest it is of, the configuration says.
        guest: name of the guests' profile, whatever the configuration says; empty for what it
            says.
        config: a TOML file with overrides of the cluster's configuration, or None.
        accelerator: ``auto``, ``kvm`` or ``tcg``.
        connect: URI of an existing libvirt daemon for a new lab; empty for a private one.
        lab: name of a kept lab to use, or None for a new one.
        fresh: form the cluster anew.
        keep: whether the lab outlives the run.
        max_stall_s: a bound on the longest stall that replaces every scenario's own, in seconds.
        folder: where the run lands; None for a new folder under reports/.
        resume: go on with the run in ``folder``: what was judged there is not run again.
        again: of that, run again what was not VALID; earlier attempts still count.
        injecting: False leaves out every injection, to test that no fault is proved then.
        budget_s: a scenario is begun only while it can be expected to end within so many seconds
            from the start of the run; None for no limit.
        only: names of scenarios (with or without their example) to run; empty for all.
        tags: run only scenarios with one of these tags; empty for all.
        themes: run only scenarios of one of these themes (tags that begin with ``theme-``).
        everything: also those tagged ``@nightly``, which otherwise run only when they are named
            or their tag is.
        seed: of an exploration, for the report.
        sharing: whether several clusters share the cores that this one's guests run on.

    Raises:
        BadInputError: a lab that is there, and a daemon for a new one, are both named.
    """

    cache: Cache
    image: ImageOptions = field(default_factory=ImageOptions)
    guest: str = ""
    config: Path | None = None
    accelerator: str = "auto"
    connect: str = ""
    lab: str | None = None
    fresh: bool = False
    keep: Keep = Keep.NEVER
    max_stall_s: float | None = None
    folder: Path | None = None
    resume: bool = False
    again: bool = False
    injecting: bool = True
    budget_s: float | None = None
    only: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    themes: tuple[str, ...] = ()
    everything: bool = False
    seed: int | None = None
    sharing: bool = False

    def __post_init__(self) -> None:
        if self.lab is not None and self.connect:
            raise BadInputError(
                f"--lab {self.lab} is on the libvirt that it was made on, and --connect "
                f"{self.connect} names one for a new lab",
                hint="leave out one of them",
            )


def default_options() -> RunOptions:
    """Options of a run that pytest was called for: its own ``-k`` and ``-m`` choose."""
    return RunOptions(cache=default_cache(), everything=True)


def durations_of(options: RunOptions) -> Durations:
    """What is known of durations before there is a lab: of the kind that is likely to be used.

    Raises:
        BadInputError: the configuration is malformed.
    """
    kind = options.accelerator if options.accelerator in PROFILES else None
    known = Durations(options.cache.root, kind)
    timing = profile_of(known.accelerator, sharing=options.sharing)
    if options.config is not None:
        timing = load_config(options.config, timing).timing
    return Durations(options.cache.root, known.accelerator, timing)


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
        self.interrupted = False
        self._slugs: set[str] = set()
        self._span: tuple[Path, SpanFile] | None = None
        self._leftovers = Leftovers(self.folder)

    def start(self) -> None:
        """Image, lab, cluster, witnesses.

        Raises:
            HarnessError: something is missing or did not come up; nothing is left behind.
        """
        options = self.options
        # A malformed configuration is told now, not after minutes of building.
        told = load_config(options.config, PROFILES["tcg"], guest_name=options.guest)
        try:
            collect_garbage(options.cache)
        except MissingEnvironmentError as error:
            # A daemon that is down must not keep another lab from starting.
            console.print(f"• an abandoned lab is still there: {error}", markup=False)
        image = ensure_image(options.cache, replace(options.image, guest=told.guest.name))
        with elsewhere(options) as there:
            self.accelerator = choose_accelerator(options, image, there)
            qemu = qemu_version() if there is None else there.qemu()
        self.timing = profile_of(self.accelerator, sharing=options.sharing or self._shared_before())
        config = load_config(options.config, self.timing, guest_name=options.guest)
        self.timing = config.timing
        facts = self._facts(image, config.model_dump(mode="json", exclude={"timing"}), qemu)
        if options.resume:
            check_mergeable(self.folder, facts)
            set_aside_fragments(self.folder)
        self._leftovers.before_the_lab()
        if options.lab is not None:
            self.lab = Lab.attach(options.cache, options.lab)
            open_formed(self.lab)
            check_formed(self.lab, formed_key(image, config, self.lab, self.accelerator))
            how, seconds, entry = "attached", 0.0, ""
        else:
            self.lab = Lab.create(options.cache, options.connect)
            try:
                bringup = bring_up(
                    self.lab, image, config, accelerator=self.accelerator, fresh=options.fresh
                )
            except BaseException:
                self._collect_trouble()
                self.lab.destroy()
                self.lab = None
                raise
            how, seconds, entry = bringup.how, bringup.seconds, bringup.entry.name
        self.witnesses = LabWitnesses(self.lab)
        self._leftovers.with_the_lab(self.lab)
        cluster = {"how": how, "seconds": round(seconds, 1), "entry": entry}
        write_json(self.folder / RUN, self._in_parts(facts | {"cluster": cluster}))

    def _shared_before(self) -> bool:
        """A run that began with clusters that shared cores goes on with their timing."""
        timing = read_json(self.folder / RUN).get("timing") if self.options.resume else None
        return isinstance(timing, dict) and timing.get("name") == TCG_SHARED.name

    def _facts(self, image: Image, config: dict[str, Any], qemu: str) -> dict[str, Any]:
        """What run.json says of this part before there is a lab."""
        return {
            "run": self.folder.name,
            "started_ns": now_ns(),
            "accelerator": self.accelerator,
            "host": self.options.connect or "private",
            "timing": self.timing.model_dump(),
            "versions": versions_of(image, qemu),
            "packages": packages_of(image),
            "harness": __version__,
            "seed": self.options.seed,
            "command": shlex.join(["harness", *sys.argv[1:]]),
            "kept": None,
            "code": code_hash(),
            "config": config,
            "max_stall_s": self.options.max_stall_s,
            "injecting": self.options.injecting,
        }

    def _in_parts(self, facts: dict[str, Any]) -> dict[str, Any]:
        """run.json of a run that goes on: it began with its first part, and tells of all."""
        before = read_json(self.folder / RUN) if self.options.resume else {}
        part = {key: facts[key] for key in ("started_ns", "command", "cluster")}
        return facts | {
            "started_ns": before.get("started_ns", facts["started_ns"]),
            "parts": [*before.get("parts", []), part],
        }

    def scenario(
        self,
        name: str,
        feature: str,
        tags: list[str],
        gherkin: list[str],
        file: Path | None = None,
    ) -> Scenario:
        """A new scenario with its own evidence folder; what there was of it is set aside.

        ``file``: the feature that it is in.
        """
        assert self.lab is not None
        assert self.witnesses is not None
        if self.options.resume:
            set_aside(self.folder, name)
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
            reproduce=self._reproduce(name, file),
        )
        scenario = Scenario(
            self.lab,
            self.witnesses,
            self.timing,
            folder,
            info,
            max_stall_s=self.options.max_stall_s,
            injecting=self.options.injecting,
        )
        # All the time up to here is the scenario's before it.
        self._end_span(scenario.started_ns)
        return scenario

    @property
    def durations(self) -> Durations:
        """What is known of durations with this run's kind of emulation and its timing."""
        return Durations(self.options.cache.root, self.accelerator, self.timing)

    def judged(self, scenario: Scenario, from_ns: int, to_ns: int, *, whole: bool) -> None:
        """Note when a scenario that is closed was judged, and how long it took.

        Args:
            from_ns, to_ns: of the judging, on the run's clock.
            whole: whether it was run to its end, so that others will take as long.
        """
        span = SpanFile(
            from_ns=scenario.started_ns,
            to_ns=to_ns,
            judged_from_ns=from_ns,
            judged_to_ns=to_ns,
        )
        span.save(scenario.folder / SPAN)
        self._span = scenario.folder, span
        if self.options.injecting and "explored" not in scenario.info.tags:
            seconds = (to_ns - scenario.started_ns) / 1e9 if whole else None
            self.durations.note(scenario.info.name, seconds, scenario.started_ns)

    def _end_span(self, t_ns: int) -> None:
        if self._span is not None:
            folder, span = self._span
            span.model_copy(update={"to_ns": max(t_ns, span.to_ns)}).save(folder / SPAN)
            self._span = None

    def _reproduce(self, name: str, file: Path | None) -> str:
        """The command that runs just this scenario again, with all that a result depends on."""
        asked = self.options
        more = ["--config", _shown(asked.config)] if asked.config else []
        if asked.guest:
            more += ["--guest", asked.guest]
        if asked.accelerator != "auto":
            more += ["--accelerator", asked.accelerator]
        if asked.connect:
            more += ["--connect", asked.connect]
        if file is not None and not file.is_relative_to(PROJECT / "features"):
            return shlex.join([".venv/bin/harness", "replay", _shown(file), *more])
        if asked.max_stall_s is not None:
            more += ["--max-stall", f"{asked.max_stall_s:g}"]
        if not asked.injecting:
            more.append("--without-injecting")
        return shlex.join([".venv/bin/harness", "run", name, *more])

    def close(self) -> None:
        """End the witnesses; destroy the lab or keep it; see what is left."""
        self._end_span(now_ns())
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
            try:
                if not self.interrupted:
                    self._leftovers.of_the_lab(self.lab, self.timing.answer_deadline_s)
            finally:
                self.lab.destroy()
            self._leftovers.of_the_host()
        self.lab = None

    def _note_kept(self, name: str) -> None:
        path = self.folder / RUN
        write_json(path, read_json(path) | {"kept": name})

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


def _shown(path: Path) -> str:
    """A path as it is written in the project's folder, where commands are run."""
    return str(path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path)
