@nightly @theme-fencing
Feature: A fence device that is gone is noticed before it is needed
  Nobody is cut off and nobody is fenced: the cluster serves as ever. But it could fence nobody now, and
  an administrator has to hear of that while all else is well. (When it is slow or out of reach just
  then: features/slow.feature, features/refusal.feature.)

  @long
  Scenario Outline: The fence device is gone for some minutes during writes
    Pacemaker's monitor of the device fails (once in two minutes), so does its start, and then it stays
    stopped until somebody cleans up: what failed has to be looked at.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 15 s (3 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And <gone> until healed
    And Pacemaker has found the fence device failed
    And 100 more writes of each raw LUN were acknowledged
    And the fence device answers again
    And the failed actions are cleaned up
    And the cluster has settled
    And 300 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the dead fence device was told of
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

    Examples:
      | gone                                       |
      | the fence device is down                   |
      | both nodes have no way to the fence device |
