@nightly @theme-storage
Feature: DRBD's metadata is damaged on a node that is out of service
  A replica whose metadata cannot be read has no history: it must not be attached, let alone promoted.

  @medium @row-46
  Scenario: The passive node's metadata of r1 is damaged while it is on standby
    Its start of r1 fails and stays failed, which costs the active node nothing: a connection that is
    lost, at worst a freeze until the fence-peer handler is done. The operator creates the metadata
    anew, and everything is copied.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 45 s (12 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the passive node is put on standby until healed
    And everything has left the passive node
    And DRBD's metadata of r1 on the passive node is damaged
    And the passive node is taken off standby
    And a start of r1 has failed on the passive node
    And 200 more writes of each raw LUN were acknowledged
    And everything is healed
    And the failed actions are cleaned up
    And the cluster has settled
    And 200 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again
