@nightly @theme-maintenance
Feature: Both nodes are rebooted, one after the other, and the service comes back
  What an update of both nodes is: two planned moves, and a complete resync between them. Without it the
  second move would be to outdated data.

  @medium @row-44
  Scenario: The active node is rebooted, and then the one that took over
    As a planned move each: its bound holds for both.

    Given the healthy cluster
    And 2 failovers, 0 fencings and no stall above 300 s (90 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 100 more writes of each raw LUN were acknowledged
    And the active node is rebooted cleanly
    And the cluster has settled
    And 100 more writes of each raw LUN were acknowledged
    And the passive node is rebooted cleanly
    And the cluster has settled again
    And 100 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And every reboot ended in time
    And the failover was transparent
    And no acknowledged write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again
