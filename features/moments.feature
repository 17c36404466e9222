@nightly
Feature: Something breaks, or is mended, at just the wrong moment
  The step before a fault waits for a state of the cluster, not for time; what follows begins within the
  reaction that the evidence tells.

  @theme-links @medium
  Scenario: Several things work badly and are mended one by one
    A slow link for Corosync, slow disks and a wrong clock at the spare node, one resource that is not
    replicated for a while, and Pacemaker told to keep still: nobody has a reason to move anything.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 45 s (12 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 1 MiB more of each raw LUN were written
    And the mgmt link of the active node is delayed by 200 ms until healed
    And the disks of the passive node do 50 requests a second until healed
    And the clock of the passive node jumps forward by 10 min until healed
    And acknowledgement 100 from now of lun1
    And the mgmt link of the active node works well again
    And the disks of the passive node work well again
    And the clock of the passive node is right again
    And the replication of r1 is cut silently until healed
    And acknowledgement 100 from now of lun1
    And the replication of r1 is whole again
    And the cluster has settled
    And the cluster is put into maintenance mode until healed
    And acknowledgement 100 from now of lun1
    And maintenance mode ends
    And 100 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

  @theme-recovery @medium
  Scenario: The drbd link is cut in the middle of a resync
    The spare node's data is a mixture then and stays one until the link is back; the other one serves.
    The constraint comes with the cut and goes when everything is copied.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 45 s (12 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 100 more writes of each raw LUN were acknowledged
    And the passive node has to copy all its data anew, at 1024 KiB a second for each resource
    And r1 of the passive node is copied to 30 %
    And the drbd link of both nodes is cut by carrier for 30 s
    And 100 more writes of each raw LUN were acknowledged
    And the passive node has copied all its data
    And the cluster has settled
    And 100 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

  @theme-fencing @short
  Scenario: The links come back as soon as a fencing was ordered
    Too late: what was ordered is carried out. The spare node is fenced although the nodes see each
    other again.

    Given the healthy cluster
    And 0 failovers, 1 fencing and no stall above 75 s (25 s with KVM) are expected
    And the passive node is the one to be fenced
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 200 more writes of each raw LUN were acknowledged
    And the drbd and mgmt links of the passive node are cut by carrier until healed
    And a fencing of the passive node was ordered
    And everything is healed
    And the writes go on again
    And the cluster has settled
    And 100 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the failover was transparent
    And no acknowledged write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

  @theme-power @short
  Scenario: The initiator loses its link between promotion and the start of the LUNs
    The new node is promoted and serves nothing yet; when it does, the initiator cannot reach it for a
    while longer.

    Given the healthy cluster
    And 1 failover, 1 fencing and no stall above 180 s (60 s with KVM) are expected
    And the active node is the one to be fenced
    And the passive node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 200 more writes of each raw LUN were acknowledged
    And the active node loses power
    And the passive node has promoted all resources and started no LUN yet
    And the data link of the initiator is cut silently for 20 s
    And the writes go on again
    And the active node alone is powered on again
    And the active node answers again
    And the cluster has settled
    And 100 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the failover was transparent
    And no acknowledged write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again
