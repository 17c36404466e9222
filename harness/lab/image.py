"""The guest image: built with mmdebstrap from the recipe in vagrant/image/ and a guest profile.

The image is cached by the hash of its recipe. It is built inside a mount and PID namespace of
its own, on a tmpfs: whatever ends the build, kill -9 included, the kernel takes the chroot's
processes, mounts and files with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.crashpoints import die_here_if_asked
from harness.errors import BadInputError, HarnessError, MissingEnvironmentError
from harness.lab.guests import DEFAULT, load_guest
from harness.lab.lease import locked
from harness.lab.paths import VAGRANT, Cache
from harness.progress import Stage, stage

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab.guests import GuestProfile

RECIPE = VAGRANT / "image"
_ROOT_GIB = 3


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """What a user can choose about the build.

    Attributes:
        guest: name of the guest's profile (harness.lab.guests).
        mirror: mirror URL; empty takes mmdebstrap's default for the suite.
        proxy: HTTP proxy for the downloads; empty for none.
        offline: use only the packages kept in the cache.
    """

    guest: str = DEFAULT
    mirror: str = ""
    proxy: str = ""
    offline: bool = False


@dataclass(frozen=True, slots=True)
class Image:
    """A built image: the folder with base.qcow2, vmlinuz, initrd.img and packages.txt."""

    folder: Path

    @property
    def key(self) -> str:
        """Hash of the recipe (16 hex digits)."""
        return self.folder.name

    @property
    def kernel(self) -> Path:
        """The guest kernel, for direct boot."""
        return self.folder / "vmlinuz"

    def package_versions(self) -> dict[str, str]:
        """The resolved version of every package in the image."""
        lines = (self.folder / "packages.txt").read_text(encoding="utf-8").splitlines()
        return dict(line.split(" ", 1) for line in lines if " " in line)


def recipe_key(options: ImageOptions) -> str:
    """Hash of every file of the recipe, names and modes included, and of the guest's profile.

    Raises:
        BadInputError: there is no such profile, or it is malformed.
    """
    digest = hashlib.sha256(load_guest(options.guest).digest().encode())
    for path in sorted(RECIPE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            executable = bool(path.stat().st_mode & 0o100)
            digest.update(f"{path.relative_to(RECIPE)}\0{executable}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def recipe_packages(guest: GuestProfile) -> list[str]:
    """The packages of a guest's image: those that the recipe names, as the profile changes them.

    Raises:
        BadInputError: the profile changes what is not there.
    """
    lines = (RECIPE / "packages.txt").read_text(encoding="utf-8").splitlines()
    return guest.packages([line.strip() for line in lines if line.strip() and line[0] != "#"])


def recipe_units(guest: GuestProfile) -> dict[str, str]:
    """What systemd does with the units of a guest's image: disabled, masked or enabled.

    Raises:
        HarnessError: a line of units.txt that customize.sh would not take either.
    """
    states = {"disable": "disabled", "mask": "masked", "enable": "enabled"}
    units = {}
    for line in (RECIPE / "units.txt").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or words[0] not in states:
            raise HarnessError(f"units.txt of the image's recipe: {line}")
        units[words[1]] = states[words[0]]
    return units | {unit: states[verb] for unit, verb in guest.units.items()}


def ensure_image(cache: Cache, options: ImageOptions) -> Image:
    """The image of the current recipe, built if it is not in the cache.

    Raises:
        BadInputError: no image is built of this guest here.
        MissingEnvironmentError: a tool is missing or the mirror does not answer.
        HarnessError: the build failed; the log's path is in the hint.
    """
    guest = load_guest(options.guest)
    if guest.family != "debian":
        raise BadInputError(
            f"no image of the guest {guest.name} can be built here: mmdebstrap takes Debian's "
            "family alone",
            hint="docs/guests.md says how far its profile goes",
        )
    image = Image(cache.images / recipe_key(options))
    if _complete(image):
        return image
    cache.images.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(cache.leases / f"image-{image.key}.lock"):
        if not _complete(image):
            with stage("Building the guest image (about 1 to 3 minutes)") as progress:
                _build(cache, image, options, guest, progress)
    return image


def _complete(image: Image) -> bool:
    return (image.folder / "recipe.json").exists()


def _build(
    cache: Cache, image: Image, options: ImageOptions, guest: GuestProfile, progress: Stage
) -> None:
    for tool in ("mmdebstrap", "mke2fs", "qemu-img", "unshare", "setpriv"):
        if shutil.which(tool) is None:
            raise MissingEnvironmentError(
                f"{tool} is not installed", hint="run: make install (or harness doctor)"
            )
    free = shutil.disk_usage(cache.root).free
    if free < 4 << 30:
        raise MissingEnvironmentError(
            f"only {free / 2**30:.1f} GiB free at {cache.root}; the image build needs 4",
            hint="free some space, or choose another folder with --cache",
        )
    if guest.keyring and not os.path.exists(guest.keyring):
        raise MissingEnvironmentError(
            f"the guest {guest.name} needs {guest.keyring}, the keys of its archive",
            hint="docs/guests.md names the package that has it",
        )
    names = recipe_packages(guest)
    packages = cache.packages_of(guest.suite)
    packages.mkdir(parents=True, exist_ok=True)
    building = tempfile.mkdtemp(prefix=f".building-{image.key}.", dir=cache.images)
    # Not below the cache, which only its owner may enter: apt downloads as another user.
    work = tempfile.mkdtemp(prefix="lab-image-")
    log_path = cache.images / f"build-{image.key}.log"
    script = RECIPE / "build.sh"
    env = {
        **os.environ,
        "OUT": building,
        "WORK": work,
        "SUITE": guest.suite,
        "COMPONENTS": ",".join(guest.components),
        "KEYRING": guest.keyring,
        "MIRROR": options.mirror,
        "PROXY": options.proxy,
        "OFFLINE": "1" if options.offline else "",
        "PACKAGES": ",".join(names),
        "EXCLUDED": "\n".join(guest.excluded),
        "UNITS": "\n".join(f"{verb} {unit}" for unit, verb in guest.units.items()),
        "WORKAROUNDS": " ".join(guest.workarounds),
        "PACKAGE_CACHE": str(packages),
        "ROOT_GIB": str(_ROOT_GIB),
    }
    # setpriv: the build dies with the harness; unshare --kill-child: the whole PID namespace
    # dies with unshare, and the mount namespace with its last process.
    command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork"]
    command += ["--kill-child=KILL", "--mount-proc", "--propagation", "private"]
    command += ["bash", str(script)]
    try:
        with log_path.open("w", encoding="utf-8") as log:
            process = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    progress.note(line.strip())
                    if "file system" in line:  # half way: packages are there, mounts too
                        die_here_if_asked("image")
                code = process.wait()
            finally:
                process.kill()
                process.wait()
        if code != 0:
            raise _explain(log_path)
        recipe = {"guest": guest.name, "suite": guest.suite, "packages": names, "key": image.key}
        with open(os.path.join(building, "recipe.json"), "w", encoding="utf-8") as file:
            json.dump(recipe, file)
        os.rename(building, image.folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
        # Empty as soon as the namespace has ended; never more than that is removed.
        with contextlib.suppress(OSError):
            os.rmdir(work)


def _explain(log: Path) -> HarnessError:
    """The one line that says why a build failed, from its log."""
    text = log.read_text(encoding="utf-8", errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E:", "Err:", "portblock:", "error:"))]
    what = errors[0].strip() if errors else (lines[-1].strip() if lines else "no output")
    if unknown := re.search(r"NO_PUBKEY [0-9A-F]{8,40}", text):
        return MissingEnvironmentError(
            f"this host has not got the keys of the archive: {unknown[0]}",
            hint=f"docs/guests.md: keyring; log: {log}",
        )
    network = (
        "Could not resolve",
        "Could not connect",
        "Failed to fetch",
        "Temporary failure",
        "Connection timed out",
        "Unable to connect",
        "Connection failed",
    )
    if any(word in text for word in network):
        return MissingEnvironmentError(
            f"the package mirror does not answer: {what[:200]}",
            hint=f"check the network, or use --mirror / --proxy / --offline; log: {log}",
        )
    return HarnessError(f"the guest image build failed: {what[:200]}", hint=f"log: {log}")
