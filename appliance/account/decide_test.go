package account

import (
	"slices"
	"testing"
)

func TestDontAllowIsFinal(t *testing.T) {
	w := holder(t, "phone", "tablet")
	w.phone("p1", "+14155550101")
	w.want(Done, w.begin("s1"))
	w.want(Done, w.decide("s1", "phone", true))
	w.want(Done, w.send("s1", "p1"))
	pushed, sent := w.live("s1", "device/phone"), w.live("s1", "phone/p1")
	w.want(Done, w.decide("s1", "tablet", false))
	w.is("s1", SignInDenied)
	if n := w.last(); n.Kind != NoticeDenied || n.Credential != "tablet" {
		t.Errorf("told: %+v", n)
	}
	failures := w.state.Attempts
	for _, c := range []LiveCode{pushed, sent} {
		w.want(Ended, w.enter("s1", c))
	}
	late := w.enter("s1")
	late.Enter.Matches = []Match{w.current("phone")}
	w.want(Ended, late)
	if w.state.Attempts != failures {
		t.Error("what was compared with nothing is charged")
	}
	w.want(Ended, w.decide("s1", "phone", true))
	w.want(Ended, w.send("s1", "p1"))
	w.want(Ended, w.cancel("s1"))
	w.want(Done, w.decide("s1", "tablet", false)) // a replay
	w.now += hour
	w.is("s1", SignInDenied)
}

// TestWhyItWasNotAllowed: P68: the reason is signed, may come after, and "not me" is a notice of a kind of its own.
func TestWhyItWasNotAllowed(t *testing.T) {
	w := holder(t, "phone", "tablet")
	kinds := func(from int) (k []NoticeKind) {
		for _, n := range w.notices[from:] {
			k = append(k, n.Kind)
		}
		return k
	}
	w.want(Done, w.begin("s1"))
	before := len(w.notices)
	w.want(Done, w.deny("s1", "tablet", NotMe))
	if got := kinds(before); !slices.Equal(got, []NoticeKind{NoticeDenied, NoticeNotMe}) {
		t.Errorf("told: %v", got)
	}
	n := w.last()
	if n.Reason != NotMe || n.SignIn != "s1" || n.Credential != "tablet" || !slices.Equal(n.Devices, []string{"phone", "tablet"}) || n.Device.Model != "Mac" {
		t.Errorf("the alert is %+v", n)
	}
	if !w.logged(`"operation":"deny-sign-in"`, "reason not_me") || w.state.SignIn("s1").Reason != NotMe {
		t.Error("the reason is not noted")
	}
	before = len(w.notices)
	w.want(Done, w.deny("s1", "tablet", NotMe)) // a replay
	w.want(Done, w.deny("s1", "tablet", ByMistake))
	w.want(Ended, w.deny("s1", "phone", ByMistake))
	if w.state.SignIn("s1").Reason != NotMe || len(w.notices) != before {
		t.Error("a reason was changed, or told again")
	}

	// The person is asked after, when the sign-in is over.
	w.want(Done, w.begin("s2"))
	w.want(Done, w.decide("s2", "phone", false))
	before = len(w.notices)
	w.want(Done, w.with(requestID(3), w.deny("s2", "phone", NotMe)))
	if got := kinds(before); !slices.Equal(got, []NoticeKind{NoticeNotMe}) || w.state.SignIn("s2").Reason != NotMe {
		t.Errorf("told after: %v", got)
	}
	w.want(Conflict, w.with(requestID(3), w.deny("s2", "phone", ByMistake)))

	// Neither the front-end nor anybody on the way can give a reason, or take it.
	w.want(Done, w.begin("s3"))
	given, taken := w.decide("s3", "phone", false), w.deny("s3", "phone", ByMistake)
	given.Decide.Reason, taken.Decide.Reason = NotMe, NoReason
	w.want(BadSignature, given)
	w.want(BadSignature, taken)
	taken.Decide.Reason = NotMe
	w.want(BadSignature, taken)
	allow := w.decide("s3", "phone", true)
	allow.Decide.Reason = NotMe
	if allow.Validate() == nil {
		t.Error("Allow takes a reason")
	}
	for word, want := range map[string]DenyReason{"": NoReason, "not_me": NotMe, "mistake": ByMistake} {
		if got, ok := ParseDenyReason(word); !ok || got != want || got.String() != word {
			t.Errorf("%q is read as %v", word, got)
		}
	}
	if _, ok := ParseDenyReason("invalid"); ok || DenyReason(9).String() != "invalid" {
		t.Error("a reason that is none is read")
	}
}

func TestDecisionsThatDontCount(t *testing.T) {
	w := holder(t, "phone", "tablet")
	w.want(Done, w.enrol("app", totp6)) // without a key that could sign
	own := w.begin("own")
	own.Begin.Own = "phone"
	w.want(Done, own)
	if n := w.last(); !slices.Equal(n.Devices, []string{"tablet", "app"}) {
		t.Errorf("told: %v", n.Devices)
	}
	w.want(NotEligible, w.decide("own", "phone", true))
	w.want(NotEligible, w.decide("own", "phone", false))
	w.want(Done, w.begin("s1"))
	w.want(Done, w.begin("s2"))
	w.want(BadSignature, w.decide("s1", "app", true))
	w.want(NotFound, w.decide("s1", "nobody", true))
	w.want(NotFound, w.decide("nothing", "phone", true))

	allow := w.decide("s1", "phone", true)
	for what, change := range map[string]func(d *Decide){
		"another sign-in": func(d *Decide) { d.SignIn = "s2" },
		"another device":  func(d *Decide) { d.Device = "tablet" },
		"the opposite":    func(d *Decide) { d.Allow = false },
		"another time":    func(d *Decide) { d.Time++ },
		"another byte":    func(d *Decide) { d.Signature = append([]byte{}, d.Signature...); d.Signature[9] ^= 1 },
		"a byte more":     func(d *Decide) { d.Signature = append(append([]byte{}, d.Signature...), 0) },
		"a fetch's":       func(d *Decide) { d.Signature = w.fetch("s1", "phone").Fetch.Signature },
		"nothing signed":  func(d *Decide) { d.Signature = []byte{0} },
		"another's tenant": func(d *Decide) {
			d.Signature = w.sign("phone", DecisionMessage("other", "ann", w.state.SignIn("s1"), d))
		},
	} {
		c, d := *allow, *allow.Decide
		change(&d)
		c.Decide = &d
		if r := w.apply(&c); r.Outcome != BadSignature {
			t.Errorf("%s: %v", what, r.Outcome)
		}
	}
	w.want(Done, allow)
	code := w.live("s1", "device/phone")
	made, notices := w.state.Channels.Made, len(w.notices)
	w.want(Done, allow)
	if w.live("s1", "device/phone") != code || w.state.Channels.Made != made || len(w.notices) != notices {
		t.Error("a replay had an effect")
	}
	w.want(Done, w.remove("phone"))
	w.want(NotFound, allow)
	w.is("s1", SignInBegun)
	w.want(Wrong, w.enter("s1", code))
}
