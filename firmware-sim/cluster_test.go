package firmwaresim

import (
	"context"
	"testing"
	"time"
)

func TestRackComesUp(t *testing.T) {
	binary, err := TestBinary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := Create(t.Context(), Config{Dir: t.TempDir(), Binary: binary, Progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := r.Up(ctx); err != nil {
		t.Fatal(err)
	}
}
