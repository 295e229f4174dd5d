// Command hold opens connections to a gateway, has one request answered on each, and keeps them at rest:
//
//	go run ./tools/hold http://127.0.0.1:10000/
//
// What it does is told by lines of its standard input, each answered with a line:
//
//	20000   holds so many in all, and says how many it holds; opens what is missing, closes what is too many
//	ask     asks once more on each, and says how many gave the right answer
//
// A number that is not the one asked for is followed by the reason. With the end of its standard input it closes all and ends.
//
// An answer is right with status 200, the body that -body names, and a connection that is kept. A process has only so many descriptors (ulimit -Hn) and an address so many
// ports, so the connections are spread over processes of this same program, which come from 127.0.0.2, 127.0.0.3 and so on. Certificates are not checked.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// holder keeps connections.
type holder interface {
	// hold makes them n, and returns how many there are, fewer with the reason.
	hold(n int) (int, error)
	// ask returns how many answer, fewer with the reason.
	ask() (int, error)
	close()
}

// options are the command line.
type options struct {
	target *url.URL
	body   string // of every answer
	echo   string // a field that each answer has back as it was sent; "" = none
	from   net.IP // nil = the processes that this one starts hold the connections
}

func main() {
	opt, err := parse(os.Args[1:], os.Stderr)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			os.Exit(0)
		}
		fmt.Fprintln(os.Stderr, "hold:", err)
		os.Exit(2)
	}
	var h holder = newHands(os.Args[1:])
	if opt.from != nil {
		h = newHand(opt)
	}
	defer h.close()
	serve(h, os.Stdin, os.Stdout)
}

func parse(args []string, stderr io.Writer) (*options, error) {
	var o options
	f := flag.NewFlagSet("hold", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.body, "body", "", "the body that every answer must have")
	f.StringVar(&o.echo, "echo", "", "a field with a value of its own in each request, which the answer must have back")
	from := f.String("from", "", "the address to come from; without one, several processes have one each")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() != 1 {
		return nil, fmt.Errorf("one URL is needed, not %d", f.NArg())
	}
	var err error
	if o.target, err = url.Parse(f.Arg(0)); err != nil {
		return nil, err
	}
	if o.target.Scheme != "http" && o.target.Scheme != "https" || o.target.Port() == "" {
		return nil, fmt.Errorf("%q is no URL of http or https with a port", f.Arg(0))
	}
	if *from != "" {
		if o.from = net.ParseIP(*from); o.from == nil {
			return nil, fmt.Errorf("-from %q is no address", *from)
		}
	}
	return &o, nil
}

// serve does what the lines say, until they end.
func serve(h holder, in io.Reader, out io.Writer) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		var count int
		var err error
		if n, bad := strconv.Atoi(line); bad == nil && n >= 0 {
			count, err = h.hold(n)
		} else if line == "ask" {
			count, err = h.ask()
		} else {
			err = fmt.Errorf("%q is neither a number nor ask", line)
		}
		fmt.Fprintln(out, answerLine(count, err))
	}
}

// answerLine is a count, and what is wrong.
func answerLine(count int, err error) string {
	if err == nil {
		return strconv.Itoa(count)
	}
	return strconv.Itoa(count) + " " + strings.Join(strings.Fields(err.Error()), " ")
}
