"""A qualification: what it runs, how it goes on, what its stamp says. No VM: runs are made up."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.checks import Verdict
from harness.errors import BadInputError, ExitCode, HarnessError
from harness.evidence.files import read_json, write_json
from harness.lab.accelerator import Accelerator
from harness.lab.doctor import Finding
from harness.lab.paths import PROJECT, Cache
from harness.mutants.model import load_mutants
from harness.qualify import chosen
from harness.qualify.campaign import Here, Qualification, exit_code
from harness.report.qualified import Stamp
from harness.resuming import code_hash, made_hash
from harness.running import scenario_names
from harness.session import RunOptions
from harness.timing import KVM
from tests.qualify.build import FINDINGS, HOST, run_json, saved, timed, verdict
from tests.test_catalogue import THEMES, WRITTEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VALID, INVALID, UNCLEAR = Verdict.VALID, Verdict.INVALID, Verdict.INCONCLUSIVE
DRBD_CUT = "The drbd link is cut during writes [by carrier]"


class Runs:
    """In place of ``harness run``: leaves what a run would have left.

    Attributes:
        asked: the arguments of each run.
        most: so many scenarios are judged in a run, then it is killed.
        verdicts: by scenario, where it is not VALID.
        caught: by mutant, whether its check says so.
        facts: more of run.json.
    """

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.most = 99
        self.verdicts: dict[str, Verdict] = {}
        self.caught: dict[str, Verdict | None] = {}
        self.facts: dict[str, Any] = {}
        self.slow = ""

    def __call__(self, arguments: Sequence[str]) -> int:
        self.asked.append(list(arguments))
        if "--resume" in arguments:
            self._scenarios(Path(arguments[arguments.index("--resume") + 1]), arguments)
        else:
            self._mutant(Path(arguments[arguments.index("--folder") + 1]))
        return 0

    def _scenarios(self, run: Path, arguments: Sequence[str]) -> None:
        run_json(run, code=code_hash(), **self.facts)
        there = {read_json(p)["name"] for p in run.glob("evidence/*/scenario.json")}
        names = [name for name in arguments if name in chosen.names() and name not in there]
        for name in names[: self.most]:
            folder = timed()
            folder.scenario |= {"name": name, "slug": f"s{chosen.names().index(name)}"}
            if name == self.slow:
                for event in folder.events:
                    if "Result of start operation for lun0" in str(event.data.get("message")):
                        event.data["monotonic_us"] += 60_000_000
            place = saved(folder, run / "evidence" / folder.scenario["slug"])
            if name in self.verdicts:
                verdict(place, self.verdicts[name])

    def _mutant(self, run: Path) -> None:
        (mutant,) = load_mutants([run.parent.name])
        said = self.caught.get(mutant.name, INVALID)
        run_json(run)
        if said is not None:
            verdict(run / "evidence" / "s", said, check=mutant.caught_by[0])


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture
def cache() -> Iterator[Cache]:
    # Not tmp_path: it is too long for the sockets below a cache.
    with tempfile.TemporaryDirectory(prefix="fh-", dir="/tmp") as root:
        yield Cache(Path(root))


def here(**other: Any) -> Here:
    told: dict[str, Any] = {
        "host": HOST,
        "findings": FINDINGS,
        "probe": lambda: Accelerator("tcg", "no KVM", 0.0),
    }
    return Here(**(told | other))


def qualify(folder: Path, runs: Runs, **other: Any) -> Stamp:
    return Qualification(folder, here(**other), ("--cache", "/c"), start=runs).stamp()


def test_each_theme_has_a_scenario_that_there_is() -> None:
    names = scenario_names(
        RunOptions(cache=Cache(Path("/nonexistent")), everything=True), PROJECT / "scenarios"
    )
    assert set(chosen.names()) <= set(names)
    assert len(set(chosen.names())) == len(chosen.SCENARIOS)
    assert {one.theme for one in chosen.SCENARIOS} == THEMES
    for one in chosen.SCENARIOS:
        _, tags = WRITTEN[one.scenario.partition(" [")[0]]
        assert f"theme-{one.theme}" in tags, one.scenario
        assert "long" not in tags
        assert len(one.reason) > 8


def test_a_mutant_s_control_is_among_the_scenarios() -> None:
    assert {one.scenario for one in load_mutants(chosen.MUTANTS)} <= set(chosen.names())


def test_a_host_on_which_all_of_it_holds_is_qualified(tmp_path: Path, runs: Runs) -> None:
    made = qualify(tmp_path / "q", runs)
    first, *mutants = runs.asked
    assert first[0] == "run"
    assert tuple(first[1 : 1 + len(chosen.SCENARIOS)]) == chosen.names()
    assert first[-4:] == ["--resume", str(tmp_path / "q" / "scenarios"), "--cache", "/c"]
    assert [arguments[1] for arguments in mutants] == [
        one.scenario for one in load_mutants(chosen.MUTANTS)
    ]
    assert all("--config" in arguments for arguments in mutants)
    assert (made.qualified, made.why_not) == (True, ())
    assert [(part.name, part.passed) for part in made.parts] == [
        ("doctor", True), ("scenarios", True), ("mutants", True), ("calibration", True),
    ]  # fmt: skip
    assert made.parts[0].said == ("KVM: /dev/kvm does not exist (0.0 s)", "accelerator: no KVM")
    assert made.parts[1].said == ("all 10 VALID",)
    assert made.parts[2].said[0] == "mtu-on-one-node caught by jumbo"
    assert "a scenario's bound on the stall" in made.parts[3].said[0]
    assert (made.code, made.made, made.timing) == (code_hash(), made_hash(), "tcg")
    assert made.host == HOST
    assert made.failover == {"detected": 6.5, "promoted": 3.0}
    assert exit_code(made) is ExitCode.VALID
    assert Stamp.model_validate_json(made.model_dump_json()) == made


def test_what_was_judged_is_not_run_again(tmp_path: Path, runs: Runs) -> None:
    folder = tmp_path / "q"
    runs.most = 4
    with pytest.raises(HarnessError, match="6 scenarios of the qualification were not judged") as e:
        qualify(folder, runs)
    assert e.value.hint == f"harness qualify --folder {folder} goes on"
    assert e.value.exit_code is ExitCode.HARNESS_ERROR
    assert len(runs.asked) == 1, "no mutant is tried before all scenarios were judged"
    runs.most, runs.caught = 99, {"fencing-dont-care": None}
    with pytest.raises(HarnessError, match="mutant fencing-dont-care was not judged"):
        qualify(folder, runs)
    assert len(runs.asked) == 4
    runs.caught = {}
    assert qualify(folder, runs).qualified
    assert len(runs.asked) == 5
    assert runs.asked[-1][1] == DRBD_CUT
    assert qualify(folder, runs).qualified
    assert len(runs.asked) == 5


def test_it_began_when_it_was_first_begun(tmp_path: Path, runs: Runs) -> None:
    qualify(tmp_path / "q", runs)
    state = tmp_path / "q" / "qualify.json"
    write_json(state, read_json(state) | {"begun_ns": read_json(state)["begun_ns"] - 10**12})
    assert qualify(tmp_path / "q", runs).seconds > 1000


def test_a_red_scenario_and_a_missed_mutant(tmp_path: Path, runs: Runs) -> None:
    runs.verdicts = {chosen.names()[3]: INVALID}
    runs.caught = {"mtu-on-one-node": VALID}
    made = qualify(tmp_path / "q", runs)
    assert not made.qualified
    assert made.why_not == (
        f"scenarios: INVALID {chosen.names()[3]} (stall, failover-phases)",
        "mutants: mtu-on-one-node missed: every check was VALID",
    )
    assert exit_code(made) is ExitCode.INVALID


def test_a_mutant_proves_nothing_where_its_scenario_is_not_valid_without_it(
    tmp_path: Path, runs: Runs
) -> None:
    runs.verdicts = {DRBD_CUT: UNCLEAR}
    made = qualify(tmp_path / "q", runs)
    assert any("its scenario is not VALID without it" in line for line in made.why_not)
    assert exit_code(made) is ExitCode.INVALID


def test_doubt_alone_is_doubt(tmp_path: Path, runs: Runs) -> None:
    runs.verdicts = {chosen.names()[0]: UNCLEAR}
    runs.caught = {"mtu-on-one-node": UNCLEAR}
    made = qualify(tmp_path / "q", runs)
    assert len(made.why_not) == 2
    assert exit_code(made) is ExitCode.INCONCLUSIVE


def test_a_margin_that_is_too_small_is_why(tmp_path: Path, runs: Runs) -> None:
    runs.slow = DRBD_CUT
    made = qualify(tmp_path / "q", runs)
    (why,) = made.why_not
    assert why.startswith("calibration: start: 10 times, at worst 63.0 s of 90.0 s")
    assert "(s2/timeline.jsonl:" in why
    assert exit_code(made) is ExitCode.INVALID


def test_what_is_left_behind_is_why(tmp_path: Path, runs: Runs) -> None:
    folder = tmp_path / "q" / "scenarios"
    qualify(tmp_path / "q", runs)
    write_json(folder / "residue.json", {"parts": [{"differences": ["host: links: fh0 new"]}]})
    assert qualify(tmp_path / "q", runs).why_not == (
        "scenarios: left behind: host: links: fh0 new",
    )


def test_evidence_that_cannot_be_read_is_why(tmp_path: Path, runs: Runs) -> None:
    qualify(tmp_path / "q", runs)
    (tmp_path / "q/scenarios/evidence/s4/timeline.jsonl").write_text("{}\n{}\n")
    made = qualify(tmp_path / "q", runs)
    assert made.why_not[0].startswith("calibration: s4 cannot be measured: timeline.jsonl")


def test_a_host_that_the_doctor_refuses(tmp_path: Path, runs: Runs) -> None:
    findings = [*FINDINGS, Finding("nft", "fail", "not installed", "make install")]
    made = qualify(tmp_path / "q", runs, findings=findings)
    assert made.why_not == ("doctor: nft: not installed",)


def test_kvm_is_the_same_with_another_profile(tmp_path: Path, runs: Runs) -> None:
    runs.facts = {"accelerator": "kvm", "timing": KVM.model_dump()}
    probe = Accelerator("kvm", "a kernel ran under KVM", 1.0, "kernel")
    made = qualify(tmp_path / "q", runs, probe=lambda: probe)
    assert (made.accelerator, made.proof, made.timing) == ("kvm", "kernel", "kvm")
    (boot,) = [one for one in made.margins if one.name == "a machine boots"]
    assert (boot.allowed_s, boot.margin) == (60.0, 2.0)


@pytest.mark.parametrize(
    "probe",
    [
        Accelerator("kvm", "a boot sector ran under KVM (the weaker proof)", 1.0, "boot sector"),
        Accelerator("tcg", "/dev/kvm exists, but a kernel hangs under it", 20.0, "kernel"),
    ],
)
def test_kvm_has_to_be_proved_by_a_kernel(tmp_path: Path, runs: Runs, probe: Accelerator) -> None:
    runs.facts = {"accelerator": "kvm", "timing": KVM.model_dump()}
    made = qualify(tmp_path / "q", runs, probe=lambda: probe)
    assert made.why_not == (
        f"doctor: the scenarios ran under KVM, of which is known: {probe.reason}",
    )


def test_a_folder_of_other_code_or_another_host_is_refused(tmp_path: Path, runs: Runs) -> None:
    folder = tmp_path / "q"
    qualify(folder, runs)
    other = HOST.model_copy(update={"kernel": "Linux 6.2 x86_64"})
    with pytest.raises(BadInputError, match="another host, or this one has changed"):
        qualify(folder, runs, host=other)
    state = folder / "qualify.json"
    before = read_json(state)
    write_json(state, before | {"code": "0ther"})
    with pytest.raises(BadInputError, match="other code than this"):
        qualify(folder, runs)
    write_json(state, before)
    run_json(folder / "scenarios", code="0ther")
    with pytest.raises(BadInputError, match="other code than this"):
        qualify(folder, runs)


@pytest.mark.parametrize(
    ("option", "value"), [("guest", "debian13"), ("connect", "qemu:///system")]
)
def test_a_folder_of_other_guests_or_another_libvirt_is_refused(
    tmp_path: Path, runs: Runs, option: str, value: str
) -> None:
    other: dict[str, Any] = {option: value}
    qualify(tmp_path / "plain", runs)
    with pytest.raises(BadInputError, match=f"was begun with --{option} left out"):
        Qualification(tmp_path / "plain", here(), start=runs, **other)
    Qualification(tmp_path / "other", here(), start=runs, **other).stamp()
    Qualification(tmp_path / "other", here(), start=runs, **other)
    with pytest.raises(BadInputError, match=f"was begun with --{option} "):
        Qualification(tmp_path / "other", here(), start=runs)


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path, runs: Runs) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(BadInputError, match="no qualification is in it"):
        qualify(tmp_path, runs)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    assert qualify(tmp_path / "empty", runs).qualified


def test_clusters_of_mutants_are_removed_from_the_cache(
    tmp_path: Path, runs: Runs, cache: Cache
) -> None:
    formed = cache.clusters / "0123456789abcdef"
    formed.mkdir(parents=True)

    def start(arguments: Sequence[str]) -> int:
        code = runs(arguments)
        if "--folder" in arguments:
            run = Path(arguments[arguments.index("--folder") + 1])
            told = json.loads((run / "run.json").read_text())
            cluster = {"how": "formed", "entry": formed.name}
            (run / "run.json").write_text(json.dumps(told | {"cluster": cluster}))
        return code

    Qualification(tmp_path / "q", here(), cache=cache, start=start).stamp()
    assert not formed.exists()
