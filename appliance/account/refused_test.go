package account

import (
	"fmt"
	"strings"
	"testing"
)

// unasked is an attempt by a node that saw the account locked, and asked no module.
func (w *world) unasked() *Command {
	c := w.verify()
	c.Verify = &Verify{}
	return c
}

// TestLockedNoiseIsCoalesced: a thousand attempts on a locked account leave one entry and a number.
func TestLockedNoiseIsCoalesced(t *testing.T) {
	w := ann(t, "phone")
	for range 33 {
		w.guess()
	}
	begin := len(w.entries)
	first := w.want(Locked, w.unasked())
	for range 999 {
		if r := w.want(Locked, w.unasked()); r.Entry != first.Entry {
			t.Fatalf("coalesced under entry %d, want %d", r.Entry, first.Entry)
		}
	}
	if got := len(w.entries) - begin; got != 1 {
		t.Fatalf("%d entries, want 1", got)
	}
	// An attempt that used a key has an entry of its own, which tells of the others.
	w.want(Locked, w.verify())
	if e := w.entries[len(w.entries)-1]; !strings.Contains(e, `"macs":3`) || !strings.Contains(e, `"coalesced":999,`) {
		t.Errorf("entry %s", e)
	}
	// After a while there is another.
	w.state.RetryAt = w.now + hour
	w.want(Locked, w.unasked())
	w.now += CoalesceFor - 1
	w.want(Locked, w.unasked())
	w.now++
	w.want(Locked, w.unasked())
	if e := w.entries[len(w.entries)-1]; !strings.Contains(e, `"coalesced":2,`) {
		t.Errorf("entry %s", e)
	}
	// What follows the lock-out has the rest.
	w.want(Locked, w.unasked())
	w.now += 2 * hour
	w.want(Accepted, w.verify(w.current("phone")))
	if e := w.entries[len(w.entries)-1]; !strings.Contains(e, `"coalesced":1,`) || w.state.Refused != (Refused{}) {
		t.Errorf("entry %s, %+v", e, w.state.Refused)
	}
}

// TestDeletedAccountTellsOfItsRefusals: nothing that was counted is lost with the account.
func TestDeletedAccountTellsOfItsRefusals(t *testing.T) {
	w := ann(t, "phone")
	for range 33 {
		w.guess()
	}
	for range 5 {
		w.want(Locked, w.unasked())
	}
	w.want(Done, w.commandOf(func(c *Command) { c.Delete = &Delete{} }))
	if e := w.entries[len(w.entries)-1]; !strings.Contains(e, `"coalesced":4,`) {
		t.Errorf("entry %s", e)
	}
}

// TestDeviceEnrolmentHasAnEntryForEachKey: the seed that was sealed, and the certificate that was signed.
func TestDeviceEnrolmentHasAnEntryForEachKey(t *testing.T) {
	w := ann(t)
	c := w.enrol("phone", totp6)
	c.Enrol.Credential.Certificate = []byte("der")
	begin := len(w.entries)
	r := w.want(Done, c)
	if len(w.entries) != begin+2 || int(r.Entry) != begin {
		t.Fatalf("%d entries, the result names %d", len(w.entries)-begin, r.Entry)
	}
	for i, want := range []string{
		`"operation":"enrol-device","key":"phone","subject":"","key_version":3,"macs":1,"outcome":"done"`,
		`"operation":"sign-device-certificate","key":"device-trust","subject":"phone","key_version":1,"macs":0,"outcome":"done"`,
	} {
		if e := w.entries[begin+i]; !strings.Contains(e, want) {
			t.Errorf("entry %s\nwants %s", e, want)
		}
	}
	if strings.Contains(fmt.Sprint(w.entries), "der") {
		t.Error("an entry has the certificate")
	}
}
