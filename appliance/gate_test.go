package appliance

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestGateLetsOneAttemptAnAccountThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		var inside atomic.Int64
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				leave, err := g.enter(t.Context(), "t", "a")
				if err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d attempts are inside together", n)
				}
				time.Sleep(time.Millisecond) // virtual: whoever else can get in is in by then
				inside.Add(-1)
				leave()
			})
		}
		wg.Wait()
		if len(g.inUse) != 0 {
			t.Errorf("the gate remembers %d accounts after the last left", len(g.inUse))
		}
	})
}

func TestGateKeepsAccountsApart(t *testing.T) {
	var g gate
	leave, err := g.enter(t.Context(), "t", "a")
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	other, err := g.enter(t.Context(), "t", "b")
	if err != nil {
		t.Fatalf("another account waits for this one: %v", err)
	}
	other()
}

func TestGateWaitsNoLongerThanTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		leave, err := g.enter(t.Context(), "t", "a")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := g.enter(ctx, "t", "a"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable: nothing was done", err)
		}
		leave()
		again, err := g.enter(t.Context(), "t", "a")
		if err != nil {
			t.Fatalf("one that gave up left the gate shut: %v", err)
		}
		again()
	})
}

func TestGateRefusesAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		leave, err := g.enter(t.Context(), "t", "a")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range maxWaiting - 1 {
			wg.Go(func() {
				leave, err := g.enter(t.Context(), "t", "a")
				if err != nil {
					t.Error(err)
					return
				}
				leave()
			})
		}
		synctest.Wait()
		if _, err := g.enter(t.Context(), "t", "a"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("attempt %d: got %v, want ErrUnavailable", maxWaiting+1, err)
		}
		leave()
		wg.Wait()
	})
}
