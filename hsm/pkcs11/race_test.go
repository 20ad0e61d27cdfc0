package pkcs11_test

import (
	"sync"
	"testing"
)

// SoftHSM loses a key that is being made when another thread searches the token meanwhile: without tokenObjects, two of
// three fail here.
func TestPingsLeaveKeysInTheMakingAlone(t *testing.T) {
	b := newToken(t).open(t)
	defer func() { _ = b.Close() }()
	maker, err := b.OpenSession(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pinger, err := b.OpenSession(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := maker.CreateWrappingKey(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if err := pinger.Ping(); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for range 5 {
		if _, err := maker.CreateTransportKey(); err != nil {
			t.Error(err)
		}
	}
	close(done)
	wg.Wait()
}
