@nightly @theme-power
Feature: A node stands still and goes on as if nothing had happened
  What a long garbage collection, a live migration or a swapping host does to a node: its clock has
  not moved, its sessions look alive to it, and it does not know that others have acted meanwhile.

  @short @row-27
  Scenario: The active node is paused until long after it was fenced
    Fencing is what keeps it from going on as a second Primary.

    Given the healthy cluster
    And 1 failover, 1 fencing and no stall above 180 s (45 s with KVM) are expected
    And the active node is the one to be fenced
    And the passive node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the active node is paused for 60 s
    And the writes go on again
    And 200 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the failover was transparent
    And no acknowledged write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

  @short @row-28
  Scenario: The active node is paused for less than anybody minds
    Below Corosync's token timeout and DRBD's ping timeout nothing may happen at all.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 15 s (3 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the active node is paused for 1 s
    And 300 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again
