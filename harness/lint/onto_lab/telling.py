"""A mapping in words, and as the configuration file that the lab takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tomlkit

if TYPE_CHECKING:
    from tomlkit.items import Table

    from harness.lint.onto_lab.sheet import Setting, Sheet

_HEAD = (
    "A foreign cluster's configuration, mapped onto the lab (docs/own-cluster.md).",
    "Behind each setting is where it was read; what the lab does not have is listed at the end.",
)


def as_toml(sheet: Sheet) -> str:
    """The configuration file (docs/configuration.md), with the place of each setting."""
    document = tomlkit.document()
    for line in (*_HEAD, *(f"{theirs} is {ours}" for theirs, ours in sheet.names.items())):
        document.add(tomlkit.comment(_plain(line)))
    tables: dict[str, Table] = {}
    for setting in sorted(sheet.settings.values(), key=lambda one: one.key[0]):
        part, name = setting.key[0], setting.key[1:]
        if part not in tables:
            document.add(tomlkit.nl())
            tables[part] = tomlkit.table()
            document.add(part, tables[part])
        item = tomlkit.item(setting.value)
        item.comment(_plain("; ".join(_remarks(setting))))
        tables[part].add(tomlkit.key(list(name)) if len(name) > 1 else tomlkit.key(name[0]), item)
    lines = [document.as_string().rstrip("\n")]
    if left := left_lines(sheet):
        lines += ["", *(_plain(f"# {line}") for line in left)]
    return "\n".join(lines) + "\n"


def _remarks(setting: Setting) -> list[str]:
    where = str(setting.place) if setting.place is not None else "no file says it: the default"
    return [where, *([setting.note] if setting.note else [])]


def _plain(text: str) -> str:
    """One line without control characters: what was read is anybody's."""
    return "".join(c if c.isprintable() else " " for c in text)[:300]


def changed(sheet: Sheet) -> list[Setting]:
    """The settings that are not the reference configuration's."""
    return [one for one in sheet.settings.values() if one.value != sheet.usual(one.key)]


def left_lines(sheet: Sheet) -> list[str]:
    """What was not mapped, and what is not known, one line each."""
    lines = [f"not in the lab: {one.what} ({one.place}): {one.why}" for one in sheet.left]
    lines += [f"not known, as in the reference: {what}" for what in sheet.assumed]
    return [_plain(line) for line in lines]


def summary_lines(sheet: Sheet) -> list[str]:
    """The mapping in words."""
    lines = [f"{theirs} is {ours} in the lab" for theirs, ours in sheet.names.items()]
    different = changed(sheet)
    lines.append(
        f"{len(sheet.settings)} settings mapped, {len(different)} of them other than the reference:"
    )
    for one in different:
        usual = sheet.usual(one.key)
        instead = f", not {usual}" if usual is not None else ""
        lines.append(f"  {one.name} = {one.value}{instead} ({'; '.join(_remarks(one))})")
    told = left_lines(sheet)
    lines.append(f"{len(told)} things that this lab cannot tell of:" if told else "All was mapped.")
    lines += [f"  {line}" for line in told]
    return [_plain(line) for line in lines]
