package e2e

import (
	"context"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"strongroom.internal/appliance/audit"
	firmwaresim "strongroom.internal/firmware-sim"
)

// rounds are the points at which nodes die: see cluster/failpoint. One of the two writes the log's files, the other signs;
// soaking has each on the leader and on a follower.
var rounds = []struct{ leader, follower string }{
	{"log-intended", "log-tile"},
	{"log-intent", "log-published"},
	{"log-remembered", "log-voted"},
	{"log-signed", "log-dropped"},
}

// TestKilledBetweenTheSteps: SIGKILL between intent, signature, files and publication, of the leader and of a follower. No
// second root at a size was ever signed by anybody, no answered verification is lost, and the log goes on.
func TestKilledBetweenTheSteps(t *testing.T) {
	r := powerToWreck(t)
	r.needFailpoints(t)
	var guests []guest
	for range 8 {
		guests = append(guests, r.counter(t))
	}
	load := r.busyWith(t, guests...)
	said := newSayings(r)
	for _, round := range append(rounds, moreRounds...) {
		leader := r.leader(t)
		victims := map[int]string{leader: round.leader, (leader + 1) % r.count(): round.follower}
		r.killAt(t, victims)
		for node := range victims {
			said.of(t, node)
		}
		r.back(t, slices.Collect(maps.Keys(victims))...)
		load.await(t, 20)
		said.served(t)
	}
	answers := load.end(t)
	h := r.same(t)
	h.account(t, r.actor(), answers)
	for node := range r.nodes() {
		r.kill(t, node)
		said.of(t, node)
	}
	r.back(t, r.nodes()...)
	said.agree(t, h, r.policy(t, h.tree))
}

// needFailpoints fails where the nodes' program has no failpoints.
func (r *rig) needFailpoints(t *testing.T) {
	t.Helper()
	info, err := buildinfo.ReadFile(os.Getenv(firmwaresim.BinaryVariable))
	if os.Getenv(firmwaresim.BinaryVariable) == "" {
		return // it was built for this test
	}
	check(t, err)
	for _, s := range info.Settings {
		if s.Key == "-tags" && strings.Contains(s.Value, "failpoints") {
			return
		}
	}
	t.Fatalf("%s has no failpoints: go build -race -tags failpoints -o bin/race/ ./cmd/strongroom", os.Getenv(firmwaresim.BinaryVariable))
}

// failpointFile is where a chassis's node looks for the point at which it is to die.
func (r *rig) failpointFile(node int) string {
	return filepath.Join(r.rack.Chassis[node].Dir(), "failpoint")
}

// killAt has nodes die, each at its point, under load.
func (r *rig) killAt(t *testing.T, at map[int]string) {
	t.Helper()
	for node, point := range at {
		check(t, os.WriteFile(r.failpointFile(node), []byte(point), 0o600))
	}
	for node, point := range at {
		err := r.rack.Chassis[node].AwaitEnd(deadline(t, 30*time.Second))
		if err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("node %d at %s: %v, want it killed", node, point, err)
		}
		check(t, os.Remove(r.failpointFile(node)))
	}
}

// back powers nodes on again, all at once, and waits until the whole rack is ready.
func (r *rig) back(t *testing.T, nodes ...int) {
	t.Helper()
	errs := make([]error, len(nodes))
	ctx := deadline(t, time.Minute)
	var wg sync.WaitGroup
	for i, node := range nodes {
		wg.Go(func() { errs[i] = r.rack.Chassis[node].PowerOn(ctx) })
	}
	wg.Wait()
	check(t, errors.Join(errs...))
	r.ready(t)
}

// sayings are what nodes have ever said of the log's roots, by whatever way it could get out.
type sayings struct {
	r    *rig
	root map[sized]map[[32]byte]string // who said so first
	sigs map[signature]bool
	note map[string]bool
}

type sized struct {
	tree string
	size int64
}

func newSayings(r *rig) *sayings {
	return &sayings{r, map[sized]map[[32]byte]string{}, map[signature]bool{}, map[string]bool{}}
}

func (s *sayings) hear(tree string, size int64, root [32]byte, who string) {
	at := sized{tree, size}
	if s.root[at] == nil {
		s.root[at] = map[[32]byte]string{}
	}
	if s.root[at][root] == "" {
		s.root[at][root] = who
	}
}

// of reads what a node that is off has signed: the signatures in its Raft log, its own and others', and what it noted
// before it signed, whether or not that ever got out.
func (s *sayings) of(t *testing.T, node int) {
	t.Helper()
	chassis := s.r.rack.Chassis[node]
	for _, sig := range signatures(t, chassis) {
		s.sigs[sig] = true
		s.hear(sig.tree, sig.size, sig.root, "the signature of "+sig.node)
	}
	raw, err := os.ReadFile(filepath.Join(chassis.DataDir(), "signed-checkpoint.json"))
	check(t, err)
	var noted struct {
		Tree string
		Size int64
		Root string
	}
	check(t, json.Unmarshal(raw, &noted))
	root, err := hex.DecodeString(noted.Root)
	check(t, err)
	s.hear(noted.Tree, noted.Size, [32]byte(root), "the memory of "+chassis.ID())
}

// served reads the checkpoints that the nodes serve, until each has one of all entries that there are now.
func (s *sayings) served(t *testing.T) {
	t.Helper()
	head, err := s.r.auditor(t).LogHead(deadline(t, 10*time.Second))
	check(t, err)
	for node := range s.r.nodes() {
		c := s.r.at(t, node)
		eventually(t, 20*time.Second, func(ctx context.Context) error {
			note, err := c.LogResource(ctx, head.Tree, "checkpoint")
			if err != nil {
				return err
			}
			s.note[string(note)] = true
			text, _, _ := strings.Cut(string(note), "\n\n")
			_, size, _, err := audit.ParseCheckpointText(text + "\n")
			check(t, err)
			if size < head.Size {
				return fmt.Errorf("node %d: a checkpoint of size %d after %d entries", node, size, head.Size)
			}
			return nil
		})
	}
}

// agree checks all that was said against the log as it is in the end.
func (s *sayings) agree(t *testing.T, h *history, policy *audit.Policy) {
	t.Helper()
	for note := range s.note {
		head, err := policy.Open([]byte(note))
		if err != nil {
			t.Errorf("a node served\n%s\nand %v", note, err)
			continue
		}
		s.hear(head.Tree(), head.Size, head.Root, "a checkpoint")
	}
	for at, roots := range s.root {
		if len(roots) > 1 {
			t.Errorf("there are %d roots at size %d of tree %s: %x", len(roots), at.size, at.tree, roots)
		}
	}
	s.follow(t, h)
	t.Logf("%d checkpoints were served and %d signatures proposed, of %d sizes", len(s.note), len(s.sigs), len(s.root))
	if len(s.note) < len(rounds) || len(s.sigs) < len(s.note) {
		t.Error("too few for a test of what they say")
	}
}

// follow checks that each size that was spoken of is an earlier state of the log, by the proofs that an auditor would ask
// for.
func (s *sayings) follow(t *testing.T, h *history) {
	t.Helper()
	size := int64(len(h.raw)) - h.first
	hashes := h.hashes(t)
	root := tlog.Hash(h.root(size))
	for at, roots := range s.root {
		for said, who := range roots {
			if at.tree != h.tree || at.size > size {
				t.Errorf("%s is about size %d of tree %s, which has %d entries", who, at.size, at.tree, size)
				continue
			}
			proof, err := tlog.ProveTree(size, at.size, hashes)
			check(t, err)
			if err := tlog.CheckTree(proof, size, root, at.size, tlog.Hash(said)); err != nil {
				t.Errorf("%s, of size %d: %v", who, at.size, err)
			}
		}
	}
}
