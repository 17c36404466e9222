@acceptance @theme-recovery
Feature: Both nodes come back and the next failover works in the other direction

  @medium
  Scenario: Power is cut at one node, and after the resync at the other
    Given the healthy cluster
    And 2 failovers, 2 fencings and no stall above 180 s (45 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 100 more writes of each raw LUN were acknowledged
    And the active node loses power
    And the writes go on again
    And the lost node is powered on again
    And the cluster has settled
    And 100 more writes of each raw LUN were acknowledged
    And the passive node loses power
    And the writes go on again
    And the lost node is powered on again
    Then there was no split-brain
    And the failover was transparent
    And no acknowledged write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again
