@nightly @theme-storage
Feature: Disks whose write cache does not survive a power cut
  Most disks acknowledge a write before it is on the medium. DRBD tells them to flush between its
  epochs, and copies anew what the last one may have lost.

  @short @needs-nbdkit
  Scenario: The passive node loses power, and with it the cache of its disks
    Given the healthy cluster
    And 0 failovers, 1 fencing and no stall above 75 s (25 s with KVM) are expected
    And the passive node is the one to be fenced
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When the disks of the passive node get a volatile write cache
    And 300 more writes of each raw LUN were acknowledged
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
