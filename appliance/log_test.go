package appliance_test

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/audit"
	"strongroom.internal/appliance/audit/index"
	"strongroom.internal/hsm"
)

// guess is an attempt whose code is none of the account's.
func (n *node) guess(t *testing.T, c appliance.Caller, name string, receipt bool) appliance.Verification {
	t.Helper()
	v, err := n.Verify(t.Context(), c, "", name, appliance.VerifyRequest{Code: code(t, []byte("x"), time.Now()), Receipt: receipt})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A receipt has the entry, which says spent where the answer says wrong: who isn't told in the answer isn't told by it.
func TestReceiptsTellNoMoreThanAnswers(t *testing.T) {
	n, c := newNode(t), tenant(t)
	raw, err := n.LogPolicy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	policy, err := audit.ParsePolicy(raw)
	if err != nil {
		t.Fatal(err)
	}
	key, public := newDeviceKey(t)
	if _, _, err := n.PutAccount(t.Context(), c, "", "alice", ""); err != nil {
		t.Fatal(err)
	}
	device, err := n.EnrolDevice(t.Context(), c, "", "alice", "", appliance.DeviceRequest{PublicKey: public})
	if err != nil {
		t.Fatal(err)
	}
	seed, err := hsm.OpenEnvelope(key, device.Binding, device.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	right := code(t, seed.Reveal(), time.Now())
	verify := func() appliance.Verification {
		t.Helper()
		v, err := n.Verify(t.Context(), c, "", "alice", appliance.VerifyRequest{Code: right, Receipt: true})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	proves := func(receipt []byte, entry int64, outcome string) {
		t.Helper()
		r, err := audit.VerifyReceipt(policy, receipt)
		if err != nil || r.Entry.Index != entry || r.Entry.Outcome != outcome {
			t.Errorf("a receipt of entry %d, %s, proves %+v, %v", entry, outcome, r, err)
		}
	}
	accepted := verify()
	proves(accepted.Receipt, accepted.Entry, "accepted")
	for name, v := range map[string]appliance.Verification{"spent": verify(), "wrong": n.guess(t, c, "alice", true)} {
		if v.Outcome != account.Wrong || v.Receipt != nil {
			t.Errorf("%s: %v with the receipt %q", name, v.Outcome, v.Receipt)
		}
		if _, err := n.AccountReceipt(t.Context(), c, "alice", v.Entry); !errors.Is(err, appliance.ErrPolicy) {
			t.Errorf("%s, asked for later: %v", name, err)
		}
	}
	if err := n.SetPolicy(t.Context(), operator, c.Tenant, appliance.Policy{TellSpent: true}); err != nil {
		t.Fatal(err)
	}
	spent, wrong := verify(), n.guess(t, c, "alice", true)
	proves(spent.Receipt, spent.Entry, "spent")
	proves(wrong.Receipt, wrong.Entry, "wrong")
	later, err := n.AccountReceipt(t.Context(), c, "alice", spent.Entry)
	if err != nil {
		t.Fatal(err)
	}
	proves(later, spent.Entry, "spent")

	// Nobody gets another's.
	if _, _, err := n.PutAccount(t.Context(), c, "", "bob", ""); err != nil {
		t.Fatal(err)
	}
	stranger := tenant(t)
	if _, _, err := n.PutAccount(t.Context(), stranger, "", "alice", ""); err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]func() ([]byte, error){
		"another account":   func() ([]byte, error) { return n.AccountReceipt(t.Context(), c, "bob", spent.Entry) },
		"another tenant":    func() ([]byte, error) { return n.AccountReceipt(t.Context(), stranger, "alice", spent.Entry) },
		"the cluster's":     func() ([]byte, error) { return n.AccountReceipt(t.Context(), c, "alice", 0) },
		"no entry":          func() ([]byte, error) { return n.AccountReceipt(t.Context(), c, "alice", 1<<40) },
		"no account":        func() ([]byte, error) { return n.AccountReceipt(t.Context(), c, "nobody", spent.Entry) },
		"a negative number": func() ([]byte, error) { return n.AccountReceipt(t.Context(), c, "alice", -1) },
	} {
		if _, err := ask(); !errors.Is(err, appliance.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
	}
}

// News are a new entry, and a checkpoint of more.
func TestLogNews(t *testing.T) {
	n, c := newNode(t), tenant(t)
	eventually(t, func() error { // until there is nothing more to sign
		trees, err := n.LogTrees(t.Context())
		if err != nil {
			return err
		}
		if last := trees[len(trees)-1]; appliance.SignedUpTo(trees) != last.First+last.Size {
			return errors.New("not all is signed")
		}
		return nil
	})
	trees, err := n.LogTrees(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	size := appliance.SignedUpTo(trees)
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := n.LogNews(short, size, size); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without news: %v", err)
	}
	if err := n.LogNews(t.Context(), size-1, size); err != nil {
		t.Errorf("an entry that is there: %v", err)
	}
	if err := n.LogNews(t.Context(), size, size-1); err != nil {
		t.Errorf("a checkpoint that is there: %v", err)
	}
	signed := make(chan error, 1)
	go func() { signed <- n.LogNews(t.Context(), 1<<40, size) }()
	v := n.guess(t, c, "nobody", false)
	if err := n.LogNews(t.Context(), v.Entry, 1<<40); err != nil {
		t.Errorf("a new entry: %v", err)
	}
	if err := <-signed; err != nil {
		t.Errorf("a new checkpoint: %v", err)
	}
}

// What a tree doesn't have is not found; what it has is given at any width that it had.
func TestLogTilesThatAreNotThere(t *testing.T) {
	n := newNode(t)
	trees, err := n.LogTrees(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tree := trees[0].Tree
	for width := 1; width <= int(trees[0].Size); width++ {
		tile, err := n.LogTile(t.Context(), tree, 0, 0, width)
		if err != nil || len(tile) != 32*width {
			t.Errorf("a tile of width %d: %d bytes, %v", width, len(tile), err)
		}
		if bundle, err := n.LogBundle(t.Context(), tree, 0, width); err != nil || !strings.Contains(string(bundle), `"operation":"found-cluster"`) {
			t.Errorf("a bundle of width %d: %v", width, err)
		}
	}
	for name, ask := range map[string]func() ([]byte, error){
		"too wide":      func() ([]byte, error) { return n.LogTile(t.Context(), tree, 0, 0, 256) },
		"too far":       func() ([]byte, error) { return n.LogBundle(t.Context(), tree, 1<<40, 1) },
		"too high":      func() ([]byte, error) { return n.LogTile(t.Context(), tree, 63, 0, 1) },
		"no tree":       func() ([]byte, error) { return n.LogTile(t.Context(), "../../etc", 0, 0, 1) },
		"no checkpoint": func() ([]byte, error) { return n.LogCheckpoint(t.Context(), "1999") },
	} {
		if _, err := ask(); !errors.Is(err, appliance.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
	}
}

// A search pages through all that matches in either order, and knows an account by its name for as long as it lives.
// TestWitnessesThatNoPolicyCanHave are refused: they would stand in the one that auditors are given.
func TestWitnessesThatNoPolicyCanHave(t *testing.T) {
	n, ctx := newNode(t), t.Context()
	_, pkix := newDeviceKey(t)
	parsed, err := x509.ParsePKIXPublicKey(pkix)
	if err != nil {
		t.Fatal(err)
	}
	good, err := audit.CosignerVerifierKey("witness.example", parsed)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := audit.LogVerifierKey("witness.example", ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := n.LogPolicy(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, own, _ := strings.Cut(string(raw), "witness n1 ")
	own, _, _ = strings.Cut(own, "\n")
	const url = "https://witness.example/"
	for name, list := range map[string][]audit.Witness{
		"no cosigner's key": {{VKey: plain, URL: url}},
		"a node's own key":  {{VKey: own, URL: url}},
		"two words":         {{VKey: good, URL: url + "a b"}},
		"nothing like it":   {{VKey: "x", URL: url}},
	} {
		var invalid *appliance.InvalidError
		if err := n.SetLogWitnesses(ctx, operator, list); !errors.As(err, &invalid) {
			t.Errorf("%s: %v, want it refused", name, err)
		}
	}
	if err := n.SetLogWitnesses(ctx, operator, []audit.Witness{{VKey: good, URL: url}}); err != nil {
		t.Fatal(err)
	}
	if raw, err = n.LogPolicy(ctx); err != nil || !strings.Contains(string(raw), good) {
		t.Fatalf("%s, %v", raw, err)
	}
	if _, err := audit.ParsePolicy(raw); err != nil {
		t.Error(err)
	}
	if err := n.SetLogWitnesses(ctx, operator, nil); err != nil {
		t.Fatal(err)
	}
}

func TestSearchLog(t *testing.T) {
	n, c := newNode(t), tenant(t)
	if _, _, err := n.PutAccount(t.Context(), c, "", "alice", ""); err != nil {
		t.Fatal(err)
	}
	var want []int64
	for range 7 {
		want = append(want, n.guess(t, c, "alice", false).Entry)
		n.guess(t, c, "nobody", false)
	}
	search := func(q appliance.LogQuery) (found []int64, account string) {
		t.Helper()
		for pages := 0; ; pages++ {
			p, err := n.SearchLog(t.Context(), q)
			if err != nil || pages > 20 {
				t.Fatalf("%+v: %v after %d pages", q, err, pages)
			}
			for _, f := range p.Found {
				e, err := audit.ParseEntry(f.Entry)
				if err != nil || e.Index != f.Index || f.Position != f.Index || f.Tree == "" {
					t.Errorf("found %+v, %v", f, err)
				}
				found = append(found, f.Index)
			}
			if q.Cursor = p.Cursor; p.Cursor == "" {
				return found, p.Account
			}
		}
	}
	guesses := appliance.LogQuery{Query: index.Query{Tenant: c.Tenant, Operation: "verify"}, Name: "alice", Oldest: true}
	for limit := range 9 {
		q := guesses
		q.Limit = limit
		if got, _ := search(q); !slices.Equal(got, want) {
			t.Errorf("at most %d a page: %v, want %v", limit, got, want)
		}
		q.Oldest = false
		got, _ := search(q)
		if slices.Reverse(got); !slices.Equal(got, want) {
			t.Errorf("at most %d a page, newest first: %v, want %v", limit, got, want)
		}
	}
	_, pseudonym := search(guesses)
	byPseudonym := guesses
	byPseudonym.Name, byPseudonym.Account = "", pseudonym
	if got, _ := search(byPseudonym); !slices.Equal(got, want) {
		t.Errorf("by the pseudonym %q: %v, want %v", pseudonym, got, want)
	}
	guessedAt := guesses
	guessedAt.Name = "nobody"
	if got, _ := search(guessedAt); len(got) != 7 {
		t.Errorf("a name that was guessed at: %v", got)
	}

	if err := n.DeleteAccount(t.Context(), c, "", "alice"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.SearchLog(t.Context(), guesses); !errors.Is(err, appliance.ErrNotFound) {
		t.Errorf("a deleted account's name: %v, want ErrNotFound", err)
	}
	if got, _ := search(byPseudonym); !slices.Equal(got, want) {
		t.Errorf("a deleted account's pseudonym: %v, want %v", got, want)
	}

	var invalid *appliance.InvalidError
	for name, q := range map[string]appliance.LogQuery{
		"no tenant":     {Name: "alice"},
		"both names":    {Query: index.Query{Tenant: c.Tenant, Account: pseudonym}, Name: "alice"},
		"limit":         {Limit: appliance.MaxFound + 1},
		"negative":      {Limit: -1},
		"cursor":        {Cursor: "x"},
		"other tree":    {Cursor: "MTk5OTow"}, // 1999:0
		"far cursor":    {Cursor: cursorOf(t, n, 1<<40)},
		"before it all": {Cursor: cursorOf(t, n, -1)},
		"member":        {Query: index.Query{Key: strings.Repeat("x", 1000)}},
		"times":         {Query: index.Query{From: time.Unix(2, 0), To: time.Unix(1, 0)}},
	} {
		if _, err := n.SearchLog(t.Context(), q); !errors.As(err, &invalid) {
			t.Errorf("%s: %v, want an InvalidError", name, err)
		}
	}
}

// cursorOf makes up a cursor.
func cursorOf(t *testing.T, n *node, at int64) string {
	t.Helper()
	trees, err := n.LogTrees(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s:%d", trees[0].Tree, at))
}
