package cluster

import (
	"fmt"
	"testing"

	"strongroom.internal/appliance/audit"
)

// The entries of a snapshot have to be the log's last ones, without a gap, from the last full bundle at the latest, and to
// hash to the end of the tree's edge.
func TestSnapshotsLogTail(t *testing.T) {
	const first, size = 1000, 700 // the last full bundle ends at 512
	l := ledger{name: "2026", first: first}
	entry := func(i int64) []byte { return fmt.Appendf(nil, "entry %d", i) }
	for i := range int64(size) {
		l.tree.Append(entry(i))
	}
	for name, tc := range map[string]struct {
		from, to, skip int64
		spoil          int64
		l              ledger
		good           bool
	}{
		"the last bundle":            {from: 512, to: size, good: true},
		"more than that":             {from: 300, to: size, good: true},
		"of the tree before as well": {from: -50, to: size, good: true},
		"less than that":             {from: 513, to: size},
		"not all":                    {from: 512, to: size - 1},
		"more than there are":        {from: 512, to: size + 1},
		"a gap":                      {from: 512, to: size, skip: 600},
		"another one":                {from: 512, to: size, spoil: 600},
		"none":                       {from: size, to: size},
	} {
		t.Run(name, func(t *testing.T) {
			var tail logTail
			var err error
			for i := tc.from; i < tc.to && err == nil; i++ {
				if tc.skip != 0 && i == tc.skip {
					continue
				}
				b := entry(i)
				if tc.spoil != 0 && i == tc.spoil {
					b[0] ^= 1
				}
				err = tail.add(entryKey(nil, first+i), b)
			}
			if err == nil {
				err = tail.check(&l)
			}
			if (err == nil) != tc.good {
				t.Errorf("%v", err)
			}
		})
	}
	// A tree that ends with a full bundle needs none.
	full := ledger{name: "2026"}
	for i := range int64(512) {
		full.tree.Append(entry(i))
	}
	if err := (&logTail{}).check(&full); err != nil {
		t.Errorf("a full bundle: %v", err)
	}
	if err := (&logTail{}).check(&ledger{name: firstTree}); err != nil {
		t.Errorf("an empty log: %v", err)
	}
}

// What is kept of the log reads back as it was; what nobody made is refused.
func TestLedgerIsKept(t *testing.T) {
	l := ledger{name: "2027", first: 30, time: 99, effects: [32]byte{7}, closed: []audit.Head{
		{Tree: "2025", Size: 10, Root: [32]byte{1}}, {Tree: "2026", First: 10, Size: 20, Root: [32]byte{2}},
	}}
	l.tree.Append([]byte("entry"))
	edge, record := l.encode()
	var got ledger
	if err := got.decode(edge, record); err != nil || got.head() != l.head() || len(got.closed) != 2 || got.closed[1] != l.closed[1] ||
		got.time != 99 {
		t.Errorf("%+v, %v", got, err)
	}
	if err := got.decode(nil, nil); err != nil || got.name != firstTree || got.next() != 0 {
		t.Errorf("a new state: %+v, %v", got, err)
	}
	for name, change := range map[string]func(*ledger){
		"a gap":      func(l *ledger) { l.closed[1].First++ },
		"an overlap": func(l *ledger) { l.first-- },
		"no size":    func(l *ledger) { l.closed[0].Size = 0 },
		"a bad name": func(l *ledger) { l.name = "../x" },
	} {
		bad := ledger{name: l.name, first: l.first, closed: append([]audit.Head(nil), l.closed...), tree: l.tree}
		change(&bad)
		if err := got.decode(bad.encode()); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := got.decode(edge, []byte{0xff}); err == nil {
		t.Error("what isn't CBOR was taken")
	}
}
