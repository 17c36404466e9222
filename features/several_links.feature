@nightly @theme-links
Feature: Several links fail at the same time
  What one broken switch, one broken card or one torn bundle of cables does. Whom DRBD, Corosync and
  the ping rule would have serve may then be different nodes.

  @medium @row-7
  Scenario Outline: The data and drbd links of the active node are cut during writes
    The ping rule wants the group where the data link works, and that node lacks the last writes. The
    constraint of the fence-peer handler forbids it: nobody is served until the data link is whole,
    which is right, and nothing is lost. The data link is cut first, so that the ping rule has a head
    start. It also heals first, and the ping agent is given time to see it: with both healed at once,
    the constraint may go before that, and the group would move. That is right too, as both replicas
    are up to date by then, but it is not determined.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 180 s (105 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the data link of the active node is cut <how> until healed
    And the drbd link of the active node is cut <how> until healed
    And the cluster is left alone for 60 s
    And the data link of the active node is whole again
    And the writes go on again
    And the cluster is left alone for 45 s
    And everything is healed
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

  @short @row-8
  Scenario Outline: The data and mgmt links of the active node are cut during writes
    Replication goes on, and Corosync with it over the same link: nobody is lost and nobody is fenced.
    The ping rule moves the group to the node whose data link works, as if that one were cut alone.

    Given the healthy cluster
    And 1 failover, 0 fencings and no stall above 300 s (45 s with KVM) are expected
    And the passive node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the data and mgmt links of the active node are cut <how> until healed
    And the writes go on again
    And everything is healed
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

  @short @row-10
  Scenario Outline: All links of both nodes are cut during writes
    The nodes cannot see each other and nobody can see them. The node that serves has the head start in
    fencing, so the other one is shot, exactly once; it must not fence or serve when it boots alone. The
    stall lasts as long as the cut, and ends with a new login.

    Given the healthy cluster
    And 0 failovers, 1 fencing and no stall above 150 s (105 s with KVM) are expected
    And the passive node is the one to be fenced
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And all links of both nodes are cut <how> for 60 s
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

  @short @row-13
  Scenario Outline: One direction of the drbd and mgmt links is cut during writes
    As if they were cut altogether: a Corosync link that gets no answers is down at both ends, so that
    each node believes that it is alone. Whichever direction is left, the one that serves has the head
    start in fencing and survives, and only that one.

    Given the healthy cluster
    And 0 failovers, 1 fencing and no stall above 75 s (25 s with KVM) are expected
    And the passive node is the one to be fenced
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the drbd and mgmt links of the active node are cut silently, <direction> only, for 60 s
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
