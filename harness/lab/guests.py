"""Guest profiles: which distribution runs in the guests, as data (vagrant/guests/, docs/guests.md).

A profile names suite, kernel and packages, the latter as changes to the recipe's list, and the
workarounds that its image needs. It may extend another one.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.errors import BadInputError
from harness.lab.paths import VAGRANT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

GUESTS = VAGRANT / "guests"
WORKAROUNDS = VAGRANT / "image" / "workarounds"
DEFAULT = "debian12"
KERNEL = "@kernel"
"""In the recipe's list of packages: the profile's kernel."""

# Joined by commas on mmdebstrap's command line; names of rpm packages may have a _ in them.
_Package = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+._-]+$")]
_Word = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
_Unit = Annotated[str, Field(pattern=r"^[\w@:.-]+\.(service|socket|timer|target)$")]
_PathPattern = Annotated[str, Field(pattern=r"^/[\w/.*+-]+$")]
_Sentence = Annotated[str, Field(min_length=10)]
Family = Literal["debian", "redhat"]
UnitVerb = Literal["disable", "mask", "enable"]
_T = TypeVar("_T")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Workaround(_Part):
    """A defect of the guest's packages that its image is mended of.

    A program of the same name in vagrant/image/workarounds does it.

    Attributes:
        why: what is wrong, and what it would do to the cluster.
        fixed: with which version it is mended; or that it is not.
    """

    why: _Sentence
    fixed: _Sentence


class Finding(_Part):
    """Something known of this guest that the image is not mended of.

    Attributes:
        what: in a sentence.
        state: whether it was seen, where and when, or how it is known.
    """

    what: _Sentence
    state: _Sentence


class Packages(_Part):
    """Changes to a list of packages, in this order: ``remove``, ``rename``, ``add``.

    ``rename`` may give several packages for one.
    """

    remove: tuple[_Package, ...] = ()
    rename: dict[_Package, Annotated[tuple[_Package, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    add: tuple[_Package, ...] = ()

    def changed(self, base: Sequence[str]) -> list[str]:
        """The list with these changes.

        Raises:
            ValueError: it would remove or rename what is not there, or add what is.
        """
        if missing := sorted({*self.remove, *self.rename} - set(base)):
            raise ValueError(f"packages: {', '.join(missing)} is not among those to change")
        changed = [
            new
            for name in base
            if name not in self.remove
            for new in self.rename.get(name, (name,))
        ]
        changed += self.add
        if twice := sorted({name for name in changed if changed.count(name) > 1}):
            raise ValueError(f"packages: {', '.join(twice)} would be there twice")
        return changed


class _Told(_Part):
    """A profile's file: docs/guests.md has the keys."""

    extends: _Word | None = None
    title: _Sentence
    family: Family | None = None
    suite: _Word | None = None
    components: tuple[_Word, ...] | None = None
    keyring: Annotated[str, Field(pattern=r"^/[\w/.-]+$")] | None = None
    kernel: _Package | None = None
    packages: Packages = Packages()
    excluded: tuple[_PathPattern, ...] = ()
    units: dict[_Unit, UnitVerb] = Field(default_factory=dict)
    workarounds: dict[_Word, Workaround] = Field(default_factory=dict)
    tested: bool = False
    checked: tuple[_Sentence, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class GuestProfile:
    """A profile with all that it extends.

    Attributes:
        name: of its file, without the ending.
        title: what it is, in a line.
        family: debian is built with mmdebstrap; redhat is not built here.
        suite: of the distribution, as mmdebstrap takes it.
        components: of its archive; empty for mmdebstrap's default.
        keyring: a file on the host with the archive's keys; empty for the host's own.
        kernel: its kernel's package.
        changes: what becomes of the recipe's list of packages, one after the other.
        excluded: paths that are not unpacked, as patterns of dpkg(1)'s path-exclude.
        units: what systemd does with a unit, where it is not in the recipe's units.txt or is
            otherwise there.
        workarounds: by name, in the order in which they are applied.
        tested: whether scenarios ran on it.
        checked: what is known of it, and how; of this profile alone.
        findings: what is wrong with it.
    """

    name: str
    title: str
    family: Family
    suite: str
    components: tuple[str, ...]
    keyring: str
    kernel: str
    changes: tuple[Packages, ...]
    excluded: tuple[str, ...]
    units: dict[str, UnitVerb]
    workarounds: dict[str, Workaround]
    tested: bool
    checked: tuple[str, ...]
    findings: tuple[Finding, ...]

    def packages(self, base: Sequence[str]) -> list[str]:
        """Its packages, of the recipe's list.

        Raises:
            BadInputError: the list is not what the profile changes.
        """
        names = [self.kernel if name == KERNEL else name for name in base]
        try:
            for change in self.changes:
                names = change.changed(names)
        except ValueError as error:
            raise BadInputError(f"{_file(self.name)}: {error}") from error
        return names

    def digest(self) -> str:
        """Hash of its name and all that its image depends on besides the recipe's own files.

        What is only told of it changes nothing in the image.
        """
        parts: list[object] = [self.name, self.family, self.suite, self.components, self.kernel]
        parts += [change.model_dump(mode="json") for change in self.changes]
        parts += [self.excluded, *self.units.items(), *self.workarounds]
        return hashlib.sha256(repr(parts).encode()).hexdigest()


def guest_names() -> list[str]:
    """The names of all profiles, the default first."""
    names = sorted(path.stem for path in GUESTS.glob("*.toml"))
    return sorted(names, key=lambda name: name != DEFAULT)


def load_guest(name: str) -> GuestProfile:
    """The profile of this name, with all that it extends.

    Raises:
        BadInputError: there is none, or its file or one that it extends is malformed.
    """
    chain = [(name, _read(name))]
    while (base := chain[-1][1].extends) is not None:
        if base in (one for one, _ in chain):
            raise BadInputError(f"{_file(name)} extends itself: {base} is there twice")
        chain.append((base, _read(base)))
    told = [one for _, one in reversed(chain)]
    own = told[-1]
    family: Family | None = _last([one.family for one in told])
    suite = _last([one.suite for one in told])
    kernel = _last([one.kernel for one in told])
    if family is None or suite is None or kernel is None:
        raise BadInputError(f"{_file(name)} needs family, suite and kernel, or extends a profile")
    profile = GuestProfile(
        name=name,
        title=own.title,
        family=family,
        suite=suite,
        components=_last([one.components for one in told]) or (),
        keyring=_last([one.keyring for one in told]) or "",
        kernel=kernel,
        changes=tuple(one.packages for one in told),
        excluded=tuple(path for one in told for path in one.excluded),
        units={key: value for one in told for key, value in one.units.items()},
        workarounds={key: value for one in told for key, value in one.workarounds.items()},
        # Others' scenarios ran on another image.
        tested=own.tested,
        checked=own.checked,
        findings=tuple(finding for one in told for finding in one.findings),
    )
    for workaround in profile.workarounds:
        if not os.access(WORKAROUNDS / workaround, os.X_OK):
            raise BadInputError(
                f"{_file(name)}: there is no workaround {workaround}",
                hint=f"a program of that name belongs into {WORKAROUNDS}",
            )
    return profile


def _file(name: str) -> Path:
    return GUESTS / f"{name}.toml"


def _last(values: Sequence[_T | None]) -> _T | None:
    return next((value for value in reversed(values) if value is not None), None)


def _read(name: str) -> _Told:
    path = _file(name)
    if name not in guest_names():
        raise BadInputError(
            f"there is no guest {name}", hint=f"there are: {', '.join(guest_names())}"
        )
    try:
        return _Told.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInputError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInputError(
            f"{path}: {where}: {first['msg']}", hint="docs/guests.md lists the keys"
        ) from error
