package h2

import (
	"bytes"
	"strings"
	"testing"
)

// Each rule of error.go whose breach ends the connection, with the bytes that break it.
func TestBreachesThatEndTheConnection(t *testing.T) {
	for name, c := range map[string]struct {
		rule *Error
		in   []byte
	}{
		"no preface":                       {ErrPreface, []byte("GET / HTTP/1.1\r\n\r\n")},
		"preface cut":                      {ErrPreface, []byte("PRI * HTTP/2.0\r\n\r\nSX")},
		"no settings":                      {ErrPreface, append([]byte(Preface), frame(framePing, 0, 0, make([]byte, 8)...)...)},
		"acknowledgement first":            {ErrPreface, append([]byte(Preface), frame(frameSettings, flagAck, 0)...)},
		"frame too large":                  {ErrFrameTooLarge, opening([]byte{0, 0x40, 1, 0, 0, 0, 0, 0, 1})},
		"settings on a stream":             {ErrStreamID, opening(frame(frameSettings, 0, 1))},
		"settings cut":                     {ErrFrameSize, opening(frame(frameSettings, 0, 0, 0, 1, 0))},
		"acknowledgement with settings":    {ErrFrameSize, opening(frame(frameSettings, flagAck, 0, make([]byte, 6)...))},
		"push of 2":                        {ErrSetting, opening(settings(2, 2))},
		"frame size below 16384":           {ErrSetting, opening(settings(5, 16383))},
		"frame size beyond 24 bits":        {ErrSetting, opening(settings(5, 1<<24))},
		"extended connect of 2":            {ErrSetting, opening(settings(8, 2))},
		"initial window beyond 31 bits":    {ErrSettingWindow, opening(settings(4, 1<<31))},
		"initial window overflows streams": {ErrSettingWindow, opening(getRequest(1), frame(frameWindow, 0, 1, u32(1<<30)...), settings(4, 1<<31-1))},
		"ping of 7 bytes":                  {ErrFrameSize, opening(frame(framePing, 0, 0, make([]byte, 7)...))},
		"ping on a stream":                 {ErrStreamID, opening(frame(framePing, 0, 1, make([]byte, 8)...))},
		"go away on a stream":              {ErrStreamID, opening(frame(frameGoAway, 0, 1, make([]byte, 8)...))},
		"go away cut":                      {ErrFrameSize, opening(frame(frameGoAway, 0, 0, make([]byte, 7)...))},
		"window update of 3 bytes":         {ErrFrameSize, opening(frame(frameWindow, 0, 0, 0, 0, 1))},
		"window update of 0":               {ErrIncrement, opening(frame(frameWindow, 0, 0, u32(0)...))},
		"window overflows":                 {ErrWindowOverflow, opening(frame(frameWindow, 0, 0, u32(1<<31-1)...))},
		"window of an idle stream":         {ErrIdle, opening(frame(frameWindow, 0, 1, u32(1)...))},
		"data on stream 0":                 {ErrStreamID, opening(data(0, false, "x"))},
		"data on an idle stream":           {ErrIdle, opening(data(1, false, "x"))},
		"reset of stream 0":                {ErrStreamID, opening(frame(frameReset, 0, 0, u32(8)...))},
		"reset of an idle stream":          {ErrIdle, opening(frame(frameReset, 0, 1, u32(8)...))},
		"reset of 3 bytes":                 {ErrFrameSize, opening(getRequest(1), frame(frameReset, 0, 1, 0, 0, 8))},
		"headers on stream 0":              {ErrStreamID, opening(getRequest(0))},
		"headers on an even stream":        {ErrStreamOrder, opening(getRequest(2))},
		"headers on a lower stream":        {ErrClosed, opening(getRequest(5), getRequest(3))},
		"padding as long as the data":      {ErrPadding, opening(postRequest(1), frame(frameData, flagPadded, 1, 3, 'a', 'b'))},
		"padding of nothing":               {ErrPadding, opening(postRequest(1), frame(frameData, flagPadded, 1))},
		"padding as long as the fields":    {ErrPadding, opening(frame(frameHeaders, flagPadded|flagEndHeaders, 1, 5, 0x82))},
		"no room for the padding's length": {ErrPadding, opening(frame(frameHeaders, flagPadded|flagEndHeaders, 1))},
		"no room for the priority":         {ErrFrameSize, opening(frame(frameHeaders, flagPriority|flagEndHeaders, 1, 0, 0))},
		"continuation of nothing":          {ErrContinuation, opening(frame(frameContinuation, flagEndHeaders, 1))},
		"continuation behind the end":      {ErrContinuation, opening(getRequest(1), frame(frameContinuation, flagEndHeaders, 1))},
		"ping within a block":              {ErrContinuation, opening(frame(frameHeaders, 0, 1, packed(request...)...), frame(framePing, 0, 0, make([]byte, 8)...))},
		"continuation of another stream":   {ErrContinuation, opening(frame(frameHeaders, 0, 1, packed(request...)...), frame(frameContinuation, 0, 3))},
		"push by a client":                 {ErrPush, opening(getRequest(1), frame(framePush, flagEndHeaders, 1, 0, 0, 0, 2))},
		"priority on stream 0":             {ErrStreamID, opening(frame(framePriority, 0, 0, make([]byte, 5)...))},
		"compression: unknown index":       {ErrCompression, opening(frame(frameHeaders, flagEndHeaders, 1, 0x80|70))},
		"compression: index 0":             {ErrCompression, opening(frame(frameHeaders, flagEndHeaders, 1, 0x80))},
		"compression: string cut":          {ErrCompression, opening(frame(frameHeaders, flagEndHeaders, 1, 0x00, 0x05, 'a'))},
		"compression: table too large":     {ErrCompression, opening(frame(frameHeaders, flagEndHeaders, 1, 0x3f, 0xe2, 0x1f))},
		"compression: size behind a field": {ErrCompression, opening(frame(frameHeaders, flagEndHeaders, 1, 0x82, 0x20))},
		"compression: end of string coded": {ErrCompression, opening(frame(frameHeaders, flagEndHeaders, 1, 0x04, 0x84, 0xff, 0xff, 0xff, 0xff))},
		"compression: long padding":        {ErrCompression, opening(frame(frameHeaders, flagEndHeaders, 1, 0x04, 0x83, 0x1f, 0xff, 0xff))},
		"compression: endless integer":     {ErrCompression, opening(frame(frameHeaders, flagEndHeaders, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01))},
	} {
		t.Run(name, func(t *testing.T) {
			if got := serve(t, c.in); !strings.HasSuffix(got, "error: "+c.rule.Text+"\n") && !strings.HasSuffix(got, "refused: "+c.rule.Text+"\n") {
				t.Errorf("want %q:\n%s", c.rule.Text, got)
			}
			if c.rule.RFC == "" || CodeOf(c.rule) == NoError {
				t.Error("a rule needs its section and its code")
			}
		})
	}
}

func TestBreachesThatEndAStream(t *testing.T) {
	for name, c := range map[string]struct {
		rule *Error
		in   []byte
	}{
		"data behind the end":              {ErrStreamData, opening(getRequest(1), data(1, false, "x"))},
		"fields behind the end":            {ErrStreamData, opening(getRequest(1), headers(1, true, "a: b"))},
		"window update of 0":               {ErrStreamIncrement, opening(getRequest(1), frame(frameWindow, 0, 1, u32(0)...))},
		"window overflows":                 {ErrStreamOverflow, opening(getRequest(1), frame(frameWindow, 0, 1, u32(1<<31-1)...))},
		"data beyond content-length":       {ErrLength, opening(postRequest(1, "content-length: 1"), data(1, false, "xy"))},
		"data short of content-length":     {ErrLength, opening(postRequest(1, "content-length: 3"), data(1, true, "xy"))},
		"trailers before content-length":   {ErrLength, opening(postRequest(1, "content-length: 3"), headers(1, true, "a: b"))},
		"trailers that do not end":         {ErrTrailerEnd, opening(postRequest(1), headers(1, false, "a: b"))},
		"priority of 4 bytes":              {ErrPrioritySize, opening(getRequest(1), frame(framePriority, 0, 1, make([]byte, 4)...))},
		"priority that depends on itself":  {ErrDependsOnItself, opening(getRequest(1), frame(framePriority, 0, 1, 0, 0, 0, 1, 5))},
		"trailers that depend on themself": {ErrDependsOnItself, opening(postRequest(1), frame(frameHeaders, flagPriority|flagEndHeaders|flagEndStream, 1, 0, 0, 0, 1, 5))},
	} {
		t.Run(name, func(t *testing.T) {
			got := serve(t, append(c.in, postRequest(9)...)) // the connection goes on
			expect(t, got, "reset 1: "+c.rule.Code.String()+" "+c.rule.Text, "< type 3 flags 0 stream 1: 000000", "request 9 end false")
		})
	}
	full := strings.Repeat("x", MaxFrame)
	in := opening(postRequest(1), postRequest(3))
	p := newPeer(false)
	p.feed(in)
	for range 5 { // five times 16 KiB, of which nothing is given back, are more than a window
		in = append(in, data(1, false, full)...)
	}
	p.streams[1].recv = 4 * MaxFrame
	p.streams[1].owed = -1 << 20
	if got, _ := p.feed(in); !strings.Contains(got, "reset 1: FLOW_CONTROL_ERROR "+ErrStreamWindow.Text) {
		t.Errorf("beyond a stream's window: %.200s", got)
	}
	p = newPeer(false)
	p.recv = 10
	if got, _ := p.feed(opening(postRequest(1), data(1, false, "hello world"))); !strings.HasSuffix(got, "error: "+ErrWindow.Text+"\n") {
		t.Errorf("beyond the connection's window: %s", got)
	}
	if got := serve(t, opening(frame(frameHeaders, flagPriority|flagEndHeaders, 1, append([]byte{0, 0, 0, 1, 5}, packed(request...)...)...))); !strings.Contains(got, "< type 3 flags 0 stream 1: 00000001") {
		t.Errorf("a stream that depends on itself: %s", got)
	}
}

// RFC 9113 §8.1.1: malformed messages are errors of their streams.
func TestMalformedRequestsAreRefused(t *testing.T) {
	get := []string{":method: GET", ":scheme: http", ":path: /"}
	auth := with(get, ":authority: a")
	for name, c := range map[string]struct {
		rule   error
		fields []string
	}{
		"unknown pseudo-field":         {ErrPseudo, with(auth, ":x: y")},
		"status in a request":          {ErrPseudo, with(auth, ":status: 200")},
		"pseudo-field twice":           {ErrPseudo, with(auth, ":path: /")},
		"pseudo-field behind a field":  {ErrPseudo, with(get, "a: b", ":authority: a")},
		"no method":                    {ErrPseudoMissing, []string{":scheme: http", ":path: /", ":authority: a"}},
		"no scheme":                    {ErrPseudoMissing, []string{":method: GET", ":path: /", ":authority: a"}},
		"no path":                      {ErrPseudoMissing, []string{":method: GET", ":scheme: http", ":authority: a"}},
		"method with a space":          {ErrMethod, []string{":method: GE T", ":scheme: http", ":path: /", ":authority: a"}},
		"scheme of another world":      {ErrScheme, []string{":method: GET", ":scheme: ftp", ":path: /", ":authority: a"}},
		"empty path":                   {ErrPath, []string{":method: GET", ":scheme: http", ":path: ", ":authority: a"}},
		"path that is not absolute":    {ErrPath, []string{":method: GET", ":scheme: http", ":path: a", ":authority: a"}},
		"asterisk with GET":            {ErrPath, []string{":method: GET", ":scheme: http", ":path: *", ":authority: a"}},
		"space in the path":            {ErrPath, []string{":method: GET", ":scheme: http", ":path: /a HTTP/1.1", ":authority: a"}},
		"line end in the path":         {ErrPath, []string{":method: GET", ":scheme: http", ":path: /\r\nX: y", ":authority: a"}},
		"fragment":                     {ErrPath, []string{":method: GET", ":scheme: http", ":path: /#a", ":authority: a"}},
		"long path":                    {ErrPathTooLong, []string{":method: GET", ":scheme: http", ":path: /" + strings.Repeat("a", 8<<10), ":authority: a"}},
		"no authority":                 {ErrAuthority, get},
		"user information":             {ErrAuthority, with(get, ":authority: u@a")},
		"another host":                 {ErrHost, with(auth, "host: b")},
		"two hosts":                    {ErrHost, with(get, "host: a", "host: a")},
		"empty host":                   {ErrHost, with(get, "host: ")},
		"empty host beside another":    {ErrHost, with(auth, "host: ")},
		"host behind an empty one":     {ErrHost, with(get, "host: ", "host: a")},
		"host twice beside authority":  {ErrHost, with(auth, "host: a", "host: a")},
		"plain connect":                {ErrConnect, []string{":method: CONNECT", ":authority: a:1"}},
		"connect with a path":          {ErrPseudoMissing, []string{":method: CONNECT", ":authority: a:1", ":path: /"}},
		"connect for another protocol": {ErrConnect, []string{":method: CONNECT", ":protocol: connect-udp", ":scheme: http", ":path: /", ":authority: a"}},
		"protocol without connect":     {ErrPseudo, with(auth, ":protocol: websocket")},
		"upper case":                   {ErrName, with(auth, "X-Y: z")},
		"space in a name":              {ErrName, with(auth, "x y: z")},
		"colon in a name":              {ErrName, with(auth, "x:y: z")},
		"line end in a value":          {ErrValue, with(auth, "x: y\r\nz: 1")},
		"NUL in a value":               {ErrValue, with(auth, "x: y\x00")},
		"space before a value":         {ErrValue, with(auth, "x:  y")},
		"tab behind a value":           {ErrValue, with(auth, "x: y\t")},
		"connection":                   {ErrConnectionField, with(auth, "connection: close")},
		"transfer-encoding":            {ErrConnectionField, with(auth, "transfer-encoding: chunked")},
		"upgrade":                      {ErrConnectionField, with(auth, "upgrade: h2c")},
		"keep-alive":                   {ErrConnectionField, with(auth, "keep-alive: 1")},
		"proxy-connection":             {ErrConnectionField, with(auth, "proxy-connection: close")},
		"te other than trailers":       {ErrConnectionField, with(auth, "te: gzip")},
		"two lengths":                  {ErrContentLength, with(auth, "content-length: 0", "content-length: 0")},
		"length of words":              {ErrContentLength, with(auth, "content-length: +5")},
		"huge length":                  {ErrContentLength, with(auth, "content-length: 9999999999999999999")},
		"length without a body":        {ErrContentLength, with(auth, "content-length: 5")},
		"expectation":                  {ErrExpectation, with(auth, "expect: miracles")},
	} {
		t.Run(name, func(t *testing.T) {
			got := serve(t, opening(headers(1, true, c.fields...), getRequest(3)))
			expect(t, got, "request 1 end true refused: "+c.rule.Error()+"\n", "request 3 end true: GET")
		})
	}
}

func TestMalformedResponsesAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		rule   error
		fields []string
	}{
		"no status":         {ErrStatus, []string{"a: b"}},
		"status of letters": {ErrStatus, []string{":status: 2xx"}},
		"status 099":        {ErrStatus, []string{":status: 099"}},
		"status 600":        {ErrStatus, []string{":status: 600"}},
		"status 101":        {ErrStatus, []string{":status: 101"}},
		"1xx that ends":     {ErrStatus, []string{":status: 100"}},
		"method":            {ErrPseudo, []string{":status: 200", ":method: GET"}},
		"connection":        {ErrConnectionField, []string{":status: 200", "connection: close"}},
		"upper case":        {ErrName, []string{":status: 200", "A: b"}},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, receive(t, append(settings(), headers(1, true, c.fields...)...)), "response 1 end true refused: "+c.rule.Error())
		})
	}
	for name, c := range map[string]struct {
		rule *Error
		in   [][]byte
	}{
		"push":               {ErrPush, [][]byte{settings(), frame(framePush, flagEndHeaders, 1, 0, 0, 0, 2)}},
		"push allowed":       {ErrSetting, [][]byte{settings(2, 1)}},
		"answer to nobody":   {ErrIdle, [][]byte{settings(), headers(7, true, ":status: 200")}},
		"data to nobody":     {ErrIdle, [][]byte{settings(), data(7, true, "x")}},
		"data before a head": {ErrDataBeforeHead, [][]byte{settings(), data(1, true, "x")}},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, receive(t, bytes.Join(c.in, nil)), c.rule.Text)
		})
	}
}

func TestLimitsOfFieldsAreThoseOfHTTP1(t *testing.T) {
	many := request
	for range 101 {
		many = with(many, "a: b")
	}
	for name, c := range map[string]struct {
		rule   error
		fields []string
	}{
		"101 fields":       {ErrTooManyFields, many},
		"33 KiB":           {ErrFieldsTooLarge, with(request, "a: "+strings.Repeat("b", 20<<10), "c: "+strings.Repeat("d", 25<<10))},
		"a long authority": {ErrFieldsTooLarge, []string{":method: GET", ":scheme: http", ":path: /", ":authority: " + strings.Repeat("a", 40<<10)}},
		"a long method":    {ErrPathTooLong, []string{":method: " + strings.Repeat("A", 9<<10), ":scheme: http", ":path: /", ":authority: a"}},
		"one of 60KiB":     {ErrFieldsTooLarge, with(request, "a: "+strings.Repeat("b", 60<<10))},
	} {
		t.Run(name, func(t *testing.T) {
			block := packed(c.fields...)
			in := opening()
			flags := byte(flagEndStream)
			kind := frameHeaders
			for len(block) > MaxFrame {
				in = append(in, frame(kind, flags, 1, block[:MaxFrame]...)...)
				block, kind, flags = block[MaxFrame:], frameContinuation, 0
			}
			in = append(in, frame(kind, flags|flagEndHeaders, 1, block...)...)
			got, err := whole(append(in, getRequest(3)...))
			if err != nil {
				t.Fatal(err)
			}
			expect(t, got, "request 1 end true refused: "+c.rule.Error()+"\n", "request 3 end true: GET")
		})
	}
}
