@nightly @theme-maintenance
Feature: The cluster is in maintenance mode
  Pacemaker watches and does nothing. That holds for fencing too: a scheduler that has no resource to
  manage has none scheduled, so a node may lose its cluster daemons and serve on.

  @medium @row-45
  Scenario Outline: A daemon of the active node is killed in maintenance mode
    Before the mode ends the node has joined again and its ping has told that the data link works (a
    monitor's interval, 20 s, and 5 s of dampening): without that score the group would rightly move.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 15 s (3 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the cluster is put into maintenance mode until healed
    And <daemon> of the active node is killed
    And the cluster is left alone for 45 s
    And every daemon runs again
    And the cluster is left alone for 45 s
    And everything is healed
    And 300 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And Pacemaker did nothing in maintenance mode
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

    Examples:
      | daemon             |
      | corosync           |
      | pacemaker-controld |
