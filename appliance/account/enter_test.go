package account

import (
	"fmt"
	"testing"
)

// TestOneCodeSpendsTheSignInForAll: S11.
func TestOneCodeSpendsTheSignInForAll(t *testing.T) {
	for _, first := range []string{"device/phone", "device/tablet", "phone/p1", "settings"} {
		w := holder(t, "phone", "tablet")
		w.phone("p1", "+14155550101")
		w.want(Done, w.begin("s1"))
		w.want(Done, w.decide("s1", "phone", true))
		w.want(Done, w.decide("s1", "tablet", true))
		w.want(Done, w.send("s1", "p1"))
		codes := map[string]LiveCode{}
		for _, channel := range []string{"device/phone", "device/tablet", "phone/p1"} {
			codes[channel] = w.live("s1", channel)
		}
		c := w.enter("s1")
		if first == "settings" {
			c.Enter.Matches = []Match{w.current("tablet")}
		} else {
			c.Enter.Codes = []LiveCode{codes[first]}
		}
		w.want(Accepted, c)
		for _, code := range codes {
			w.want(Ended, w.enter("s1", code))
		}
		if first == "settings" {
			w.want(Spent, w.verify(w.current("tablet")))
		}
	}
}

func TestOnlyTheNewestCodeOfAChannel(t *testing.T) {
	w := holder(t, "phone")
	w.phone("p1", "+14155550101")
	w.want(Done, w.begin("s1"))
	w.want(Done, w.send("s1", "p1"))
	old := w.live("s1", "phone/p1")
	seen := w.enter("s1", old) // evaluated, and not yet decided
	w.now += minute
	w.want(Done, w.send("s1", "p1"))
	w.want(Stale, seen)
	w.want(Wrong, w.enter("s1", old))
	w.want(Accepted, w.enter("s1", w.live("s1", "phone/p1")))
}

// TestADevicesOwnCodeIsNotForItself: P10.
func TestADevicesOwnCodeIsNotForItself(t *testing.T) {
	w := holder(t, "phone", "tablet")
	c := w.begin("s1")
	c.Begin.Own = "phone"
	w.want(Done, c)
	c = w.enter("s1")
	c.Enter.Matches = []Match{w.current("phone")}
	w.want(Wrong, c)
	c = w.enter("s1")
	c.Enter.Matches = []Match{w.current("tablet")}
	w.want(Accepted, c)
}

// TestBudgetOverChannels: what is charged, and when it locks.
func TestBudgetOverChannels(t *testing.T) {
	w := holder(t, "phone", "tablet")
	w.want(Done, w.begin("s1"))
	w.want(Done, w.decide("s1", "phone", true))
	w.want(Wrong, w.enter("s1"))
	if w.state.Charge != 2*300+100 {
		t.Errorf("two devices and a pushed code cost %d", w.state.Charge)
	}
	w.want(Done, w.begin("s2"))
	w.want(Done, w.decide("s2", "phone", true))
	w.want(Done, w.decide("s2", "tablet", true))
	w.want(Wrong, w.enter("s2"))
	w.want(Wrong, w.enter("")) // after a password: any code that is right now
	w.want(Wrong, w.verify())
	if w.state.Charge != 700+800+900+600 {
		t.Errorf("all together cost %d", w.state.Charge)
	}
	for w.state.RetryAt == 0 {
		w.want(Wrong, w.verify())
		if w.state.Charge > Budget {
			t.Fatalf("%d units were free", w.state.Charge)
		}
	}
	w.want(Locked, w.enter("s1", w.live("s1", "device/phone")))
	w.want(Done, w.decide("s1", "tablet", true)) // a lock is not for decisions
	w.now = w.state.RetryAt
	w.want(Accepted, w.enter("s1", w.live("s1", "device/tablet")))
	if w.state.Attempts != (Attempts{}) {
		t.Errorf("after a success: %+v", w.state.Attempts)
	}
}

// TestALiveCodeMakesGuessingDearer at once, as a device does.
func TestALiveCodeMakesGuessingDearer(t *testing.T) {
	w := holder(t, "phone")
	w.want(Done, w.begin("s1"))
	for range 32 {
		w.want(Wrong, w.verify())
	}
	if w.state.RetryAt != 0 {
		t.Fatal("locked too early")
	}
	w.want(Done, w.decide("s1", "phone", true)) // 9,600 + 400 is the whole budget
	if w.state.RetryAt != 0 {
		t.Fatal("locked at the budget")
	}
	w.want(Done, w.begin("s2"))
	w.want(Done, w.decide("s2", "phone", true))
	if w.state.RetryAt == 0 {
		t.Error("one more attempt would exceed the budget, and is free")
	}
}

// TestNoMoreLiveCodesThanTheBudgetBears: one attempt never costs more than all may.
func TestNoMoreLiveCodesThanTheBudgetBears(t *testing.T) {
	w := newWorld(t)
	w.policy.MaxCredentials = MaxCredentials
	w.want(Done, w.create())
	for i := range 29 {
		w.want(Done, w.device(fmt.Sprintf("d%d", i)))
	}
	w.want(Done, w.begin("s1"))
	live := 0
	for i := range 29 {
		if r := w.apply(w.decide("s1", fmt.Sprintf("d%d", i), true)); r.Outcome == Done {
			live++
		} else if r.Outcome != TooMany {
			t.Fatalf("%v", r.Outcome)
		}
	}
	if live != 13 { // 29 x 300 + 13 x 100
		t.Errorf("%d codes are live at once", live)
	}
	w.want(TooMany, w.device("one more"))
	w.want(Wrong, w.enter("s1"))
	if w.state.Charge > Budget {
		t.Errorf("one attempt cost %d", w.state.Charge)
	}
}

// TestCombined: a code after a password counts for whichever sign-in it is of, and a saved one is charged once.
func TestCombined(t *testing.T) {
	w := holder(t, "phone")
	w.want(Done, w.begin("s1"))
	w.want(Done, w.begin("s2"))
	w.want(Done, w.decide("s2", "phone", true))
	if r := w.want(Accepted, w.enter("", w.live("s2", "device/phone"))); r.Credential != "device/phone" {
		t.Errorf("accepted: %+v", r)
	}
	w.is("s1", SignInBegun)
	w.is("s2", SignInVerified)

	repeat := func(mac string) *Command {
		c := w.enter("")
		c.Enter.Repeat = []byte(mac)
		return c
	}
	const one, two = "0123456789abcdef", "fedcba9876543210"
	w.want(Wrong, repeat(one))
	for range 50 {
		c := repeat(one)
		c.Enter.Evaluated, c.Enter.MACs = false, 0
		w.want(Wrong, c)
		w.now += second
	}
	if w.state.Refused != (Refused{Count: 50}) || w.logged(`"coalesced":50`) {
		t.Errorf("the same text 50 times is kept as %+v", w.state.Refused)
	}
	if w.state.Failures != 1 {
		t.Errorf("the same text is charged %d times", w.state.Failures)
	}
	// It can't be accepted unpaid.
	right := repeat(one)
	right.Enter.Matches = []Match{w.current("phone")}
	w.want(Wrong, right)
	w.want(Wrong, repeat(two))
	if !w.logged(`"coalesced":51`, `"macs":8`) { // its own four, and those of the right one
		t.Errorf("the next entry is %s", w.entries[len(w.entries)-1])
	}
	w.want(Wrong, repeat(one))
	if w.state.Failures != 3 {
		t.Errorf("other texts are charged %d times", w.state.Failures)
	}
	w.now += RepeatFor
	w.want(Wrong, repeat(one))
	if w.state.Failures != 4 {
		t.Errorf("the same text later is charged %d times", w.state.Failures)
	}
}

// TestCodeMessage: what codes are made of, byte by byte. It must never change: codes that are on their way would die.
func TestCodeMessage(t *testing.T) {
	for want, got := range map[string][]byte{
		"7374726f6e67726f6f6d2f636f64652f7631344ab54117c0bd8b0d94e76f536d29e969766065e4208fd5dad631553bf309e7": CodeMessage("acme", "ann", "s1", PhoneChannel("p1"), 9),
		"7374726f6e67726f6f6d2f636f64652f76316d3699a33ecb2e47d291822360f466996a8a3252b12b3a3be1d0f6938eff0542": CodeMessage("acme", "ann", "", PhoneChannel("p1"), 9),
	} {
		if fmt.Sprintf("%x", got) != want {
			t.Errorf("got %x, want %s", got, want)
		}
	}
	seen := map[string]bool{}
	for _, m := range [][]byte{
		CodeMessage("acme", "ann", "s1", PhoneChannel("p1"), 9), CodeMessage("acm", "eann", "s1", PhoneChannel("p1"), 9),
		CodeMessage("acme", "ann", "s1", DeviceChannel("p1"), 9), CodeMessage("acme", "ann", "s1", PhoneChannel("p1"), 10),
		CodeMessage("acme", "ann", "s1phone", "/p1", 9), CodeMessage("acme", "ann", "", PhoneChannel("p1"), 9),
	} {
		if seen[string(m)] || len(m) != len(codeDomain)+32 {
			t.Errorf("%x is made of two codes, or is of another length", m)
		}
		seen[string(m)] = true
	}
}
