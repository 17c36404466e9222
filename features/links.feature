@acceptance @theme-links @seed
Feature: Links are cut and the servers do not split-brain
  Each of the three links is cut alone, then the pair that Corosync runs on, then all links of a
  node; each by carrier (the cable is pulled) and silently (frames vanish and nobody is told).

  @smoke @short @row-4
  Scenario Outline: The drbd link is cut during writes
    DRBD loses its peer and Corosync one of its two links. The active node freezes its writes until
    the fence-peer handler has put a constraint on the peer, then goes on alone.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 45 s (12 s with KVM) are expected
    And the initiator writes to both raw LUNs and to a file
    When 100 more writes of each raw LUN were acknowledged
    And the drbd link of both nodes is cut <how> for 45 s
    And 100 more writes of each raw LUN were acknowledged
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

  @short @row-5
  Scenario Outline: The mgmt link is cut during writes
    Corosync loses one of its two links and goes on over the other: nothing happens.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 15 s (3 s with KVM) are expected
    And the initiator writes to both raw LUNs and to a file
    When 100 more writes of each raw LUN were acknowledged
    And the mgmt link of both nodes is cut <how> for 30 s
    And 100 more writes of each raw LUN were acknowledged
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

  @short @row-1
  Scenario Outline: The data link of the active node is cut during writes
    The cluster itself is whole; only the ping rule notices that nobody can reach the portal, and
    moves the group to the node whose data link works.

    Given the healthy cluster
    And 1 failover, 0 fencings and no stall above 300 s (45 s with KVM) are expected
    And the passive node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the data link of the active node is cut <how> until healed
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

  @short @row-6
  Scenario Outline: The drbd and mgmt links are cut during writes
    Both of Corosync's links and DRBD's: the nodes cannot see each other. The node that serves has a
    head start in fencing, so the other one is shot, exactly once; writes are frozen until then.

    Given the healthy cluster
    And 0 failovers, 1 fencing and no stall above 75 s (25 s with KVM) are expected
    And the passive node is the one to be fenced
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 100 more writes of each raw LUN were acknowledged
    And the drbd and mgmt links of the passive node are cut <how> for 60 s
    And 100 more writes of each raw LUN were acknowledged
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

  @short
  Scenario Outline: All links of the passive node are cut during writes
    As above, and nobody can reach the passive node at all.

    Given the healthy cluster
    And 0 failovers, 1 fencing and no stall above 75 s (25 s with KVM) are expected
    And the passive node is the one to be fenced
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 100 more writes of each raw LUN were acknowledged
    And all links of the passive node are cut <how> for 60 s
    And 100 more writes of each raw LUN were acknowledged
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
