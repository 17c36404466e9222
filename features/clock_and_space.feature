@nightly @theme-node
Feature: A node's clock is wrong, or it has no space left to write to
  Neither is a reason to move: timeouts run on the monotonic clock, and what the cluster has to know it
  knows in memory.

  @short @row-38
  Scenario Outline: The clock of the active node jumps by an hour during writes
    Once at the jump, and once more when it is set right.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 15 s (3 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the clock of the active node jumps <way> by 60 min until healed
    And the cluster is left alone for 45 s
    And everything is healed
    And 300 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

    Examples:
      | way     |
      | forward |
      | back    |

  @short
  Scenario Outline: The clock of the active node drifts during writes
    All its clocks go too fast or too slow, the one that timeouts run on as well: each of them is by so
    much shorter or longer than the peer's, and every one has more room than that.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 15 s (3 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the clock of the active node <way> 5 % until healed
    And the cluster is left alone for 45 s
    And everything is healed
    And 300 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

    Examples:
      | way   |
      | gains |
      | loses |

  @short @row-39
  Scenario: The drbd link is cut while /var of the active node is full
    The constraint on the peer changes the cluster's configuration, which the active node can keep in
    memory only; it has to say so. Nothing else is different: the freeze until the fence-peer handler is
    done, and no promotion is lost.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 45 s (12 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And /var of the active node is full until healed
    And the drbd link of both nodes is cut by carrier until healed
    And the active node has complained of a full disk
    And 100 more writes of each raw LUN were acknowledged
    And everything is healed
    And the cluster has settled
    And 200 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again
