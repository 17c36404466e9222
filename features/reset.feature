@nightly @theme-power
Feature: A reset is a power cut that boots again by itself
  The node forgets all it had in memory, but its network cards never lose their link, and it comes
  back without anybody's doing: fencing has to be quicker than its boot.

  @short
  Scenario: The active node is reset during writes
    The passive node fences it, once, and takes over as after a power cut.

    Given the healthy cluster
    And 1 failover, 1 fencing and no stall above 180 s (45 s with KVM) are expected
    And the active node is the one to be fenced
    And the passive node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the active node is reset
    And the writes go on again
    And the cluster has settled
    And 300 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the failover was transparent
    And no acknowledged write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again
