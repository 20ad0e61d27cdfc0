package account

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"strongroom.internal/appliance/otp"
)

// guess sends a wrong code at the first moment that it is heard, and says when that was; ok is false when it is never.
func (w *world) guess() (heard Time, ok bool) {
	w.t.Helper()
	if retryAt, locked := w.state.LockedAt(w.now); locked {
		if retryAt == 0 {
			return 0, false
		}
		w.now = retryAt
	}
	w.want(Wrong, w.verify())
	return w.now, true
}

// TestBudget counts by hand what guessing one six-digit device may do: 33 attempts of 300 units are free, 9,900 in all;
// then one a minute, two minutes, and so on up to a day; after 100 nothing.
func TestBudget(t *testing.T) {
	w := ann(t, "phone")
	for i := range 33 {
		if heard, _ := w.guess(); heard != start {
			t.Fatalf("guess %d was heard %d ms after the first", i+1, heard-start)
		}
	}
	if w.state.Charge != 9900 || w.state.Charge > Budget {
		t.Fatalf("charged %d", w.state.Charge)
	}
	at, delay := start, minute
	for i := 33; i < MaxFailures; i++ {
		w.want(Locked, w.verify())
		w.now = at + delay - 1
		if r := w.want(Locked, w.verify(w.current("phone"))); r.RetryAt != at+delay {
			t.Fatalf("guess %d is heard after %v, want %v", i+1, r.RetryAt-at, delay)
		}
		heard, _ := w.guess()
		if heard != at+delay {
			t.Fatalf("guess %d was heard after %d ms, want %d", i+1, heard-at, delay)
		}
		at, delay = heard, min(2*delay, 24*hour)
	}
	w.now += 1000 * 24 * hour
	if r := w.want(Locked, w.verify(w.current("phone"))); r.RetryAt != 0 {
		t.Errorf("after %d failures it says to come back at %d", MaxFailures, r.RetryAt)
	}
	if w.state.Failures != MaxFailures {
		t.Errorf("%d failures", w.state.Failures)
	}
}

// TestFreeGuesses is the budget's arithmetic for other credentials: how many guesses are free is Budget over the price of
// one, never more.
func TestFreeGuesses(t *testing.T) {
	seven := totp6
	seven.Digits = 7
	for name, c := range map[string]struct {
		params []otp.Params
		free   int
	}{
		"one of six":          {[]otp.Params{totp6}, 33},
		"two of six":          {[]otp.Params{totp6, totp6}, 16},
		"one of seven":        {[]otp.Params{seven}, MaxFailures},
		"one of eight":        {[]otp.Params{totp8}, MaxFailures},
		"six and eight":       {[]otp.Params{totp6, totp8}, 33}, // of 303
		"a counter":           {[]otp.Params{hotp6}, 16},        // of 600
		"a counter and a six": {[]otp.Params{hotp6, totp6}, 11},
		"nothing":             {nil, 33},
	} {
		w := ann(t)
		for i, p := range c.params {
			w.want(Done, w.enrol(fmt.Sprint(i), p))
		}
		free := 0
		for ; free < MaxFailures; free++ {
			if _, locked := w.state.LockedAt(w.now); locked {
				break
			}
			w.guess()
		}
		if free != c.free {
			t.Errorf("%s: %d free guesses, want %d", name, free, c.free)
		}
		if w.state.Charge > Budget {
			t.Errorf("%s: charged %d", name, w.state.Charge)
		}
	}
}

func TestSuccessStartsAnew(t *testing.T) {
	w := ann(t, "phone")
	for range 3 {
		for range 35 {
			w.guess()
		}
		w.now += hour
		w.want(Accepted, w.verify(w.current("phone")))
		if w.state.Attempts != (Attempts{}) {
			t.Fatalf("a success leaves %+v", w.state.Attempts)
		}
	}
}

// TestDelayHearsOne: each delay lets exactly one more attempt through.
func TestDelayHearsOne(t *testing.T) {
	w := ann(t, "phone")
	for range 33 {
		w.guess()
	}
	w.now += 24 * hour // waiting longer doesn't save attempts up
	w.want(Wrong, w.verify())
	w.want(Locked, w.verify())
	w.want(Locked, w.verify(w.current("phone")))
}

// TestLockedTellsNothing: what a locked account answers and writes doesn't depend on what matched, and costs nothing.
func TestLockedTellsNothing(t *testing.T) {
	w := ann(t, "phone", "pad")
	w.want(Accepted, w.verify(w.current("pad")))
	for range 16 {
		w.guess()
	}
	before := w.state.Attempts
	log := len(w.entries)
	right, wrong := w.verify(w.current("phone")), w.verify()
	right.Salt = wrong.Salt
	if a, b := w.want(Locked, right), w.want(Locked, wrong); a.RetryAt != b.RetryAt || a.Credential != "" {
		t.Errorf("a right code is answered %+v, a wrong one %+v", a, b)
	}
	unasked := w.verify()
	unasked.Verify.Evaluated, unasked.Verify.Keys = false, 0
	w.want(Locked, unasked)
	w.want(Locked, w.resync("phone", w.step()))
	a, b := w.entries[log], w.entries[log+1]
	if a[len(`{"v":1,"index":34`):] != b[len(`{"v":1,"index":35`):] {
		t.Errorf("a right code is logged as\n%s\na wrong one as\n%s", a, b)
	}
	if w.state.Attempts != before {
		t.Errorf("refusals moved %+v to %+v", before, w.state.Attempts)
	}
	w.now += 2 * minute
	w.want(Accepted, w.verify(w.current("phone"))) // it wasn't spent
}

// TestReplayIsCharged: a spent code costs what a wrong one costs.
func TestReplayIsCharged(t *testing.T) {
	w := ann(t, "phone")
	w.want(Accepted, w.verify(w.current("phone")))
	for range 33 {
		w.want(Spent, w.verify(w.current("phone")))
	}
	w.want(Locked, w.verify(w.current("phone")))
}

// TestOneDevice: an attempt at one device is charged with that device's codes only, in the account's one total.
func TestOneDevice(t *testing.T) {
	w := ann(t, "phone", "pad")
	for device, want := range map[string]uint32{"phone": 300, "": 600, "nothing": 600} {
		before := w.state.Charge
		c := w.verify()
		c.Verify.Device = device
		w.want(Wrong, c)
		if got := w.state.Charge - before; got != want {
			t.Errorf("an attempt at %q was charged %d, want %d", device, got, want)
		}
	}
}

// TestCredentialsDoNotUnlock: who is locked out can't get in again by adding or removing devices.
func TestCredentialsDoNotUnlock(t *testing.T) {
	for _, failures := range []int{16, MaxFailures} {
		w := ann(t, "phone", "pad")
		for range failures {
			w.guess()
		}
		retryAt, locked := w.state.LockedAt(w.now)
		if !locked {
			t.Fatal("not locked")
		}
		w.want(Done, w.enrol("desk", totp8))
		w.want(Done, w.remove("pad"))
		if r := w.want(Locked, w.verify(w.current("phone"))); r.RetryAt != retryAt {
			t.Errorf("locked until %d, before until %d", r.RetryAt, retryAt)
		}
		w.want(Done, w.remove("phone"))
		w.want(Locked, w.verify(Match{"desk", w.step()}))
		// Binding anew is the way out.
		w.want(Done, w.remove("desk"))
		w.want(Done, w.enrol("new", totp6))
		w.want(Accepted, w.verify(w.current("new")))
	}
}

// TestDelaysGoOn: once there are delays they go on until a success, even if one attempt costs less than it did.
func TestDelaysGoOn(t *testing.T) {
	w := ann(t)
	for i := range 25 {
		w.want(Done, w.enrol(fmt.Sprint(i), totp6))
	}
	w.guess() // 7,500, and a second would be too much
	for i := range 24 {
		w.want(Done, w.remove(fmt.Sprint(i)))
	}
	for _, delay := range []Time{minute, 2 * minute, 4 * minute} {
		w.now += delay - 1
		w.want(Locked, w.verify())
		w.now++
		w.want(Wrong, w.verify())
	}
}

// TestGrowingCostsAtOnce: with more devices one attempt risks more, so what is left of the budget is measured again.
func TestGrowingCostsAtOnce(t *testing.T) {
	w := ann(t, "phone")
	for range 32 {
		w.guess() // 9,600
	}
	w.want(Done, w.enrol("pad", totp6))
	if r := w.want(Locked, w.verify(w.current("phone"))); r.RetryAt != start+FirstDelay {
		t.Errorf("retry at %d", r.RetryAt-start)
	}
	w.now += FirstDelay
	w.want(Wrong, w.verify())
	w.want(Locked, w.verify())
}

// TestPhantom: a name that isn't an account locks at the same attempt, with the same answers, as one that is.
func TestPhantom(t *testing.T) {
	real, empty, none := ann(t, "phone"), ann(t), newWorld(t)
	for i := range 60 {
		for _, w := range []*world{empty, none} {
			w.now = real.now
			w.want(Wrong, w.verify())
		}
		real.want(Wrong, real.verify())
		for _, w := range []*world{empty, none} {
			if w.state.Attempts != real.state.Attempts {
				t.Fatalf("after %d guesses %+v and %+v", i+1, w.state.Attempts, real.state.Attempts)
			}
		}
		if retryAt, locked := real.state.LockedAt(real.now); locked {
			a, b, c := real.want(Locked, real.verify()), empty.want(Locked, empty.verify()), none.want(Locked, none.verify())
			if a.RetryAt != b.RetryAt || a.RetryAt != c.RetryAt {
				t.Fatalf("locked until %d, %d and %d", a.RetryAt, b.RetryAt, c.RetryAt)
			}
			real.now = retryAt
		}
	}
	if !none.state.Phantom || none.state.Keys != 0 {
		t.Fatalf("%+v is no phantom", none.state)
	}
}

func TestPhantomIsNotThere(t *testing.T) {
	w := newWorld(t)
	for range 34 {
		w.apply(w.verify())
	}
	w.want(NotFound, w.enrol("phone", totp6))
	w.want(NotFound, w.remove("phone"))
	w.want(NotFound, w.resync("phone"))
	del := w.command()
	del.Delete = &Delete{}
	w.want(NotFound, del)
	attempts := w.state.Attempts
	w.want(Done, w.create())
	if w.state.Phantom || w.state.Attempts != attempts || w.state.Keys == 0 || w.state.Created != w.now {
		t.Errorf("made real, it is %+v", w.state)
	}
	w.want(Locked, w.verify())
	w.want(Exists, w.create())
}

func TestMissingSaltIsStale(t *testing.T) {
	w := newWorld(t)
	for _, c := range []*Command{w.verify(), w.create(), w.enrol("phone", totp6)} {
		c.Salt = nil
		w.want(Stale, c)
	}
}

// TestInterleaving: guesses that were evaluated together, on one state or on several, and that arrive in any order with
// some refused as stale and sent again, charge what as many in a row charge, and the account locks at the same one.
func TestInterleaving(t *testing.T) {
	inRow := ann(t, "phone", "token")
	for range 200 {
		inRow.apply(inRow.verify())
	}
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 0))
		w := ann(t, "phone", "token")
		var pending []*Command
		for range 200 {
			pending = append(pending, w.verify())
		}
		outcomes := map[Outcome]int{}
		for len(pending) > 0 {
			i := random.IntN(len(pending))
			c := pending[i]
			pending[i] = pending[len(pending)-1]
			pending = pending[:len(pending)-1]
			c.Time -= Time(random.Int64N(int64(MaxLag)))
			o := w.apply(c).Outcome
			outcomes[o]++
			if random.IntN(4) == 0 {
				late := w.verify()
				late.Verify.Keys--
				w.want(map[bool]Outcome{true: Locked, false: Stale}[o == Locked || w.state.RetryAt > w.now], late)
			}
		}
		if outcomes[Wrong] != 16 || outcomes[Locked] != 184 || w.state.Charge != inRow.state.Charge ||
			w.state.Failures != inRow.state.Failures {
			t.Fatalf("seed %d: %v, %+v; in a row %+v", seed, outcomes, w.state.Attempts, inRow.state.Attempts)
		}
	}
}

// PEERS.md, 10: delays are in the unit that they say.
func TestPeers10DelaysAreMilliseconds(t *testing.T) {
	if FirstDelay != minute || MaxDelay != 24*hour || MaxLag != 5*second || RequestLife != 10*minute {
		t.Error("a limit isn't what its comment says")
	}
	w := ann(t, "phone")
	for range 33 {
		w.guess()
	}
	// A command of a node whose clock is a little behind neither shortens nor stretches the delay.
	w.now -= second
	if r := w.want(Locked, w.verify()); r.RetryAt != start+minute {
		t.Errorf("locked for %d ms", r.RetryAt-start)
	}
}
