@acceptance @theme-power @seed
Feature: Power is cut during writes and the client hardly notices
  kill -9 of a node's QEMU while fio writes to the LUNs: close to transparent for the initiator.

  @smoke @short @row-20
  Scenario: The active node loses power during writes
    The passive node fences it, promotes DRBD, takes over the address, the target and the LUNs; the
    initiator holds its writes meanwhile and logs in again.

    Given the healthy cluster
    And 1 failover, 1 fencing and no stall above 180 s (45 s with KVM) are expected
    And the active node is the one to be fenced
    And the passive node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 200 more writes of each raw LUN were acknowledged
    And the active node loses power
    And the writes go on again
    And the lost node is powered on again
    Then there was no split-brain
    And the failover was transparent
    And no acknowledged write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

  @short @row-21
  Scenario: The passive node loses power during writes
    The active node freezes its writes until the peer is fenced, then goes on alone.

    Given the healthy cluster
    And 0 failovers, 1 fencing and no stall above 75 s (25 s with KVM) are expected
    And the passive node is the one to be fenced
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 200 more writes of each raw LUN were acknowledged
    And the passive node loses power
    And the writes go on again
    And the lost node is powered on again
    And 100 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again
