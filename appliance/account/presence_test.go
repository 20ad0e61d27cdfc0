package account

import "testing"

func (w *world) report(device string, signedIn bool) *Command {
	c := w.command()
	c.Presence = &ReportPresence{Device: device, SignedIn: signedIn}
	return c
}

func (w *world) present(device string, want Presence) {
	w.t.Helper()
	if got := w.state.Find(device).Presence; got != want {
		w.t.Fatalf("%s is %+v, want %+v", device, got, want)
	}
}

// TestPresence: P38: what is known of a device being signed in, by whom it is known, and that hearing it again and again
// leaves no trace.
func TestPresence(t *testing.T) {
	w := holder(t, "phone", "mac")
	w.present("mac", Presence{}) // enrolled: nobody said that it is signed in
	w.want(NotFound, w.report("none", true))
	app := w.command()
	app.Enrol = &Enrol{Door: ImportedDoor, Credential: Credential{ID: "app", Kind: Authenticator, Params: totp6, Seed: []byte("s"), SeedVersion: 1}}
	w.want(Done, app)
	w.want(NotFound, w.report("app", true))

	since := w.now
	w.want(Done, w.with(requestID(1), w.report("mac", true)))
	w.present("mac", Presence{SignedIn, since, since})
	if !w.logged(opSignedIn, `"subject":"mac"`) {
		t.Error("it is not in the log")
	}
	entries, keys := len(w.entries), w.state.Keys
	for range 59 {
		w.now += minute
		w.want(Done, w.report("mac", true))
	}
	w.present("mac", Presence{SignedIn, since, since})
	if len(w.entries) != entries || w.state.Time != since {
		t.Error("what is no news is written")
	}
	w.now += minute
	w.want(Done, w.report("mac", true))
	w.present("mac", Presence{SignedIn, since, w.now})
	if len(w.entries) != entries+1 || w.state.Keys != keys {
		t.Errorf("after an hour: %d entries", len(w.entries)-entries)
	}
	seen := w.now
	w.now += minute
	w.want(Done, w.report("mac", false))
	w.present("mac", Presence{SignedOut, w.now, seen})
	out := w.now
	w.now += 2 * hour
	w.want(Done, w.report("mac", false))
	w.present("mac", Presence{SignedOut, out, seen})
	if len(w.entries) != entries+2 || !w.logged(opSignedOut, `"subject":"mac"`) {
		t.Errorf("signed out: %d entries", len(w.entries)-entries)
	}

	// What the device signs shows that it is there, and nothing more; a replay shows nothing.
	w.want(Done, w.begin("s1"))
	allow := w.decide("s1", "mac", true)
	w.want(Done, allow)
	w.present("mac", Presence{SignedOut, out, w.now})
	seen = w.now
	w.now += minute
	w.want(Done, allow)
	w.present("mac", Presence{SignedOut, out, seen})
	w.want(Done, w.fetch("s1", "mac"))
	w.present("mac", Presence{SignedOut, out, w.now})
	seen = w.now

	// A sign-in that is verified on a device says that it is signed in; on another one, or for a browser, it doesn't.
	enter := func(id string, own string, purpose Purpose) {
		t.Helper()
		c := w.begin(id)
		c.Begin.Own, c.Begin.Purpose = own, purpose
		w.want(Done, c)
		w.now += minute
		c = w.enter(id)
		c.Enter.Matches = []Match{w.current("phone")}
		w.want(Accepted, c)
	}
	enter("browser", "mac", ForBrowser)
	enter("other", "", ForDevice)
	w.present("mac", Presence{SignedOut, out, seen})
	enter("own", "mac", ForDevice)
	w.present("mac", Presence{SignedIn, w.now, w.now})
	w.present("phone", Presence{})

	// The devices that become trusted by a code, or on which protection is turned on, are.
	w.want(Done, w.begin("new"))
	c := w.enter("new")
	k := w.device("ipad").Enrol.Credential
	w.now += minute
	c.Time, c.Enter.Matches, c.Enter.Register, c.Enter.Device = w.now, []Match{w.current("phone")}, true, &k
	w.want(Accepted, c)
	w.present("ipad", Presence{SignedIn, w.now, w.now})
	w.phone("p1", "+14155550101")
	w.want(Done, w.protectNew("watch", "watchOS", "2"))
	w.present("watch", Presence{SignedIn, w.now, w.now})
	forged := w.device("forged")
	forged.Enrol.Credential.Presence = Presence{SignedIn, w.now, w.now}
	if forged.Validate() == nil {
		t.Error("a device is enrolled with a past")
	}
}
