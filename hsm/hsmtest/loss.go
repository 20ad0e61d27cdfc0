package hsmtest

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.internal/hsm"
)

const (
	// goneWithin is promised: after it no call succeeds on, or waits for, a module that was taken away.
	goneWithin = 2 * time.Second
	backWithin = 10 * time.Second
)

// working is a module with all that has to work again after a loss.
type working struct {
	module
	changes *changes
	sealed  []hsm.SealedSeed
	macs    [][]byte
	code    []byte
}

// changes notes a pool's states.
type changes struct {
	mu   sync.Mutex
	seen []hsm.Status
}

func (c *changes) note(s hsm.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, s.Status)
}

func (c *changes) all() []hsm.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.seen)
}

func (s suite) working(t *testing.T, rig Rig, backend hsm.Backend) *working {
	t.Helper()
	w := &working{changes: &changes{}}
	w.module = start(t, rig, backend, hsm.PoolConfig{OnChange: w.changes.note})
	check(t, w.CreateWrappingKey(t.Context()))
	check(t, w.InstallClusterKeys(t.Context(), w.makeClusterKeys(t)))
	for i := range 3 {
		b := binding(fmt.Sprint(i))
		w.sealed = append(w.sealed, w.importSeed(t, b, hsm.SHA1, random(20)))
		w.macs = append(w.macs, ok[[][]byte](t)(w.mac(t.Context(), b, w.sealed[i], counter(1)))[0])
	}
	w.code = ok[[][]byte](t)(w.KeyedMAC(t.Context(), hsm.KeyCode, [][]byte{counter(1)}))[0]
	return w
}

// try uses everything once; the answers must be the ones from before.
func (w *working) try(t *testing.T) error {
	t.Helper()
	for i, sealed := range w.sealed {
		macs, err := w.mac(t.Context(), binding(fmt.Sprint(i)), sealed, counter(1))
		if err != nil {
			return err
		}
		if !bytes.Equal(macs[0], w.macs[i]) {
			t.Fatal("another MAC than before")
		}
	}
	macs, err := w.KeyedMAC(t.Context(), hsm.KeyCode, [][]byte{counter(1)})
	if err != nil {
		return err
	}
	if !bytes.Equal(macs[0], w.code) {
		t.Fatal("another code than before")
	}
	signer, err := w.Signer(t.Context(), hsm.KeyAuthority)
	if err != nil {
		return err
	}
	_, err = signer.Sign(nil, make([]byte, 32), crypto.SHA256)
	return err
}

// removal takes the module away while it works: calls fail soon and quickly, and all works again when it is back.
func (s suite) removal(t *testing.T) {
	rig := s.newRig(t)
	if rig.Remove == nil || rig.Return == nil {
		t.Fatal("a rig needs Remove and Return")
	}
	w := s.working(t, rig, rig.Open(t))
	for round := range 2 {
		w.Remove(t)
		removed := time.Now()
		until(t, goneWithin, "calls fail", func() bool {
			err := w.try(t)
			if err != nil && !errors.Is(err, hsm.ErrGone) {
				t.Fatalf("round %d: %v, want ErrGone", round, err)
			}
			return err != nil
		})
		t.Logf("round %d: gone after %v", round, time.Since(removed).Round(time.Millisecond))
		until(t, goneWithin-time.Since(removed), "the state says so", func() bool { return w.State().Status == hsm.Gone })
		began := time.Now()
		if err := w.try(t); !errors.Is(err, hsm.ErrGone) || time.Since(began) > 100*time.Millisecond {
			t.Errorf("round %d: a call after %v: %v", round, time.Since(began), err)
		}
		if state := w.State(); state.Reason == "" {
			t.Error("no reason is given")
		}
		w.Return(t)
		returned := time.Now()
		until(t, backWithin, "the module is back", func() bool { return w.State().Status == hsm.Ready })
		t.Logf("round %d: back after %v", round, time.Since(returned).Round(time.Millisecond))
		check(t, w.try(t))
		if state := w.State(); state.Recoveries != uint64(round)+1 {
			t.Errorf("%d recoveries in round %d", state.Recoveries, round)
		}
	}
	want := []hsm.Status{hsm.Ready, hsm.Gone, hsm.Ready, hsm.Gone, hsm.Ready}
	if got := w.changes.all(); !slices.Equal(got, want) {
		t.Errorf("changes %v, want %v", got, want)
	}
}

// lostSessions: nobody notices but the counters. Every call is tried once more, in a new session with new handles.
func (s suite) lostSessions(t *testing.T) {
	rig := s.newRig(t)
	if rig.CutSessions == nil {
		return // sessions of this kind of module are not lost one by one
	}
	w := s.working(t, rig, rig.Open(t))
	before := w.State()
	for range 3 {
		w.CutSessions(t, w.backend)
		check(t, w.try(t))
	}
	after := w.State()
	if after.Status != hsm.Ready || after.Recoveries != before.Recoveries {
		t.Errorf("afterwards: %+v", after)
	}
	if loads := after.Misses - before.Misses; loads < 9 {
		t.Errorf("%d of 9 lost seeds were loaded again", loads)
	}
}

// lostLogin: calls fail as on a module that is gone, or work, and soon all works again.
func (s suite) lostLogin(t *testing.T) {
	rig := s.newRig(t)
	if rig.CutLogin == nil {
		return // there is no login
	}
	w := s.working(t, rig, rig.Open(t))
	for range 2 {
		w.CutLogin(t, w.backend)
		until(t, backWithin, "all works again", func() bool {
			err := w.try(t)
			if err != nil && !errors.Is(err, hsm.ErrGone) {
				t.Fatalf("%v, want ErrGone", err)
			}
			return err == nil && w.State().Status == hsm.Ready
		})
	}
}

// wrongPIN: a module that refuses the PIN is asked exactly once.
func (s suite) wrongPIN(t *testing.T) {
	rig := s.newRig(t)
	if rig.PIN == nil {
		return
	}
	var asked atomic.Int32
	_, err := rig.PIN.Open(func() (*hsm.Secret, error) {
		asked.Add(1)
		return hsm.NewSecret([]byte(rig.PIN.Wrong)), nil
	})
	if !errors.Is(err, hsm.ErrPIN) || asked.Load() != 1 {
		t.Errorf("%v after %d tries, want ErrPIN after 1", err, asked.Load())
	}
	if bytes.Contains([]byte(fmt.Sprint(err)), []byte(rig.PIN.Wrong)) {
		t.Errorf("the PIN is in the message: %v", err)
	}
	if !rig.PIN.Warned(t) {
		t.Error("the module has not counted the refused PIN: was it asked at all?")
	}
	check(t, rig.Open(t).Close())
	if rig.PIN.Warned(t) {
		t.Error("the module still counts after a good PIN")
	}
}

// changedPIN: the PIN is no longer right when the module comes back. It is tried once, whatever is called, however
// long the module is there.
func (s suite) changedPIN(t *testing.T) {
	rig := s.newRig(t)
	if rig.PIN == nil {
		return
	}
	var asked atomic.Int32
	backend, err := rig.PIN.Open(func() (*hsm.Secret, error) {
		if asked.Add(1) == 1 {
			return hsm.NewSecret([]byte(rig.PIN.Right)), nil
		}
		return hsm.NewSecret([]byte(rig.PIN.Wrong)), nil
	})
	check(t, err)
	w := s.working(t, rig, backend)
	w.Remove(t)
	until(t, goneWithin, "the module is gone", func() bool { return w.State().Status == hsm.Gone })
	w.Return(t)
	until(t, backWithin, "the PIN is refused", func() bool { return w.State().Status == hsm.PINRefused })
	until(t, backWithin, "more calls", func() bool {
		if err := w.try(t); !errors.Is(err, hsm.ErrPIN) {
			t.Fatalf("%v, want ErrPIN", err)
		}
		if err := w.backend.Recover(t.Context()); !errors.Is(err, hsm.ErrPIN) {
			t.Fatalf("recovering: %v, want ErrPIN", err)
		}
		return time.Since(w.State().Since) > 300*time.Millisecond // three of the watcher's rounds
	})
	if n := asked.Load(); n != 2 {
		t.Errorf("the PIN was asked for %d times, want 2", n)
	}
	want := []hsm.Status{hsm.Ready, hsm.Gone, hsm.PINRefused}
	if got := w.changes.all(); !slices.Equal(got, want) {
		t.Errorf("changes %v, want %v", got, want)
	}
}
