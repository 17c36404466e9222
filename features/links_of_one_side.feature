@nightly @theme-links
Feature: Links are cut at one side only, or in one direction only
  Rarer than a broken switch: one cable at the node that does not serve, at the initiator, all cables
  of the node that serves, and a link that still carries frames in one direction.

  @short @row-2
  Scenario Outline: The data link of the passive node is cut during writes
    Nobody uses it: the ping rule takes the passive node out of the choice, nothing moves.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 15 s (3 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the data link of the passive node is cut <how> for 45 s
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

  @short @row-3
  Scenario Outline: The data link of the initiator is cut during writes
    The cluster is whole and both nodes reach the data network. The initiator holds its writes, for
    less than replacement_timeout, and logs in again: the stall is the cut and the new login.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 90 s (60 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the data link of the initiator is cut <how> for 45 s
    And the writes go on again
    And 300 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the failover was transparent
    And no acknowledged write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

    Examples:
      | how        |
      | by carrier |
      | silently   |

  @short @row-9
  Scenario Outline: All links of the active node are cut during writes
    The node that serves has the head start in fencing and wins, although the initiator cannot reach
    it: the stall lasts as long as the cut, and ends with a new login.

    Given the healthy cluster
    And 0 failovers, 1 fencing and no stall above 150 s (105 s with KVM) are expected
    And the passive node is the one to be fenced
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And all links of the active node are cut <how> for 60 s
    And the writes go on again
    And 300 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the failover was transparent
    And no acknowledged write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

    Examples:
      | how        |
      | by carrier |
      | silently   |

  @short @row-11
  Scenario Outline: One direction of the drbd link is cut during writes
    As if the link were cut altogether: DRBD needs both directions, and so does a Corosync link. The
    constraint on the peer comes once and goes once.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 45 s (12 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the drbd link of the active node is cut silently, <direction> only, for 45 s
    And 300 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

    Examples:
      | direction |
      | outbound  |
      | inbound   |

  @short @row-12
  Scenario Outline: One direction of the mgmt link is cut during writes
    Corosync loses one of its two links and goes on over the other: nothing happens.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 15 s (3 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the mgmt link of the active node is cut silently, <direction> only, for 30 s
    And 300 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

    Examples:
      | direction |
      | outbound  |
      | inbound   |
