@nightly @theme-links
Feature: Links work, but badly
  Frames are lost, late, damaged, sent twice or in another order, or the large ones vanish. Nothing is
  cut, so nothing is to fail over: TCP makes up for most of it, and DRBD must bear the rest.

  @short @row-16
  Scenario Outline: The drbd link of the active node is bad during writes
    A segment that is lost or damaged is sent again after 0.2 s, then 0.4 s, and so on: with one in
    twenty lost, four losses in a row (3 s) come once in 160,000 segments. DRBD waits 5 s before it
    doubts its peer. So writes are slower, and nothing else happens. Corosync's pings on this link
    suffer too, but it works over mgmt.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 15 s (5 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the drbd link of the active node <how> until healed
    And 300 more writes of each raw LUN were acknowledged
    And everything is healed
    And 300 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

    Examples:
      | how                                       |
      | loses 1 % of its frames                   |
      | loses 5 % of its frames                   |
      | damages 5 % of its frames                 |
      | sends 10 % of its frames twice            |
      | sends 25 % of its frames ahead of others  |
      | is delayed by 100 ms, give or take 50 ms, |
      | is limited to 1 Mbit/s                    |

  @medium @row-16
  Scenario: The drbd link of the active node loses a fifth of its frames during writes
    TCP waits twice as long after each loss in a row: six of them are 13 s (once in 15,000 segments),
    seven are 25 s (once in 80,000). After 5 s without an answer DRBD pings its peer, over a connection
    of its own, and goes on waiting if that is answered; if not, the link counts as cut, and writes are
    frozen until the fence-peer handler is done. Only the active node loses frames: with both, more
    than a third of all exchanges would fail, and DRBD could hardly keep a connection.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 45 s (30 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the drbd link of the active node loses 20 % of its frames until healed
    And 300 more writes of each raw LUN were acknowledged
    And everything is healed
    And 300 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

  @medium @row-18
  Scenario: The drbd card of the passive node takes no large frames
    It has to be the passive node's: writes go there, and what is too large is lost where it arrives. The
    active node would see its own small MTU and cut smaller. DRBD's connections were made when both
    cards had 9000 bytes, and TCP never asks again: a write is one segment, and vanishes. Pings are
    small and pass, so that DRBD gives up only after timeout times ko-count (28 s). Then it is as if
    the link were cut, but for its end: a new connection agrees on small segments and works, and the
    cluster is whole before anything is healed.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 75 s (40 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the drbd link of the passive node has an MTU of 1500 bytes until healed
    And the cluster is left alone for 60 s
    And the writes go on again
    And the cluster has settled
    And everything is healed
    And 300 more writes of each raw LUN were acknowledged
    Then jumbo frames pass unfragmented on the drbd link
    And no frame was too large
    And there was no split-brain
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

  @medium @row-18
  Scenario: A switch port of the drbd link takes no large frames
    As above, but both cards keep their 9000 bytes: a new connection agrees on large segments again, and
    the next write or the resync stalls it for another 28 s. In between the active node writes alone.
    It comes to rest when the port is healed.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 75 s (40 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the drbd link of the passive node ends at a switch port with an MTU of 1500 bytes until healed
    And the cluster is left alone for 60 s
    And everything is healed
    And the writes go on again
    And 300 more writes of each raw LUN were acknowledged
    Then jumbo frames pass unfragmented on the drbd link
    And no frame was too large
    And there was no split-brain
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again

  @short @row-19
  Scenario: The data card of the active node takes no large frames
    Writes go from the initiator to the active node, so that is where large frames are lost. The
    initiator's keep-alive waits in the same connection, behind the write that is stuck: after
    noop_out_interval and noop_out_timeout (10 s) it connects anew, which agrees on small segments, logs
    in, and sends its writes again. The ping rule's pings are small: the group stays.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 60 s (30 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 300 more writes of each raw LUN were acknowledged
    And the data link of the active node has an MTU of 1500 bytes until healed
    And the cluster is left alone for 45 s
    And the writes go on again
    And everything is healed
    And 300 more writes of each raw LUN were acknowledged
    Then jumbo frames pass unfragmented on the data link
    And no frame was too large
    And there was no split-brain
    And the failover was transparent
    And no acknowledged write was lost
    And both replicas are identical
    And exactly the expected failovers and fencings happened
    And the cluster is whole again
