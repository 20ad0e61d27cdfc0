package e2e

import (
	"net/http"
	"testing"

	kit "strongroom.internal/api/device"
	"strongroom.internal/api/wire"
	"strongroom.internal/appliance/audit"
)

// TestE6_WhoIsSignedIn: P38: the list says of each device whether it is signed in, as every node sees it: from a sign-in that
// was verified on it and from what the front-end says; and a front-end that says it with each request leaves one entry.
func TestE6_WhoIsSignedIn(t *testing.T) {
	r := power(t)
	withOutside(t, r)
	account, p := r.person(t)
	path := "/v1/accounts/" + account + "/devices"
	is := func(when, device string, want *bool, seen bool) {
		t.Helper()
		for node := range r.nodes() {
			var list wire.Credentials
			r.do(t, node, http.MethodGet, path, nil, &list)
			for _, d := range list.Credentials {
				if d.ID != device {
					continue
				}
				if (d.SignedIn == nil) != (want == nil) || want != nil && *d.SignedIn != *want || d.SignedInSince.IsZero() != (want == nil) || d.LastSeen.IsZero() == seen {
					t.Errorf("%s, node %d: %+v", when, node, d)
				}
				device = ""
			}
		}
		if device != "" {
			t.Errorf("%s: it is not listed", when)
		}
	}
	yes, no := true, false
	is("enrolled", p.signIn.Device, nil, false)
	s := r.begin(t, 0, account)
	code := p.read(t, s, r.decide(t, 1, account, s, p.decision(t, s, true)).Code)
	is("after its Allow", p.signIn.Device, nil, true)
	k, err := kit.NewKey()
	check(t, err)
	var e wire.Entered
	r.do(t, 2, http.MethodPost, signInPath(account, s, "verifications"), map[string]any{
		"code": code, "new_device": wire.DeviceRequest{PublicKey: k.Public(), Name: "Mac"},
	}, &e)
	if e.NewDevice == nil {
		t.Fatalf("the new device: %+v", e)
	}
	mac := e.NewDevice.Device.ID
	is("after its sign-in", mac, &yes, true)

	// Thirty requests of the device, on all nodes: no news. Then it signs out, is told so ten times, and comes back.
	before := r.head(t)
	for n := range 30 {
		r.do(t, n%3, http.MethodPut, path+"/"+mac+"/presence", wire.PresenceReport{SignedIn: true}, nil)
	}
	for n := range 10 {
		r.do(t, n%3, http.MethodPut, path+"/"+mac+"/presence", wire.PresenceReport{}, nil)
	}
	is("signed out", mac, &no, true)
	for n := range 10 {
		r.do(t, n%3, http.MethodPut, path+"/"+mac+"/presence", wire.PresenceReport{SignedIn: true}, nil)
	}
	is("signed in again", mac, &yes, true)
	seen := map[string]int{}
	for _, e := range r.since(t, before).entries {
		if e.Subject == mac {
			seen[e.Operation+" "+e.Outcome]++
		}
	}
	if len(seen) != 2 || seen["report-device-signed-out done"] != 1 || seen["report-device-signed-in done"] != 1 {
		t.Errorf("fifty reports with two news have the entries %v", seen)
	}

	// A removed device goes on asking, and that leaves nothing either. Another tenant's front-end sees none of them.
	r.do(t, 1, http.MethodDelete, path+"/"+mac, nil, nil)
	before = r.head(t)
	for node := range r.nodes() {
		if status := r.status(t, node, http.MethodPut, path+"/"+mac+"/presence", wire.PresenceReport{SignedIn: true}); status != http.StatusNotFound {
			t.Errorf("node %d: a removed device's report is answered %d", node, status)
		}
	}
	for _, e := range r.since(t, before).entries {
		if e.Subject == mac {
			t.Errorf("a removed device's report is in the log: %+v", e)
		}
	}
}

// since reads what the leader's log has from an index on.
func (r *rig) since(t *testing.T, from int64) *history {
	t.Helper()
	c := r.at(t, r.leader(t))
	head, err := c.LogHead(t.Context())
	check(t, err)
	h := &history{}
	for from < head.Size {
		page, err := c.LogEntries(t.Context(), from, int(min(512, head.Size-from)))
		check(t, err)
		for _, raw := range page {
			e, err := audit.ParseEntry(raw)
			check(t, err)
			h.raw, h.entries = append(h.raw, raw), append(h.entries, e)
		}
		from += int64(len(page))
	}
	return h
}

// head is the number of entries.
func (r *rig) head(t *testing.T) int64 {
	t.Helper()
	head, err := r.at(t, r.leader(t)).LogHead(t.Context())
	check(t, err)
	return head.Size
}
