package pkcs11_test

import (
	"testing"
)

// A crash between the wrapping key's arrival and the transport key's end must not leave a key behind that could take the
// package in once more. One of a join that is still under way has to stay.
func TestOpenEndsALeftOverTransportKey(t *testing.T) {
	for _, joined := range []bool{true, false} {
		k := newToken(t)
		first := k.open(t)
		defer func() { _ = first.Close() }()
		s, err := first.OpenSession(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if joined {
			if err := s.CreateWrappingKey(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.CreateTransportKey(); err != nil {
			t.Fatal(err)
		}
		second := k.open(t)
		defer func() { _ = second.Close() }()
		if _, left := newThief(t, k).keys()["strongroom-transport"]; left == joined {
			t.Errorf("with a wrapping key %v: the transport key is left %v", joined, left)
		}
	}
}
