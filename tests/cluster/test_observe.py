"""What the cluster's tools print: captured output, changes of it, and garbage."""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ET
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cluster.form import view_missing
from harness.cluster.observe import (
    ClusterView,
    ObservationError,
    cluster_view,
    fence_constraints,
    fence_history,
    parse_crm_mon,
    parse_fence_history,
    parse_proc_drbd,
    parse_resync,
)
from harness.lab.topology import RESOURCES, Topology
from harness.remote.ssh import GuestUnreachableError

FIXTURES = Path(__file__).parent / "fixtures"
CRM_MON = (FIXTURES / "crm_mon-healthy.xml").read_text()
PROC_DRBD = (FIXTURES / "proc_drbd-healthy.txt").read_text()
GROUP = ("pb", "vip", "tgt", "lun0", "lun1", "lun2", "pu")


# ------------------------------------------------------------------------------- /proc/drbd


def test_healthy_drbd() -> None:
    healthy = {
        "cs": "Connected", "role": "Secondary", "peer_role": "Primary", "disk": "UpToDate",
        "peer_disk": "UpToDate", "suspended": False, "oos_kib": 0,
    }  # fmt: skip
    assert parse_proc_drbd(PROC_DRBD) == dict.fromkeys(RESOURCES, healthy)


def test_each_minor_keeps_its_own_values() -> None:
    text = PROC_DRBD.replace(
        " 1: cs:Connected ro:Secondary/Primary ds:UpToDate/UpToDate C r-----",
        " 1: cs:WFConnection ro:Primary/Unknown ds:UpToDate/DUnknown C s-----",
    )
    head, tail = text.split(" 2: ")
    head, _, rest = head.rpartition("oos:0")
    text = f"{head}oos:4096{rest} 2: {tail}"
    state = parse_proc_drbd(text)
    assert state["r1"] == {
        "cs": "WFConnection", "role": "Primary", "peer_role": "Unknown", "disk": "UpToDate",
        "peer_disk": "DUnknown", "suspended": True, "oos_kib": 4096,
    }  # fmt: skip
    assert state["r0"] == state["r2"] == parse_proc_drbd(PROC_DRBD)["r0"]


def test_a_resync_s_progress_line_is_not_a_minor() -> None:
    # drivers/block/drbd/drbd_proc.c, drbd_syncer_progress
    progress = (
        "\t[===>................] sync'ed: 20.0% (52224/65404)K\n"
        "\tfinish: 0:00:04 speed: 13,180 (13,180) want: 10,240 K/sec\n"
    )
    text = PROC_DRBD.replace(" 1: cs:Connected", progress + " 1: cs:SyncTarget")
    state = parse_proc_drbd(text)
    assert {name: s["cs"] for name, s in state.items()} == {
        "r0": "Connected", "r1": "SyncTarget", "r2": "Connected",
    }  # fmt: skip
    assert state["r0"]["oos_kib"] == 0


@pytest.mark.parametrize(
    ("printed", "percent"),
    [("sync'ed: 20.0%", 20.0), ("sync'ed:  0.3%", 0.3), ("sync'ed:100.0%", 100.0)],
)
def test_how_far_a_resync_has_come(printed: str, percent: float) -> None:
    # drivers/block/drbd/drbd_proc.c, drbd_syncer_progress: "sync'ed:%3u.%u%% "
    progress = f"\t[===>................] {printed} (52224/65404)K\n"
    first, second = PROC_DRBD.split(" 1: cs:Connected")
    text = f"{first} 1: cs:SyncTarget{second}".replace(" 2: cs:", progress + " 2: cs:")
    assert parse_resync(text) == {"r1": percent}
    assert parse_resync(PROC_DRBD) == parse_resync("") == {}
    assert parse_resync(progress) == {}, "of which minor?"
    assert parse_resync(" 9: cs:SyncTarget\n" + progress) == {}


def test_an_unconfigured_minor_has_no_counters() -> None:
    lines = PROC_DRBD.splitlines(keepends=True)
    text = "".join([*lines[:4], " 1: cs:Unconfigured\n", *lines[6:]])
    state = parse_proc_drbd(text)
    assert (state["r1"]["cs"], state["r1"]["role"]) == ("Unconfigured", "Unknown")
    assert state["r2"]["cs"] == "Connected"
    assert parse_proc_drbd(lines[0] + " 0: cs:Unconfigured\n")["r0"]["cs"] == "Unconfigured"


def test_no_module_is_no_state_and_other_minors_have_no_resource_s_name() -> None:
    assert parse_proc_drbd("") == {}
    assert parse_proc_drbd("version: 8.4.11 (api:1/proto:86-101)\nsrcversion: F73C67\n") == {}
    assert list(parse_proc_drbd(PROC_DRBD.replace(" 2: cs", "17: cs"))) == ["r0", "r1", "minor17"]


@pytest.mark.parametrize("cut", ["    ns:", "oos:0"])
def test_a_torn_output_is_an_error_and_not_half_an_answer(cut: str) -> None:
    with pytest.raises(ObservationError, match="ends within a minor"):
        parse_proc_drbd(PROC_DRBD[: PROC_DRBD.rindex(cut)])


def cuts(text: str) -> st.SearchStrategy[str]:
    """The text with pieces cut out, doubled or replaced."""
    positions = st.integers(0, len(text))

    def change(changes: list[tuple[int, int, str]]) -> str:
        result = text
        for start, length, new in changes:
            result = result[:start] + new + result[start + length :]
        return result

    new = st.text(max_size=5) | st.sampled_from(["\n", "oos:", " 1: cs:", "<", "/>", '"'])
    return st.lists(st.tuples(positions, st.integers(0, 80), new), max_size=4).map(change)


STATE_KEYS = set(parse_proc_drbd(PROC_DRBD)["r0"])


@settings(max_examples=150, deadline=None)
@given(text=st.text() | cuts(PROC_DRBD))
def test_whatever_a_guest_prints_as_proc_drbd_is_a_state_or_refused(text: str) -> None:
    try:
        state = parse_proc_drbd(text)
    except ObservationError:
        assert "cs:" in text, "nothing of DRBD is no state, not an error"
    else:
        for values in state.values():
            assert set(values) == STATE_KEYS
            assert values["oos_kib"] >= 0


# ----------------------------------------------------------------------------------- crm_mon


def changed(*changes: tuple[str, str, str]) -> str:
    """The captured document with attributes set: (path, attribute, value)."""
    root = ET.fromstring(CRM_MON)
    for path, attribute, value in changes:
        found = root.findall(path)
        assert found, path
        for element in found:
            element.set(attribute, value)
    return ET.tostring(root, encoding="unicode")


def view(*changes: tuple[str, str, str]) -> ClusterView:
    return parse_crm_mon(changed(*changes))


def test_a_healthy_cluster() -> None:
    seen = parse_crm_mon(CRM_MON)
    assert seen.membership == {"alpha": "online", "bravo": "online"}
    assert (seen.dc, seen.quorum) == ("bravo", True)
    assert seen.promoted == {r: ["bravo"] for r in RESOURCES}
    assert seen.unpromoted == {r: ["alpha"] for r in RESOURCES}
    assert seen.group == dict.fromkeys(GROUP, ("Started", "bravo"))
    assert seen.failures == []
    assert seen.active_node == "bravo"
    assert view_missing(seen, ["alpha", "bravo"]) == ""


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"online": "false"}, "offline"),
        ({"standby": "true"}, "standby"),
        ({"pending": "true"}, "pending"),
        ({"unclean": "true"}, "unclean"),
        # What matters most wins: an unclean node is to be fenced, whatever else it is.
        ({"unclean": "true", "online": "false"}, "unclean"),
        ({"unclean": "true", "pending": "true", "standby": "true"}, "unclean"),
        ({"pending": "true", "online": "true"}, "pending"),
    ],
)
def test_membership(attributes: dict[str, str], expected: str) -> None:
    seen = view(*(("nodes/node[@name='alpha']", k, v) for k, v in attributes.items()))
    assert seen.membership == {"alpha": expected, "bravo": "online"}
    assert view_missing(seen, ["alpha", "bravo"]) == f"alpha is {expected}"


def test_no_dc_and_no_quorum() -> None:
    assert view(("summary/current_dc", "present", "false")).dc is None
    assert not view(("summary/current_dc", "with_quorum", "false")).quorum


VIP = "resources/group[@id='DATA_GROUP']/resource[@id='vip']"


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ((VIP, "role", "Stopped"), "Stopped"),
        ((VIP, "role", "Starting"), "Starting"),
        ((VIP, "failed", "true"), "Failed"),
        ((VIP, "blocked", "true"), "Failed"),
    ],
)
def test_a_group_with_a_member_that_is_not_started_serves_nowhere(
    change: tuple[str, str, str], state: str
) -> None:
    seen = view(change)
    assert seen.group["vip"][0] == state
    assert seen.active_node is None
    assert view_missing(seen, ["alpha", "bravo"]) == f"DATA_GROUP: vip {state}"


def test_a_group_spread_over_both_nodes_serves_nowhere() -> None:
    seen = view((f"{VIP}/node", "name", "alpha"))
    assert seen.group["vip"] == ("Started", "alpha")
    assert seen.active_node is None
    assert view_missing(seen, ["alpha", "bravo"]) == "DATA_GROUP: spread over nodes"


def without(path: str) -> ClusterView:
    """The captured document without the elements at ``path``."""
    root = ET.fromstring(CRM_MON)
    parents = {child: parent for parent in root.iter() for child in parent}
    found = root.findall(path)
    assert found
    for element in found:
        parents[element].remove(element)
    return parse_crm_mon(ET.tostring(root, encoding="unicode"))


def test_a_stopped_member_has_no_node() -> None:
    assert without(f"{VIP}/node").group["vip"] == ("Started", None)
    assert without(f"{VIP}/node").active_node is None


def test_a_missing_group_or_instance_is_missed() -> None:
    assert without("resources/group").active_node is None
    assert view_missing(without("resources/group"), ["alpha"]) == "DATA_GROUP not there"
    d1 = without("resources/clone/group[@id='dg:0']/resource[@id='d1']")
    assert d1.promoted == {"r0": ["bravo"], "r1": [], "r2": ["bravo"]}
    assert view_missing(d1, ["alpha", "bravo"]) == "r1 promoted on no node"
    away = without("nodes/node[@name='alpha']")
    assert view_missing(away, ["alpha", "bravo"]) == "alpha is unknown"


D0 = "resources/clone//resource[@id='d0'][@role='Unpromoted']"


def test_two_promoted_instances_are_both_seen() -> None:
    seen = view((D0, "role", "Promoted"))
    assert sorted(seen.promoted["r0"]) == ["alpha", "bravo"]
    assert seen.unpromoted["r0"] == []
    assert "r0 promoted on ['bravo', 'alpha']" in view_missing(seen, ["alpha", "bravo"])


@pytest.mark.parametrize(
    ("role", "promoted", "unpromoted"),
    [
        ("Master", ["bravo", "alpha"], []),
        ("Slave", ["bravo"], ["alpha"]),
        ("Started", ["bravo"], ["alpha"]),
        ("Stopped", ["bravo"], []),
        ("Promoting", ["bravo"], []),
    ],
)
def test_roles_of_other_pacemakers_and_in_between(
    role: str, promoted: list[str], unpromoted: list[str]
) -> None:
    seen = view((D0, "role", role))
    assert (seen.promoted["r0"], seen.unpromoted["r0"]) == (promoted, unpromoted)
    assert seen.promoted["r1"] == ["bravo"]


def test_failed_actions_are_told_with_node_and_reason() -> None:
    root = ET.fromstring(CRM_MON)
    failures = ET.SubElement(root, "failures")
    # xml/api/failure.rng of Pacemaker 2.1
    for operation in ({"op_key": "vip_monitor_20000"}, {"id": "vip"}):
        ET.SubElement(failures, "failure", {
            **operation, "node": "alpha", "exitstatus": "not running", "exitreason": "gone",
            "exitcode": "7", "call": "12", "status": "complete",
        })  # fmt: skip
    seen = parse_crm_mon(ET.tostring(root, encoding="unicode"))
    assert seen.failures == [
        "vip_monitor_20000 on alpha: not running gone", "vip on alpha: not running gone",
    ]  # fmt: skip


FENCE = "resources/resource[@id='fence_alpha']"
PING = "resources/clone[@id='ping_everywhere']/resource[1]"


@pytest.mark.parametrize(
    ("change", "failures"),
    [
        ((FENCE, "failed", "true"), ["fence_alpha is failed or blocked"]),
        ((FENCE, "blocked", "true"), ["fence_alpha is failed or blocked"]),
        # Never failed and of no use all the same: nobody could fence alpha.
        ((FENCE, "role", "Stopped"), ["fence device fence_alpha is Stopped"]),
        ((FENCE, "role", "Starting"), ["fence device fence_alpha is Starting"]),
        ((PING, "failed", "true"), ["ping is failed or blocked"]),
        ((PING, "blocked", "true"), ["ping is failed or blocked"]),
        ((VIP, "failed", "true"), ["vip is failed or blocked"]),
        ((D0, "failed", "true"), ["d0 is failed or blocked"]),
        # Others may rest: the group and DRBD have rules of their own.
        ((PING, "role", "Stopped"), []),
        ((VIP, "role", "Stopped"), []),
    ],
)
def test_resources_that_failed_and_fence_devices_that_rest_are_failures(
    change: tuple[str, str, str], failures: list[str]
) -> None:
    assert view(change).failures == failures


def test_every_wrong_resource_is_told_before_the_failed_actions() -> None:
    root = ET.fromstring(
        changed((FENCE, "role", "Stopped"), ("resources/resource[@id='fence_bravo']", "failed",
                                             "true"))
    )  # fmt: skip
    ET.SubElement(
        ET.SubElement(root, "failures"), "failure", op_key="vip_monitor_20000", node="alpha",
        exitstatus="not running", exitreason="gone",
    )  # fmt: skip
    assert parse_crm_mon(ET.tostring(root, encoding="unicode")).failures == [
        "fence device fence_alpha is Stopped",
        "fence_bravo is failed or blocked",
        "vip_monitor_20000 on alpha: not running gone",
    ]


def test_a_fence_device_without_a_role_is_no_started_one() -> None:
    root = ET.fromstring(CRM_MON)
    device = root.find(FENCE)
    assert device is not None
    del device.attrib["role"]
    seen = parse_crm_mon(ET.tostring(root, encoding="unicode"))
    assert seen.failures == ["fence device fence_alpha is ?"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "printed no XML"),
        ("crm_mon: Connection to cluster failed", "printed no XML"),
        (CRM_MON[: len(CRM_MON) // 2], "printed no XML"),
        ("<pacemaker-result/>", "does not say whether it succeeded"),
        ('<pacemaker-result><status code="0"/></pacemaker-result>', "shows no nodes"),
        (
            '<pacemaker-result api-version="2.25"><status code="102" message="Not connected"/>'
            "</pacemaker-result>",
            "crm_mon failed: Not connected",
        ),
    ],
)
def test_what_is_no_view_is_refused(text: str, says: str) -> None:
    with pytest.raises(ObservationError, match=says):
        parse_crm_mon(text)


@settings(max_examples=80, deadline=None)
@given(text=st.text() | cuts(CRM_MON[:2000]).map(lambda head: head + CRM_MON[2000:]))
def test_whatever_a_guest_prints_as_crm_mon_is_a_view_or_refused(text: str) -> None:
    try:
        seen = parse_crm_mon(text)
    except ObservationError:
        assert text != CRM_MON
    else:
        assert set(seen.promoted) == set(seen.unpromoted) == set(RESOURCES)


ELEMENTS = list(range(sum(1 for _ in ET.fromstring(CRM_MON).iter())))


@settings(max_examples=80, deadline=None)
@given(
    gone=st.lists(st.sampled_from(ELEMENTS), max_size=6),
    role=st.sampled_from(["", "Promoted", "Stopped", "Wanting"]),
)
def test_a_view_without_some_elements_is_a_view_or_refused(gone: list[int], role: str) -> None:
    root = copy.deepcopy(ET.fromstring(CRM_MON))
    elements = list(root.iter())
    for index in gone:
        for parent in elements:
            if elements[index] in list(parent):
                parent.remove(elements[index])
        elements[index].attrib.pop("name", None)
        elements[index].set("role", role)
    try:
        seen = parse_crm_mon(ET.tostring(root, encoding="unicode"))
    except ObservationError:
        status = root.find("status")
        assert root.find("nodes") is None or status is None or status.get("code") != "0"
    else:
        assert set(seen.promoted) == set(RESOURCES)
        assert seen.active_node in (None, "bravo", "?")


# ----------------------------------------------------------------------------- fence history


def test_fence_history() -> None:
    # xml/api/fence-event.rng of Pacemaker 2.1: status is success, failed or pending.
    def event(status: str, more: str) -> str:
        return (
            f'<fence_event action="reboot" target="bravo" client="pacemaker-controld.740" '
            f'origin="alpha" status="{status}" {more}/>'
        )

    text = (
        '<pacemaker-result><fence_history target="*">'
        + event("success", 'delegate="alpha" completed="2026-11-25 13:51:26Z"')
        + event("pending", "")
        + '</fence_history><status code="0" message="OK"/></pacemaker-result>'
    )
    success, pending = parse_fence_history(text)
    assert success == {
        "target": "bravo", "action": "reboot", "state": "success", "delegate": "alpha",
        "client": "pacemaker-controld.740", "completed": "2026-11-25 13:51:26Z",
    }  # fmt: skip
    assert (pending["state"], pending["delegate"], pending["completed"]) == ("pending", "", "")
    with pytest.raises(ObservationError, match="stonith_admin printed no XML"):
        parse_fence_history("stonith_admin: not connected")


# pcmk__fence_history() of pacemaker 2.1: an empty list and what became of the question.
NOBODY = (
    '<pacemaker-result api-version="2.25"><fence_history/>'
    '<status code="0" message="OK"/></pacemaker-result>'
)


def test_a_fencer_that_cannot_be_asked_has_fenced_nobody_knows_whom() -> None:
    assert parse_fence_history(NOBODY) == []
    failed = NOBODY.replace(
        'code="0" message="OK"/>',
        'code="107" message="Timed out"><errors><error>Couldn\'t get history</error></errors>'
        "</status>",
    )
    for text, says in (
        (failed, "stonith_admin failed: Timed out: Couldn't get history"),
        (failed.replace(failed[failed.index("<status") : failed.index("</pace")], ""), "does not"),
        ('<pacemaker-result><status code="1"/></pacemaker-result>', "failed: without a word"),
    ):
        with pytest.raises(ObservationError, match=says):
            parse_fence_history(text)


@pytest.mark.parametrize(
    ("ask", "text"),
    [(partial(cluster_view, shape=Topology().shape), CRM_MON), (fence_history, NOBODY)],
    ids=lambda one: "asked",
)
def test_a_whole_document_of_a_tool_that_failed_is_refused(ask: Any, text: str) -> None:
    def guest(code: int) -> Any:
        return SimpleNamespace(
            run=lambda *_args, **_options: SimpleNamespace(stdout=text, exit_code=code)
        )

    ask(guest(0))
    with pytest.raises(ObservationError, match="ended with exit code 1"):
        ask(guest(1))


# --------------------------------------------------------------------------- fence constraints


class Asked:
    """A guest whose cibadmin prints ``text`` or fails."""

    def __init__(self, text: str = "", error: Exception | None = None) -> None:
        self.text, self.error = text, error

    def run(self, command: str, **options: Any) -> SimpleNamespace:
        assert command == "cibadmin -Q --scope constraints"
        assert options.get("check", True), "a failed question is not an answer"
        if self.error is not None:
            raise self.error
        return SimpleNamespace(stdout=self.text)


def constraints(text: str) -> list[str]:
    return fence_constraints(cast("Any", Asked(text)))


# Of the shape that crm-fence-peer.sh makes, written by hand; for two resources.
FENCED = "".join(
    f"""
    <rsc_location rsc="msg" id="drbd-fence-by-handler-{r}-msg">
      <rule role="Master" score="-INFINITY" id="drbd-fence-by-handler-{r}-rule-msg">
        <expression attribute="#uname" operation="ne" value="alpha"
            id="drbd-fence-by-handler-{r}-expr-msg"/>
      </rule>
    </rsc_location>"""
    for r in ("r1", "r0")
)


def test_fence_constraints_are_found_once_and_sorted() -> None:
    text = f'<constraints><rsc_order id="o" first="msg"/>{FENCED}</constraints>'
    assert constraints(text) == ["drbd-fence-by-handler-r0-msg", "drbd-fence-by-handler-r1-msg"]


@pytest.mark.parametrize(
    "text", ["<constraints/>", '<constraints><rsc_order id="o"/></constraints>']
)
def test_no_fence_constraints_are_none(text: str) -> None:
    assert constraints(text) == []


@pytest.mark.parametrize(
    "text",
    ["", "\n", "Could not connect to the CIB: Transport endpoint is not connected", "<cib/>"],
)
def test_no_answer_is_not_the_answer_that_there_are_none(text: str) -> None:
    with pytest.raises(ObservationError, match="cibadmin shows no constraints"):
        constraints(text)


def test_a_cibadmin_that_fails_is_told() -> None:
    error = GuestUnreachableError("alpha does not answer")
    with pytest.raises(GuestUnreachableError):
        fence_constraints(cast("Any", Asked(error=error)))


def test_what_pacemaker_3_shows_is_read_as_well() -> None:
    """Its documents have other attributes and one more list; what is asked for is the same."""
    view = parse_crm_mon((FIXTURES / "crm_mon-healthy-3.0.xml").read_text())
    assert view.membership == {"alpha": "online", "bravo": "online"}
    assert (view.dc, view.quorum, view.active_node) == ("bravo", True, "alpha")
    assert view.promoted == {r: ["alpha"] for r in ("r0", "r1", "r2")}
    assert view.unpromoted == {r: ["bravo"] for r in ("r0", "r1", "r2")}
    assert list(view.group) == ["pb", "vip", "tgt", "lun0", "lun1", "lun2", "pu"]
    assert view.failures == []
    failed = parse_crm_mon((FIXTURES / "crm_mon-failed-3.0.xml").read_text())
    assert failed.active_node is None
    assert failed.promoted["r0"] == []
    assert [f for f in failed.failures if f.startswith("d0_promote_0 on bravo: ")] == [
        "d0_promote_0 on bravo: Error occurred Refusing to promote without access to UpToDate data"
    ]
    history = parse_fence_history((FIXTURES / "stonith_history-3.0.xml").read_text())
    assert [(e["target"], e["action"], e["state"], e["delegate"]) for e in history] == [
        ("alpha", "reboot", "success", "bravo"),
        ("bravo", "reboot", "success", "alpha"),
    ]
