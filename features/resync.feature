@nightly @theme-recovery
Feature: A node fails while the passive node's data is being copied
  Until the resync is complete the passive node's data is a mixture of old and new, and worth nothing:
  it is Inconsistent, and DRBD must not let it be promoted.

  @medium @row-40
  Scenario: The active node loses power while the passive node resyncs
    The passive node fences it, is asked to promote, and DRBD refuses: nobody serves before the active
    node is back. The bound is the wait, a boot, and a start of the group.

    Given the healthy cluster
    And 0 failovers, 1 fencing and no stall above 360 s (140 s with KVM) are expected
    And the active node is the one to be fenced
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file, flushing every 16 writes, and only what was flushed has to survive
    When 300 more writes of each raw LUN were acknowledged
    And the passive node has to copy all its data anew, at 512 KiB a second for each resource
    And all resources of the passive node are Inconsistent
    And 20 more writes of each raw LUN were acknowledged
    And the active node loses power
    And nobody serves for 90 s (30 s with KVM)
    And the active node alone is powered on again
    And the writes go on again
    And everything is healed
    And the failed actions are cleaned up
    And the cluster has settled
    And 200 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And nobody served while nobody may
    And the failover was transparent
    And no flushed write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

  @medium @row-41
  Scenario: The passive node loses power while it resyncs
    The active node's own data is good, so it goes on. After 35 s two extents of 16 MiB are complete and
    noted on the disk; what is noted is not copied again.

    Given the healthy cluster
    And 0 failovers, 1 fencing and no stall above 75 s (25 s with KVM) are expected
    And the passive node is the one to be fenced
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the passive node has to copy all its data anew, at 1024 KiB a second for each resource
    And all resources of the passive node are Inconsistent
    And the cluster is left alone for 35 s
    And the passive node loses power
    And the writes go on again
    And the lost node is powered on again
    And the cluster has settled
    And 200 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the initiator saw no error
    And no acknowledged write was lost
    And the resync went on where it was broken off
    And both replicas are identical
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again
