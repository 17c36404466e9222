@nightly @theme-recovery @seed
Feature: A split-brain is noticed, and an operator decides whose writes are discarded
  Made on purpose, with fencing bypassed: the one thing that everything else here is to prevent. If
  it happens all the same, DRBD must refuse to connect the two histories, on its own say-so never
  throw one away, and the post's procedure must heal it: both nodes are put offline (on standby, as
  it is called today), the split-brain is fixed by discarding the chosen node's writes, the resource
  is stopped, and the nodes are brought back online.

  @medium @row-48
  Scenario: Both nodes write to r1, and the passive node's writes are discarded
    With both nodes offline nobody serves: the initiator waits for a planned move and for what the
    operator does in the middle of it. When both come back they are equals, and Pacemaker may
    promote either.

    Given the healthy cluster
    And at most 1 failover, 0 fencings and no stall above 390 s (150 s with KVM) are expected
    And a split-brain of r1 is made, and the passive node's writes are the ones to be discarded
    And the initiator writes to both raw LUNs and to a file
    When 100 more writes of each raw LUN were acknowledged
    And the drbd link of both nodes is cut by carrier until healed
    And 50 more writes of each raw LUN were acknowledged
    And the passive node writes 16 blocks of r1 alone, behind the cluster's back
    And the links are whole again
    And the replicas of r1 have met again
    And both nodes have noticed the split-brain of r1
    And 50 more writes of each raw LUN were acknowledged
    And both nodes are put on standby until healed
    And everything has stopped on both nodes
    And the writes that the passive node made alone are discarded
    And r1 is taken down on both nodes
    And both nodes are taken off standby
    And the writes go on again
    And the cluster has settled
    And 100 more writes of each raw LUN were acknowledged
    Then the split-brain was noticed, and the discarded writes are named
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again
