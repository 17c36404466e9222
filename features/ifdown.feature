@nightly @theme-links @seed
Feature: ifdown is no way to simulate a cut
  The post warns of it: it "destroys the whole cluster and requires that you restart all of the nodes".
  With knet and DRBD 8.4 it is not that bad, and still not what a pulled cable does: the node itself no
  longer has the address, so that what is bound to it fails at once and gives up for good. No other
  scenario uses it.

  @medium
  Scenario: The drbd card of the passive node is taken down with ifdown
    Compare with "The drbd link is cut during writes", after which DRBD connects by itself. The active
    node freezes its writes until the fence-peer handler is done, as with a cut. The passive node cannot
    bind to its address and gives its connections up; when the card is up again they stay as they are
    until an administrator connects them.

    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 45 s (12 s with KVM) are expected
    And the active node is the one that serves at the end
    And the initiator writes to both raw LUNs and to a file
    When 200 more writes of each raw LUN were acknowledged
    And the drbd link of the passive node is taken down with ifdown until healed
    And 200 more writes of each raw LUN were acknowledged
    And the cluster is left alone for 30 s
    And the drbd link of the passive node is taken up with ifup
    And the cluster is left alone for 30 s
    And DRBD is connected again by hand on the passive node
    And the cluster has settled
    And 200 more writes of each raw LUN were acknowledged
    Then there was no split-brain
    And ifdown did more than a cut does
    And the initiator saw no error
    And no acknowledged write was lost
    And both replicas are identical
    And the longest stall is within its bound
    And exactly the expected failovers and fencings happened
    And the cluster is whole again
