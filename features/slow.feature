@nightly
Feature: What still works, but slowly
  A link or a device that answers late is harder to get right than one that is dead: nothing is
  detected, and whatever was promised too early is lost when a node then dies.

  @theme-power @short
  Scenario: The active node loses power while replication is slow
    Every write waits for the peer, so few are under way; what was acknowledged has to be on the
    survivor.

    Given the healthy cluster
    And 1 failover, 1 fencing and no stall above 180 s (45 s with KVM) are expected
    And the active node is the one to be fenced
    And the passive node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the drbd link of the active node is delayed by 400 ms until healed
    And 20 more writes of each raw LUN were acknowledged
    And the active node loses power
    And the writes go on again
    And everything is healed
    And 200 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the failover was transparent
    And no acknowledged write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

  @theme-links @short @row-17
  Scenario: Replication is slow
    A delay is no failure: nobody disconnects, nobody is fenced.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 15 s (3 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the drbd link of the active node is delayed by 200 ms until healed
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

  @theme-fencing @short
  Scenario: The drbd and mgmt links are cut while the fence device is slow
    The serving node freezes its writes until the fence device answers, under a session that lives: the
    SCSI layer of the initiator has to be patient.

    Given the healthy cluster
    And 0 failovers, 1 fencing and no stall above 150 s (120 s with KVM) are expected
    And the passive node is the one to be fenced
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the fence device hangs until healed
    And the drbd and mgmt links of both nodes are cut silently until healed
    And the cluster is left alone for 60 s
    And the fence device answers again
    And the writes go on again
    And everything is healed
    And 200 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again
