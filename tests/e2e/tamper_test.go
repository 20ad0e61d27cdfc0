package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance/account"
)

// TestAChangedStateStopsItsNode: somebody with a node's disk changes its state, while the node is off, so that nothing
// replays over it. The node finds out at the next checkpoint after the change has told, says at which size, and ends; it
// does so again when it is started again. The others go on.
func TestAChangedStateStopsItsNode(t *testing.T) {
	r := powerToWreck(t)
	t.Run("the tree", func(t *testing.T) {
		victim, name := (r.leader(t)+1)%r.count(), r.account(t)
		r.tamper(t, victim, "m/tree", func(edge []byte) []byte {
			edge[len(edge)-1] ^= 1 // of the smallest subtree
			return edge
		})
		r.stops(t, victim, name, "root")
		r.endsItself(t, victim, func() {}) // nor does it come back to life
		r.replace(t, victim)
	})
	t.Run("an account", func(t *testing.T) {
		victim, name := (r.leader(t)+1)%r.count(), r.account(t)
		r.importSeed(t, name)
		for range 5 {
			r.guess(t, -1, name)
		}
		r.tamper(t, victim, "s/a/"+tenant+"\x00"+name, func(record []byte) []byte {
			state, err := account.DecodeState(record)
			check(t, err)
			if state.Failures == 0 {
				t.Fatalf("the account has %d failures, want some", state.Failures)
			}
			state.Attempts = account.Attempts{} // more guesses
			return account.EncodeState(state)
		})
		r.stops(t, victim, name, "the same root and another state")
		r.replace(t, victim)
	})
}

// TestAChangedFileIsNotServed: a byte of an entry is changed in a node's file of the log, while it runs. The node refuses to
// serve it and its log says why, and the others do serve it; started again, the node has got the file from them.
func TestAChangedFileIsNotServed(t *testing.T) {
	r := powerToWreck(t)
	load := r.busyWith(t, r.counter(t), r.counter(t), r.counter(t), r.counter(t))
	load.await(t, 256) // a bundle
	load.end(t)
	victim := (r.leader(t) + 1) % r.count()
	other, chassis := (victim+1)%r.count(), r.rack.Chassis[victim]
	ctx := deadline(t, time.Minute)
	_, head := r.signed(t, r.at(t, victim))
	path := onDisk(chassis, "key-usage-log", head.Tree(), "tile", "entries", "000")
	eventually(t, 10*time.Second, func(context.Context) error { _, err := os.Stat(path); return err })
	want, err := r.at(t, other).LogEntries(ctx, 0, 200)
	check(t, err)
	same := func() error {
		got, err := r.at(t, victim).LogEntries(deadline(t, 2*time.Second), 0, 200)
		if err == nil && !slices.EqualFunc(got, want, bytes.Equal) {
			t.Error("the node serves other entries than the others do")
		}
		return err
	}
	check(t, same())
	bundle, err := os.ReadFile(path)
	check(t, err)
	changed := bytes.Replace(bundle, []byte(`"outcome":"done"`), []byte(`"outcome":"none"`), 1)
	if bytes.Equal(changed, bundle) {
		t.Fatal("the file has no entry to change")
	}
	check(t, os.WriteFile(path, changed, 0o600))
	if err := same(); err == nil {
		t.Error("the node serves a file that was changed")
	}
	if said, err := chassis.Logs(); err != nil || !strings.Contains(said, path+", or a tile above it, is not what was written") {
		t.Errorf("the node's log does not name the file: %v", err)
	}
	if _, err := r.at(t, other).LogEntries(ctx, 0, 200); err != nil {
		t.Errorf("another node: %v", err)
	}
	r.kill(t, victim)
	r.back(t, victim)
	eventually(t, 20*time.Second, func(context.Context) error { return same() })
	if mended, err := os.ReadFile(path); err != nil || !bytes.Equal(mended, bundle) {
		t.Errorf("the file was not mended: %v", err)
	}
}

// tamper changes a record in the state of a node.
func (r *rig) tamper(t *testing.T, node int, key string, how func([]byte) []byte) {
	t.Helper()
	chassis := r.rack.Chassis[node]
	check(t, chassis.PowerOff())
	withState(t, chassis, func(db *pebble.DB) { change(t, db, key, how) })
}

// endsItself starts a node, has something done, and wants the node to end itself because it must not go on.
func (r *rig) endsItself(t *testing.T, node int, do func()) {
	t.Helper()
	chassis := r.rack.Chassis[node]
	err := chassis.PowerOn(deadline(t, 30*time.Second))
	if err == nil {
		do()
		err = chassis.AwaitEnd(deadline(t, 30*time.Second))
	}
	if err == nil || !strings.Contains(err.Error(), "exit status 70") {
		t.Fatalf("the node that was changed: %v, want it to end with status 70", err)
	}
}

// guess sends a wrong code, to any node but one at first.
func (r *rig) guess(t *testing.T, but int, name string) {
	t.Helper()
	got, err := r.ask(t.Context(), but+1, name, "000000", rand.Text())
	if err != nil || got.Outcome != wire.Wrong {
		t.Errorf("a guess: %+v, %v, want wrong", got, err)
	}
}

// stops starts a node and has the others asked about an account: the node must end itself and say why, and they go on.
func (r *rig) stops(t *testing.T, node int, name, difference string) {
	t.Helper()
	chassis := r.rack.Chassis[node]
	r.endsItself(t, node, func() { r.guess(t, node, name) })
	said, err := chassis.Logs()
	check(t, err)
	at := strings.LastIndex(said, "this node's state differs from the cluster's")
	if at < 0 {
		t.Fatalf("the node ended, and says nothing of its state:\n%s", said[max(0, len(said)-2000):])
	}
	line, _, _ := strings.Cut(said[at:], "\n")
	for n, c := range r.rack.Chassis {
		if n != node && !strings.Contains(line, c.ID()) {
			t.Errorf("%q does not name %s, which agrees with the cluster", line, c.ID())
		}
	}
	if !strings.Contains(line, difference) {
		t.Errorf("%q does not say that it is %s", line, difference)
	}
	var size, agreed int64
	var tree string
	if _, err := fmt.Sscanf(line[strings.Index(line, "at size"):], "at size %d of the log's tree %s", &size, &tree); err != nil {
		t.Fatalf("%q names no size: %v", line, err)
	}
	if _, err := fmt.Sscanf(line[strings.Index(line, "they agreed"):], "they agreed at size %d", &agreed); err != nil || agreed >= size {
		t.Errorf("%q says that they agreed at size %d: %v", line, agreed, err)
	}
	// The others have signed that size without it, and go on.
	other := (node + 1) % r.count()
	head, err := r.at(t, other).LogHead(deadline(t, 10*time.Second))
	check(t, err)
	h := r.history(t, other, head.Size)
	if tree = strings.TrimSuffix(tree, ","); tree != h.tree || size > head.Size-h.first {
		t.Errorf("%q names tree %s, and the log is tree %s of size %d", line, tree, h.tree, head.Size-h.first)
	}
	signed := r.signedAt(t, other, h, size)
	if signed.Root != h.root(signed.Size) || slices.Contains(signed.Signed, chassis.ID()) && signed.Size == size {
		t.Errorf("the others' checkpoint is %+v", signed)
	}
	r.guess(t, node, name)
	head, err = r.at(t, other).LogHead(deadline(t, 10*time.Second))
	check(t, err)
	r.signedAt(t, other, h, head.Size-h.first)
}

// replace does as the message says: the node is removed, and a new one joins in its place.
func (r *rig) replace(t *testing.T, node int) {
	t.Helper()
	ctx, chassis := deadline(t, time.Minute), r.rack.Chassis[node]
	check(t, r.rack.Replace(ctx, chassis))
	check(t, r.rack.Join(ctx, chassis))
	r.powerOn(t, node)
	r.ready(t)
	check(t, r.rack.AwaitVoters(ctx))
}
