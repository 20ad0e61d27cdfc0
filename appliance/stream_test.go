package appliance_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
)

// TestNoticesFromTheirBeginning: what is committed once a stream has begun is in it, and nothing from before.
func TestNoticesFromTheirBeginning(t *testing.T) {
	n := newNode(t)
	c := tenant(t)
	for _, name := range []string{"before", "after"} {
		if _, _, err := n.PutAccount(t.Context(), c, "", name, ""); err != nil {
			t.Fatal(err)
		}
	}
	begin := func(name string) error {
		_, err := n.BeginSignIn(t.Context(), c, "", name, appliance.BeginRequest{Purpose: account.ForDevice})
		return err
	}
	if err := begin("before"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	seen := errors.New("seen")
	err := n.Notices(ctx, c, nil, func(missed bool) error {
		if missed {
			t.Error("a new stream is told that it missed something")
		}
		return begin("after")
	}, func(e appliance.NoticeEvent) error {
		if e.Type != "sign-in.begun" || !strings.Contains(string(e.Body), `"account":"after"`) {
			t.Errorf("first comes %s %s", e.Type, e.Body)
		}
		return seen
	})
	if !errors.Is(err, seen) {
		t.Errorf("the stream ended with %v", err)
	}
}
