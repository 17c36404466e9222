@nightly @theme-maintenance @seed
Feature: A node is taken out of service and comes back
  What an operator does before maintenance: a planned move, then the node is there again as a spare.

  @short @row-43
  Scenario: The active node is put on standby, and taken off it
    Given the healthy cluster
    And 1 failover, 0 fencings and no stall above 300 s (90 s with KVM) are expected
    And the passive node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 200 more writes of each raw LUN were acknowledged
    And the active node is put on standby until healed
    And everything has left the active node
    And the writes go on again
    And everything is healed
    And the cluster has settled
    And 100 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the failover was transparent
    And no acknowledged write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again
