@nightly @theme-storage
Feature: Backing disks are slow, return errors, or are full
  DRBD hides a disk from those above it: what one node's disk cannot do, the other's does.

  @short @row-31
  Scenario: The disks of the active node are slow during writes
    Slow is not dead: nobody detaches, nobody is fenced. A commit of the file system is about ten
    requests, a second at this speed, which the bound with KVM allows for.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 15 s (5 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the disks of the active node do 10 requests a second until healed
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

  @medium @needs-nbdkit @row-32
  Scenario: A disk of the active node returns errors during writes
    DRBD gives it up and reads and writes on the peer's: no error gets through. The resource agent then
    lowers the node's promotion score from 10000 to 10, so at the next monitor Pacemaker moves
    everything to the node that has the data: one planned move.

    Given the healthy cluster
    And 1 failover, 0 fencings and no stall above 300 s (90 s with KVM) are expected
    And the passive node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the disk of r1 on the active node returns errors until healed
    And r1 of the active node is Diskless
    And all resources of the passive node are Primary
    And the writes go on again
    And everything is healed
    And the cluster has settled
    And 300 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the failover was transparent
    And no acknowledged write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

  @short @needs-nbdkit @row-33
  Scenario: A disk of the passive node returns errors during writes
    DRBD gives it up; the active node serves on alone, connected to a peer without a disk.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 15 s (3 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the disk of r1 on the passive node returns errors until healed
    And r1 of the passive node is Diskless
    And 300 more writes of each raw LUN were acknowledged
    And everything is healed
    And the cluster has settled
    And 300 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

  @long @needs-nbdkit @row-34
  Scenario: The last good replica goes after all disks of the active node failed
    All its disks, as with a broken controller: with a single one DRBD would let the other resources be
    promoted. Everything moves to the passive node first. When that one loses power, the node that is
    left fences it, is asked to promote, and DRBD refuses: no good data. A stall is right, old data
    would not be. The bound is the wait, the boot of the node that has the data, and a start of the
    group.

    Given the healthy cluster
    And 1 failover, 1 fencing and no stall above 380 s (160 s with KVM) are expected
    And the passive node is the one to be fenced
    And the passive node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file, flushing every 16 writes, and only what was flushed has to survive
    When 300 more writes of each raw LUN were acknowledged
    And all disks on the active node return errors until healed
    And all resources of the active node are Diskless
    And all resources of the passive node are Primary
    And the writes go on again
    And 100 more writes of each raw LUN were acknowledged
    And the passive node loses power
    And nobody serves for 90 s (30 s with KVM)
    And the passive node alone is powered on again
    And the writes go on again
    And everything is healed
    And the failed actions are cleaned up
    And the cluster has settled
    And 200 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And nobody served while nobody may
    And the failover was transparent
    And no flushed write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

  @short @row-47
  Scenario: The file system on a LUN is filled to its last byte
    Up to the end of the LUN, behind which DRBD's metadata lies on the backing disk: neither touches the
    other, and what writes into space that it has goes on.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 15 s (3 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the file system on lun0 is filled to the last byte until healed
    And the cluster is left alone for 15 s
    And everything is healed
    And 300 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the file system is clean and its files are intact
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again
