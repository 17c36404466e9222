@nightly @theme-power
Feature: Both nodes lose power and only one of them comes back
  It cannot know whether the other went on after it had gone down, so it must not serve before it
  has seen the other one (wait_for_all).

  @medium @row-23
  Scenario: Both nodes lose power, and the passive one comes back alone
    Where both are there again, either may be promoted. What was acknowledged and not flushed was in
    the caches of disks that lost their power, at both nodes: nobody promised to keep it.

    Given the healthy cluster
    And at most 1 failover, 0 fencings and no stall above 400 s (170 s with KVM) are expected
    And the initiator writes to both raw LUNs and to a file, flushing every 16 writes, and only what was flushed has to survive
    When 200 more writes of each raw LUN were acknowledged
    And both nodes lose power
    And the passive node alone is powered on again
    And nobody serves for 120 s (40 s with KVM)
    And the lost node is powered on again
    And the writes go on again
    And 100 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And nobody served while nobody may
    And the failover was transparent
    And no flushed write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again
