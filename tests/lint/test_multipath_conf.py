"""multipath.conf(5): what counts for a target's disks."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.lint.formats.multipath_conf import parse_multipath
from harness.lint.formats.text import FormatError

CONF = """\
# no_path_retry fail
defaults {
    no_path_retry 5   # "or so"
    polling_interval 2
}
blacklist { device { vendor ".*" product ".*" } }
devices {
    device {
        vendor "LIO-ORG"
        product ".*"
        no_path_retry queue
        features "1 queue_if_no_path"
    }
    device { vendor "3PARdata"
        no_path_retry 18 }
}
overrides {
    fast_io_fail_tmo 10 ! seconds
}
multipaths { multipath { wwid 36001405f  alias lun0 } }
"""


def told(text: str) -> list[tuple[str, str, str]]:
    return [(one.section, one.key, one.value) for one in parse_multipath(text)]


def test_defaults_lose_against_the_target_s_device_and_that_against_overrides() -> None:
    assert told(CONF) == [
        ("defaults", "no_path_retry", "5"),
        ("defaults", "polling_interval", "2"),
        ("device", "no_path_retry", "queue"),
        ("device", "features", "1 queue_if_no_path"),
        ("overrides", "fast_io_fail_tmo", "10"),
    ]


def test_each_setting_is_known_by_its_line() -> None:
    (one,) = parse_multipath("\ndevices {\n device {\n  vendor IET\n  no_path_retry 3\n }\n}\n")
    assert (one.value, one.line) == ("3", 5)


@pytest.mark.parametrize("vendor", ['".*"', '"(LIO-ORG|SUSE)"', "IET", '"LIO"'])
def test_a_vendor_is_a_regular_expression(vendor: str) -> None:
    text = f"devices {{\n device {{\n vendor {vendor}\n no_path_retry 3\n }}\n}}\n"
    assert told(text) == [("device", "no_path_retry", "3")]


@pytest.mark.parametrize("vendor", ['"IBM"', '"("'])
def test_others_devices_do_not_count(vendor: str) -> None:
    text = f"devices {{\n device {{\n vendor {vendor}\n no_path_retry 3\n }}\n}}\n"
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "says", "line"),
    [
        ("defaults {\n", "section defaults is not closed", 1),
        ("}\n", "closes nothing", 1),
        ("{\n", "a { without a section", 1),
        ("defaults {\n no_path_retry\n}\n", "is not closed", 1),
        ("no_path_retry queue\n", "no setting in a section", 1),
        ("a {\nb {\nc {\nd {\ne {\n", "nested too deeply", 5),
    ],
)
def test_what_is_no_multipath_conf(text: str, says: str, line: int) -> None:
    with pytest.raises(FormatError, match=says) as caught:
        parse_multipath(text)
    assert caught.value.line == line


@given(st.text(alphabet=' {}"#!\nab_1', max_size=200))
def test_any_text_is_settings_or_refused(text: str) -> None:
    with contextlib.suppress(FormatError):
        lines = text.count("\n") + 1
        assert all(1 <= one.line <= lines for one in parse_multipath(text))
