package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
)

// tells answers with events, and then ends the stream in one way or another.
func tells(end func(http.ResponseWriter, *http.Request), events ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, ": hello\n\n"+strings.Join(events, ""))
		w.(http.Flusher).Flush()
		end(w, r)
	}
}

func ends(http.ResponseWriter, *http.Request) {}

func entry(n int) string { return fmt.Sprintf("event: entry\nid: %d\ndata: {\"index\":%[1]d}\n\n", n) }

func checkpoint(origin string, size int) string {
	return fmt.Sprintf("event: checkpoint\ndata: %s\ndata: %d\ndata: root\ndata: \ndata: signature\ndata: \n\n", origin, size)
}

var errEnough = errors.New("enough")

// follow collects what is heard, until so much was.
func follow(c *client.Client, ctx context.Context, from int64, most int) ([]string, error) {
	var heard []string
	err := c.FollowLog(ctx, from, func(e client.LogEvent) error {
		if e.Entry != nil {
			heard = append(heard, fmt.Sprint(e.Index, " ", string(e.Entry)))
		} else {
			heard = append(heard, string(e.Checkpoint))
		}
		if len(heard) == most {
			return errEnough
		}
		return nil
	})
	return heard, err
}

// Whatever becomes of a node, another goes on where it was: each entry once, in order, and no older checkpoint.
func TestFollowingGoesElsewhere(t *testing.T) {
	for name, end := range map[string]func(http.ResponseWriter, *http.Request){"ends": ends, "hangs up": hangsUp} {
		t.Run(name, func(t *testing.T) {
			a := newNode(t, tells(end, entry(5), entry(6), checkpoint("o", 7), "event: entry\nid: 7\ndata: cut off"))
			b := newNode(t, problem(503, "unavailable", wire.EffectNone),
				tells(hangs, checkpoint("o", 6), entry(7), checkpoint("o", 8), "event: news\ndata: of a later version\n\n", checkpoint("p", 1)))
			a.answers = append(a.answers, problem(503, "unavailable", wire.EffectNone))
			heard, err := follow(connect(t, a, a.addr(), b.addr()), t.Context(), 5, 6)
			want := []string{
				`5 {"index":5}`, `6 {"index":6}`, "o\n7\nroot\n\nsignature\n", `7 {"index":7}`, "o\n8\nroot\n\nsignature\n", "p\n1\nroot\n\nsignature\n",
			}
			if !slices.Equal(heard, want) || err != errEnough {
				t.Errorf("heard %q, %v", heard, err)
			}
			if a.paths[0] != "GET /v1/log/stream?from=5" || b.paths[len(b.paths)-1] != "GET /v1/log/stream?from=7" {
				t.Errorf("asked %q and %q", a.paths, b.paths)
			}
		})
	}
}

// What a node decided ends it, and so does the context. A node that skips an entry is not believed.
func TestFollowingEnds(t *testing.T) {
	a := newNode(t, problem(410, "pruned", ""))
	var p *client.Problem
	if _, err := follow(connect(t, a, a.addr()), t.Context(), 0, 1); !errors.As(err, &p) || !p.Named("pruned") || a.requests() != 1 {
		t.Errorf("pruned: %v after %d requests", err, a.requests())
	}
	for name, answer := range map[string]http.HandlerFunc{
		"skips": tells(hangs, entry(1)), "repeats": tells(hangs, entry(0), entry(0)), "no number": tells(hangs, "event: entry\ndata: x\n\n"),
		"no end": tells(hangs, "data: "+strings.Repeat("x", 200<<10)+"\n\n"), "too much": tells(hangs, strings.Repeat("data: "+strings.Repeat("x", 60<<10)+"\n", 6)+"\n"),
		"no checkpoint": tells(hangs, "event: checkpoint\ndata: x\n\n"), "silent": hangs, "nobody": nil,
	} {
		t.Run(name, func(t *testing.T) {
			addr := refusing(t)
			if answer != nil {
				a = newNode(t, answer)
				addr = a.addr()
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			heard, err := follow(connect(t, a, addr), ctx, 0, 9)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("heard %q, %v", heard, err)
			}
			if len(heard) > 1 {
				t.Errorf("heard %q", heard)
			}
		})
	}
	strange := newNode(t, tells(hangs, entry(0)))
	if _, err := follow(connect(t, nil, strange.addr()), t.Context(), 0, 1); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("a node of another authority: %v", err)
	}
}

// From now on means from the log's end, also if the node changes before anything was heard.
func TestFollowingFromNowOn(t *testing.T) {
	a := newNode(t, says(200, wire.LogHead{Size: 9}), tells(ends), tells(hangs, entry(9)))
	heard, err := follow(connect(t, a, a.addr()), t.Context(), -1, 1)
	if len(heard) != 1 || heard[0] != `9 {"index":9}` || err != errEnough {
		t.Errorf("heard %q, %v", heard, err)
	}
	if want := []string{"GET /v1/log/head", "GET /v1/log/stream?from=9", "GET /v1/log/stream?from=9"}; !slices.Equal(a.paths, want) {
		t.Errorf("asked %q", a.paths)
	}
}

// outlast returns when an attempt without a receipt that begins now has been given up, or when this request has.
func outlast(t *testing.T, r *http.Request) {
	over := make(chan struct{}, 1)
	n := newNode(t, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		select {
		case over <- struct{}{}:
		default: // another one before
		}
	})
	c := connect(t, n, n.addr())
	ctx, cancel := context.WithCancel(r.Context())
	var asking sync.WaitGroup
	asking.Go(func() { _, _ = c.Verify(ctx, "bob", attempt) })
	select {
	case <-over:
	case <-ctx.Done():
	}
	cancel()
	asking.Wait()
}

// A verification that waits for its receipt has the time that it takes.
func TestReceiptsHaveTime(t *testing.T) {
	n := newNode(t, func(w http.ResponseWriter, r *http.Request) {
		outlast(t, r)
		says(200, wire.Verification{Outcome: wire.Accepted, Receipt: "r\n"})(w, r)
	})
	c := connect(t, n, n.addr())
	v, err := c.Verify(t.Context(), "alice", wire.VerifyRequest{Code: wire.NewSecret("123456"), Receipt: true})
	if err != nil || v.Receipt != "r\n" || n.requests() != 1 || n.bodies[0] != "{\"code\":\"123456\",\"receipt\":true}\n" {
		t.Errorf("%+v, %v after %d requests with %q", v, err, n.requests(), n.bodies)
	}
	n.answers = []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		outlast(t, r)
		_, _ = io.WriteString(w, "proof\n")
	}}
	for name, ask := range map[string]func() ([]byte, error){
		"GET /v1/accounts/a%2Fb/receipts/7": func() ([]byte, error) { return c.Receipt(t.Context(), "a/b", 7) },
		"GET /v1/log/proofs?entry=8":        func() ([]byte, error) { return c.LogProof(t.Context(), 8) },
		"GET /v1/log/proofs?request=0a":     func() ([]byte, error) { return c.LogProofOf(t.Context(), "0a") },
	} {
		before := n.requests()
		if got, err := ask(); err != nil || string(got) != "proof\n" || n.requests() != before+1 || n.paths[before] != name {
			t.Errorf("%s: %q, %v; asked %q", name, got, err, n.paths[before:])
		}
	}
}
