@nightly
Feature: A node refuses to take over
  Its data may be old, or its peer may be alive: then no service is right, however long it lasts. Each
  time is bounded by the initiator, which holds its writes for replacement_timeout only.

  @theme-power @medium @row-24
  Scenario: The active node loses power while replication is cut
    The active node went on alone and put a constraint on its peer, whose data is outdated since. The
    peer fences it and has quorum, and the constraint alone keeps it from being promoted. The bound is
    the wait, a boot, and a start of the group where it was.

    Given the healthy cluster
    And 0 failovers, 1 fencing and no stall above 360 s (140 s with KVM) are expected
    And the active node is the one to be fenced
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file, flushing every 16 writes, and only what was flushed has to survive
    When 200 more writes of each raw LUN were acknowledged
    And the drbd link of both nodes is cut by carrier until healed
    And 200 more writes of each raw LUN were acknowledged
    And the active node loses power
    And nobody serves for 90 s (30 s with KVM)
    And the active node alone is powered on again
    And the writes go on again
    And everything is healed
    And the cluster has settled
    And 200 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And nobody served while nobody may
    And the failover was transparent
    And no flushed write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

  @theme-power @medium @row-24
  Scenario: Both nodes lose power while replication is cut, and the outdated one boots alone
    It lacks quorum until it has seen its peer (wait_for_all), and has the constraint besides. When the
    other one is back that one serves again, as the constraint is its own: no failover. The bound is two
    boots, the wait between them, and a start of the group.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 400 s (170 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file, flushing every 16 writes, and only what was flushed has to survive
    When 200 more writes of each raw LUN were acknowledged
    And the drbd link of both nodes is cut by carrier until healed
    And 200 more writes of each raw LUN were acknowledged
    And both nodes lose power
    And the passive node alone is powered on again
    And nobody serves for 60 s (20 s with KVM)
    And everything is healed
    And the writes go on again
    And the cluster has settled
    And 200 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And nobody served while nobody may
    And the failover was transparent
    And no flushed write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

  @theme-fencing @medium @row-29
  Scenario: The active node is paused while nobody can be fenced
    The passive node cannot know that it only stands still, and must not promote before it is fenced.
    Once it goes on it is a member again, and no more fencing is asked for. The fence device stays out
    of reach until the last attempt has timed out (60 s, and the head start of 20 s before it), else
    that one would shoot a node that is well.
    The bound is the pause and a fence-peer handler's freeze.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 120 s (60 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the fence device cannot be reached until healed
    And the active node is paused until healed
    And nobody serves for 60 s (30 s with KVM)
    And the active node goes on
    And the writes go on again
    And the cluster is left alone for 110 s
    And the fence device answers again
    And the failed actions are cleaned up
    And the cluster has settled
    And 200 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And nobody served while nobody may
    And the failover was transparent
    And no acknowledged write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

  @theme-fencing @medium @row-30
  Scenario Outline: The active node loses power while the fence device is down
    A node that cannot be fenced may be alive: the passive node waits. When the device works again and
    an operator has cleaned up what failed meanwhile (the device's own monitors too), the next attempt
    succeeds. The bound is the wait, an attempt that is under way (60 s), and a failover.

    Given the healthy cluster
    And 1 failover, 1 fencing and no stall above 400 s (150 s with KVM) are expected
    And the active node is the one to be fenced
    And the passive node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the fence device <fails> until healed
    And the active node loses power
    And nobody serves for 120 s (40 s with KVM)
    And the fence device answers again
    And the failed actions are cleaned up
    And the writes go on again
    And the lost node is powered on again
    And the cluster has settled
    And 200 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And nobody served while nobody may
    And the failover was transparent
    And no acknowledged write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

    Examples:
      | fails             |
      | cannot be reached |
      | hangs             |
      | is down           |
