@nightly @theme-node
Feature: A node fails without losing its power
  Its kernel has stopped, or has no memory left to do anything with, while its power and the carrier of
  its links stay on. Nobody but the fence device can tell whether it is dead.

  @medium @row-26
  Scenario: The active node's kernel panics during writes
    It hangs, as it has no panic timeout, until it is fenced; then as after a power cut, except that the
    fence device finds it running and reboots it.

    Given the healthy cluster
    And 1 failover, 1 fencing and no stall above 180 s (45 s with KVM) are expected
    And the active node is the one to be fenced
    And the passive node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the active node panics
    And the writes go on again
    And the cluster has settled
    And everything is healed
    And 200 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the failover was transparent
    And no acknowledged write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

  @long @row-37
  Scenario: The active node runs out of memory during writes
    What the kernel kills first is not determined, the end is: Corosync or the kernel itself is gone, or
    a monitor times out (60 s; 30 s with KVM) and the stop after it too (90 s; 60 s), which Pacemaker
    answers by fencing. The bound is that way, one monitor's interval before it (20 s; 10 s), and a
    failover; it stays below replacement_timeout.

    Given the healthy cluster
    And 1 failover, 1 fencing and no stall above 380 s (170 s with KVM) are expected
    And the active node is the one to be fenced
    And the passive node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the active node runs out of memory
    And the writes go on again
    And the cluster has settled
    And everything is healed
    And 200 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the failover was transparent
    And no acknowledged write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again
