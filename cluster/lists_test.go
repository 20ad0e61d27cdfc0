package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/go-hclog"
)

// Pebble's lists of tables have the first and the last key of each table that there was. In a state of many tables they
// aren't begun anew by themselves: clearing away what was erased sees to it.
func TestListsOfTablesGoWithWhatIsErased(t *testing.T) {
	cfg := &Config{CacheBytes: 1 << 20, Logger: hclog.NewNullLogger()}
	st, err := openState(cfg, t.TempDir()+"/state", true, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer st.release()
	for i := range 100 {
		err = errors.Join(err, st.db.Set(fmt.Appendf(nil, "%sname-%03d", userPrefix, i), bytes.Repeat([]byte{1}, 100), pebble.NoSync), st.db.Flush())
	}
	under := userPrefix + "name-050"
	if err := errors.Join(err, st.db.Delete([]byte(under), pebble.NoSync), st.db.Flush()); err != nil {
		t.Fatal(err)
	}
	if n := tables(st); n < 50 {
		t.Fatalf("%d tables are too few: their lists go by themselves", n)
	}
	if err := (&eraser{}).compact(t.Context(), st, map[string]bool{under: true}, false); err != nil {
		t.Fatal(err)
	}
	lists, err := manifests(st)
	if err != nil || len(lists) == 0 {
		t.Fatalf("%q, %v", lists, err)
	}
	for _, list := range lists {
		b, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("name-050")) {
			t.Errorf("%s still names what was erased", list)
		}
		if !bytes.Contains(b, []byte("name-049")) {
			t.Errorf("%s doesn't name what was not: the test does not see what it looks for", list)
		}
	}
}
