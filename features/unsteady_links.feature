@nightly @theme-links
Feature: Links come and go
  A loose plug, or a switch that starts again and again. Every time it comes back somebody believes it,
  and has begun to rely on it when it goes.

  @long @row-14
  Scenario Outline: The drbd link flaps during writes
    For seconds, TCP just sends again what was lost: after twice the time that the link was away at the
    latest. Where DRBD loses patience (ping-int and ping-timeout, 7 s, with KVM 6 s) it is a cut link,
    again and again: writes are frozen until the fence-peer handler is done, then go on alone, and the
    next cut may come in the middle of the resync. The mgmt link is whole, so nobody is fenced; when
    the link stays, one resync makes up for all of it.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 45 s (12 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the drbd link of both nodes flaps 20 times, <seconds> s down and <seconds> s up
    And 300 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

    Examples:
      | seconds |
      | 1       |
      | 5       |
      | 15      |

  @medium @row-15
  Scenario Outline: The mgmt and drbd links are cut in turn during writes
    Never both: Corosync always has a link, and 10 s are more than it needs (two answers, less than a
    second apart) to rely on the other one again. So nobody is fenced. Each cut of the drbd link
    freezes the writes until the fence-peer handler is done.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 45 s (12 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the mgmt and drbd links of both nodes are cut <how> in turn, 3 times for 20 s each, 10 s apart
    And 300 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

    Examples:
      | how        |
      | by carrier |
      | silently   |
