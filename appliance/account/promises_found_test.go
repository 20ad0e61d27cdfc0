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

// TestEachKeyUseOfEachKindIsRecorded: the same for the kinds of all slices, whether the account went meanwhile or the
// request's id was taken.
func TestEachKeyUseOfEachKindIsRecorded(t *testing.T) {
	for name, set := range map[string]func(*Command){
		"verify-browser":        func(c *Command) { c.CheckBrowser = &CheckBrowser{Digest: knownBy("mac"), MACs: 7} },
		"sign-out-browser":      func(c *Command) { c.EndTrust = &EndTrust{Digest: knownBy("mac"), MACs: 7} },
		"verify-two-step":       func(c *Command) { c.VerifyTwoStep = &VerifyTwoStep{Code: 1, Evaluated: true, MACs: 7} },
		"make-recovery-key":     func(c *Command) { c.MakeRecoveryKey = &MakeRecoveryKey{MAC: keyMAC("k"), MACs: 7} },
		"redeem-password-reset": func(c *Command) { c.RedeemGrant = &RedeemGrant{Purpose: GrantReset, Random: goldenNonce, MACs: 7} },
		"give-recovery-evidence": func(c *Command) {
			c.RecoveryAct = &RecoveryAct{Recovery: "r1", Act: RecoveryEvidence, Kind: PhoneCodeEvidence, Attempt: &RecoveryAttempt{Code: 1, Evaluated: true, MACs: 7}}
		},
		"trust-browser": func(c *Command) {
			c.TrustBrowser = &TrustBrowser{Browser: Browser{ID: "b1", Digest: knownBy("mac")}, SignIn: "s1", MACs: 7}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := ann(t, "phone")
			w.want(Done, w.with(requestID(1), w.remove("phone")))
			w.want(Conflict, w.with(requestID(1), w.commandOf(set)))
			if !w.logged(`"operation":"`+name+`"`, `"macs":7`, `"outcome":"conflict"`) {
				t.Fatalf("%s", w.entries[len(w.entries)-1])
			}
			w.want(Done, w.commandOf(func(c *Command) { c.Delete = &Delete{} }))
			w.apply(w.commandOf(set))
			if !w.logged(`"operation":"`+name+`"`, `"macs":7`) {
				t.Fatalf("%s", w.entries[len(w.entries)-1])
			}
		})
	}
}

// TestBoundAnewEndsWhatWasProvedBefore: a stranger with the lost device has trusted a browser with it, and a verified sign-in
// that is good for adding another device. Neither outlives the recovery; a sign-in that the new device verifies counts.
func TestBoundAnewEndsWhatWasProvedBefore(t *testing.T) {
	for _, step := range []string{"browser", "device", "phone", "new device"} {
		t.Run(step, func(t *testing.T) {
			w := recovering(t, "phone")
			w.now = w.state.Access.Recovery.ReadyAt()
			w.want(Done, w.says(EmailEvidence))
			c := w.begin("s1")
			c.Begin.Purpose = ForBrowser
			w.want(Done, c)
			w.want(Done, w.decide("s1", "phone", true))
			w.want(Done, w.claim())
			rebind := w.rebind("new", true)
			// A right code ends the recovery: it is what the stranger proved before it began that matters.
			again := *w.state
			again.SignIns = []SignIn{{
				ID: "s1", Nonce: goldenNonce, Purpose: ForBrowser, Begun: w.now, Expires: w.now + 10*minute, Ended: w.now, End: Verified, By: "phone",
			}}
			again.Browsers.List = []Browser{{ID: "b1", Digest: knownBy("mac"), N: 7, Added: w.now, Expires: w.now + day}}
			w.state = &again
			w.want(Done, rebind)
			guarded := w.device("next")
			guarded.Enrol.Guarded, guarded.Enrol.SignIn = true, "s1"
			switch step {
			case "browser":
				w.want(Wrong, w.checkBrowser("b1", "mac", 7))
			case "device":
				w.want(StepUp, guarded)
			case "phone":
				w.policy.StepUpMinutes = 10
				c := w.removePhone("p1")
				c.EditPhone.SignIn = "s1"
				w.want(StepUp, c)
			case "new device":
				w.want(Done, w.begin("s2"))
				w.want(Done, w.decide("s2", "new", true))
				w.want(Accepted, w.enter("s2", w.live("s2", DeviceChannel("new"))))
				guarded.Enrol.SignIn = "s2"
				guarded.Time = w.now
				w.want(Done, guarded)
			}
			if !w.logged(`"operation":"redeem-recovery"`, "credentials removed: phone, browsers: b1") && step != "new device" {
				t.Errorf("%q", w.entries)
			}
		})
	}
}
