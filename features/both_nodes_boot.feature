@nightly @theme-power
Feature: Both nodes lose power and boot together
  No node has seen the other one go, so nobody is fenced; they have to agree on who serves, and on whose
  data. The bound is a boot of both at the same time and a start of the whole cluster, which stays below
  replacement_timeout.

  @medium @row-22
  Scenario: Both nodes lose power during writes and boot together
    Either may be promoted: what was acknowledged is on both, and what was under way is settled by the
    crashed Primary's activity log when they connect.

    Given the healthy cluster
    And at most 1 failover, 0 fencings and no stall above 300 s (120 s with KVM) are expected
    And the initiator writes to both raw LUNs and to a file, flushing every 16 writes, and only what was flushed has to survive
    When 300 more writes of each raw LUN were acknowledged
    And both nodes lose power
    And both nodes are powered on again
    And the writes go on again
    And the cluster has settled
    And 300 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the failover was transparent
    And no flushed write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

  @medium @row-25
  Scenario Outline: Both nodes lose power while replication is cut, and boot together
    The constraint on the outdated node is still there, of all resources or of the one that was cut: its
    owner serves again, and the two do not wait for each other for ever. Before that each of them waits
    for the other's replica, one resource after the other (wfc-timeout, 5 s).

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 330 s (120 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file, flushing every 16 writes, and only what was flushed has to survive
    When 200 more writes of each raw LUN were acknowledged
    And <what> is cut silently until healed
    And 200 more writes of each raw LUN were acknowledged
    And both nodes lose power
    And both nodes are powered on again
    And the writes go on again
    And everything is healed
    And the cluster has settled
    And 200 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the failover was transparent
    And no flushed write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

    Examples:
      | what                        |
      | the drbd link of both nodes |
      | the replication of r1       |
