package account

import (
	"fmt"
	"strings"
	"testing"
)

func (w *world) authenticator(id string, door Door) *Command {
	c := w.command()
	c.Enrol = &Enrol{Door: door, Credential: Credential{
		ID: id, Kind: Authenticator, Params: totp6, Seed: []byte("sealed " + id), SeedVersion: 1, KeyVersion: 3,
		Issuer: "ACME", Label: "ann",
	}}
	return c
}

func TestDoors(t *testing.T) {
	for _, c := range []struct {
		door    Door
		policy  Policy
		want    Outcome
		logged  string
		present bool
	}{
		{ImportedDoor, Policy{}, RefusedByPolicy, "import-seed", false},
		{ImportedDoor, Policy{AllowReveal: true}, RefusedByPolicy, "import-seed", false},
		{ImportedDoor, Policy{AllowImport: true}, Done, "import-seed", true},
		{RevealedDoor, Policy{}, RefusedByPolicy, "reveal-seed", false},
		{RevealedDoor, Policy{AllowImport: true}, RefusedByPolicy, "reveal-seed", false},
		{RevealedDoor, Policy{AllowReveal: true}, Done, "reveal-seed", true},
	} {
		w := ann(t)
		w.policy = c.policy
		w.want(c.want, w.authenticator("app", c.door))
		if got := w.state.Find("app") != nil; got != c.present {
			t.Errorf("%+v: enrolled is %v", c, got)
		}
		if last := w.entries[len(w.entries)-1]; !strings.Contains(last, c.logged) || !strings.Contains(last, c.want.String()) {
			t.Errorf("%+v is logged as %s", c, last)
		}
	}
	w := ann(t)
	w.policy = Policy{}
	w.want(Done, w.enrol("phone", totp6)) // a device's door has no lock
}

// TestDoorOpenedMeanwhile: the node saw the door closed and made no seed, and then it was opened.
func TestDoorOpenedMeanwhile(t *testing.T) {
	w := ann(t)
	c := w.authenticator("app", RevealedDoor)
	c.Enrol.Credential.Seed = nil
	w.want(Stale, c)
	w.policy = Policy{}
	w.want(RefusedByPolicy, c)
}

func TestEnrolSetsThePast(t *testing.T) {
	w := ann(t, "phone")
	keys := w.state.Keys
	w.now += hour
	c := w.authenticator("token", ImportedDoor)
	c.Enrol.Credential.Params, c.Enrol.Credential.Counter = hotp6, 42
	r := w.want(Done, c)
	k := w.state.Find(r.Credential)
	if k == nil || k.Added != w.now || k.LastUsed != 0 || k.Watermark != 41 || k.Counter != 42 {
		t.Errorf("enrolled as %+v", k)
	}
	if w.state.Keys != keys+1 {
		t.Errorf("Keys went from %d to %d", keys, w.state.Keys)
	}
	if got := w.state.Find("phone").Watermark; got != -1 {
		t.Errorf("a new device has the watermark %d", got)
	}
}

func TestLimits(t *testing.T) {
	w := ann(t)
	for i := range DefaultCredentials {
		w.want(Done, w.enrol(fmt.Sprint(i), totp6))
	}
	w.want(TooMany, w.enrol("more", totp6))
	w.policy.MaxCredentials = 255
	if w.policy.Validate() == nil {
		t.Error("a policy of 255 credentials is valid")
	}
	for i := DefaultCredentials; i < MaxCredentials; i++ {
		w.want(Done, w.enrol(fmt.Sprint(i), totp6))
	}
	w.want(TooMany, w.enrol("more", totp6))
	w.want(Conflict, w.enrol("7", totp6))
	w.policy.MaxCredentials = 1
	w.want(Accepted, w.verify(w.current("29"))) // who has more than a new policy allows keeps them
	w.want(TooMany, w.enrol("more", totp6))

	w = ann(t)
	for i := range 16 {
		w.want(Done, w.enrol(fmt.Sprint(i), hotp6))
	}
	// A seventeenth would make one attempt worth 10,200 units.
	w.want(TooMany, w.enrol("more", hotp6))
	w.want(Done, w.enrol("eight", totp8))
}

func TestRemove(t *testing.T) {
	w := ann(t, "phone", "pad")
	keys := w.state.Keys
	old := w.verify(w.current("phone"))
	if r := w.want(Done, w.remove("phone")); r.Credential != "phone" {
		t.Errorf("removed %q", r.Credential)
	}
	w.want(Stale, old)
	w.want(Wrong, w.verify(w.current("phone"))) // dead at once
	w.want(NotFound, w.remove("phone"))
	w.want(Accepted, w.verify(w.current("pad")))
	w.want(Done, w.remove("pad"))
	if w.state.Keys != keys+2 {
		t.Errorf("Keys went from %d to %d", keys, w.state.Keys)
	}
	w.want(Wrong, w.verify(w.current("pad")))
}

func TestDelete(t *testing.T) {
	w := ann(t, "phone")
	salt := w.state.Salt
	c := w.command()
	c.Delete = &Delete{}
	w.want(Done, c)
	if w.state != nil {
		t.Fatal("there still is a record")
	}
	if last := w.entries[len(w.entries)-1]; !strings.Contains(last, Pseudonym(salt, "acme", "ann")) {
		t.Errorf("the account's last entry isn't its own: %s", last)
	}
	w.want(NotFound, w.commandOf(func(c *Command) { c.Delete = &Delete{} }))
	w.want(Done, w.create())
	if string(w.state.Salt) == string(salt) {
		t.Error("the account made anew can be linked to the old one")
	}
}

func (w *world) commandOf(set func(*Command)) *Command {
	c := w.command()
	set(c)
	return c
}

func TestPseudonym(t *testing.T) {
	salt := []byte("0123456789abcdef")
	// printf '\0\0\0\x17strongroom/pseudonym/v1\0\0\0\4acme\0\0\0\3ann' | openssl dgst -sha256 -hmac 0123456789abcdef
	if got, want := Pseudonym(salt, "acme", "ann"), "699c2437cf8b5caa86c2de58e43a1775"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if Pseudonym(salt, "acm", "eann") == Pseudonym(salt, "acme", "ann") {
		t.Error("two accounts share a pseudonym")
	}
}

func TestLogRequest(t *testing.T) {
	salt, id := []byte("0123456789abcdef"), requestID(9)
	// (printf '\0\0\0\x19strongroom/log-request/v1\x09'; head -c 14 /dev/zero; printf '\x09') | openssl dgst -sha256 -hmac 0123456789abcdef
	if got, want := LogRequest(salt, id), "4cde00923817b69c1533acd5ccc31ed1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := LogRequest(salt, RequestID{}); got != "" {
		t.Errorf("a request without an id has the id %s in the log", got)
	}
}

func TestCommandValidate(t *testing.T) {
	w := ann(t, "phone")
	for name, spoil := range map[string]func(*Command){
		"nothing":          func(c *Command) { c.Enrol = nil },
		"two things":       func(c *Command) { c.Create = &Create{} },
		"no time":          func(c *Command) { c.Time = 0 },
		"a far time":       func(c *Command) { c.Time = MaxTime + 1 },
		"no tenant":        func(c *Command) { c.Tenant = "" },
		"a long tenant":    func(c *Command) { c.Tenant = strings.Repeat("x", MaxTenant+1) },
		"no account":       func(c *Command) { c.Account = "" },
		"a long account":   func(c *Command) { c.Account = strings.Repeat("x", MaxAccount+1) },
		"no UTF-8":         func(c *Command) { c.Account = "\xff" },
		"a short salt":     func(c *Command) { c.Salt = c.Salt[:8] },
		"a long name":      func(c *Command) { c.Enrol.Credential.Name = strings.Repeat("x", MaxText+1) },
		"a long seed":      func(c *Command) { c.Enrol.Credential.Seed = make([]byte, MaxSeed+1) },
		"no seed":          func(c *Command) { c.Enrol.Credential.Seed = nil },
		"no key":           func(c *Command) { c.Enrol.Credential.PublicKey = nil },
		"no door":          func(c *Command) { c.Enrol.Door = 0 },
		"a door too many":  func(c *Command) { c.Enrol.Door = 4 },
		"the wrong door":   func(c *Command) { c.Enrol.Door = RevealedDoor },
		"no id":            func(c *Command) { c.Enrol.Credential.ID = "" },
		"bad parameters":   func(c *Command) { c.Enrol.Credential.Params.Digits = 5 },
		"a past":           func(c *Command) { c.Enrol.Credential.Watermark = 5 },
		"a counter":        func(c *Command) { c.Enrol.Credential.Counter = 5 },
		"too many matches": func(c *Command) { c.Enrol = nil; c.Verify = &Verify{Matches: make([]Match, MaxMatches+1)} },
	} {
		c := w.enrol("pad", totp6)
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		spoil(c)
		if c.Validate() == nil {
			t.Errorf("a command with %s is valid", name)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a command with %s was encoded", name)
				}
			}()
			EncodeCommand(c)
		}()
		if _, err := DecodeCommand(must(encoder.Marshal(c))); err == nil {
			t.Errorf("a command with %s was decoded", name)
		}
	}
}
