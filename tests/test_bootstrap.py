"""The bootstrap, on a fake host: a PATH with nothing but fake apt, dpkg, Python and systemctl.

The fakes keep their state in files of one folder: what is installed, what apt knows, what was
called. Nothing of the real host is asked or changed.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.commands.rootless import TOOLS

PROJECT = Path(__file__).resolve().parents[1]
INSTALL = PROJECT / "bootstrap" / "install.sh"
AS_ROOT = PROJECT / "bootstrap" / "as-root.sh"
CI = PROJECT / ".ci" / "run"

PLAIN_TOOLS = """
bash cat chmod cp dirname env flock grep head mkdir rm sed sha256sum sleep sort stat tail tee tr
"""

FAKES = {
    "id": 'cat "$STATE/uid"',
    "sudo": 'echo "$*" >>"$STATE/sudo-calls"; [ "$1" = -v ] || exec "$@"',
    # dpkg-query -W -f FORMAT NAME...
    "dpkg-query": """
shift 3
for name; do
    if grep -qx "$name" "$STATE/installed"; then echo "ii  $name"; else echo "un  $name"; fi
done
exit 1""",
    "apt-cache": """
shift
for name; do
    grep -qx "$name" "$STATE/known" || continue
    printf '%s:\\n  Installed: (none)\\n  Candidate: 1.0\\n' "$name"
done""",
    "apt-get": """
while [ "$1" = -o ]; do shift 2; done
echo "$*" >>"$STATE/apt-calls"
if [ -e "$STATE/mirror-down" ]; then
    echo "Err:1 http://mirror.invalid/debian bookworm InRelease"
    echo "  Could not connect to mirror.invalid:80"
    if [ "$1" = update ]; then echo "W: Some index files failed to download."; exit 0; fi
    echo "E: Failed to fetch http://mirror.invalid/debian/pool/x.deb"
    exit 100
fi
if [ "$1" = update ]; then
    rm -f "$STATE/lists-old"
    [ ! -e "$STATE/known-by-mirror" ] || cat "$STATE/known-by-mirror" >>"$STATE/known"
    exit 0
fi
[ -e "$BOOTSTRAP_POLICY_RC_D" ] && cat "$BOOTSTRAP_POLICY_RC_D" >"$STATE/policy-seen"
[ ! -e "$STATE/apt-hangs" ] || { : >"$STATE/apt-started"; sleep 1; }
if [ -e "$STATE/lists-old" ]; then
    echo "E: Failed to fetch http://mirror.invalid/debian/pool/x_1.0.deb  404  Not Found"
    exit 100
fi
if [ -e "$STATE/dpkg-broken" ]; then
    echo "E: dpkg was interrupted, you must manually run 'dpkg --configure -a'"
    exit 100
fi
for name; do case $name in install | -*) ;; *) echo "$name" >>"$STATE/installed" ;; esac; done""",
    "systemctl": """
if [ "$1" = list-unit-files ]; then
    cat "$STATE/units"
    if grep -qx fence-virtd "$STATE/installed"; then cat "$STATE/units-new"; fi
else
    echo "$*" >>"$STATE/systemctl-calls"
fi""",
    "python3": """
case $1 in
    -) [ -e "$STATE/python-fits" ] ;;
    -c) echo "/usr (3, 11, 2)" ;;
    -m)
        echo "$*" >>"$STATE/python-calls"
        if [ "$2" = venv ]; then
            for folder; do :; done
            mkdir -p "$folder/bin" && cp "$0" "$folder/bin/python"
        elif [ -e "$STATE/index-down" ]; then
            echo "WARNING: Retrying after NewConnectionError: Temporary failure in name resolution"
            echo "ERROR: No matching distribution found for setuptools>=68"
            exit 1
        elif [ -e "$STATE/index-untrusted" ]; then
            echo "WARNING: Retrying after SSLError: [SSL: CERTIFICATE_VERIFY_FAILED]: timed out"
            exit 1
        fi ;;
esac""",
}


@dataclass(frozen=True)
class FakeHost:
    project: Path
    state: Path
    bin: Path
    policy: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": str(self.bin),
            "STATE": str(self.state),
            "BOOTSTRAP_POLICY_RC_D": str(self.policy),
            "BOOTSTRAP_SYSTEMD": str(self.state / "systemd"),
        }

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(self.project / "bootstrap" / "install.sh")],
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def calls(self, tool: str) -> list[str]:
        path = self.state / f"{tool}-calls"
        return path.read_text().splitlines() if path.exists() else []

    def set(self, name: str, *lines: str) -> None:
        (self.state / name).write_text("".join(f"{line}\n" for line in lines))

    def unset(self, name: str) -> None:
        (self.state / name).unlink()


def wanted_packages() -> list[str]:
    block = re.search(r"packages=\(\n(.*?)\n\)", INSTALL.read_text(), re.DOTALL)
    assert block is not None
    return block[1].split()


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    """A host that lacks two packages and has a fitting Python."""
    made = FakeHost(tmp_path / "project", tmp_path / "state", tmp_path / "bin", tmp_path / "policy")
    for folder in (made.project / "bootstrap", made.state, made.bin):
        folder.mkdir(parents=True)
    shutil.copy(INSTALL, made.project / "bootstrap")
    (made.project / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    for tool in PLAIN_TOOLS.split():
        real = shutil.which(tool)
        assert real is not None, tool
        (made.bin / tool).symlink_to(real)
    for name, body in FAKES.items():
        path = made.bin / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    packages = wanted_packages()
    made.set("uid", "0")
    made.set("known", *packages)
    made.set("installed", *(set(packages) - {"fence-virtd", "zstd"}))
    made.set("python-fits")
    made.set("units", "ssh.service enabled enabled", "old.service disabled enabled")
    made.set(
        "units-new",
        "fence_virtd.service enabled enabled",
        "virtlogd.socket enabled enabled",
        "nftables.service disabled enabled",
    )
    return made


def assert_one_clear_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 21, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert done.stderr.splitlines()[-1].startswith("  hint: "), done.stderr
    for word in words:
        assert word in errors[0]


def test_installs_only_what_is_missing_and_nothing_the_second_time(host: FakeHost) -> None:
    first = host.run()
    assert first.returncode == 0, first.stderr
    assert host.calls("apt") == ["install -y --no-install-recommends fence-virtd zstd"]
    pip = [call for call in host.calls("python") if "pip" in call]
    assert len(pip) == 1
    assert pip[0].endswith("-e .[dev]")
    log = (host.project / "build/log/bootstrap-apt.log").read_text()
    assert "install -y" in log
    before = host.calls("apt"), host.calls("python")
    started = time.monotonic()
    second = host.run()
    assert time.monotonic() - started < 1
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert (host.calls("apt"), host.calls("python")) == before


def test_a_changed_pyproject_installs_the_project_again(host: FakeHost) -> None:
    assert host.run().returncode == 0
    (host.project / "pyproject.toml").write_text("[project]\nname = 'y'\n")
    assert host.run().returncode == 0
    assert len([call for call in host.calls("python") if "pip" in call]) == 2
    assert len(host.calls("apt")) == 1


def test_a_moved_checkout_gets_a_new_installation(host: FakeHost) -> None:
    assert host.run().returncode == 0
    moved = host.project.rename(host.project.parent / "moved")
    again = FakeHost(moved, host.state, host.bin, host.policy)
    assert again.run().returncode == 0
    assert len([call for call in host.calls("python") if "pip" in call]) == 2


def test_what_rootless_asks_of_the_host_is_installed() -> None:
    """So that its hint never names a package that ``make install`` could have brought."""
    # Essential in Debian: there is no host without util-linux.
    assert {package for _tool, package in TOOLS} - {"util-linux"} <= set(wanted_packages())


def test_services_are_held_back_while_packages_are_installed(host: FakeHost) -> None:
    done = host.run()
    assert done.returncode == 0, done.stderr
    assert "exit 101" in (host.state / "policy-seen").read_text()
    assert not host.policy.exists()
    assert host.calls("systemctl") == []  # no systemd on this host


def test_a_policy_of_the_hosts_own_is_left_alone(host: FakeHost) -> None:
    host.policy.write_text("#!/bin/sh\nexit 0\n")
    assert host.run().returncode == 0
    assert host.policy.read_text() == "#!/bin/sh\nexit 0\n"


def test_a_policy_left_by_a_killed_bootstrap_is_removed(host: FakeHost) -> None:
    host.policy.write_text("#!/bin/sh\n# temporary, by the failover-harness bootstrap\nexit 101\n")
    assert host.run().returncode == 0
    assert not host.policy.exists()


def test_only_services_that_came_with_the_packages_are_disabled(host: FakeHost) -> None:
    (host.state / "systemd").mkdir()
    assert host.run().returncode == 0
    assert host.calls("systemctl") == ["disable --now fence_virtd.service virtlogd.socket"]


def test_a_service_that_was_there_before_stays_as_it_is(host: FakeHost) -> None:
    (host.state / "systemd").mkdir()
    host.set("units", "fence_virtd.service enabled enabled", "not-virtlogd.socket enabled enabled")
    assert host.run().returncode == 0
    assert host.calls("systemctl") == ["disable --now virtlogd.socket"]


def test_a_mirror_that_does_not_answer(host: FakeHost) -> None:
    host.set("mirror-down")
    done = host.run()
    assert_one_clear_line(done, "the package mirror does not answer", "http://mirror.invalid")
    assert not host.policy.exists()
    host.unset("mirror-down")
    assert host.run().returncode == 0


def test_a_mirror_that_does_not_answer_on_a_host_without_lists(host: FakeHost) -> None:
    host.set("known")
    host.set("mirror-down")
    assert_one_clear_line(host.run(), "the package mirror does not answer")
    assert host.calls("apt") == ["update"]


def test_a_package_that_apt_does_not_know_is_named(host: FakeHost) -> None:
    host.set("known", "zstd")
    done = host.run()
    assert_one_clear_line(done, "apt knows no package named: fence-virtd")
    assert "universe" in done.stderr
    assert host.calls("apt") == ["update"]


def test_lists_are_fetched_only_when_apt_knows_too_little(host: FakeHost) -> None:
    host.set("known")
    host.set("known-by-mirror", "fence-virtd", "zstd")
    done = host.run()
    assert done.returncode == 0, done.stderr
    assert [call.split()[0] for call in host.calls("apt")] == ["update", "install"]


def test_old_lists_are_fetched_again(host: FakeHost) -> None:
    host.set("lists-old")
    done = host.run()
    assert done.returncode == 0, done.stderr
    assert [call.split()[0] for call in host.calls("apt")] == ["install", "update", "install"]


def test_what_apt_says_is_in_the_error(host: FakeHost) -> None:
    host.set("dpkg-broken")
    done = host.run()
    assert_one_clear_line(done, "apt-get install failed: dpkg was interrupted")
    assert "bootstrap-apt.log" in done.stderr


def test_a_host_without_apt_is_told_the_packages(host: FakeHost) -> None:
    (host.bin / "apt-get").unlink()
    assert_one_clear_line(host.run(), "no Debian or Ubuntu", *wanted_packages())


def test_no_python_fits(host: FakeHost) -> None:
    host.unset("python-fits")
    if not Path("/usr/bin/python3").exists():  # the last resort, whatever PATH says
        assert_one_clear_line(host.run(), "no Python >= 3.11")
    done = host.run(PYTHON="python3")
    assert_one_clear_line(done, "PYTHON=python3 is not a Python >= 3.11 with venv and headers")


def test_the_python_asked_for_is_taken(host: FakeHost) -> None:
    assert host.run().returncode == 0
    other = host.bin / "python3.12"
    other.write_text((host.bin / "python3").read_text().replace("(3, 11, 2)", "(3, 12, 1)"))
    other.chmod(0o755)
    assert host.run(PYTHON="python3.12").returncode == 0
    calls = host.calls("python")
    assert any("venv --clear" in call for call in calls)
    assert host.run(PYTHON="python3.12").returncode == 0
    assert host.calls("python") == calls


def test_an_index_that_does_not_answer_is_tried_again_next_time(host: FakeHost) -> None:
    host.set("index-down")
    assert_one_clear_line(host.run(), "the Python package index does not answer")
    host.unset("index-down")
    assert host.run().returncode == 0


def test_an_index_with_a_foreign_certificate_is_told_apart(host: FakeHost) -> None:
    host.set("index-untrusted")
    done = host.run()
    assert_one_clear_line(done, "certificate that this host does not trust")
    assert "PIP_CERT" in done.stderr


def test_an_ordinary_user_goes_through_sudo_for_packages_only(host: FakeHost) -> None:
    host.set("uid", "1000")
    done = host.run()
    assert done.returncode == 0, done.stderr
    calls = host.calls("sudo")
    assert calls[0] == "-v"
    assert any("apt-get" in call and "DEBIAN_FRONTEND=noninteractive" in call for call in calls)
    assert not any("pip" in call or "venv" in call for call in calls)
    assert not host.policy.exists()


def test_an_ordinary_user_without_sudo(host: FakeHost) -> None:
    host.set("uid", "1000")
    (host.bin / "sudo").unlink()
    assert_one_clear_line(host.run(), "needs root", "fence-virtd zstd")


def test_an_interrupted_installation_leaves_no_policy(host: FakeHost) -> None:
    host.set("apt-hangs")
    with subprocess.Popen(
        ["bash", str(host.project / "bootstrap/install.sh")],
        env=host.environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 10
        while not (host.state / "apt-started").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert host.policy.exists()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143
    assert not host.policy.exists()


# --- the other scripts -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, ""), (1, "INVALID"), (10, "INCONCLUSIVE"), (20, "harness itself"), (21, "missing")],
)
def test_exit_codes_pass_through_and_are_said_in_words(
    host: FakeHost, code: int, words: str
) -> None:
    harness = host.bin / "harness"
    harness.write_text(f"#!/bin/sh\nexit {code}\n")
    harness.chmod(0o755)
    done = subprocess.run(
        ["bash", str(AS_ROOT), str(harness), "run"],
        env=host.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert words in done.stderr
    assert (f"exit code {code}" in done.stderr) == (code != 0)


def test_settings_go_through_sudo(host: FakeHost) -> None:
    host.set("uid", "1000")
    done = subprocess.run(
        ["bash", str(AS_ROOT), "bash", "-c", 'echo "$FAILOVER_HARNESS_CACHE"'],
        env={**host.environment, "FAILOVER_HARNESS_CACHE": "/a b/c"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "/a b/c\n"
    assert len(host.calls("sudo")) == 1


@pytest.mark.parametrize(("target", "expected"), [("passes", 0), ("fails", 2)])
def test_ci_cleans_up_and_reports_whatever_happened(
    tmp_path: Path, target: str, expected: int
) -> None:
    for folder in (".ci", "bootstrap", ".venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(CI, tmp_path / ".ci")
    (tmp_path / "bootstrap/install.sh").write_text("exit 0\n")
    (tmp_path / "bootstrap/as-root.sh").write_text('"$@"\n')
    recipe = {"passes": "true", "fails": "false"}[target]
    (tmp_path / "Makefile").write_text(f"test:\n\t{recipe}\n")
    harness = tmp_path / ".venv/bin/harness"
    harness.write_text(f"#!/bin/sh\necho $1 >>{tmp_path}/gc\n")
    harness.chmod(0o755)
    done = subprocess.run(
        ["bash", str(tmp_path / ".ci/run")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == expected, done.stderr
    assert (tmp_path / "gc").read_text() == "gc\n"
    assert ("ci: passed in" in done.stdout) == (expected == 0)


def make(*arguments: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    return subprocess.run(
        ["make", "-C", str(PROJECT), "--no-print-directory", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_make_alone_teaches_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.+)$", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    text = make()
    for target in set(phony[1].split()) - {"help"}:
        assert f"make {target}" in text


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("doctor", "harness doctor"),
        ("failover", "harness run"),
        ("vm", 'tests/vm -m "vm and not nightly"'),
        ("nightly", "harness nightly"),
        ("bench", "bench/reset.py"),
        ("clean", "harness gc"),
    ],
)
def test_targets_call_what_they_promise(target: str, command: str) -> None:
    assert command in make("-n", target)
    assert target == "clean" or f"{command} --some" in make("-n", target, "ARGS=--some")


def test_a_nightly_run_ends_with_the_long_tests_unless_it_is_a_part() -> None:
    assert "tests/vm -m vm" in make("-n", "nightly")
    assert "tests/vm" not in make("-n", "nightly", "ARGS=--list")


def test_test_runs_lint_then_units_then_vms() -> None:
    text = make("-n", "test")
    steps = ["ruff check", "ruff format --check", "mypy", "lint-imports", '"not vm"', "tests/vm"]
    places = [text.index(step) for step in steps]
    assert places == sorted(places)


@pytest.mark.parametrize("script", [INSTALL, AS_ROOT, CI], ids=lambda path: path.name)
def test_scripts_are_clean(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)
    if shellcheck := shutil.which("shellcheck"):
        subprocess.run([shellcheck, str(script)], check=True)
