@nightly @theme-daemons
Feature: A single daemon fails, or the target is taken away
  Everything else on the node works, so it looks healthy from outside; who watches over whom decides
  whether something is started again or the node is fenced.

  @medium @row-35
  Scenario Outline: Corosync fails on the active node during writes
    Killed, or standing still: nothing starts it again (its unit has no Restart), Pacemaker on that node
    waits for it, and the resources run on there. To the peer the node is lost, so it is fenced.

    Given the healthy cluster
    And 1 failover, 1 fencing and no stall above 180 s (45 s with KVM) are expected
    And the active node is the one to be fenced
    And the passive node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And corosync of the active node <fails>
    And the writes go on again
    And the cluster has settled
    And everything is healed
    And 200 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the failover was transparent
    And no acknowledged write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

    Examples:
      | fails                     |
      | is killed                 |
      | stands still until healed |

  @short @row-35
  Scenario: pacemakerd is killed on the active node during writes
    systemd starts it again, and it takes over the daemons that it finds running (KillMode=process):
    nothing else happens.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 15 s (3 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And pacemakerd of the active node is killed
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

  @medium @row-35
  Scenario: Pacemaker's controller is killed on the active node during writes
    pacemakerd starts it again within seconds. If the peer's scheduler runs before it has joined again,
    it calls the node unclean ("peer process is no longer available") and has it fenced; if not, nothing
    happens. Which of both is a matter of which node is the DC, and of milliseconds; either is right.

    Given the healthy cluster
    And at most 1 failover, at most 1 fencing and no stall above 180 s (45 s with KVM) are expected
    And the active node is the one to be fenced
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And pacemaker-controld of the active node is killed
    And the writes go on again
    And the cluster is left alone for 30 s
    And the cluster has settled
    And everything is healed
    And 200 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the failover was transparent
    And no acknowledged write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

  @medium @row-36
  Scenario: The iSCSI target of the active node is deleted during writes
    Pacemaker notices at the next monitor, after 20 s at most (10 s with KVM). If the target's monitor
    is the first, target and LUNs are started anew where they were. If a LUN's is, its start fails, as
    there is no target to add it to, and the group moves: a planned move, hence its bound.

    Given the healthy cluster
    And at most 1 failover, 0 fencings and no stall above 300 s (90 s with KVM) are expected
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the iSCSI target of the active node is deleted behind the cluster's back
    And the writes go on again
    And the failed actions are cleaned up
    And the cluster has settled
    And everything is healed
    And 300 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the failover was transparent
    And no acknowledged write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

  @short @row-36
  Scenario: iscsid of the initiator is stopped during writes
    The session lives in the kernel; iscsid is needed only to log in again.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 15 s (3 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And iscsid of the initiator is stopped until healed
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
