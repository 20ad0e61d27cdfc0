package hsmtest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.internal/hsm"
)

// callers keep a module busy until they are stopped.
type callers struct {
	group   sync.WaitGroup
	stop    atomic.Bool
	done    atomic.Uint64 // calls that gave the right answer
	refused atomic.Uint64 // calls that failed as they may
	between sync.RWMutex  // held for reading by a call
}

// busy has n callers use the module's seeds. An answer must be right; an error must be one that may be.
func (w *working) busy(t *testing.T, n int, may func(error) bool) *callers {
	c := &callers{}
	for i := range n {
		c.group.Go(func() {
			for r := i; !c.stop.Load(); r++ {
				at := r % len(w.sealed)
				c.between.RLock()
				macs, err := w.mac(t.Context(), binding(fmt.Sprint(at)), w.sealed[at], counter(1))
				c.between.RUnlock()
				switch {
				case err == nil && string(macs[0]) == string(w.macs[at]):
					c.done.Add(1)
				case err == nil:
					t.Error("another's MAC")
				case may(err):
					c.refused.Add(1)
				default:
					t.Errorf("under load: %v", err)
				}
			}
		})
	}
	t.Cleanup(c.end)
	return c
}

func (c *callers) end() {
	c.stop.Store(true)
	c.group.Wait()
}

// next waits for n more calls that succeed.
func (c *callers) next(t *testing.T, n uint64) {
	t.Helper()
	from := c.done.Load()
	until(t, backWithin, fmt.Sprintf("%d more calls", n), func() bool { return c.done.Load() >= from+n })
}

// lostUnderLoad: all callers meet dead sessions at once, and none notices. The sessions die between calls: SoftHSM frees a
// session that is closed while another thread works in it, and takes the process down.
func (s suite) lostUnderLoad(t *testing.T) {
	rig := s.newRig(t)
	if rig.CutSessions == nil {
		return
	}
	w := s.working(t, rig, rig.Open(t))
	c := w.busy(t, 8, func(error) bool { return false })
	for range 10 {
		c.next(t, 100)
		c.between.Lock()
		w.CutSessions(t, w.backend)
		c.between.Unlock()
	}
	c.next(t, 100)
	c.end()
	if state := w.State(); state.Recoveries != 0 || state.SessionsInUse != 0 {
		t.Errorf("afterwards: %+v", state)
	}
}

// removedUnderLoad: callers get the right answer or ErrGone, and all of them get answers again.
func (s suite) removedUnderLoad(t *testing.T) {
	rig := s.newRig(t)
	w := s.working(t, rig, rig.Open(t))
	c := w.busy(t, 8, func(err error) bool { return errors.Is(err, hsm.ErrGone) })
	c.next(t, 100)
	w.Remove(t)
	until(t, goneWithin, "the state says so", func() bool { return w.State().Status == hsm.Gone })
	removed := time.Now()
	until(t, goneWithin, "calls fail", func() bool { return c.refused.Load() > 0 })
	t.Logf("the first call failed %v after the state changed", time.Since(removed).Round(time.Microsecond))
	w.Return(t)
	c.next(t, 500)
	c.end()
	check(t, w.try(t))
}
