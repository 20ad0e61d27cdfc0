package account

import (
	"testing"
)

// TestNothingButTheNotice: acts that are nothing without theirs are refused while too many wait.
func TestNothingButTheNotice(t *testing.T) {
	w := holder(t, "phone")
	w.phone("p1", "+14155550101")
	w.want(Done, w.addPhone("p2", "+14155550102"))
	w.want(Done, w.begin("s1"))
	w.policy.NoticesFull = true
	w.want(Full, w.begin("s2"))
	w.want(Full, w.send("s1", "p1"))
	w.want(Full, w.sendPhone("p2"))
	w.want(Done, w.decide("s1", "phone", false))
	w.want(Done, w.remove("phone"))
	w.policy.NoticesFull, w.policy.Gateway = false, false
	w.want(Done, w.begin("s2"))
	w.want(RefusedByPolicy, w.send("s2", "p1"))
	w.want(RefusedByPolicy, w.sendPhone("p2"))
	nobody := newWorld(t)
	nobody.policy = w.policy
	nobody.policy.NoticesFull = true
	nobody.want(Full, nobody.begin("s1"))
}

func TestNoticesAreToldApart(t *testing.T) {
	w := holder(t, "phone", "tablet")
	w.phone("p1", "+14155550101")
	w.want(Done, w.begin("s1"))
	w.want(Done, w.decide("s1", "phone", true))
	w.want(Done, w.send("s1", "p1"))
	w.want(Accepted, w.enter("s1", w.live("s1", "device/phone")))
	seen := map[string]bool{}
	for _, n := range w.notices {
		if len(n.ID) != 24 || seen[n.ID] || n.Account != "ann" || n.Time == 0 {
			t.Errorf("a notice is %+v", n)
		}
		seen[n.ID] = true
		if n.Kind.Gateway() != (n.Number != "") || n.Kind.Gateway() != (n.N != 0) {
			t.Errorf("a number and a code's place are in %+v", n)
		}
	}
}
