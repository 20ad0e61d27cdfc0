package e2e

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
	"strongroom.internal/appliance/audit"
	firmwaresim "strongroom.internal/firmware-sim"
)

// auditor is somebody who reads the log, at one node or at all.
func (r *rig) auditor(t *testing.T, chassis ...*firmwaresim.Chassis) *client.Client {
	t.Helper()
	credentials, err := r.rack.IssueClient(deadline(t, 30*time.Second), firmwaresim.Auditor, "", "ann")
	check(t, err)
	c, err := r.rack.Client(credentials, chassis...)
	check(t, err)
	t.Cleanup(c.Close)
	return c
}

// fill makes the log longer than a bundle: guesses at several accounts, from all nodes at once.
func (r *rig) fill(t *testing.T, attempts int) (accounts []string) {
	t.Helper()
	var wg sync.WaitGroup
	for range 15 {
		accounts = append(accounts, r.account(t))
	}
	for i, name := range accounts {
		wg.Go(func() {
			for n := range attempts / len(accounts) {
				r.verify(t, (i+n)%r.count(), name, "000000", fmt.Sprint("fill-", n))
			}
		})
	}
	wg.Wait()
	return accounts
}

// signed waits for a checkpoint of the growing tree that covers all that the log has now, and opens it with the policy.
func (r *rig) signed(t *testing.T, c *client.Client) (*audit.Policy, audit.SignedHead) {
	t.Helper()
	ctx := deadline(t, 30*time.Second)
	raw, err := c.LogPolicy(ctx)
	check(t, err)
	policy, err := audit.ParsePolicy(raw)
	check(t, err)
	head, err := c.LogHead(ctx)
	check(t, err)
	for {
		trees, err := c.LogTrees(ctx)
		check(t, err)
		last := trees[len(trees)-1]
		if last.First+last.Signed < head.Size {
			check(t, ctx.Err())
			continue
		}
		note, err := c.LogResource(ctx, last.Name, "checkpoint")
		check(t, err)
		signed, err := policy.Open(note)
		check(t, err)
		if len(signed.Signed) < audit.Majority(r.count()) || signed.Origin != last.Origin {
			t.Fatalf("the checkpoint of %s is signed by %v", signed.Origin, signed.Signed)
		}
		return policy, signed
	}
}

// resources are the paths of all tiles and bundles of a tree of that size.
func resources(size int64) (paths []string) {
	for level := 0; size>>(8*level) > 0; level++ {
		count := size >> (8 * level)
		for n := int64(0); n*256 < count; n++ {
			t := tlog.Tile{H: torchwood.TileHeight, L: level, N: n, W: int(min(256, count-n*256))}
			paths = append(paths, torchwood.TilePath(t))
			if level == 0 {
				t.L = -1
				paths = append(paths, torchwood.TilePath(t))
			}
		}
	}
	return paths
}

// TestLogIsTheSameOnEveryNode: checkpoint, tiles and bundles of the tree, byte for byte, with a certificate and without.
func TestLogIsTheSameOnEveryNode(t *testing.T) {
	r := power(t)
	r.fill(t, 330)
	_, head := r.signed(t, r.auditor(t))
	if head.Size < 300 {
		t.Fatalf("the log has %d entries", head.Size)
	}
	ctx := deadline(t, time.Minute)
	var nodes []*client.Client
	for _, c := range r.rack.Chassis {
		nodes = append(nodes, r.auditor(t, c))
	}
	for _, path := range resources(head.Size) {
		want, err := nodes[0].LogResource(ctx, head.Tree(), path)
		check(t, err)
		if len(want) == 0 {
			t.Errorf("%s is empty", path)
		}
		for i, c := range r.rack.Chassis {
			got, err := nodes[i].LogResource(ctx, head.Tree(), path)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("node %d has other bytes at %s: %v", i, path, err)
			}
			public, err := get(ctx, c.LogURL()+"/"+head.Tree()+"/"+path)
			if err != nil || !bytes.Equal(public, want) {
				t.Errorf("node %d has other bytes at %s for the public: %v", i, path, err)
			}
		}
	}
	for i, c := range r.rack.Chassis {
		if _, err := get(ctx, c.LogURL()+"/"+head.Tree()+"/tile/0/x999/999"); err == nil || !strings.Contains(err.Error(), "404") {
			t.Errorf("node %d: a tile that isn't there: %v", i, err)
		}
		if _, err := get(ctx, strings.TrimSuffix(c.LogURL(), "/log")+"/v1/cluster"); err == nil {
			t.Errorf("node %d: the public listener serves the API", i)
		}
	}
}

func get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, answer.Status, body)
	}
	return body, err
}

// TestLogIsReadByOthersTools: torchwood's client reads the whole tree of each node over the public listener, and proves
// it against a checkpoint of another node that the policy is content with.
func TestLogIsReadByOthersTools(t *testing.T) {
	r := power(t)
	r.fill(t, 300)
	ctx := deadline(t, time.Minute)
	for i, c := range r.rack.Chassis {
		other := r.rack.Chassis[(i+1)%r.count()]
		_, head := r.signed(t, r.auditor(t, other))
		fetcher, err := torchwood.NewTileFetcher(c.LogURL() + "/" + head.Tree())
		check(t, err)
		reader, err := torchwood.NewClient(fetcher)
		check(t, err)
		next := int64(0)
		for position, b := range reader.AllEntries(ctx, tlog.Tree{N: head.Size, Hash: tlog.Hash(head.Root)}, 0) {
			e, err := audit.ParseEntry(b)
			if err != nil || position != next || e.Index != next { // the first tree begins with entry 0
				t.Fatalf("node %d: entry %d at position %d: %+v, %v", i, next, position, e, err)
			}
			next++
		}
		check(t, reader.Err())
		if next != head.Size {
			t.Errorf("node %d: %d entries of %d", i, next, head.Size)
		}
		raw, proof, err := reader.Entry(ctx, tlog.Tree{N: head.Size, Hash: tlog.Hash(head.Root)}, head.Size/2)
		check(t, err)
		if err := tlog.CheckRecord(proof, head.Size, tlog.Hash(head.Root), head.Size/2, tlog.RecordHash(raw)); err != nil {
			t.Errorf("node %d: the entry in the middle: %v", i, err)
		}
	}
}

// TestLogReceipts: each node proves what it answered, with a majority's signatures, and nobody gets another's.
func TestLogReceipts(t *testing.T) {
	r := power(t)
	ctx := deadline(t, time.Minute)
	policy, _ := r.signed(t, r.auditor(t))
	account, stranger := r.account(t), r.account(t)
	seed := r.importSeed(t, account)
	other, err := r.rack.IssueClient(ctx, firmwaresim.Frontend, "other", "fe1")
	check(t, err)
	foreign, err := r.rack.Client(other)
	check(t, err)
	defer foreign.Close()
	for node := range r.nodes() {
		code, want := wrongCode(t, seed), "wrong"
		if node == 0 {
			code, want = oathtool(t, seed, time.Now()), "accepted"
		}
		var v wire.Verification
		_, err := r.call(ctx, node, http.MethodPost, "/v1/accounts/"+account+"/verifications", fmt.Sprint("receipt-", node),
			map[string]any{"code": code, "receipt": true}, &v)
		check(t, err)
		proved, err := audit.VerifyReceipt(policy, []byte(v.Receipt))
		if err != nil {
			t.Fatalf("node %d: %v\n%s", node, err, v.Receipt)
		}
		e := proved.Entry
		if e.Index != v.Entry || e.Operation != "verify" || e.Outcome != want || v.Outcome != want || e.Tenant != tenant ||
			e.Node != r.rack.Chassis[node].ID() || len(proved.Head.Signed) < audit.Majority(r.count()) {
			t.Errorf("node %d answered %+v and proves %+v, signed by %v", node, v, e, proved.Head.Signed)
		}
		// Any node proves it later, to its own tenant's front-ends and about that account only.
		later := (node + 1) % r.count()
		raw, err := r.bytes(ctx, later, "/v1/accounts/"+account+"/receipts/"+fmt.Sprint(v.Entry))
		check(t, err)
		if again, err := audit.VerifyReceipt(policy, raw); err != nil || *again.Entry != *e {
			t.Errorf("node %d proves %+v, %v", later, again, err)
		}
		if _, err := r.bytes(ctx, later, "/v1/accounts/"+stranger+"/receipts/"+fmt.Sprint(v.Entry)); err == nil || !strings.Contains(err.Error(), "404") {
			t.Errorf("a receipt under another account's name: %v", err)
		}
		var p *client.Problem
		if _, err := foreign.Receipt(ctx, account, v.Entry); !errors.As(err, &p) || p.Status != http.StatusNotFound {
			t.Errorf("another tenant's front-end got a receipt: %v", err)
		}
		proof, err := r.auditor(t, r.rack.Chassis[later]).LogProofOf(ctx, e.Request)
		check(t, err)
		if again, err := audit.VerifyReceipt(policy, proof); err != nil || *again.Entry != *e {
			t.Errorf("node %d proves the request with %+v, %v", later, again, err)
		}
	}
}

// bytes is call of what isn't JSON.
func (r *rig) bytes(ctx context.Context, node int, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+r.rack.Chassis[node].APIAddr()+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := r.clients[node].Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, answer.Status, body)
	}
	return body, err
}

// TestLogIsNotForFrontends: none of its routes, whatever is asked.
func TestLogIsNotForFrontends(t *testing.T) {
	r := power(t)
	for _, request := range []string{
		"GET trees", "GET policy", "GET head", "GET entries", "GET search", "GET search?tenant=" + tenant, "GET stream?from=0", "GET proofs?entry=0",
		"GET retention", "PUT retention", "GET witnesses", "PUT witnesses", "POST archives", "POST prunings", "GET 2026/checkpoint",
		"GET 2026/tile/0/000.p/1", "GET 2026/tile/entries/000.p/1",
	} {
		method, path, _ := strings.Cut(request, " ")
		for node := range r.nodes() {
			status, err := r.call(deadline(t, 10*time.Second), node, method, "/v1/log/"+path, "", nil, nil)
			if status != http.StatusForbidden {
				t.Errorf("node %d: %s: %d, %v", node, request, status, err)
			}
		}
	}
}

// TestLogIsSearched: by each member, on each node, all that match and nothing else.
func TestLogIsSearched(t *testing.T) {
	r := power(t)
	accounts := r.fill(t, 300)
	before := time.Now()
	seed := r.importSeed(t, accounts[0])
	accepted := r.verify(t, 1, accounts[0], oathtool(t, seed, time.Now()), "found-by-its-key")
	if accepted.Outcome != "accepted" {
		t.Fatalf("%+v", accepted)
	}
	ctx := deadline(t, time.Minute)
	all := map[int64]*audit.Entry{}
	var target *audit.Entry
	whole := r.auditor(t)
	for from := int64(0); ; {
		entries, err := whole.LogEntries(ctx, from, 512)
		check(t, err)
		if len(entries) == 0 {
			break
		}
		for _, b := range entries {
			e, err := audit.ParseEntry(b)
			check(t, err)
			all[from] = e
			if from == accepted.Entry {
				target = e
			}
			from++
		}
	}
	if target == nil || len(target.Request) != 32 {
		t.Fatalf("the accepted attempt's entry is %+v", target)
	}
	id := audit.RequestID(target.Actor, "found-by-its-key")
	requestOf := hex.EncodeToString(id[:])
	if target.Request == requestOf {
		t.Error("an account's entry names its request without salt")
	}
	searches := map[string]struct {
		q     client.LogQuery
		match func(*audit.Entry) bool
	}{
		"tenant":    {client.LogQuery{Tenant: tenant}, func(e *audit.Entry) bool { return e.Tenant == tenant }},
		"account":   {client.LogQuery{Tenant: tenant, Account: accounts[0]}, func(e *audit.Entry) bool { return e.Account == target.Account }},
		"pseudonym": {client.LogQuery{Pseudonym: target.Account}, func(e *audit.Entry) bool { return e.Account == target.Account }},
		"key":       {client.LogQuery{Key: target.Key}, func(e *audit.Entry) bool { return e.Key == target.Key }},
		"subject":   {client.LogQuery{Subject: tenant}, func(e *audit.Entry) bool { return e.Subject == tenant }},
		"actor":     {client.LogQuery{Actor: target.Actor}, func(e *audit.Entry) bool { return e.Actor == target.Actor }},
		"operation": {client.LogQuery{Operation: "join-node"}, func(e *audit.Entry) bool { return e.Operation == "join-node" }},
		"outcome":   {client.LogQuery{Outcome: "accepted"}, func(e *audit.Entry) bool { return e.Outcome == "accepted" }},
		"request of": {
			client.LogQuery{Tenant: tenant, Account: accounts[0], RequestOf: requestOf},
			func(e *audit.Entry) bool { return e.Request == target.Request },
		},
		"request": {client.LogQuery{Request: target.Request}, func(e *audit.Entry) bool { return e.Request == target.Request }},
		"node":    {client.LogQuery{Node: target.Node}, func(e *audit.Entry) bool { return e.Node == target.Node }},
		"from": {client.LogQuery{From: before}, func(e *audit.Entry) bool {
			return e.Time >= before.UnixMilli()+1 || time.UnixMilli(e.Time).Equal(before)
		}},
		"to":  {client.LogQuery{To: before}, func(e *audit.Entry) bool { return time.UnixMilli(e.Time).Before(before) }},
		"all": {client.LogQuery{}, func(*audit.Entry) bool { return true }},
		"two": {
			client.LogQuery{Operation: "verify", Outcome: "wrong"},
			func(e *audit.Entry) bool { return e.Operation == "verify" && e.Outcome == "wrong" },
		},
	}
	for node, chassis := range r.rack.Chassis {
		c := r.auditor(t, chassis)
		for name, s := range searches {
			var want []int64
			for i, e := range all {
				if s.match(e) {
					want = append(want, i)
				}
			}
			slices.Sort(want)
			for _, oldest := range []bool{true, false} {
				s.q.Oldest, s.q.Limit, s.q.Cursor = oldest, 70, ""
				var got []int64
				for {
					page, err := c.SearchLog(ctx, s.q)
					check(t, err)
					for _, f := range page.Entries {
						if e, err := audit.ParseEntry(f.Entry); err != nil || e.Index != f.Index {
							t.Fatalf("node %d, by %s: found %+v, %v", node, name, f, err)
						}
						if f.Index < int64(len(all)) { // later ones are of the search itself, and of nobody here
							got = append(got, f.Index)
						}
					}
					if s.q.Cursor = page.Cursor; page.Cursor == "" {
						break
					}
				}
				if !oldest {
					slices.Reverse(got)
				}
				if !slices.Equal(got, want) {
					t.Errorf("node %d, by %s, oldest first %v: found %d entries, want %d", node, name, oldest, len(got), len(want))
				}
			}
		}
	}
}

// TestLogIsFollowed: a follower hears of what any node does, each entry once, also when its node goes away.
func TestLogIsFollowed(t *testing.T) {
	r := power(t)
	ctx, cancel := context.WithCancel(deadline(t, time.Minute))
	defer cancel()
	c := r.auditor(t) // of all nodes; it begins with the first
	head, err := c.LogHead(ctx)
	check(t, err)
	policy, _ := r.signed(t, r.auditor(t))
	var mu sync.Mutex
	next, signed := head.Size, int64(0)
	moved := make(chan struct{}, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- c.FollowLog(ctx, head.Size, func(e client.LogEvent) error {
			mu.Lock()
			defer mu.Unlock()
			if e.Entry == nil {
				opened, err := policy.Open(e.Checkpoint)
				if err != nil || opened.Size > next {
					return fmt.Errorf("heard a checkpoint of size %d before entry %d: %w", opened.Size, next, err)
				}
				signed = opened.Size
			} else {
				parsed, err := audit.ParseEntry(e.Entry)
				if err != nil || parsed.Index != next || e.Index != next {
					return fmt.Errorf("heard %s where entry %d was next: %w", e.Entry, next, err)
				}
				next++
			}
			select {
			case moved <- struct{}{}:
			default:
			}
			return nil
		})
	}()
	await := func(size int64) {
		t.Helper()
		for {
			mu.Lock()
			done := next >= size && signed >= size
			mu.Unlock()
			if done {
				return
			}
			select {
			case <-moved:
			case err := <-ended:
				t.Fatalf("following ended: %v", err)
			}
		}
	}
	account := r.account(t)
	v := r.verify(t, 2, account, "000000", "")
	await(v.Entry + 1)
	r.kill(t, 0)
	for _, up := range r.rack.Chassis[1:] { // an election, if it led
		check(t, up.AwaitReady(deadline(t, 30*time.Second)))
	}
	v = r.verify(t, 1, account, "000000", "")
	await(v.Entry + 1)
	r.ready(t)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("following ended: %v", err)
	}
}
