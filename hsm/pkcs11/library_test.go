package pkcs11_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"strongroom.internal/hsm"
)

// One token of a library is pulled and comes back, for which the library is started again: who uses another token of it
// gets answers or ErrGone, and then answers, without doing anything.
func TestTokensShareALibrary(t *testing.T) {
	pulled, stays := newVictim(t), newVictim(t)
	home, away := pulled.dir(t), filepath.Join(awayDir, pulled.label)
	use := func(v victim) error {
		_, err := v.pool.KeyedMAC(t.Context(), hsm.KeyCode, [][]byte{{1}})
		if err != nil && !errors.Is(err, hsm.ErrGone) {
			t.Fatalf("%v, want ErrGone", err)
		}
		return err
	}
	both := func(what string, want func() bool) {
		t.Helper()
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(10 * time.Second); !want(); <-tick.C {
			if time.Now().After(deadline) {
				t.Fatalf("not within 10 s: %s", what)
			}
		}
	}
	if err := os.Rename(home, away); err != nil {
		t.Fatal(err)
	}
	both("one is gone", func() bool { return use(pulled) != nil })
	// The search for the one starts the library again and again; the other heals in between.
	both("the other works", func() bool { return use(stays) == nil })
	if err := os.Rename(away, home); err != nil {
		t.Fatal(err)
	}
	returned := time.Now()
	both("both work", func() bool { return use(pulled) == nil && use(stays) == nil && use(pulled) == nil })
	t.Logf("both after %v", time.Since(returned).Round(time.Millisecond))
}
