package appliance_test

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/audit"
)

// A new year begins a new tree, which names the old one's end; the policy of an auditor stays as it is. Then what is old,
// and archived, and may go by the policy, goes from the disk, and what is left can be proved as before.
func TestANewYearBeginsANewTree(t *testing.T) {
	var ahead atomic.Int64
	n := newNodeAt(t, func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
	ctx, c, o := t.Context(), tenant(t), appliance.Caller{Identity: "spiffe://test/operator/o", Role: appliance.Operator}
	raw, err := n.LogPolicy(ctx)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := audit.ParsePolicy(raw)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		if _, _, err := n.PutAccount(ctx, c, "", fmt.Sprintf("account-%d", i), ""); err != nil {
			t.Fatal(err)
		}
	}
	old := strconv.Itoa(time.Now().UTC().Year())
	ahead.Store(int64(366 * 24 * time.Hour))
	var trees []appliance.LogTree
	eventually(t, func() (err error) {
		if trees, err = n.LogTrees(ctx); err != nil {
			return err
		}
		if len(trees) != 2 || trees[0].Signed != trees[0].Size || trees[1].Size == 0 || trees[1].Signed != trees[1].Size {
			return fmt.Errorf("not two trees that are signed to their ends: %+v", trees)
		}
		return nil
	})
	if trees[0].Tree != old || !trees[0].Closed || trees[1].First != trees[0].Size {
		t.Fatalf("the trees are %+v", trees)
	}
	for _, tree := range trees {
		note, err := n.LogCheckpoint(ctx, tree.Tree)
		if err != nil {
			t.Fatal(err)
		}
		if head, err := policy.Open(note); err != nil || head.Size != tree.Size || head.Root != tree.Root {
			t.Errorf("the checkpoint of %s: %+v, %v", tree.Tree, head, err)
		}
	}
	first := entryAt(t, n, trees[1].First)
	if want := audit.CheckpointText(trees[0].Origin, trees[0].Size, trees[0].Root); first.Operation != "begin-tree" ||
		first.Subject != trees[1].Tree || first.Detail != want {
		t.Errorf("the new tree begins with %+v", first)
	}
	if last := entryAt(t, n, trees[1].First-1); last.Operation != "end-tree" || last.Subject != trees[1].Tree {
		t.Errorf("the old tree ends with %+v", last)
	}

	// Nothing goes without a policy, and nothing that isn't archived.
	refused := func(why string) {
		t.Helper()
		if err := n.PruneLog(ctx, o, old, 256); !errors.Is(err, appliance.ErrPolicy) {
			t.Errorf("%s: %v, want ErrPolicy", why, err)
		}
	}
	refused("no policy")
	if err := n.SetLogRetention(ctx, o, appliance.Retention{KeepDays: 300}); err != nil {
		t.Fatal(err)
	}
	refused("not archived")
	var invalid *appliance.InvalidError
	if err := n.RecordArchive(ctx, o, appliance.Archive{Tree: old, Size: 256, Root: trees[0].Root}); !errors.As(err, &invalid) {
		t.Errorf("an archive of another log: %v", err)
	}
	if err := n.RecordArchive(ctx, o, appliance.Archive{Tree: old, Size: trees[0].Size, Root: trees[0].Root, Where: "sql"}); err != nil {
		t.Fatal(err)
	}
	if err := n.PruneLog(ctx, o, old, 256); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if _, err := n.LogBundle(ctx, old, 0, 256); !errors.Is(err, appliance.ErrPruned) {
			return fmt.Errorf("the entries are not gone: %w", err)
		}
		return nil
	})
	receipt, err := n.LogReceipt(ctx, 256)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := audit.VerifyReceipt(policy, receipt); err != nil || r.Entry.Index != 256 {
		t.Errorf("the first entry that is left: %+v, %v", r, err)
	}
	if _, err := n.LogReceipt(ctx, 255); !errors.Is(err, appliance.ErrPruned) {
		t.Errorf("the last that is gone: %v, want ErrPruned", err)
	}
}

func entryAt(t *testing.T, n *node, index int64) *audit.Entry {
	t.Helper()
	all, err := n.LogEntries(t.Context(), index, 1)
	if err != nil || len(all) != 1 {
		t.Fatalf("entry %d: %d, %v", index, len(all), err)
	}
	e, err := audit.ParseEntry(all[0])
	if err != nil {
		t.Fatal(err)
	}
	return e
}
