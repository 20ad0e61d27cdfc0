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
