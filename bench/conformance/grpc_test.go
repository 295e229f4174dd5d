package conformance

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// interopNode starts grpc-go's interoperability server.
func interopNode(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(server, interop.NewTestServer())
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(server.Stop)
	return ln.Addr().String()
}

// cases are those of grpc-go's client that need no cloud and no load reports. pick_first_unary is left out: it asks for an id that grpc-go's server does not give. Each ends the
// program where it fails.
var cases = []struct {
	name string
	run  func(ctx context.Context, conn *grpc.ClientConn, tc testgrpc.TestServiceClient)
}{
	{"empty_unary", func(ctx context.Context, _ *grpc.ClientConn, tc testgrpc.TestServiceClient) {
		interop.DoEmptyUnaryCall(ctx, tc)
	}},
	{"large_unary", func(ctx context.Context, _ *grpc.ClientConn, tc testgrpc.TestServiceClient) {
		interop.DoLargeUnaryCall(ctx, tc)
	}},
	{"client_streaming", func(ctx context.Context, _ *grpc.ClientConn, tc testgrpc.TestServiceClient) {
		interop.DoClientStreaming(ctx, tc)
	}},
	{"server_streaming", func(ctx context.Context, _ *grpc.ClientConn, tc testgrpc.TestServiceClient) {
		interop.DoServerStreaming(ctx, tc)
	}},
	{"ping_pong", func(ctx context.Context, _ *grpc.ClientConn, tc testgrpc.TestServiceClient) {
		interop.DoPingPong(ctx, tc)
	}},
	{"empty_stream", func(ctx context.Context, _ *grpc.ClientConn, tc testgrpc.TestServiceClient) {
		interop.DoEmptyStream(ctx, tc)
	}},
	{"timeout_on_sleeping_server", func(ctx context.Context, _ *grpc.ClientConn, tc testgrpc.TestServiceClient) {
		interop.DoTimeoutOnSleepingServer(ctx, tc)
	}},
	{"cancel_after_begin", func(ctx context.Context, _ *grpc.ClientConn, tc testgrpc.TestServiceClient) {
		interop.DoCancelAfterBegin(ctx, tc)
	}},
	{"cancel_after_first_response", func(ctx context.Context, _ *grpc.ClientConn, tc testgrpc.TestServiceClient) {
		interop.DoCancelAfterFirstResponse(ctx, tc)
	}},
	{"custom_metadata", func(ctx context.Context, _ *grpc.ClientConn, tc testgrpc.TestServiceClient) {
		interop.DoCustomMetadata(ctx, tc)
	}},
	{"status_code_and_message", func(ctx context.Context, _ *grpc.ClientConn, tc testgrpc.TestServiceClient) {
		interop.DoStatusCodeAndMessage(ctx, tc)
	}},
	{"special_status_message", func(ctx context.Context, _ *grpc.ClientConn, tc testgrpc.TestServiceClient) {
		interop.DoSpecialStatusMessage(ctx, tc)
	}},
	{"unimplemented_method", func(ctx context.Context, conn *grpc.ClientConn, _ testgrpc.TestServiceClient) {
		interop.DoUnimplementedMethod(ctx, conn)
	}},
	{"unimplemented_service", func(ctx context.Context, conn *grpc.ClientConn, _ testgrpc.TestServiceClient) {
		interop.DoUnimplementedService(ctx, testgrpc.NewUnimplementedServiceClient(conn))
	}},
}

func TestEveryInteropCaseOfGRPCPasses(t *testing.T) {
	g := start(t)
	g.put(t, "services/s", `{"protocol":"grpc","nodes":[{"upstream":"`+interopNode(t)+`"}]}`)
	g.put(t, "routes/r", `{"prefix":"/grpc.testing.*","service_name":"s","protocol":"grpc"}`)
	chain, key := certificate(t)
	g.put(t, "certificates/c", certificateDocument(chain, key))
	for i, c := range []struct {
		name        string
		credentials credentials.TransportCredentials
	}{
		{"plain", insecure.NewCredentials()},
		{"TLS", credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, port, _ := net.SplitHostPort(g.listeners[i])
			conn, err := grpc.NewClient("localhost:"+port, grpc.WithTransportCredentials(c.credentials))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			tc := testgrpc.NewTestServiceClient(conn)
			g.awaitCall(t, tc)
			for _, one := range cases {
				t.Run(one.name, func(*testing.T) {
					ctx, cancel := context.WithTimeout(context.Background(), patience)
					defer cancel()
					one.run(ctx, conn, tc)
				})
			}
		})
	}
}

// The gateway passes messages on as they are: compressed by the client, and by the node for a client that takes it.
func TestCompressedMessagesOfGRPCPass(t *testing.T) {
	g := start(t)
	g.put(t, "services/s", `{"protocol":"grpc","nodes":[{"upstream":"`+interopNode(t)+`"}]}`)
	g.put(t, "routes/r", `{"prefix":"/grpc.testing.TestService/*","service_name":"s","protocol":"grpc"}`)
	conn, err := grpc.NewClient(g.listeners[0], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	tc := testgrpc.NewTestServiceClient(conn)
	g.awaitCall(t, tc)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for range 20 {
		interop.DoLargeUnaryCall(ctx, tc, grpc.UseCompressor(gzip.Name))
		interop.DoPingPong(ctx, tc, grpc.UseCompressor(gzip.Name))
	}
}

// Errors of the gateway are told in gRPC's words: the status is in the answer, and the connection serves the next call.
func TestErrorsOfTheGatewayAreStatusesOfGRPC(t *testing.T) {
	g := start(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	g.put(t, "services/up", `{"protocol":"grpc","nodes":[{"upstream":"`+interopNode(t)+`"}]}`)
	g.put(t, "services/down", `{"protocol":"grpc","nodes":[{"upstream":"`+closed.Addr().String()+`"}]}`)
	g.put(t, "routes/down", `{"prefix":"/down.Service/*","service_name":"down","protocol":"grpc"}`)
	g.put(t, "routes/none", `{"prefix":"/none.Service/*","service_name":"none","protocol":"grpc"}`)
	g.put(t, "routes/up", `{"prefix":"/grpc.testing.TestService/*","service_name":"up","protocol":"grpc"}`) // last: once it is in force the others are
	conn, err := grpc.NewClient(g.listeners[0], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	g.awaitCall(t, testgrpc.NewTestServiceClient(conn))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for method, want := range map[string]codes.Code{
		"/unknown.Service/Call": codes.Unimplemented, "/down.Service/Call": codes.Unavailable, "/none.Service/Call": codes.Unavailable,
	} {
		err := conn.Invoke(ctx, method, new(testgrpc.Empty), new(testgrpc.Empty))
		if status.Code(err) != want {
			t.Errorf("%s: %v, want %v", method, err, want)
		}
	}
}

// A browser's call, over HTTP/1.1: a message of nothing, then the trailers as a message.
func TestCallsOfGRPCWebReachANodeOfGRPC(t *testing.T) {
	g := start(t)
	g.put(t, "services/s", `{"protocol":"grpc","nodes":[{"upstream":"`+interopNode(t)+`"}]}`)
	g.put(t, "routes/r", `{"prefix":"/grpc.testing.TestService/*","service_name":"s","protocol":"grpc","plugins":{"grpc-web":{}}}`)
	conn, err := grpc.NewClient(g.listeners[0], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	g.awaitCall(t, testgrpc.NewTestServiceClient(conn)) // gRPC itself passes as ever
	const call = "\x00\x00\x00\x00\x00"
	for _, c := range []struct{ media, body string }{
		{"application/grpc-web+proto", call},
		{"application/grpc-web-text+proto", base64.StdEncoding.EncodeToString([]byte(call))},
	} {
		resp, err := http.Post("http://"+g.listeners[0]+"/grpc.testing.TestService/EmptyCall", c.media, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if strings.Contains(c.media, "text") {
			got, err = base64.StdEncoding.DecodeString(string(got))
		}
		if want := call + "\x80\x00\x00\x00"; err != nil || !strings.HasPrefix(string(got), want) || !strings.Contains(string(got), "grpc-status: 0\r\n") || resp.Header.Get("Content-Type") != c.media {
			t.Errorf("%s: %v %v %q", c.media, err, resp.Header, got)
		}
	}
}

// awaitCall waits until the route is in force.
func (g *gateway) awaitCall(t *testing.T, tc testgrpc.TestServiceClient) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		_, err := tc.EmptyCall(context.Background(), new(testgrpc.Empty))
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}
