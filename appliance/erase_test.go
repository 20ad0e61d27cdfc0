package appliance

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"strongroom.internal/appliance/account"
)

// An erased account leaves nothing that names it: not its record, nor earlier settings of any time, nor notices that are
// pending or kept for streams, which have ids of its credentials beside its name. All that may lie about of them is named
// to the engine. Of other accounts everything stays.
func TestErasure(t *testing.T) {
	m := outboxOf(t)
	for i, name := range []string{"ann", "anna"} {
		as := func(set func(*account.Command)) func(*account.Command) {
			return func(c *account.Command) {
				c.Account = name
				set(c)
			}
		}
		m.run(t, as(func(c *account.Command) { c.Create = &account.Create{} }))
		for n := range 3 {
			id := fmt.Sprint("sign-in-", i, n)
			m.run(t, as(beginningOf(id)))
			m.run(t, as(cancelling(id)))
		}
		for _, days := range []uint32{0, 3, 20} {
			m.Set(priorKey(account.DayOf(testTime)-days, "acme", name), []byte("sealed"))
		}
	}
	before := m.head(t)
	c := &account.Command{
		Time: testTime, Tenant: "acme", Account: "ann", Salt: make([]byte, 16), Node: "n1", Module: "m", Delete: &account.Delete{},
	}
	var machine Machine
	applied, err := machine.Apply(m, append([]byte{accountCommand}, account.EncodeCommand(c)...))
	if err != nil {
		t.Fatal(err)
	}
	var gone []string
	had := m.keys()
	applied.Finish(7)
	for _, key := range had {
		if _, there := m[key]; !there {
			gone = append(gone, key)
		}
	}
	for key, value := range m {
		if bytes.HasSuffix([]byte(key), []byte("\x00ann")) || bytes.Contains(value, []byte("\x63ann\x04")) { // CBOR: 3 bytes, then member 4
			t.Errorf("%q is left of the account: %q", key, value)
		}
	}
	if len(gone) != 1+3+2*6 { // record, settings, notices in the ring and for the front-end
		t.Errorf("%d records are gone: %q", len(gone), gone)
	}
	for _, key := range gone {
		if !slices.ContainsFunc(applied.Erases, func(prefix []byte) bool { return bytes.HasPrefix([]byte(key), prefix) }) {
			t.Errorf("the engine is not told to clear %q away", key)
		}
	}
	after := m.head(t)
	if after.Waiting[toFrontend] != before.Waiting[toFrontend]-6 || after.Next != before.Next || m.count(pendingPrefix) != 6 {
		t.Errorf("the outbox was at %+v and is at %+v", before, after)
	}
	if m.count(priorPrefix) != 3 || m.count(accountPrefix) != 1 {
		t.Errorf("of the other account %d settings and %d records are left", m.count(priorPrefix), m.count(accountPrefix))
	}
	// What erases nothing says so.
	c = &account.Command{Time: testTime, Tenant: "acme", Account: "anna", Salt: make([]byte, 16), Node: "n1", Module: "m"}
	cancelling("sign-in-10")(c)
	if applied, err = machine.Apply(m, append([]byte{accountCommand}, account.EncodeCommand(c)...)); err != nil || applied.Erases != nil {
		t.Errorf("%q, %v", applied.Erases, err)
	}
}

func (m memory) keys() (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}
