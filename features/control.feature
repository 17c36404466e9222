@acceptance @theme-control
Feature: Nothing is broken
  The control: what the cluster and the workload do when nobody touches them. Its longest stall is
  the noise floor of every other scenario.

  @short @control
  Scenario: The cluster is left alone during writes
    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 15 s (3 s with KVM) are expected
    And the initiator writes to both raw LUNs and to a file
    When the cluster is left alone for 30 s
    Then there was no split-brain
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the file system is clean and its files are intact
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

  @short @seed @control
  Scenario: Jumbo frames pass unfragmented end to end
    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 15 s (3 s with KVM) are expected
    Then jumbo frames pass unfragmented on the data link
    And jumbo frames pass unfragmented on the drbd link
    And no frame was too large
