package audittest_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"testing"

	"strongroom.internal/appliance/audit"
	"strongroom.internal/appliance/audit/audittest"
)

func makeLog(t *testing.T, c audittest.Config) *audittest.Log {
	t.Helper()
	l, err := audittest.MakeLog(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// An earlier log is the same log: what others test with it depends on that.
func TestSmallerLogIsTheSameLogEarlier(t *testing.T) {
	ctx := context.Background()
	early := makeLog(t, audittest.Config{Trees: []int64{300, 400}})
	late := makeLog(t, audittest.Config{Trees: []int64{300, 900}})
	onDisk := makeLog(t, audittest.Config{Trees: []int64{300, 900}, Dir: t.TempDir()})
	for k, tree := range early.All {
		root, err := late.Root(ctx, late.All[k], tree.Size)
		if err != nil || root != tree.Root {
			t.Errorf("tree %s had root %x at size %d, and later %x: %v", tree.Tree, tree.Root, tree.Size, root, err)
		}
	}
	for _, path := range []string{"checkpoint", "tile/0/002", "tile/0/003.p/132", "tile/1/000.p/3", "tile/entries/001"} {
		a, err1 := late.Read(ctx, "2027", path)
		b, err2 := onDisk.Read(ctx, "2027", path)
		if err := errors.Join(err1, err2); err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s is not the same in memory and on disk: %v", path, err)
		}
	}
}

func TestPolicyAcceptsTheLog(t *testing.T) {
	ctx := context.Background()
	l := makeLog(t, audittest.Config{Trees: []int64{70_000, 40}, Nodes: 5, TrustDomain: "a.test"})
	b, err := l.Policy(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p, err := audit.ParsePolicy(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, tree := range l.All {
		b, err := l.Read(ctx, tree.Tree, "checkpoint")
		if err != nil {
			t.Fatal(err)
		}
		h, err := p.Open(b)
		if err != nil || h.Size != tree.Size || h.Root != tree.Root || len(h.Signed) != 5 {
			t.Errorf("tree %s: %+v, %v", tree.Tree, h, err)
		}
	}
	for _, index := range []int64{0, 255, 256, 65_535, 65_536, 69_999, 70_000, 70_039} {
		b, err := l.Receipt(ctx, index)
		if err != nil {
			t.Fatal(err)
		}
		r, err := audit.VerifyReceipt(p, b)
		if err != nil || r.Entry.Index != index {
			t.Errorf("the receipt of entry %d is of %+v: %v", index, r, err)
		}
	}
	if _, err := l.Receipt(ctx, 70_040); err == nil {
		t.Error("there is a receipt of an entry that is not there")
	}
}

func TestPrunedTilesAreGone(t *testing.T) {
	l := makeLog(t, audittest.Config{Trees: []int64{700}})
	l.All[0].Minimum = 512
	for path, there := range map[string]bool{"tile/0/001": false, "tile/entries/001": false, "tile/0/002.p/188": true, "tile/1/000.p/2": true} {
		_, err := l.Read(context.Background(), "2026", path)
		if there != (err == nil) || !there && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
