package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"sluice/internal/testcert"
	"sluice/upstream"
)

// mode says over what the gateways of the tests talk: newGateway looks at it. The tests themselves speak HTTP/1.1 in plain text, to shims that stand between.
var mode struct {
	down, up wire
	pair     *testcert.Pair // of gateways and nodes
	nodes    sync.Map       // by the addresses of their shims
}

// An end-to-end test that holds whatever the connections are made of, and where it cannot be held to: what it looks at a shim does not pass on, or has no meaning there.
type endToEnd struct {
	test   func(*testing.T)
	except exception
}

type exception uint8

const (
	fromTLS   exception = 1 << iota // a reset of the client's, and what it does with its connections
	toTLS                           // a node that refuses, resets, or is counted by its connections
	fromHTTP2                       // what a client does within a head or with its connection; a clock that is put on before the client has acknowledged the settings
	toHTTP2                         // the same of a node
	alone                           // it looks at the heap, or needs an address where nobody listens, which another test could take
)

var acrossModes = []endToEnd{
	{TestConnectionsOverTheLimitAreClosed, fromHTTP2},
	{TestConnectionsOfOneClientOverItsLimitAreClosed, fromHTTP2 | fromTLS},
	{TestTheConnectionsOfATrustedProxyAreNotThoseOfOneClient, fromHTTP2 | fromTLS},
	{TestTheClientThatIsCountedIsTheOneThatAPROXYHeaderNames, fromHTTP2 | fromTLS},
	{TestALimitForEachClientCountsConnectionsThatWereThereBefore, fromHTTP2},
	{TestAnAnswerThatIsCutLooksCut, fromTLS},
	{TestABodyUntilCloseIsWholeOnlyWhereTheNodeEndsItInOrder, toTLS},
	{TestAnAnswerThatIsNotHTTPClosesTheNodesConnection, toHTTP2},
	{TestBytesBehindAnAnswerCloseTheNodesConnection, 0},
	{TestBytesOnAnIdleNodeConnectionCloseIt, toHTTP2},
	{TestAClientThatGoesAwayCancelsItsRequest, fromTLS},
	{TestAClientThatGoesAwayWithinItsHeadIsLoggedWithoutAny, fromHTTP2 | fromTLS},
	{TestAClientThatGoesAwayWithinItsBodyCancelsItsRequest, fromTLS},
	{TestAClientThatHasEndedItsSideGetsItsAnswer, 0},
	{TestAClientThatHasEndedItsSideGetsALongAnswerToItsEnd, 0},
	{TestPipelinedRequestsBeforeAHalfCloseAreAllAnswered, 0},
	{TestATryThatTakesTooLongIsMadeElsewhere, fromHTTP2},
	{TestAnExchangeTakesNoLongerThanItMay, fromHTTP2},
	{TestAClientMayAskForLessTime, fromHTTP2},
	{TestTheTimeoutsOfARouteComeFirst, fromHTTP2},
	{TestFurtherRetriesComeAfterAPause, fromHTTP2},
	{TestAnAnswerThatDoesNotComeIsRetriedWhereTheServiceSaysSo, fromHTTP2},
	{TestADrainAnswersWhatIsInFlightAndEndsWhatIsIdle, fromHTTP2 | fromTLS},
	{TestADrainServesWhoeverHasJustConnected, fromHTTP2 | fromTLS},
	{TestADrainThatTakesTooLongSaysSo, 0},
	{TestAConnectionThatTheClientWantsClosedIsClosedAtOnce, fromHTTP2},
	{TestATunnelLivesThroughADrainUntilItsTimeIsUp, 0},
	{TestWhatIsCutByTheEndOfTheProcessIsLogged, fromHTTP2},
	{TestAnEarlyAnswerBeforeASmallBodyKeepsTheConnection, 0},
	{TestARequestBehindABodyThatWasAnsweredEarlyIsServed, 0},
	{TestAnEarlyAnswerBeforeALargeBodyClosesTheConnection, 0},
	{TestABodyThatIsDrainedForTooLongClosesTheConnection, toHTTP2 | fromHTTP2},
	{TestAClientThatSendsItsLargeBodyToTheEndHasItsAnswer, 0},
	{TestBothBodiesStreamAtOnce, 0},
	{TestABodyOverTheLimitIs413, fromHTTP2},
	{TestExpectContinueIsTheNodesToAnswer, toHTTP2 | fromHTTP2},
	{TestAnExpectationThatNoNodeHearsClosesTheConnection, 0},
	{TestAPluginAnswersInPlaceOfANode, 0},
	{TestAPluginDoesNotSpoilTheBodyOfAnError, 0},
	{TestWhatAPluginSetsIsNotTheClientsToRemove, 0},
	{TestPluginsOfEveryRouteAreAroundItsOwn, fromHTTP2},
	{TestANodeThatFailsRequestsIsNotAskedForATime, 0},
	{TestANodeThatAnswersWithErrorsIsNotAskedForATime, 0},
	{TestASecondNodeIsAskedBesideOneThatTakesLong, fromHTTP2},
	{TestTheFirstNodeMayWinAgainstItsHedge, fromHTTP2},
	{TestOneOfTwoCallsThatFailsLeavesItToTheOther, fromHTTP2},
	{TestOnlyWhatMayBeRepeatedIsHedged, fromHTTP2},
	{TestAServiceWithoutNodesIs503, 0},
	{TestNoRouteIs404, 0},
	{TestABreakerRefusesWhatIsOverItsLimit, 0},
	{TestABreakersPlaceIsFreedHoweverAnExchangeEnds, fromTLS},
	{TestAPipelineWhoseAnswersNobodyReadsIsHeld, fromHTTP2},
	{TestAHeadBeyondOneReadIsTaken, fromHTTP2},
	{TestPipelinedBodiesStayApart, 0},
	{TestTheSameKeyFindsTheSameNodeAndOthersFindOthers, fromTLS},
	{TestARequestWithoutTheKeyIsToldByItsClient, 0},
	{TestAStickyClientComesBackToItsNode, 0},
	{TestAClientWhoseNodeFailsIsGivenAnother, alone},
	{TestARequestIsForwardedAndAnswered, fromTLS},
	{TestConnectionsAreKeptOnBothSides, toHTTP2},
	{TestPipelinedRequestsAreAnsweredInOrder, 0},
	{TestLargeBodiesPassBothWays, 0},
	{TestErrorsAreTheContracts, fromHTTP2},
	{TestARefusedConnectIsTriedOnAnotherNode, toHTTP2 | alone},
	{TestARefusedConnectWithNoOtherNodeIs502, fromHTTP2 | toHTTP2 | alone},
	{TestEveryNodeIsTriedOnceAsFarAsAttemptsAllow, toHTTP2 | alone},
	{TestAGetOnAReusedConnectionThatIsResetIsSentAgainOnAFreshOne, 0},
	{TestAPostThatTheNodeMayHaveSeenIsNotSentAgain, 0},
	{TestAPostAfterTheIdleConnectionHasEndedGoesToAFreshOne, toHTTP2},
	{TestAPostOfWhichNothingWasSentIsSentAgain, toTLS},
	{TestAPostIsNotSentOnAConnectionThatHasJustEnded, fromHTTP2},
	{TestAGetThatIsResetOnAFreshConnectionIsTriedOnAnotherNodeOnly, 0},
	{TestARequestIsNotRetriedOnceAByteOfAnAnswerHasCome, alone},
	{TestAStatusThatAsksForItIsTriedElsewhereAndElsePassedOn, 0},
	{TestABodyInPiecesSurvivesARetry, 0},
	{TestABodyBeyondTheReplayBufferIsNotSentAgain, toHTTP2 | fromHTTP2},
	{TestRetriesEndWithTheBudget, 0},
	{TestMoreRequestsThanAServiceMayHaveAreAnsweredAtOnce, fromHTTP2},
	{TestAFullNodeIsPassedOver, 0},
	{TestARequestWaitsForRoomAsLongAsTheServiceSays, fromHTTP2},
	{TestAClientThatLeavesTheQueueIsForgotten, fromTLS},
	{TestConnectionsToANodeAreBoundedOverAllWorkers, toHTTP2},
	{TestAConnectionServesNoMoreRequestsThanItMay, toHTTP2},
	{TestAConnectionIsUsedForNoLongerThanItMay, fromHTTP2 | toHTTP2},
	{TestRetriesInFlightAreBounded, toHTTP2 | alone},
	{TestABodyWaitsWithItsRequest, toHTTP2},
	{TestALargeAnswerToASlowReaderIsNotPiledUp, alone},
	{TestALargeRequestToASlowNodeIsNotPiledUp, alone},
	{TestASnapshotMayChangeUnderLoad, fromTLS},
	{TestTwoWorkersServeSideBySide, fromHTTP2},
	{TestARequestHeadThatComesTooSlowlyIs408, fromHTTP2},
	{TestAConnectionThatNeverAsksEndsWithoutAWord, fromHTTP2},
	{TestTheLogOfAnUnfinishedHeadIsItsOwn, fromHTTP2 | toHTTP2},
	{TestARequestBodyThatStopsIs408, fromHTTP2 | toTLS},
	{TestAnIdleConnectionEndsWithoutAWord, fromHTTP2},
	{TestANodeThatDoesNotAnswerIs504, fromTLS | fromHTTP2 | toTLS},
	{TestANodeThatNeverReadsIs504, fromHTTP2 | fromTLS | toHTTP2 | toTLS},
	{TestTheBoundsOfARouteComeBeforeThoseOfItsServiceAndTheGateway, fromHTTP2},
	{TestAResponseBodyThatStopsIsCut, fromHTTP2},
	{TestASilentTunnelEnds, fromHTTP2},
	{TestAClientThatDoesNotEndItsSideIsClosed, fromHTTP2},
	{TestAClientThatGoesOnSendingBehindItsAnswerIsClosed, fromHTTP2 | fromTLS},
	{TestABodyThatIsDrainedTooSlowlyClosesTheConnection, toHTTP2 | fromHTTP2 | fromTLS},
	{TestADrainWaitsForAFirstRequestForAMoment, fromHTTP2},
	{TestTheLogTellsHowLongEachPartTook, fromHTTP2},
	{TestBodiesPassThroughTransformers, 0},
	{TestATransformerThatHoldsBackDoesNotEndTheBody, 0},
	{TestABodyThatATransformerRefusesIs400, 0},
	{TestAClientThatMayNotComeInGetsTheContractsError, 0},
	{TestTheAddressThatATrustedProxyNamesDecides, fromHTTP2},
	{TestPreflightsAreAnsweredInPlaceOfTheNode, 0},
	{TestPagesMayReadTheErrorsOfTheGateway, 0},
	{TestWhatPluginsKeepIsTheirOwnAndOfOneExchange, 0},
	{TestAnotherBodyThanTheNodesIsFramedByItsOwnLength, 0},
	{TestAStatusThatHasNoBodyLosesItAndOneThatHasIsEmpty, 0},
	{TestNothingTellsOfABodyThatIsNotSent, 0},
	{TestANodeThatSendsMuchOrLongIsNotWaitedForWhereNobodyGetsIt, fromHTTP2},
	{TestAnotherBodyIsSentBeforeTheRequestIsWhole, 0},
	{TestTheGatewaysOwnAnswersAreRewrittenToo, 0},
	{TestTransformersDoNotSeeTheBodyInThePlaceOfTheNodes, 0},
	{TestATunnelIsNotRewritten, 0},
	{TestAnUpgradeBecomesATunnel, 0},
	{TestANodeMayEndItsSideOfATunnelFirst, 0},
	{TestATunnelKeepsBytesUnderBackPressure, 0},
	{TestATunnelOutlivesAChangeOfRoutes, 0},
	{TestSomeUpgradesAreNotForwarded, 0},
	{TestARefusedUpgradeIsAnOrdinaryAnswer, fromHTTP2},
	{TestANodeThatIsSilentUntilTheEndOfTheWholeTimeHasFailed, 0},
	{TestADrainAnswersARequestThatHasJustCome, fromHTTP2 | fromTLS},
	{TestADrainWaitsAMomentForTheEndOfOthers, fromHTTP2},
	{TestADrainWaitsForNobodyWhoRests, fromHTTP2},
	{TestAQuietStreamIsNoFailureOfItsNode, 0},
	{TestAHandOverAnswersAPipelineToItsEnd, fromHTTP2},
	{TestAHandOverAnswersTheNextRequestOfEveryConnection, fromHTTP2},
	{TestAHandOverCanBecomeADrain, fromHTTP2},
	{TestSettingsChangeForTheNextRequest, 0},
	{TestALowerLimitOfHeadersHoldsOnAnOpenConnection, 0},
	{TestANewKeepAliveTimeHoldsAfterTheNextRequest, fromHTTP2},
	{TestATrustedProxyIsBelievedFromItsNextConnectionOn, fromHTTP2},
	{TestALimitOfConnectionsCountsThoseThatWereThereBefore, fromHTTP2},
	{TestAnExchangeThatDidNotFailHasNoReason, 0},
	{TestAPathWithMoreThanOneReadingNeedsOneRoute, 0},
	{TestThePolicyDecidesAboutAmbiguousPaths, 0},
	{TestOnlyTheTimeThatANodeOwesSomethingIsHeldAgainstIt, 0},
	{TestAnExplanationIsWhatHappens, 0},
}

// The tests of one side hold for both, over every protocol and in plain text as over TLS.
func TestEndToEndInEveryMode(t *testing.T) {
	inEveryMode(t, func(t *testing.T) {
		runInMode(t, mode.down.exception(fromTLS, fromHTTP2)|mode.up.exception(toTLS, toHTTP2))
	})
}

// inEveryMode runs test in all pairs of the four ways to talk but that of HTTP/1.1 in plain text on both sides, which is a test by itself.
func inEveryMode(t *testing.T, test func(*testing.T)) {
	defer plainMode()
	mode.pair = testcert.NewAuthority(t).Issue("gateway.test")
	for _, down := range wires {
		for _, up := range wires {
			if down != wires[0] || up != wires[0] {
				t.Run(down.name+" to "+up.name, func(t *testing.T) {
					mode.down, mode.up = down, up
					test(t)
				})
			}
		}
	}
}

// runInMode runs every test that is not excepted.
func runInMode(t *testing.T, not exception) {
	for _, e := range acrossModes {
		if e.except&not != 0 {
			continue
		}
		_, name, _ := strings.Cut(runtime.FuncForPC(reflect.ValueOf(e.test).Pointer()).Name(), ".Test")
		t.Run(name, func(t *testing.T) {
			if e.except&alone == 0 {
				t.Parallel()
			}
			e.test(t)
		})
	}
}

// bulk returns how much of a large body is enough: the race detector takes its time over every byte, and in the modes it does so once more for each of the shims and for TLS.
func bulk(n int) int {
	if mode.down.http2 || mode.down.tls || mode.up.http2 || mode.up.tls {
		return n / 4
	}
	return n
}

// exception returns which exceptions hold for a side that talks like that.
func (w wire) exception(tls, http2 exception) (e exception) {
	if w.tls {
		e |= tls
	}
	if w.http2 {
		e |= http2
	}
	return e
}

// inMode returns the nodes and options that the mode makes of a test's.
func inMode(t testing.TB, nodes []string, options []option) ([]string, []option) {
	if mode.down.tls {
		options = append(options, withCertificates(certificate("mode", mode.pair, "*")))
	}
	if mode.up == (wire{}) || mode.up == wires[0] {
		return nodes, options
	}
	var config *tls.Config
	if mode.up.tls {
		config = &tls.Config{Certificates: []tls.Certificate{mode.pair.Certificate}}
		options = append(options, withTLS(upstream.TLSConfig{InsecureSkipVerify: true}))
	}
	shimmed := make([]string, len(nodes))
	for i, node := range nodes {
		if mode.up.http2 {
			shimmed[i] = nodeShimH2(t, config, node)
		} else {
			shimmed[i] = shim(t, hostOf(node), config, func() (net.Conn, error) { return net.Dial("tcp", node) })
		}
		mode.nodes.Store(shimmed[i], node)
		t.Cleanup(func() { mode.nodes.Delete(shimmed[i]) }) // before the shim ends, and its port may be a node's
	}
	if mode.up.http2 {
		options = append(options, overHTTP2)
	}
	return shimmed, options
}

// front returns the address that a test talks to in place of the gateway's. HTTP/2 is spoken by another gateway in front of the one that is tested.
func front(t testing.TB, addr string) string {
	switch {
	case mode.down.http2:
		options := []option{overHTTP2, withAttempts(1), withLimits(func(c *LimitsConfig) { c.Body = 0 })}
		if mode.down.tls {
			options = append(options, withTLS(upstream.TLSConfig{InsecureSkipVerify: true}))
		}
		_, before := startGateway(t, []string{addr}, options...)
		return before
	case mode.down.tls:
		return shim(t, "127.0.0.1", nil, func() (net.Conn, error) {
			return tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
		})
	}
	return addr
}

// hostOf returns an address without its port: a shim has that of what it stands for, since nodes are in the order of their addresses.
func hostOf(addr string) string {
	host, _, _ := net.SplitHostPort(addr)
	return host
}

// nodeOf returns what a test knows a node as.
func nodeOf(addr string) string {
	if node, ok := mode.nodes.Load(addr); ok {
		return node.(string)
	}
	return addr
}

// shim passes connections on, with their half-closes. Where config is not nil it is the server's end of TLS.
func shim(t testing.TB, host string, config *tls.Config, dial func() (net.Conn, error)) string {
	t.Helper()
	ln, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	if config != nil {
		ln = tls.NewListener(ln, config)
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	closed := false
	keep := func(c net.Conn) bool {
		narrow(tcpOf(c))
		mu.Lock()
		defer mu.Unlock()
		if open = append(open, c); closed {
			c.Close()
		}
		return !closed
	}
	running.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil || !keep(near) {
				return
			}
			running.Go(func() {
				far, err := dial()
				if err != nil || !keep(far) {
					near.Close()
					return
				}
				running.Go(func() { pass(far, near) })
				pass(near, far)
			})
		}
	})
	t.Cleanup(func() {
		mu.Lock()
		closed = true
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		ln.Close()
		running.Wait()
	})
	return ln.Addr().String()
}

// pass copies until from ends, and ends to as from has ended.
func pass(to, from net.Conn) {
	// As no more than a reader and a writer: the short cuts of the TCP connections would hide which of the two has failed.
	_, err := io.Copy(struct{ io.Writer }{to}, struct{ io.Reader }{from})
	if broken := new(net.OpError); errors.As(err, &broken) && broken.Op == "write" { // what comes the other way is still whole
		_, _ = io.Copy(io.Discard, from)
		return
	}
	if err == nil || errors.Is(err, net.ErrClosed) {
		if err := to.(interface{ CloseWrite() error }).CloseWrite(); err == nil {
			return
		}
	}
	if errors.Is(err, syscall.ECONNRESET) {
		_ = tcpOf(to).SetLinger(0)
	}
	to.Close()
	from.Close()
}

// tcpOf returns the connection beneath one of a shim's.
func tcpOf(c net.Conn) *net.TCPConn {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	return c.(*net.TCPConn)
}

// narrow bounds what the kernel keeps for a connection, so that what the gateway keeps shows.
func narrow(c *net.TCPConn) {
	_ = c.SetReadBuffer(128 << 10)
	_ = c.SetWriteBuffer(128 << 10)
}

// plainMode ends the modes.
func plainMode() {
	mode.down, mode.up = wire{}, wire{}
	mode.nodes.Clear()
}
