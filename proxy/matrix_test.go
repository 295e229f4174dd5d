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
	"testing"

	"sluice/internal/testcert"
	"sluice/upstream"
)

// mode says over what the gateways of the tests talk: newGateway looks at it. The tests themselves speak plain text, to shims that stand between.
var mode struct{ down, up bool }

// acrossTLS are end-to-end tests that hold whatever the connections are made of. Those are left out that look at refusals, resets or the order of
// addresses, which a shim does not pass on.
var acrossTLS = []func(*testing.T){
	TestALargeAnswerToASlowReaderIsNotPiledUp,
	TestALargeRequestToASlowNodeIsNotPiledUp,
	TestAnUpgradeBecomesATunnel,
	TestANodeMayEndItsSideOfATunnelFirst,
	TestATunnelKeepsBytesUnderBackPressure,
	TestATunnelOutlivesAChangeOfRoutes,
	TestSomeUpgradesAreNotForwarded,
	TestARefusedUpgradeIsAnOrdinaryAnswer,
	TestAnEarlyAnswerBeforeASmallBodyKeepsTheConnection,
	TestARequestBehindABodyThatWasAnsweredEarlyIsServed,
	TestAnEarlyAnswerBeforeALargeBodyClosesTheConnection,
	TestBothBodiesStreamAtOnce,
	TestABodyOverTheLimitIs413,
	TestExpectContinueIsTheNodesToAnswer,
	TestAnExpectationThatNoNodeHearsClosesTheConnection,
	TestAPluginAnswersInPlaceOfANode,
	TestAPluginDoesNotSpoilTheBodyOfAnError,
	TestWhatAPluginSetsIsNotTheClientsToRemove,
	TestAGetOnAReusedConnectionThatIsResetIsSentAgainOnAFreshOne,
	TestAPostThatTheNodeMayHaveSeenIsNotSentAgain,
	TestAPostAfterTheIdleConnectionHasEndedGoesToAFreshOne,
	TestAPostOfWhichNothingWasSentIsSentAgain,
	TestARequestIsNotRetriedOnceAByteOfAnAnswerHasCome,
	TestAStatusThatAsksForItIsTriedElsewhereAndElsePassedOn,
	TestABodyBeyondTheReplayBufferIsNotSentAgain,
	TestAServiceWithoutNodesIs503,
	TestNoRouteIs404,
	TestABreakerRefusesWhatIsOverItsLimit,
	TestConnectionsOverTheLimitAreClosed,
	TestAPipelineWhoseAnswersNobodyReadsIsHeld,
	TestAHeadBeyondOneReadIsTaken,
	TestPipelinedBodiesStayApart,
	TestConnectionsAreKeptOnBothSides,
	TestPipelinedRequestsAreAnsweredInOrder,
	TestLargeBodiesPassBothWays,
	TestErrorsAreTheContracts,
}

func TestEndToEndOverTLS(t *testing.T) {
	defer func() { mode.down, mode.up = false, false }()
	for name, m := range map[string]struct{ down, up bool }{"TLS to plain": {true, false}, "plain to TLS": {false, true}, "TLS to TLS": {true, true}} {
		t.Run(name, func(t *testing.T) {
			mode.down, mode.up = m.down, m.up
			for _, test := range acrossTLS {
				_, name, _ := strings.Cut(runtime.FuncForPC(reflect.ValueOf(test).Pointer()).Name(), ".Test")
				t.Run(name, test)
			}
		})
	}
}

// inMode returns the nodes and options that the mode makes of a test's.
func inMode(t testing.TB, nodes []string, options []option) ([]string, []option) {
	if mode.down {
		pair := testcert.NewAuthority(t).Issue("gateway.test")
		options = append(options, withCertificates(certificate("mode", pair, "*")))
	}
	if mode.up {
		pair := testcert.NewAuthority(t).Issue("node.test")
		shimmed := make([]string, len(nodes))
		for i, node := range nodes {
			shimmed[i] = shim(t, &tls.Config{Certificates: []tls.Certificate{pair.Certificate}}, func() (net.Conn, error) { return net.Dial("tcp", node) })
		}
		nodes = shimmed
		options = append(options, withTLS(upstream.TLSConfig{InsecureSkipVerify: true}))
	}
	return nodes, options
}

// front returns the address that a test talks to in place of the gateway's.
func front(t testing.TB, addr string) string {
	if !mode.down {
		return addr
	}
	return shim(t, nil, func() (net.Conn, error) {
		return tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	})
}

// shim passes connections on, with their half-closes. Where config is not nil it is the server's end of TLS.
func shim(t testing.TB, config *tls.Config, dial func() (net.Conn, error)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
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
	_, err := io.Copy(to, from)
	if err == nil || errors.Is(err, net.ErrClosed) {
		if err := to.(interface{ CloseWrite() error }).CloseWrite(); err == nil {
			return
		}
	}
	to.Close()
	from.Close()
}
