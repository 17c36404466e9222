"""The image's key, the recipe's packages, and what a failed build says."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness.errors import ExitCode, HarnessError, MissingEnvironmentError
from harness.lab import image as module
from harness.lab.guests import DEFAULT, KERNEL, load_guest
from harness.lab.image import (
    Image,
    ImageOptions,
    ensure_image,
    recipe_key,
    recipe_packages,
    recipe_units,
)
from harness.lab.paths import Cache

BOOKWORM = ImageOptions()
GUEST = load_guest(DEFAULT)


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the recipe, to change."""
    copy = tmp_path / "recipe"
    shutil.copytree(module.RECIPE, copy)
    monkeypatch.setattr(module, "RECIPE", copy)
    return copy


def test_the_key_is_that_of_the_recipe_wherever_it_lies(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = recipe_key(BOOKWORM)
    assert len(here) == 16
    assert recipe_key(BOOKWORM) == here
    monkeypatch.setattr(module, "RECIPE", recipe.rename(recipe.with_name("moved")))
    assert recipe_key(BOOKWORM) == here


@pytest.mark.parametrize(
    "change",
    [
        lambda r: (r / "packages.txt").write_text("systemd\n"),
        lambda r: (r / "build.sh").write_bytes((r / "build.sh").read_bytes() + b"\n"),
        lambda r: (r / "build.sh").chmod(0o644),
        lambda r: (r / "overlay/usr/local/lib/lab/clock").chmod(0o600),
        lambda r: (r / "overlay/etc/sysctl.d/lab.conf").rename(r / "overlay/etc/sysctl.d/z.conf"),
        lambda r: (r / "overlay/etc/sysctl.d/lab.conf").unlink(),
        lambda r: (r / "overlay/etc/new").write_bytes(b""),
    ],
    ids=["content", "newline", "mode", "mode-in-overlay", "renamed", "removed", "empty-file"],
)
def test_any_change_of_the_recipe_changes_the_key(recipe: Path, change: object) -> None:
    before = recipe_key(BOOKWORM)
    assert callable(change)
    change(recipe)
    assert recipe_key(BOOKWORM) != before


def test_what_is_not_the_recipe_does_not_change_the_key(recipe: Path) -> None:
    before = recipe_key(BOOKWORM)
    (recipe / "__pycache__").mkdir()
    (recipe / "__pycache__" / "seed.cpython-311.pyc").write_bytes(b"x")
    assert recipe_key(BOOKWORM) == before
    # Where packages come from is not what they are.
    assert recipe_key(ImageOptions(mirror="http://m", proxy="http://p", offline=True)) == before
    assert recipe_key(ImageOptions("debian13")) != before


def test_swapping_two_files_contents_changes_the_key(recipe: Path) -> None:
    before = recipe_key(BOOKWORM)
    lab = recipe / "overlay/usr/local/lib/lab"
    clock, seed = (lab / "clock").read_bytes(), (lab / "seed").read_bytes()
    (lab / "clock").write_bytes(seed)
    (lab / "seed").write_bytes(clock)
    assert recipe_key(BOOKWORM) != before


def test_packages_are_names_without_comments(recipe: Path) -> None:
    (recipe / "packages.txt").write_text(f"# why\nfio \n\n  drbd-utils\n#off\n{KERNEL}\n")
    assert recipe_packages(GUEST) == ["fio", "drbd-utils", "linux-image-cloud-amd64"]


def test_the_real_recipe_names_each_package_once_and_nothing_else() -> None:
    packages = recipe_packages(GUEST)
    assert len(packages) == len(set(packages))
    assert {"drbd-utils", "corosync", "pacemaker", "fio", "fence-virt", "open-iscsi"} <= set(
        packages
    )
    for package in packages:
        # They are joined by commas on mmdebstrap's command line.
        assert set(package) <= set("abcdefghijklmnopqrstuvwxyz0123456789+-."), package


def test_units_are_states_by_name(recipe: Path) -> None:
    (recipe / "units.txt").write_text(
        "# why\n\ndisable a.service\nmask b.timer\nenable c.service\n"
    )
    assert recipe_units(GUEST) == {
        "a.service": "disabled",
        "b.timer": "masked",
        "c.service": "enabled",
    }
    for wrong in ("remove a.service", "disable", "disable a.service now"):
        (recipe / "units.txt").write_text(f"{wrong}\n")
        with pytest.raises(HarnessError, match=wrong):
            recipe_units(GUEST)


def test_what_pacemaker_starts_does_not_start_at_boot() -> None:
    units = recipe_units(GUEST)
    for unit in ("corosync", "pacemaker", "drbd", "rtslib-fb-targetctl", "open-iscsi"):
        assert units[f"{unit}.service"] == "disabled"
    assert units["ssh.service"] == units["lab-seed.service"] == "enabled"


def customize(
    recipe: Path, root: Path, workarounds: str = "portblock", units: str = ""
) -> tuple[int, str, list[str]]:
    """Run the recipe's hook with a stand-in for chroot(8): exit code, errors, what was asked."""
    agent = root / "usr/lib/ocf/resource.d/heartbeat/portblock"
    for folder in (agent.parent, root / "etc/ssh", root / "etc/modules-load.d"):
        folder.mkdir(parents=True)
    agent.write_text('active_grep_pat()\n{\n  echo "^DROP${w}${1}${w}--${w}"\n}\n')
    tools = root / "tools"
    tools.mkdir()
    (tools / "chroot").write_text(
        '#!/bin/sh\nshift\ncat > /dev/null\necho "$*" >> "$ASKED"\n'
        'if [ "$2" = list-unit-files ] && [ "$3" != logd.service ]; then echo "$3 enabled"; fi\n'
    )
    (tools / "chroot").chmod(0o755)
    asked = root / "asked"
    done = subprocess.run(
        [str(recipe / "customize.sh"), str(root)],
        env={
            "PATH": f"{tools}:{os.environ['PATH']}",
            "ASKED": str(asked),
            "WORKAROUNDS": workarounds,
            "UNITS": units,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr, asked.read_text().splitlines() if asked.exists() else []


def test_the_hook_does_with_each_unit_what_the_recipe_says(recipe: Path, tmp_path: Path) -> None:
    code, errors, asked = customize(recipe, tmp_path / "root")
    assert (code, errors) == (0, "")
    said = {"disabled": "disable", "masked": "mask", "enabled": "enable"}
    # One that the suite does not have is left alone.
    wanted = {u: said[state] for u, state in recipe_units(GUEST).items() if u != "logd.service"}
    done = [line.split() for line in asked if line.startswith("systemctl")]
    assert {unit: verb for _, verb, unit in done if verb != "list-unit-files"} == wanted
    assert "update-initramfs -u -k all" in asked
    assert "[0-9a-z]*" in (tmp_path / "root/usr/lib/ocf/resource.d/heartbeat/portblock").read_text()


def test_the_hook_applies_the_guest_s_workarounds_and_no_others(
    recipe: Path, tmp_path: Path
) -> None:
    agent = tmp_path / "plain/usr/lib/ocf/resource.d/heartbeat/portblock"
    assert customize(recipe, tmp_path / "plain", workarounds="")[0] == 0
    assert "[0-9a-z]*" not in agent.read_text()
    assert not agent.with_name("portblock.orig").exists()
    for name in ("one", "two"):
        program = recipe / "workarounds" / name
        program.write_text(f'#!/bin/sh\necho {name} >> "$1/done"\n')
        program.chmod(0o755)
    assert customize(recipe, tmp_path / "both", workarounds="two one")[0] == 0
    assert (tmp_path / "both/done").read_text() == "two\none\n"
    # One that fails, or is not there, ends the build.
    (recipe / "workarounds/one").write_text("#!/bin/sh\nexit 3\n")
    code, _, asked = customize(recipe, tmp_path / "fails", workarounds="one two")
    assert (code, asked) == (3, [])
    assert not (tmp_path / "fails/done").exists()
    assert customize(recipe, tmp_path / "none", workarounds="three")[0] != 0


def test_the_guest_s_own_units_come_after_those_of_the_recipe(recipe: Path, tmp_path: Path) -> None:
    (recipe / "units.txt").write_text("disable a.service\nenable b.service\n")
    code, _, asked = customize(
        recipe, tmp_path / "root", units="mask b.service\ndisable own.service"
    )
    assert code == 0
    assert asked[1:5] == [
        "systemctl disable a.service",
        "systemctl enable b.service",
        "systemctl mask b.service",
        "systemctl list-unit-files own.service",
    ]
    assert customize(recipe, tmp_path / "wrong", units="remove own.service")[0] != 0


def test_the_hook_stops_at_a_line_that_it_does_not_know(recipe: Path, tmp_path: Path) -> None:
    (recipe / "units.txt").write_text("enable a.service\nremove b.service\n")
    code, errors, asked = customize(recipe, tmp_path / "root")
    assert code != 0
    assert "units.txt: what is remove?" in errors
    assert asked == ["systemctl enable a.service"]


def build(recipe: Path, folder: Path, **env: str) -> list[str]:
    """Run build.sh with stand-ins for its tools: the arguments that mmdebstrap got."""
    tools, out, work = folder / "tools", folder / "out", folder / "work"
    for path in (tools, out, work):
        path.mkdir(parents=True)
    for name in ("mount", "mke2fs", "qemu-img", "truncate"):
        (tools / name).write_text("#!/bin/sh\n")
    # The root is the last argument but for a mirror, of which there is none here.
    (tools / "mmdebstrap").write_text(
        '#!/bin/bash\nprintf "%s\\n" "$@" > "$OUT/asked"\nroot=${@: -1}\n'
        'mkdir -p "$root/boot" "$root/etc"\n'
        'touch "$root/boot/vmlinuz-1" "$root/boot/initrd.img-1" "$root/etc/lab-packages"\n'
    )
    for tool in tools.iterdir():
        tool.chmod(0o755)
    subprocess.run(
        [str(recipe / "build.sh")],
        env={
            "PATH": f"{tools}:{os.environ['PATH']}", "WORK": str(work), "OUT": str(out),
            "SUITE": "bookworm", "PACKAGES": "systemd,fio", "PACKAGE_CACHE": str(folder / "p"),
            "ROOT_GIB": "3", **env,
        },
        capture_output=True,
        check=True,
    )  # fmt: skip
    return (out / "asked").read_text().splitlines()


def test_what_a_profile_says_of_its_archive_gets_to_mmdebstrap(
    recipe: Path, tmp_path: Path
) -> None:
    plain = build(recipe, tmp_path / "plain")
    assert plain[:2] == ["--variant=minbase", "--include=systemd,fio"]
    assert plain[-2] == "bookworm"
    nothing = build(recipe, tmp_path / "empty", COMPONENTS="", KEYRING="", EXCLUDED="")
    assert len(nothing) == len(plain)
    more = build(
        recipe,
        tmp_path / "more",
        COMPONENTS="main,universe",
        KEYRING="/keys.gpg",
        EXCLUDED="/usr/*\n/x/[a]*",
    )
    for option in (
        "--components=main,universe", "--keyring=/keys.gpg", "--dpkgopt=path-exclude=/usr/*",
        "--dpkgopt=path-exclude=/x/[a]*",
    ):  # fmt: skip
        assert option in more
        assert option not in plain


def test_versions_of_an_image(tmp_path: Path) -> None:
    image = Image(tmp_path / "0123456789abcdef")
    image.folder.mkdir()
    (image.folder / "packages.txt").write_text("fio 3.33-3\nnoversion\nadduser 3.134 extra\n")
    assert image.key == "0123456789abcdef"
    assert image.package_versions() == {"fio": "3.33-3", "adduser": "3.134 extra"}


def test_a_built_image_is_taken_from_the_cache_without_building(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_arguments: object) -> None:
        raise AssertionError("it was built")

    monkeypatch.setattr(module, "_build", refuse)
    # Not tmp_path: it is too long for the sockets below a cache.
    with tempfile.TemporaryDirectory(prefix="fh-", dir="/tmp") as root:
        cache = Cache(Path(root))
        folder = cache.images / recipe_key(BOOKWORM)
        folder.mkdir(parents=True)
        # Without recipe.json, which is written last, it is not complete.
        with pytest.raises(AssertionError, match="it was built"):
            ensure_image(cache, BOOKWORM)
        (folder / "recipe.json").write_text("{}")
        assert ensure_image(cache, BOOKWORM).folder == folder


@pytest.mark.parametrize(
    ("log", "kind", "says"),
    [
        (
            "Get:1 …\nErr:1 http://mirror bookworm InRelease\n  Could not resolve 'mirror'\n",
            MissingEnvironmentError,
            "the package mirror does not answer: Err:1 http://mirror bookworm InRelease",
        ),
        (
            "E: Unable to connect to mirror:http\nE: second\nI: done\n",
            MissingEnvironmentError,
            "the package mirror does not answer: E: Unable to connect to mirror:http",
        ),
        (
            "I: chroot\nportblock: cannot patch line 17\nE: hook failed\n",
            HarnessError,
            "the guest image build failed: portblock: cannot patch line 17",
        ),
        (
            "Get:1 …\nErr:1 http://mirror noble InRelease\n  The following signatures couldn't be "
            "verified because the public key is not available: NO_PUBKEY 871920D1991BC93C\n",
            MissingEnvironmentError,
            "keys of the archive: NO_PUBKEY 871920D1991BC93C",
        ),
        ("I: one\nmke2fs: no space\n\n", HarnessError, "build failed: mke2fs: no space"),
        ("", HarnessError, "build failed: no output"),
        ("E: " + "x" * 900, HarnessError, "build failed: E: xxx"),
    ],
)
def test_a_failed_build_is_explained_in_one_line(
    tmp_path: Path, log: str, kind: type[HarnessError], says: str
) -> None:
    path = tmp_path / "build.log"
    path.write_text(log)
    error = module._explain(path)
    assert type(error) is kind
    assert says in error.message
    assert len(error.message) < 300
    assert "\n" not in str(error)
    assert str(path) in error.hint
    expected = ExitCode.MISSING_ENVIRONMENT if kind is MissingEnvironmentError else 20
    assert error.exit_code == expected


TOOLS = {
    # What an image is made of, and a mount that is none; the namespaces are left out.
    "mmdebstrap": """\
root=${@: -1}
mkdir -p "$root"/boot "$root"/etc "$root"/var/cache/apt/archives
touch "$root"/boot/vmlinuz-1 "$root"/boot/initrd.img-1
echo "a 1" > "$root"/etc/lab-packages""",
    "mke2fs": "true",
    "qemu-img": 'touch "${@: -1}"',
    "mount": 'echo "${@: -1}" > "$MOUNTED"; [ -d "${@: -1}" ]',
    "setpriv": 'while [ "$1" != unshare ]; do shift; done; exec "$@"',
    # What was mounted goes with the namespace.
    "unshare": """\
while [ "$1" != bash ]; do shift; done
"$@"; code=$?
rm -rf "$(cat "$MOUNTED")"/*
exit $code""",
}


@pytest.mark.parametrize("works", [True, False])
def test_a_build_leaves_no_folder_of_its_own(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    works: bool,
) -> None:
    tools, temporary = tmp_path / "tools", tmp_path / "tmp"
    temporary.mkdir()
    tools.mkdir()
    for name, text in (TOOLS | ({} if works else {"mke2fs": "exit 1"})).items():
        (tools / name).write_text(f"#!/bin/bash\n{text}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("MOUNTED", str(tmp_path / "mounted"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    cache = Cache(Path(tempfile.mkdtemp(prefix="c", dir="/tmp")))
    request.addfinalizer(lambda: shutil.rmtree(cache.root))
    cache.leases.mkdir(parents=True)
    if works:
        assert ensure_image(cache, ImageOptions(mirror="")).package_versions() == {"a": "1"}
    else:
        with pytest.raises(HarnessError):
            ensure_image(cache, BOOKWORM)
    assert Path((tmp_path / "mounted").read_text().strip()).parent == temporary
    assert list(temporary.iterdir()) == []
