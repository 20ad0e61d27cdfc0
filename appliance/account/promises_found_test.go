package account

import "testing"

// What TestPromises found, one test each.

// TestEachKeyUseIsRecorded: an account that went, or an id that was taken, between evaluation and decision leaves nothing to
// decide; a module computed all the same, and the entry says so.
func TestEachKeyUseIsRecorded(t *testing.T) {
	w := ann(t, "phone")
	w.want(Wrong, w.with(requestID(1), w.verify()))
	w.want(Conflict, w.with(requestID(1), w.resync("phone")))
	if !w.logged(`"operation":"resynchronise"`, `"macs":22`, `"outcome":"conflict"`) {
		t.Fatalf("%s", w.entries[len(w.entries)-1])
	}
	late := w.resync("phone")
	w.want(Done, w.commandOf(func(c *Command) { c.Delete = &Delete{} }))
	w.want(NotFound, late)
	if !w.logged(`"operation":"resynchronise"`, `"macs":22`, `"outcome":"not-found"`) {
		t.Fatalf("%s", w.entries[len(w.entries)-1])
	}
}

// TestCountedMACsAreToldOnce: protection that registers a device has two entries; what was computed for attempts without
// one is in the first alone.
func TestCountedMACsAreToldOnce(t *testing.T) {
	w := ann(t)
	w.phone("p1", "+14155550101")
	repeated := func() *Command {
		c := w.enter("")
		c.Enter.Repeat = []byte("the same text...")
		return c
	}
	w.want(Wrong, repeated())
	w.want(Wrong, repeated())
	w.want(Done, w.protectNew("mac", "OS X", "10.11"))
	if !w.logged(`"operation":"turn-on-protection"`, `"macs":4`, `"coalesced":1`) || !w.logged(`"operation":"enrol-device"`, `"macs":1,`) {
		t.Fatalf("%q", w.entries[len(w.entries)-4:])
	}
}

// TestLostIDIsTaken: a second device of a lost one's id would be there after it was reported lost, for the report would find
// the first one.
func TestLostIDIsTaken(t *testing.T) {
	w := ann(t, "phone", "tablet")
	w.want(Done, w.lose("phone", false))
	w.want(Conflict, w.enrol("phone", totp6))
	w.want(Done, w.remove("phone"))
	w.want(Done, w.enrol("phone", totp6))
}
