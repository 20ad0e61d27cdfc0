package e2e

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
	"strongroom.internal/appliance/audit"
)

// at asks one node.
func (r *rig) at(t *testing.T, node int) *client.Client {
	t.Helper()
	return r.auditor(t, r.rack.Chassis[node])
}

// history is the whole log as one node has it, checked as far as one copy can be.
type history struct {
	raw     [][]byte
	entries []*audit.Entry
	tree    string // the newest
	first   int64  // index of its first entry
}

// history reads the log of a node up to a size, and waits until the node has that much.
func (r *rig) history(t *testing.T, node int, size int64) *history {
	t.Helper()
	c := r.at(t, node)
	ctx := deadline(t, time.Minute)
	h := &history{}
	for int64(len(h.raw)) < size {
		page, err := c.LogEntries(ctx, int64(len(h.raw)), int(min(512, size-int64(len(h.raw)))))
		check(t, err)
		for _, raw := range page {
			h.add(t, raw)
		}
		if len(page) == 0 { // it has yet to get so far
			_, err := c.LogHead(ctx)
			check(t, err)
		}
	}
	return h
}

// add is where indices without a gap, times that never run backwards and the one way to write an entry are checked.
func (h *history) add(t *testing.T, raw []byte) {
	t.Helper()
	e, err := audit.ParseEntry(raw)
	check(t, err)
	if e.Index != int64(len(h.raw)) {
		t.Fatalf("entry %d calls itself %d", len(h.raw), e.Index)
	}
	if n := len(h.entries); n > 0 && e.Time < h.entries[n-1].Time {
		t.Errorf("entry %d was made before entry %d", n, n-1)
	}
	switch e.Operation {
	case "begin-tree":
		h.tree, h.first = e.Subject, e.Index
	case "found-cluster":
		h.tree = time.UnixMilli(e.Time).UTC().Format("2006")
	}
	h.raw, h.entries = append(h.raw, raw), append(h.entries, e)
}

// root is that of the newest tree at a size.
func (h *history) root(size int64) [audit.HashSize]byte {
	var tree audit.Tree
	for _, raw := range h.raw[h.first : h.first+size] {
		tree.Append(raw)
	}
	return tree.Root()
}

// hashes are what proofs about the newest tree are made of.
func (h *history) hashes(t *testing.T) tlog.HashReader {
	t.Helper()
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		var list []tlog.Hash
		for _, i := range at {
			list = append(list, stored[i])
		}
		return list, nil
	})
	for i, raw := range h.raw[h.first:] {
		more, err := tlog.StoredHashes(int64(i), raw, read)
		check(t, err)
		stored = append(stored, more...)
	}
	return read
}

// policy is made of the keys that the members show.
func (r *rig) policy(t *testing.T, tree string) *audit.Policy {
	t.Helper()
	seen, err := r.rack.Cluster(deadline(t, 10*time.Second), r.rack.Chassis[r.leader(t)])
	check(t, err)
	var signers []audit.Signer
	for _, m := range seen.Members {
		key, err := x509.ParsePKIXPublicKey(m.LogKey)
		check(t, err)
		signers = append(signers, audit.Signer{Node: m.ID, Key: key})
	}
	text, err := audit.FormatPolicy(r.rack.TrustDomain(), tree, signers, nil)
	check(t, err)
	policy, err := audit.ParsePolicy(text)
	check(t, err)
	return policy
}

// eventually repeats a look at something until it is as it should be.
func eventually(t *testing.T, within time.Duration, look func(ctx context.Context) error) {
	t.Helper()
	ctx := deadline(t, within)
	for {
		err := look(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not within %v: %v", within, err)
		case <-time.After(20 * time.Millisecond): // a poll's pause
		}
	}
}

// signedAt waits until a node serves a checkpoint of at least that size of the newest tree, and returns it.
func (r *rig) signedAt(t *testing.T, node int, h *history, size int64) audit.SignedHead {
	t.Helper()
	c, policy := r.at(t, node), r.policy(t, h.tree)
	var head audit.SignedHead
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		note, err := c.LogResource(ctx, h.tree, "checkpoint")
		if err != nil {
			return err
		}
		if head, err = policy.Open(note); err != nil {
			t.Fatalf("node %d: %v\n%s", node, err, note)
		}
		if head.Size < size {
			return fmt.Errorf("node %d: the newest checkpoint is of size %d, and there are %d entries", node, head.Size, size)
		}
		return nil
	})
	return head
}

// same reads the log of all nodes, which must have the same bytes, and checks that the newest checkpoint is of them all.
func (r *rig) same(t *testing.T) *history {
	t.Helper()
	head, err := r.at(t, r.leader(t)).LogHead(deadline(t, 10*time.Second))
	check(t, err)
	var first *history
	for node := range r.nodes() {
		h := r.history(t, node, head.Size)
		if first == nil {
			first = h
		}
		for i := range h.raw {
			if !bytes.Equal(h.raw[i], first.raw[i]) {
				t.Fatalf("entry %d is\n%s\nat node %d, and\n%s\nat node 0", i, h.raw[i], node, first.raw[i])
			}
		}
	}
	size := head.Size - first.first
	signed := r.signedAt(t, 0, first, size)
	if signed.Size == size && signed.Root != first.root(size) {
		t.Errorf("the checkpoint of size %d has another root than the entries", size)
	}
	return first
}

// actor is the front-end's name in the log.
func (r *rig) actor() string {
	return "spiffe://" + r.rack.TrustDomain() + "/tenant/" + tenant + "/frontend/fe1"
}

// account checks that each answer has the one entry that it named, with what was answered; attempts that a lock refused,
// that they are counted.
func (h *history) account(t *testing.T, actor string, answers []answered) {
	t.Helper()
	byRequest := map[string][]*audit.Entry{}               // and account: clients may use a key for several
	refused, counted := map[string]int{}, map[string]int{} // by pseudonym
	for _, e := range h.entries {
		if e.Request != "" && e.Operation == "verify" && e.Outcome != wire.Locked {
			byRequest[e.Request+" of "+e.Account] = append(byRequest[e.Request+" of "+e.Account], e)
		}
		if e.Operation == "verify" && e.Outcome == wire.Locked {
			counted[e.Account]++
		}
		counted[e.Account] += int(e.Coalesced)
	}
	for id, entries := range byRequest {
		if len(entries) > 1 {
			t.Errorf("request %s has %d entries, the first two are\n%s\n%s", id, len(entries), h.raw[entries[0].Index], h.raw[entries[1].Index])
		}
	}
	names, keys, most := map[string]string{}, map[string]string{}, map[string]int{}
	for _, a := range answers {
		if a.Entry < 0 || a.Entry >= int64(len(h.entries)) {
			t.Errorf("%+v names an entry that is not there", a)
			continue
		}
		e := h.entries[a.Entry]
		if e.Operation != "verify" || e.Outcome != a.Outcome || e.Actor != actor {
			t.Errorf("%+v was answered, and its entry is\n%s", a, h.raw[a.Entry])
		}
		if name := names[a.account]; name == "" {
			names[a.account] = e.Account
		} else if name != e.Account {
			t.Errorf("%+v is about another account than its entry\n%s", a, h.raw[a.Entry])
		}
		most[e.Account] += a.sent - 1
		if a.Outcome == wire.Locked {
			refused[e.Account]++
			most[e.Account]++
			continue
		}
		// What an account's salt makes of a request's id is not to be computed here: it is another for every key.
		if key, ok := keys[e.Request]; ok && key != a.key || e.Request == "" {
			t.Errorf("%+v has the entry of another request\n%s", a, h.raw[a.Entry])
		}
		keys[e.Request] = a.key
	}
	for account, n := range refused {
		if got := counted[account]; got < n || got > most[account] {
			t.Errorf("a lock refused %d attempts on account %s, sent up to %d times, and the log counts %d", n, account, most[account], got)
		}
	}
}
