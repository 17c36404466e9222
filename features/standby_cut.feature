@nightly @theme-maintenance
Feature: Replication is cut in the middle of a planned move
  The node that serves is being emptied while it loses its peer.

  @medium @row-42
  Scenario: The drbd link is cut while the active node is being emptied
    If the active node is still Primary, it puts a constraint on its peer, which is not promoted until
    both are back; if it was demoted before, its peer is promoted. Either is right, so there may be a
    failover or none; nobody is fenced, as the nodes see each other over the mgmt link. The bound is a
    planned move that waits for the heal.

    Given the healthy cluster
    And at most 1 failover, 0 fencings and no stall above 400 s (170 s with KVM) are expected
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the active node is put on standby until healed
    And Pacemaker has begun to empty the active node
    And the drbd link of both nodes is cut by carrier until healed
    And the cluster is left alone for 60 s
    And everything is healed
    And the writes go on again
    And the cluster has settled
    And 200 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the failover was transparent
    And no acknowledged write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again
