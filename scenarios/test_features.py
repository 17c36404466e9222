"""Binds every feature under features/: a new file there is a new scenario, without any Python."""

from pathlib import Path

from pytest_bdd import scenarios

_FEATURES = Path(__file__).resolve().parents[1] / "features"
# What comes first says whether the rest is worth its time; the longest comes last.
_ORDER = ("control", "links", "power", "recovery", "maintenance")


def _place(feature: Path) -> tuple[int, str]:
    return (_ORDER.index(feature.stem) if feature.stem in _ORDER else len(_ORDER), str(feature))


# One call for each: a single call would sort them by their titles.
for _feature in sorted(_FEATURES.rglob("*.feature"), key=_place):
    scenarios(str(_feature))
