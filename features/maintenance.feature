@acceptance @theme-maintenance @seed
Feature: A clean reboot of each node does not hang
  Pacemaker stops its resources before the target, DRBD and Corosync go; the classic trap is a
  shutdown that waits for something that is gone already. The move of the group is planned here: its
  resources stop one after the other before they start on the other node, so the stall is longer
  than after a power cut.

  @medium
  Scenario: The passive node is rebooted, then the active one
    Given the healthy cluster
    And 1 failover, 0 fencings and no stall above 300 s (90 s with KVM) are expected
    And the passive node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When the passive node is rebooted cleanly
    And the cluster has settled
    And the active node is rebooted cleanly
    And the cluster has settled again
    And 100 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And every reboot ended in time
    And the failover was transparent
    And no acknowledged write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again
