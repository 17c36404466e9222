@nightly @theme-recovery @seed
Feature: A split-brain is noticed, and an operator decides whose writes are discarded
  Made on purpose, with fencing bypassed: the one thing that everything else here is to prevent. If
  it happens all the same, DRBD must refuse to connect the two histories, on its own say-so never
  throw one away, and the procedure of its user's guide must heal it.

  @short @row-48
  Scenario: Both nodes write to r1, and the passive node's writes are discarded
    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 45 s (12 s with KVM) are expected
    And a split-brain of r1 is made, and the passive node's writes are the ones to be discarded
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 100 more writes of each raw LUN were acknowledged
    And the drbd link of both nodes is cut by carrier until healed
    And 50 more writes of each raw LUN were acknowledged
    And the passive node writes 16 blocks of r1 alone, behind the cluster's back
    And the links are whole again
    And the replicas of r1 have met again
    And 50 more writes of each raw LUN were acknowledged
    And the writes that the passive node made alone are discarded
    And 100 more writes of each raw LUN were acknowledged
    Then the split-brain was noticed, and the discarded writes are named
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again
