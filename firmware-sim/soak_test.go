//go:build soak

package firmwaresim

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
)

// soakVariable is how long to soak, such as 10m.
const soakVariable = "STRONGROOM_SOAK"

// TestSoak breaks one node after the other while each code of some authenticators is sent to all nodes at once, and
// finds that none opened twice, that the service went on, and that no node grew. `make soak` runs it.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv(soakVariable))
	if err != nil {
		t.Fatalf("%s: %v", soakVariable, err)
	}
	binary, err := TestBinary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := Create(t.Context(), Config{Dir: t.TempDir(), Binary: binary})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := r.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := newSoak(t, r, 6)
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var users sync.WaitGroup
	for _, u := range s.users {
		users.Go(func() { s.use(ctx, u) })
	}
	rounds := s.breakThings(ctx)
	users.Wait()
	t.Logf("%d faults, %d codes accepted, %d answers unknown or not had", rounds, s.accepted.Load(), s.silent.Load())
	if s.accepted.Load() < int64(length/time.Second) {
		t.Errorf("%d codes were accepted in %v", s.accepted.Load(), length)
	}
}

// soak is a rack under fire.
type soak struct {
	t        *testing.T
	rack     *Rack
	nodes    []*client.Client // one for each chassis: no failover
	users    []soakUser
	accepted atomic.Int64
	silent   atomic.Int64
}

// soakUser is an account with an authenticator that counts (RFC 4226).
type soakUser struct {
	account string
	seed    []byte
}

func newSoak(t *testing.T, r *Rack, users int) *soak {
	t.Helper()
	s := &soak{t: t, rack: r}
	operator, err := r.Client(r.Operator())
	if err != nil {
		t.Fatal(err)
	}
	defer operator.Close()
	if err := operator.SetPolicy(t.Context(), "soak", wire.Policy{AllowReveal: true, TellSpent: true}); err != nil {
		t.Fatal(err)
	}
	web, err := r.IssueClient(t.Context(), Frontend, "soak", "web")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Chassis {
		node, err := r.Client(web, c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(node.Close)
		s.nodes = append(s.nodes, node)
	}
	for i := range users {
		u := soakUser{account: fmt.Sprintf("user-%d", i)}
		if _, err := s.nodes[0].PutAccount(t.Context(), u.account); err != nil {
			t.Fatal(err)
		}
		added, err := s.nodes[0].AddAuthenticator(t.Context(), u.account, wire.AuthenticatorRequest{
			Label: u.account, Params: wire.Params{Type: "hotp"},
		})
		if err != nil {
			t.Fatal(err)
		}
		uri, err := url.Parse(added.URI.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		if u.seed, err = base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(uri.Query().Get("secret")); err != nil {
			t.Fatal(err)
		}
		s.users = append(s.users, u)
	}
	return s
}

// use sends one code after the other to all nodes at once, each until a node answers. A code that has opened reads spent
// or, once the counter is past it, wrong; so does one whose answer was lost.
func (s *soak) use(ctx context.Context, u soakUser) {
	for counter := uint64(0); ctx.Err() == nil; counter++ {
		code := wire.NewSecret(hotp(u.seed, counter))
		var opened, lost int64
		for answered := false; !answered && ctx.Err() == nil; {
			var accepted, refused, silent atomic.Int64
			var nodes sync.WaitGroup
			for _, node := range s.nodes {
				nodes.Go(func() {
					// Longer than the soak: an answer that is still under way counts.
					ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
					defer cancel()
					got, err := node.Verify(ctx, u.account, wire.VerifyRequest{Code: code})
					switch {
					case err != nil:
						silent.Add(1)
					case got.Outcome == wire.Accepted:
						accepted.Add(1)
					case got.Outcome == wire.Spent || got.Outcome == wire.Wrong:
						refused.Add(1)
					default:
						s.t.Errorf("%s: a right code was answered %q", u.account, got.Outcome)
					}
				})
			}
			nodes.Wait()
			opened += accepted.Load()
			lost += silent.Load()
			answered = accepted.Load()+refused.Load() > 0
			wait(ctx, pace)
		}
		s.accepted.Add(opened)
		s.silent.Add(lost)
		if opened == 0 && lost == 0 && ctx.Err() == nil {
			s.t.Errorf("%s: a right code opened nothing", u.account)
		}
		if opened > 1 {
			s.t.Errorf("%s: one code opened %d times", u.account, opened)
		}
	}
}

// pace is between two codes of one user: a soak is about faults, and the machine has other work.
const pace = 100 * time.Millisecond

// hotp is RFC 4226, Section 5.3, with six digits, written down here to be independent.
func hotp(seed []byte, counter uint64) string {
	mac := hmac.New(sha1.New, seed)
	mac.Write(binary.BigEndian.AppendUint64(nil, counter))
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[offset:])&0x7fffffff%1_000_000)
}

// breakThings breaks one chassis at a time and brings it back, until ctx ends.
func (s *soak) breakThings(ctx context.Context) (rounds int) {
	faults := []struct {
		name     string
		do, undo func(*Chassis) error
		lasts    time.Duration
	}{
		{"kill", (*Chassis).Kill, func(c *Chassis) error { return c.PowerOn(s.t.Context()) }, 2 * time.Second},
		{"power off", (*Chassis).PowerOff, func(c *Chassis) error { return c.PowerOn(s.t.Context()) }, 2 * time.Second},
		{"pause", (*Chassis).Pause, (*Chassis).Resume, 4 * time.Second},
		{"pull token", (*Chassis).PullToken, (*Chassis).InsertToken, 4 * time.Second},
	}
	limits := make(map[*Chassis]int)
	for ctx.Err() == nil {
		fault := faults[rand.IntN(len(faults))]
		c := s.rack.Chassis[rand.IntN(len(s.rack.Chassis))]
		if rand.IntN(2) == 0 {
			if leader, err := s.rack.Leader(s.t.Context()); err == nil {
				c = leader
			}
		}
		if err := fault.do(c); err != nil {
			s.t.Errorf("%s %s: %v", fault.name, c.ID(), err)
			return rounds
		}
		wait(ctx, fault.lasts)
		if err := fault.undo(c); err != nil {
			s.t.Errorf("after %s %s: %v", fault.name, c.ID(), err)
			return rounds
		}
		healing, cancel := context.WithTimeout(s.t.Context(), time.Minute)
		for _, c := range s.rack.Chassis {
			if err := c.AwaitReady(healing); err != nil {
				s.t.Errorf("after %s: %v", fault.name, err)
			}
		}
		cancel()
		if s.t.Failed() {
			return rounds
		}
		rounds++
		s.checkGrowth(limits)
	}
	return rounds
}

// maxGrowth is how many times what a node had open at first it may have open later.
const maxGrowth = 3

// checkGrowth watches the open files of each node: a leak of connections or sessions shows there first.
func (s *soak) checkGrowth(limits map[*Chassis]int) {
	for _, c := range s.rack.Chassis {
		open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.PID()))
		if err != nil {
			s.t.Error(err)
			continue
		}
		if limits[c] == 0 {
			limits[c] = maxGrowth * max(len(open), 50)
		}
		if len(open) > limits[c] {
			s.t.Errorf("%s has %d files open", c.ID(), len(open))
		}
	}
}

// wait lets a fault last.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
