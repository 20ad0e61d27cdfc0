package account

import (
	"strings"
	"testing"

	"strongroom.internal/appliance/otp"
)

func TestAcceptedOnce(t *testing.T) {
	w := ann(t, "phone")
	r := w.want(Accepted, w.verify(w.current("phone")))
	if r.Credential != "phone" {
		t.Errorf("accepted for %q", r.Credential)
	}
	if r := w.want(Spent, w.verify(w.current("phone"))); r.Credential != "" {
		t.Errorf("a refusal names %q", r.Credential)
	}
	w.now += 30 * second
	w.want(Spent, w.verify(Match{"phone", w.step() - 1}))
	w.want(Accepted, w.verify(w.current("phone")))
}

func TestWindow(t *testing.T) {
	for _, c := range []struct {
		off  otp.Step
		want Outcome
	}{{-3, Wrong}, {-2, Wrong}, {-1, Accepted}, {0, Accepted}, {1, Accepted}, {2, Wrong}, {1 << 40, Wrong}, {-1 << 40, Wrong}} {
		w := ann(t, "phone")
		w.want(c.want, w.verify(Match{"phone", w.step() + c.off}))
	}
}

// TestLyingEvaluator: matches outside of the window, of credentials that aren't there or weren't asked for, open nothing.
func TestLyingEvaluator(t *testing.T) {
	w := ann(t, "phone", "pad")
	w.want(Wrong, w.verify(Match{"phone", w.step() + 2}, Match{"phone", w.step() - 2}, Match{"nobody", w.step()}))
	c := w.verify(w.current("phone"))
	c.Verify.Device = "pad"
	w.want(Wrong, c)
	// They don't hide a good one either.
	r := w.want(Accepted, w.verify(Match{"phone", w.step() + 2}, Match{"nobody", w.step()}, w.current("pad")))
	if r.Credential != "pad" {
		t.Errorf("accepted for %q", r.Credential)
	}
}

// PEERS.md, 3: the code of step n+1 is accepted, then that of step n, inside of the window: refused.
func TestPeers3OlderCodeAfterNewer(t *testing.T) {
	w := ann(t, "phone")
	w.want(Accepted, w.verify(Match{"phone", w.step() + 1}))
	w.want(Spent, w.verify(Match{"phone", w.step()}))
	w.want(Spent, w.verify(Match{"phone", w.step() + 1}))
	if got, want := w.state.Find("phone").Watermark, w.step()+1; got != want {
		t.Errorf("watermark %d, want %d", got, want)
	}
}

// PEERS.md, 4: the code that confirmed the enrolment is used for the first sign-in.
func TestPeers4EnrolmentCodeAgain(t *testing.T) {
	w := ann(t, "phone")
	confirm := w.verify(w.current("phone"))
	confirm.Verify.Device = "phone"
	w.want(Accepted, confirm)
	w.want(Spent, w.verify(w.current("phone")))
}

// PEERS.md, 5: one's spent code doesn't burn the equal digits of another, neither in one account nor in two.
func TestPeers5EqualDigits(t *testing.T) {
	w := ann(t, "phone", "pad")
	w.want(Accepted, w.verify(w.current("phone")))
	// The pad shows the digits that the phone has just spent: both match.
	r := w.want(Accepted, w.verify(w.current("phone"), w.current("pad")))
	if r.Credential != "pad" {
		t.Errorf("accepted for %q, want pad", r.Credential)
	}
	w.want(Spent, w.verify(w.current("phone"), w.current("pad")))
	bob := ann(t, "phone")
	bob.want(Accepted, bob.verify(bob.current("phone")))
}

// PEERS.md, 6: a wrong code isn't remembered as used, and memory doesn't grow with guesses.
func TestPeers6WrongCodesAreNotKept(t *testing.T) {
	w := ann(t, "phone")
	w.want(Wrong, w.verify())
	size := len(EncodeState(w.state))
	for range 30 {
		w.want(Wrong, w.verify())
	}
	if grown := len(EncodeState(w.state)) - size; grown > 4 {
		t.Errorf("the state grew by %d bytes", grown)
	}
	// The code of a later step, tried too early, is good when its time comes.
	w.want(Wrong, w.verify(Match{"phone", w.step() + 2}))
	w.now += minute
	w.want(Accepted, w.verify(w.current("phone")))
}

// PEERS.md, 11: a clock that is off by what is no multiple of the period: replay is refused all the same.
func TestPeers11DriftBetweenSteps(t *testing.T) {
	for _, off := range []Time{-30 * second, -29 * second, -17 * second, -1, 1, 13 * second, 29 * second} {
		w := ann(t, "phone")
		for range 20 {
			code := Match{"phone", otp.StepAt(int64(w.now+off), 30)}
			w.want(Accepted, w.verify(code))
			for range 3 {
				w.now += 9 * second
				w.want(Spent, w.verify(code))
			}
			w.now += 7 * second
		}
	}
}

// PEERS.md, 12: an old accepted code never moves state, by verifying or by resynchronising.
func TestPeers12OldCodeMovesNothing(t *testing.T) {
	w := ann(t, "phone")
	used := w.step()
	w.want(Accepted, w.verify(Match{"phone", used}))
	w.now += 2 * minute
	before := *w.state.Find("phone")
	w.want(Wrong, w.verify(Match{"phone", used}))
	w.want(Spent, w.resync("phone", used-1))
	w.want(Spent, w.resync("phone", used))
	after := *w.state.Find("phone")
	if before.Drift != after.Drift || before.Watermark != after.Watermark || before.LastUsed != after.LastUsed {
		t.Errorf("moved from %+v to %+v", before, after)
	}
	w.want(Accepted, w.resync("phone", used+1)) // neither code of it was used
	if got := w.state.Find("phone").Watermark; got != used+2 {
		t.Errorf("watermark %d, want both codes spent: %d", got, used+2)
	}
}

func TestDriftIsRememberedAndCapped(t *testing.T) {
	w := ann(t, "phone")
	// A clock that runs ahead by one step each time.
	for drift := range otp.Step(MaxDrift + 1) {
		w.now += 5 * minute
		w.want(Accepted, w.verify(Match{"phone", w.step() + drift + 1}))
		if got, want := w.state.Find("phone").Drift, min(int32(drift+1), MaxDrift); got != want {
			t.Fatalf("drift %d, want %d", got, want)
		}
	}
	w.now += 10 * minute
	w.want(Wrong, w.verify(Match{"phone", w.step() + MaxDrift + 2}))
	w.want(Wrong, w.verify(w.current("phone"))) // the window has moved with the clock
	w.want(Accepted, w.verify(Match{"phone", w.step() + MaxDrift + 1}))
}

func TestMovedWindowIsStale(t *testing.T) {
	w := ann(t, "phone")
	late := w.verify(Match{"phone", w.step() + 1})
	w.want(Accepted, w.verify(Match{"phone", w.step() - 1})) // drift -1
	w.want(Stale, late)
	w.want(Wrong, w.verify(Match{"phone", w.step() + 1})) // evaluated anew, it is outside
}

func TestHOTP(t *testing.T) {
	w := ann(t)
	enrol := w.enrol("token", hotp6)
	enrol.Enrol.Credential.Counter = 7
	w.want(Done, enrol)
	w.want(Wrong, w.verify(Match{"token", 6}))
	w.want(Wrong, w.verify(Match{"token", 13}))
	w.want(Accepted, w.verify(Match{"token", 12}))
	// Spent codes have left the window.
	w.want(Wrong, w.verify(Match{"token", 12}))
	w.want(Wrong, w.verify(Match{"token", 11}))
	w.want(Accepted, w.verify(Match{"token", 13}))
	k := w.state.Find("token")
	if k.Counter != 14 || k.Watermark != 13 {
		t.Errorf("counter %d and watermark %d", k.Counter, k.Watermark)
	}
	w.want(Wrong, w.resync("token", 114))
	w.want(Wrong, w.resync("token", 13))
	w.want(Accepted, w.resync("token", 113))
	if k := w.state.Find("token"); k.Counter != 115 || k.Watermark != 114 {
		t.Errorf("after resynchronising: counter %d and watermark %d", k.Counter, k.Watermark)
	}
}

func TestResync(t *testing.T) {
	w := ann(t, "phone")
	w.want(Wrong, w.resync("phone"))
	w.want(Wrong, w.resync("phone", w.step()+ResyncSteps+1, w.step()-ResyncSteps-1))
	w.want(NotFound, w.resync("pad"))
	if got := w.state.Failures; got != 2 {
		t.Errorf("%d failures, want 2: what isn't there can't be guessed", got)
	}
	w.want(Accepted, w.resync("phone", w.step()+5))
	k := w.state.Find("phone")
	if k.Drift != 6 || k.Watermark != w.step()+6 || w.state.Attempts != (Attempts{}) {
		t.Errorf("after resynchronising: %+v, attempts %+v", k, w.state.Attempts)
	}
	w.now += 30 * second
	w.want(Accepted, w.verify(Match{"phone", w.step() + 6}))
}

func TestStale(t *testing.T) {
	w := ann(t, "phone")
	old := w.verify(w.current("phone"))
	w.want(Done, w.enrol("pad", totp6))
	w.want(Stale, old)
	unasked := w.verify(w.current("phone"))
	unasked.Verify.Evaluated = false
	w.want(Stale, unasked)
	w.want(Wrong, w.verify())
	late := w.verify(w.current("phone"))
	late.Time -= MaxLag + 1
	w.want(Stale, late)
	late.Time++
	w.want(Accepted, late)
	if got := w.state.Failures; got != 0 {
		t.Errorf("%d failures", got)
	}
}

// TestReborn: an account that was deleted and made again is not taken for its predecessor.
func TestReborn(t *testing.T) {
	w := ann(t, "phone")
	old := w.verify(w.current("phone"))
	del := w.command()
	del.Delete = &Delete{}
	w.want(Done, del)
	w.want(Done, w.create())
	w.want(Done, w.enrol("phone", totp6))
	w.want(Stale, old)
}

func TestTimeNeverGoesBack(t *testing.T) {
	w := ann(t, "phone")
	w.now += minute
	w.want(Wrong, w.verify())
	w.now -= 3 * second
	w.want(Accepted, w.verify(w.current("phone")))
	if w.state.Time != start+minute || w.state.Find("phone").LastUsed != start+minute {
		t.Errorf("time went back to %d", w.state.Time)
	}
}

func TestCandidates(t *testing.T) {
	w := ann(t, "phone", "pad", "desk")
	w.want(Accepted, w.verify(w.current("pad")))
	w.now += second
	w.want(Accepted, w.verify(w.current("desk")))
	var order []string
	for _, c := range w.state.Candidates("", w.now) {
		order = append(order, c.Credential.ID)
		if len(c.Steps) != 3 || c.Steps[1] != w.step() {
			t.Errorf("%s is heard at %v", c.Credential.ID, c.Steps)
		}
	}
	if got := strings.Join(order, " "); got != "desk pad phone" {
		t.Errorf("candidates in the order %s", got)
	}
	if got := w.state.Candidates("pad", w.now); len(got) != 1 || got[0].Credential.ID != "pad" {
		t.Errorf("candidates for one device: %v", got)
	}
	for _, s := range []*State{nil, {}, {Phantom: true}} {
		if s.Candidates("", w.now) != nil || s.Find("x") != nil || s.Answered(requestID(1), w.now) {
			t.Errorf("%+v has something", s)
		}
	}
	if got := DecoyWindow(w.now); len(got) != 3 {
		t.Errorf("a decoy has the window %v", got)
	}
	if got := ResyncWindow(&Credential{Params: totp6}, w.now); len(got) != 22 || got[0] != w.step()-10 || got[21] != w.step()+11 {
		t.Errorf("resynchronising looks at %v", got)
	}
	if got := ResyncWindow(&Credential{Params: hotp6, Counter: 5}, w.now); len(got) != 101 || got[0] != 5 {
		t.Errorf("resynchronising looks at %v", got)
	}
}

func TestEntries(t *testing.T) {
	w := ann(t, "phone", "pad")
	w.want(Accepted, w.verify(w.current("pad")))
	w.want(Spent, w.verify(w.current("pad")))
	w.want(Wrong, w.verify())
	c := w.verify()
	c.Request = requestID(9)
	w.want(Wrong, c)
	w.want(Done, w.remove("phone"))
	who := `"tenant":"acme","account":"` + Pseudonym(w.state.Salt, "acme", "ann") +
		`","actor":"spiffe://strongroom.example/frontend/acme/web","request":"`
	for i, want := range []string{
		`"operation":"create-account","key":"","subject":"","key_version":0,"macs":0,"outcome":"done"`,
		`"operation":"enrol-device","key":"phone","subject":"","key_version":3,"macs":1,"outcome":"done"`,
		`"operation":"enrol-device","key":"pad","subject":"","key_version":3,"macs":1,"outcome":"done"`,
		`"operation":"verify","key":"pad","subject":"","key_version":3,"macs":3,"outcome":"accepted"`,
		`"operation":"verify","key":"pad","subject":"","key_version":3,"macs":3,"outcome":"spent"`,
		`"operation":"verify","key":"pad","subject":"","key_version":3,"macs":3,"outcome":"wrong"`,
		`"operation":"verify","key":"pad","subject":"","key_version":3,"macs":3,"outcome":"wrong"`,
		`"operation":"remove-credential","key":"phone","subject":"","key_version":3,"macs":0,"outcome":"done"`,
	} {
		if got := w.entries[i]; !strings.Contains(got, want) || !strings.Contains(got, who) {
			t.Errorf("entry %d is\n%s, want in it\n%s%s", i, got, who, want)
		}
	}
	if id := LogRequest(w.state.Salt, c.Request); len(id) != 32 || !strings.Contains(w.entries[6], `"request":"`+id+`"`) {
		t.Errorf("an entry doesn't name its request: %s", w.entries[6])
	}
}
