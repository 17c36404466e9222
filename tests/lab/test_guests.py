"""Guest profiles: what extends what, what an image is made of, and mistakes in one line."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from harness.errors import BadInputError
from harness.lab import guests as module
from harness.lab.guests import DEFAULT, KERNEL, guest_names, load_guest
from harness.lab.image import RECIPE, ImageOptions, ensure_image, recipe_key, recipe_packages
from harness.lab.paths import Cache

BASE = ["systemd", KERNEL, "iptables", "resource-agents"]
ROOT = 'title = "A first guest"\nfamily = "debian"\nsuite = "first"\nkernel = "linux-first"\n'
TOOL = '[workarounds.tool]\nwhy = "it is broken there"\nfixed = "with its next version"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of profiles with one, ``root``, and workarounds ``tool`` and ``other``."""
    monkeypatch.setattr(module, "GUESTS", tmp_path)
    monkeypatch.setattr(module, "WORKAROUNDS", tmp_path / "workarounds")
    (tmp_path / "workarounds").mkdir()
    for name in ("tool", "other"):
        (tmp_path / "workarounds" / name).write_text("#!/bin/sh\n")
        (tmp_path / "workarounds" / name).chmod(0o755)
    (tmp_path / "root.toml").write_text(ROOT + TOOL)
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.toml").write_text(text)


def test_the_default_is_debian_12_and_its_packages_are_what_they_always_were() -> None:
    guest = load_guest(DEFAULT)
    assert (guest.family, guest.suite, guest.components) == ("debian", "bookworm", ())
    assert list(guest.workarounds) == ["portblock"]
    assert guest.tested
    lines = (RECIPE / "packages.txt").read_text().splitlines()
    plain = [line for line in lines if line and not line.startswith("#")]
    assert recipe_packages(guest) == [
        "linux-image-cloud-amd64" if name == KERNEL else name for name in plain
    ]
    assert plain.count(KERNEL) == 1


@pytest.mark.parametrize("name", guest_names())
def test_every_profile_here_is_one_that_can_be_taken(name: str) -> None:
    guest = load_guest(name)
    packages = recipe_packages(guest)
    assert len(packages) == len(set(packages))
    assert KERNEL not in packages
    assert guest.kernel in packages
    # Nobody has to guess how far to trust it.
    assert guest.checked, f"{name} does not say what was checked"


def test_names_begin_with_the_default() -> None:
    assert guest_names()[0] == DEFAULT
    assert guest_names()[1:] == sorted(set(guest_names()) - {DEFAULT})


def test_a_profile_has_what_it_extends_and_its_own_on_top(folder: Path) -> None:
    write(
        folder,
        "more",
        'extends = "root"\ntitle = "One with more"\ncomponents = ["main", "extra"]\n'
        '[packages]\nadd = ["tgt"]\nremove = ["iptables"]\n'
        'rename = {resource-agents = ["agents-base", "agents-extra"]}\n'
        '[units]\n"tgt.service" = "disable"\n' + TOOL.replace("tool", "other"),
    )
    write(
        folder,
        "most",
        'extends = "more"\ntitle = "One with most"\nkernel = "linux-most"\n'
        '[packages]\nremove = ["tgt"]\nadd = ["iptables"]\n[units]\n"tgt.service" = "mask"\n',
    )
    root, more, most = (load_guest(name) for name in ("root", "more", "most"))
    assert root.packages(BASE) == ["systemd", "linux-first", "iptables", "resource-agents"]
    assert more.packages(BASE) == [
        "systemd", "linux-first", "agents-base", "agents-extra", "tgt",
    ]  # fmt: skip
    assert most.packages(BASE) == [
        "systemd", "linux-most", "agents-base", "agents-extra", "iptables",
    ]  # fmt: skip
    assert (more.suite, more.components, most.components) == (
        "first",
        ("main", "extra"),
    ) * 1 + (("main", "extra"),)
    assert [list(one.workarounds) for one in (root, more, most)] == [
        ["tool"], ["tool", "other"], ["tool", "other"],
    ]  # fmt: skip
    assert (more.units, most.units) == ({"tgt.service": "disable"}, {"tgt.service": "mask"})


def test_that_scenarios_ran_on_one_says_nothing_of_what_extends_it(folder: Path) -> None:
    write(folder, "tried", "tested = true\n" + ROOT)
    write(folder, "child", 'extends = "tried"\ntitle = "Another image"\n')
    assert load_guest("tried").tested
    assert not load_guest("child").tested


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("title = ", "cannot be read"),
        (ROOT + "extra = 1\n", "extra: "),
        (ROOT.replace('"debian"', '"gentoo"'), "family: "),
        (ROOT.replace("linux-first", "linux,first"), "kernel: "),
        ('title = "Without the rest"\n', "needs family, suite and kernel"),
        ('extends = "odd"\ntitle = "Its own father"\n', "extends itself"),
        ('extends = "loop"\ntitle = "Its own grandfather"\n', "extends itself"),
        ('extends = "nobody"\ntitle = "An orphan of all"\n', "there is no guest nobody"),
        (ROOT + TOOL.replace("tool", "magic"), "there is no workaround magic"),
        (ROOT + TOOL.replace('"it is broken there"', '""'), "workarounds.tool.why: "),
        (ROOT + '[units]\n"a.service" = "remove"\n', "units.a.service: "),
        (ROOT + '[units]\n"a b.service" = "mask"\n', "units.a b.service"),
        ('excluded = ["/a b"]\n' + ROOT, "excluded.0: "),
        (ROOT + '[packages]\nadd = ["a,b"]\n', "packages.add.0: "),
        (ROOT + "[packages]\nrename = {a1 = []}\n", "packages.rename.a1: "),
    ],
)  # fmt: skip
def test_a_mistake_in_a_profile_is_one_line_that_names_it(
    folder: Path, text: str, says: str
) -> None:
    write(folder, "loop", 'extends = "odd"\ntitle = "The second of two"\n')
    write(folder, "odd", text)
    with pytest.raises(BadInputError) as error:
        load_guest("odd")
    assert says in error.value.message
    assert "\n" not in error.value.message


def test_an_unknown_name_is_answered_with_those_that_there_are(folder: Path) -> None:
    write(folder, "other", ROOT)
    with pytest.raises(BadInputError) as error:
        load_guest("../root")
    assert "there is no guest ../root" in error.value.message
    assert error.value.hint == "there are: other, root"
    with pytest.raises(BadInputError, match="there is no guest nobody"):
        recipe_key(ImageOptions("nobody"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ('remove = ["tgt"]', "tgt is not among"),
        ('rename = {tgt = ["lio"]}', "tgt is not among"),
        ('add = ["iptables"]', "iptables would be there twice"),
        ('rename = {iptables = ["systemd"]}', "systemd would be there twice"),
    ],
)
def test_a_change_that_does_not_fit_is_refused(folder: Path, change: str, says: str) -> None:
    write(folder, "odd", f'extends = "root"\ntitle = "Does not fit"\n[packages]\n{change}\n')
    with pytest.raises(BadInputError, match=says):
        load_guest("odd").packages(BASE)


def test_the_key_follows_what_the_image_is_made_of_and_not_what_is_told_of_it(
    folder: Path,
) -> None:
    def key(text: str) -> str:
        write(folder, "root", text)
        return recipe_key(ImageOptions("root"))

    before = key(ROOT + TOOL)
    assert key(ROOT + TOOL) == before
    told = (
        ROOT.replace("A first guest", "Called otherwise")
        + 'tested = true\nchecked = ["What else is known"]\n'
    )
    assert key(told + TOOL.replace("broken", "no good")) == before
    changes = [
        ROOT,
        ROOT.replace("linux-first", "linux-other") + TOOL,
        ROOT.replace('"first"', '"second"') + TOOL,
        'components = ["main"]\n' + ROOT + TOOL,
        'excluded = ["/usr/lib/firmware/*"]\n' + ROOT + TOOL,
        ROOT + '[packages]\nadd = ["tgt"]\n' + TOOL,
        ROOT + '[units]\n"tgt.service" = "mask"\n' + TOOL,
    ]  # fmt: skip
    assert len({before, *(key(change) for change in changes)}) == 1 + len(changes)
    # Nor is a profile's image that of another one, though it were made alike.
    write(folder, "root", ROOT + TOOL)
    write(folder, "same", 'extends = "root"\ntitle = "Just the same"\n')
    assert recipe_key(ImageOptions("same")) != before


def test_what_mmdebstrap_cannot_build_is_told_before_anything_else(folder: Path) -> None:
    write(folder, "red", ROOT.replace('"debian"', '"redhat"'))
    with tempfile.TemporaryDirectory(prefix="fh-", dir="/tmp") as root:
        with pytest.raises(BadInputError, match="no image of the guest red can be built here"):
            ensure_image(Cache(Path(root)), ImageOptions("red"))
        assert not list(Path(root).iterdir())


def test_each_suite_keeps_its_packages_in_a_folder_of_its_own(tmp_path: Path) -> None:
    cache = Cache(Path("/tmp/fh"))
    assert cache.packages_of("bookworm") == cache.packages
    assert cache.packages_of("trixie") not in (cache.packages, cache.packages_of("noble"))
    # A build copies its folder whole: none may lie in another.
    assert cache.packages not in cache.packages_of("trixie").parents
