package account

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// pepper stands in for the module: a MAC that is the password's alone.
func pepper(password string) []byte {
	mac := make([]byte, MACSize)
	copy(mac, password)
	return mac
}

func (w *world) createAppPassword(id, password string) *Command {
	c := w.command()
	c.CreateAppPassword = &CreateAppPassword{
		Password: AppPassword{ID: id, Label: "Mail on " + id, MAC: pepper(password)}, MACs: 1,
	}
	return c
}

func (w *world) revokeAppPassword(id string) *Command {
	c := w.command()
	c.RevokeAppPassword = &RevokeAppPassword{ID: id}
	return c
}

func (w *world) verifyAppPassword(password string) *Command {
	c := w.command()
	c.VerifyAppPassword = &VerifyAppPassword{MAC: pepper(password), MACs: 1}
	return c
}

// mailbox is an account with a device whose tenant allows app passwords, and one of them.
func mailbox(t testing.TB) *world {
	t.Helper()
	w := ann(t, "phone")
	w.policy.AllowAppPasswords = true
	w.want(Done, w.createAppPassword("mail", "right"))
	return w
}

func init() {
	goldenStates["state-app-passwords"] = &State{
		Version: 1, Salt: []byte("0123456789abcdef"), Created: start, Time: start + 90*second, Keys: 0x303132333436,
		Attempts: Attempts{Charge: 1, Last: start + 90*second},
		AppPasswords: AppPasswords{
			List: []AppPassword{
				{
					ID: "mail", Label: "Mail", MAC: pepper("right"), Service: "imap", Network: "192.0.2.0/24", Expires: start + hour,
					Added: start, LastUsed: start + 30*second, LastFrom: "192.0.2.7",
				},
				{ID: "calendar", Label: "Calendar", MAC: pepper("other"), Added: start},
			},
			Wrong: pepper("wrong")[:WrongSize],
		},
	}
	goldenStates["state-app-passwords-phantom"] = &State{
		Version: 1, Phantom: true, Salt: []byte("0123456789abcdef"), Time: start, Attempts: Attempts{Charge: 1, Last: start},
		AppPasswords: AppPasswords{Wrong: pepper("wrong")[:WrongSize]},
	}
	goldenCommands["command-create-app-password"] = goldenCommand(func(c *Command) {
		c.CreateAppPassword = &CreateAppPassword{MACs: 1, Password: AppPassword{
			ID: "mail", Label: "Mail", MAC: pepper("right"), Service: "imap", Network: "2001:db8::/32", Expires: start + hour,
		}}
	})
	goldenCommands["command-revoke-app-password"] = goldenCommand(func(c *Command) {
		c.RevokeAppPassword = &RevokeAppPassword{ID: "mail"}
	})
	goldenCommands["command-revoke-app-passwords"] = goldenCommand(func(c *Command) { c.RevokeAppPassword = &RevokeAppPassword{} })
	goldenCommands["command-verify-app-password"] = goldenCommand(func(c *Command) {
		c.VerifyAppPassword = &VerifyAppPassword{MAC: pepper("right"), Service: "imap", Source: "2001:db8::7", MACs: 1}
	})
}

func TestAppPasswordIsHeardUntilItIsRevoked(t *testing.T) {
	w := mailbox(t)
	w.want(Done, w.createAppPassword("calendar", "other"))
	w.now += second
	c := w.verifyAppPassword("right")
	c.VerifyAppPassword.Source = "192.0.2.7"
	for range 3 { // it is no code: it is not spent
		if r := w.want(Accepted, c); r.Credential != "mail" {
			t.Errorf("accepted %q, want mail", r.Credential)
		}
	}
	part := `"operation":"verify-app-password","key":"pepper","subject":"mail","key_version":1,"macs":1,"outcome":"accepted"`
	if last := w.entries[len(w.entries)-1]; !strings.Contains(last, part) {
		t.Errorf("the entry is %s, want %s in it", last, part)
	}
	if k := w.state.AppPassword("mail"); k.LastUsed != w.now || k.LastFrom != "192.0.2.7" || k.Added != start {
		t.Errorf("the password is %+v", k)
	}
	w.want(Done, w.revokeAppPassword("mail"))
	w.want(NotFound, w.revokeAppPassword("mail"))
	w.want(Wrong, w.verifyAppPassword("right"))
	w.want(Accepted, w.verifyAppPassword("other"))
	w.want(Done, w.createAppPassword("third", "third"))
	w.want(Done, w.revokeAppPassword("")) // the account's password was changed
	if last := w.entries[len(w.entries)-1]; !strings.Contains(last, `"detail":"calendar third"`) {
		t.Errorf("the entry doesn't say which: %s", last)
	}
	w.want(Wrong, w.verifyAppPassword("other"))
	w.want(Wrong, w.verifyAppPassword("third"))
	w.want(Done, w.revokeAppPassword("")) // there is none: that's as well
	if len(w.state.AppPasswords.List) != 0 {
		t.Errorf("left: %+v", w.state.AppPasswords.List)
	}
}

func TestAppPasswordIsBoundToItsScope(t *testing.T) {
	w := mailbox(t)
	c := w.createAppPassword("bound", "bound")
	k := &c.CreateAppPassword.Password
	k.Service, k.Network, k.Expires = "imap", "192.0.2.0/24", start+hour
	w.want(Done, c)
	c = w.createAppPassword("v6", "v6")
	c.CreateAppPassword.Password.Network = "2001:db8::/32"
	w.want(Done, c)
	for _, a := range []struct {
		password, service, source string
		at                        Time
		want                      Outcome
	}{
		{"bound", "imap", "192.0.2.7", 0, Accepted},
		{"bound", "imap", "192.0.2.255", hour - 1, Accepted},
		{"bound", "imap", "192.0.2.7", hour, Expired},
		{"bound", "smtp", "192.0.2.7", 0, OutOfScope},
		{"bound", "IMAP", "192.0.2.7", 0, OutOfScope},
		{"bound", "", "192.0.2.7", 0, OutOfScope},
		{"bound", "imap", "192.0.3.7", 0, OutOfScope},
		{"bound", "imap", "2001:db8::7", 0, OutOfScope},
		{"bound", "imap", "", 0, OutOfScope},
		{"v6", "", "2001:db8:1::7", 0, Accepted},
		{"v6", "any", "2001:db9::7", 0, OutOfScope},
		{"v6", "", "192.0.2.7", 0, OutOfScope},
		{"right", "any", "", 0, Accepted},
		{"right", "", "192.0.2.7", 0, Accepted},
	} {
		charge, last := w.attempts().Charge, w.state.AppPasswords.Wrong
		w.now = max(w.now, start+a.at)
		if a.at == 0 && w.now != start { // as if it were another account's
			w.now, w.state.Time = start, start
		}
		c := w.verifyAppPassword(a.password)
		c.VerifyAppPassword.Service, c.VerifyAppPassword.Source = a.service, a.source
		w.want(a.want, c)
		repeated := slices.Equal(last, pepper(a.password)[:WrongSize])
		if charged := w.attempts().Charge - charge; (charged == 1) != (a.want != Accepted && !repeated) {
			t.Errorf("%+v is charged %d, the one before was the same: %v", a, charged, repeated)
		}
	}
}

func TestAppPasswordsNeedThePolicy(t *testing.T) {
	w := mailbox(t)
	w.policy.AllowAppPasswords = false
	w.want(RefusedByPolicy, w.createAppPassword("second", "second"))
	w.want(RefusedByPolicy, w.verifyAppPassword("right"))
	closed := w.createAppPassword("second", "second")
	closed.CreateAppPassword.Password.MAC, closed.CreateAppPassword.MACs = nil, 0
	w.want(RefusedByPolicy, closed)
	w.policy.AllowAppPasswords = true
	w.want(Stale, closed)
	w.want(Accepted, w.verifyAppPassword("right"))
	w.policy.MaxAppPasswords = 2
	w.want(Conflict, w.createAppPassword("mail", "second"))
	w.want(Done, w.createAppPassword("second", "second"))
	w.want(TooMany, w.createAppPassword("third", "third"))
	if err := (Policy{MaxAppPasswords: MaxAppPasswords + 1}).Validate(); err == nil {
		t.Error("a policy of 26 is taken")
	}
}

// TestAppPasswordsShareTheBudget: a wrong one costs the smallest unit, and a lock is one for all channels.
func TestAppPasswordsShareTheBudget(t *testing.T) {
	w := mailbox(t)
	w.want(Wrong, w.verifyAppPassword("first guess"))
	if w.attempts().Charge != 1 {
		t.Fatalf("one wrong app password: %+v", w.attempts())
	}
	free := 9_600
	w.state.Attempts.Charge = uint32(free) // as after so many
	for ; w.attempts().RetryAt == 0; free++ {
		w.want(Wrong, w.verifyAppPassword(fmt.Sprint("guess ", free)))
	}
	if want := Budget - 300 + 1; free != want { // from where one more attempt on the phone would exceed the budget
		t.Errorf("%d guesses were free, want %d", free, want)
	}
	if a := w.attempts(); a.Failures != 0 || a.Charge != uint32(free) {
		t.Errorf("attempts: %+v", a)
	}
	w.want(Locked, w.verifyAppPassword("right"))
	w.want(Locked, w.verify(w.current("phone")))
	w.now = w.attempts().RetryAt
	w.want(Accepted, w.verifyAppPassword("right"))
	if w.attempts().Charge == 0 {
		t.Error("an app password ended the series")
	}
	w.want(Accepted, w.verify(w.current("phone")))
	if w.attempts() != (Attempts{}) {
		t.Errorf("after a code: %+v", w.attempts())
	}
}

// TestAMailProgramFreesNobodysGuesses: it asks all the time with the right password, and codes lock as without it.
func TestAMailProgramFreesNobodysGuesses(t *testing.T) {
	w := mailbox(t)
	for i := range 33 {
		w.want(Accepted, w.verifyAppPassword("right"))
		w.want(Wrong, w.verify())
		if locked := w.attempts().RetryAt != 0; locked != (i == 32) {
			t.Fatalf("after %d guesses locked: %v", i+1, locked)
		}
	}
	w.want(Locked, w.verifyAppPassword("right"))
	entries := len(w.entries)
	c := w.verifyAppPassword("right")
	c.VerifyAppPassword.MAC, c.VerifyAppPassword.MACs = nil, 0
	w.want(Locked, c)
	w.want(Locked, c)
	if len(w.entries) != entries {
		t.Error("attempts that used no key have entries of their own")
	}
	w.now += hour
	c.Time = w.now
	w.want(Stale, c) // it isn't locked any more: have it computed
}

// TestADeadPasswordLocksNobodyOut: a program that goes on with a revoked one is charged once and never counts as failures.
func TestADeadPasswordLocksNobodyOut(t *testing.T) {
	w := mailbox(t)
	w.want(Done, w.revokeAppPassword("mail"))
	for range 2 * MaxFailures {
		w.now += 10 * second
		w.want(Wrong, w.verifyAppPassword("right"))
	}
	if a := w.attempts(); a.Charge != 1 || a.Failures != 0 || a.RetryAt != 0 {
		t.Errorf("attempts: %+v", a)
	}
}

// TestADeviceMoreAfterGuesses: what app passwords were charged counts when an attempt becomes dearer.
func TestADeviceMoreAfterGuesses(t *testing.T) {
	w := mailbox(t)
	w.want(Wrong, w.verifyAppPassword("guess"))
	w.state.Attempts.Charge = 9_500 // as after so many
	w.want(Done, w.enrol("tablet", totp6))
	w.want(Locked, w.verify())
}

// TestAppPasswordsOfNobody: a name that isn't an account is charged and locks as one is, and is nobody to the rest.
func TestAppPasswordsOfNobody(t *testing.T) {
	nobody, somebody := newWorld(t), mailbox(t)
	for i := range 120 {
		if i == 10 { // as after many more
			nobody.state.Attempts.Charge, somebody.state.Attempts.Charge = 9_600, 9_600
		}
		a, b := nobody.apply(nobody.verifyAppPassword(fmt.Sprint(i))), somebody.apply(somebody.verifyAppPassword(fmt.Sprint(i)))
		a.Entry, b.Entry = 0, 0
		if a != b {
			t.Fatalf("attempt %d: nobody %+v, somebody %+v", i+1, a, b)
		}
	}
	if nobody.attempts().RetryAt == 0 {
		t.Error("nobody is never locked")
	}
	nobody.want(NotFound, nobody.createAppPassword("mail", "right"))
	nobody.want(NotFound, nobody.revokeAppPassword("mail"))
	nobody.want(NotFound, nobody.revokeAppPassword(""))
	noSalt := newWorld(t)
	c := noSalt.verifyAppPassword("x")
	c.Salt = nil
	noSalt.want(Stale, c)
}

func TestAppPasswordRequestsAreRemembered(t *testing.T) {
	w := mailbox(t)
	first := w.want(Done, w.with(requestID(1), w.createAppPassword("a", "a")))
	c := w.createAppPassword("b", "b")
	c.CreateAppPassword.Password.Label = "Mail on a"
	again := w.want(Done, w.with(requestID(1), c))
	if !again.Replayed || again.Credential != "a" || again.Entry != first.Entry {
		t.Errorf("again: %+v, want %+v", again, first)
	}
	w.want(Conflict, w.with(requestID(1), w.createAppPassword("c", "c"))) // another label
	w.want(Conflict, w.with(requestID(1), w.revokeAppPassword("a")))
	w.want(Wrong, w.with(requestID(2), w.verifyAppPassword("x")))
	if r := w.want(Wrong, w.with(requestID(2), w.verifyAppPassword("right"))); !r.Replayed {
		t.Errorf("again: %+v", r)
	}
	c = w.verifyAppPassword("x")
	c.VerifyAppPassword.Service = "imap"
	w.want(Conflict, w.with(requestID(2), c))
	w.want(Done, w.with(requestID(3), w.revokeAppPassword("")))
	w.want(Done, w.createAppPassword("after", "after"))
	w.want(Done, w.with(requestID(3), w.revokeAppPassword(""))) // a late repetition ends nothing that came after
	w.want(Accepted, w.verifyAppPassword("after"))
	w.want(Conflict, w.with(requestID(3), w.revokeAppPassword("after")))
}

func TestAppPasswordsValidate(t *testing.T) {
	w := mailbox(t)
	for name, spoil := range map[string]func(*AppPassword){
		"no id":               func(k *AppPassword) { k.ID = "" },
		"a short MAC":         func(k *AppPassword) { k.MAC = k.MAC[1:] },
		"a long label":        func(k *AppPassword) { k.Label = strings.Repeat("x", MaxText+1) },
		"a label not of text": func(k *AppPassword) { k.Label = "\xff" },
		"a long service":      func(k *AppPassword) { k.Service = strings.Repeat("x", MaxID+1) },
		"no network":          func(k *AppPassword) { k.Network = "192.0.2.1" },
		"an unmasked network": func(k *AppPassword) { k.Network = "192.0.2.1/24" },
		"a mapped network":    func(k *AppPassword) { k.Network = "::ffff:192.0.2.0/120" },
		"a long network":      func(k *AppPassword) { k.Network = "2001:0db8::/32" },
		"a past":              func(k *AppPassword) { k.Added = 1 },
		"a use":               func(k *AppPassword) { k.LastFrom = "192.0.2.1" },
		"no time":             func(k *AppPassword) { k.Expires = -1 },
		"all time":            func(k *AppPassword) { k.Expires = MaxTime + 1 },
	} {
		c := w.createAppPassword("new", "new")
		spoil(&c.CreateAppPassword.Password)
		if c.Validate() == nil {
			t.Errorf("creating one with %s is valid", name)
		}
	}
	for name, v := range map[string]VerifyAppPassword{
		"a short MAC":     {MAC: []byte{1}},
		"a long service":  {Service: strings.Repeat("x", MaxID+1)},
		"a mapped source": {Source: "::ffff:192.0.2.1"},
		"a zone":          {Source: "fe80::1%eth0"},
		"a name":          {Source: "localhost"},
	} {
		c := w.command()
		c.VerifyAppPassword = &v
		if c.Validate() == nil {
			t.Errorf("an attempt with %s is valid", name)
		}
	}
	for name, spoil := range map[string]func(*State){
		"one id twice":       func(s *State) { s.AppPasswords.List[1].ID = "mail" },
		"a short MAC":        func(s *State) { s.AppPasswords.List[0].MAC = nil },
		"a short wrong":      func(s *State) { s.AppPasswords.Wrong = []byte{1} },
		"a phantom's":        func(s *State) { s.Phantom, s.Keys, s.Created = true, 0, 0 },
		"many":               func(s *State) { s.AppPasswords.List = make([]AppPassword, MaxAppPasswords+1) },
		"a use from nowhere": func(s *State) { s.AppPasswords.List[0].LastFrom = "x" },
	} {
		s, err := DecodeState(golden(t, "state-app-passwords"))
		if err != nil {
			t.Fatal(err)
		}
		spoil(s)
		if _, err := DecodeState(EncodeState(s)); err == nil {
			t.Errorf("a state with %s is read", name)
		}
	}
}

// TestLargestAppPasswordsFit: with all else at its largest (TestLargestFits), there is room for them.
func TestLargestAppPasswordsFit(t *testing.T) {
	w := mailbox(t)
	w.want(Done, w.revokeAppPassword(""))
	before := len(EncodeState(w.state))
	for i := range MaxAppPasswords {
		id := strings.Repeat(string(rune('A'+i)), MaxID)
		c := w.createAppPassword(id, id)
		k := &c.CreateAppPassword.Password
		k.Label, k.Service, k.Expires = strings.Repeat("ü", MaxText/2), strings.Repeat("s", MaxID), MaxTime
		k.Network = "2001:db8:1111:2222:3333:4444:5555:6666/128"
		w.want(Done, c)
		v := w.verifyAppPassword(id)
		v.VerifyAppPassword.Service, v.VerifyAppPassword.Source = k.Service, "2001:db8:1111:2222:3333:4444:5555:6666"
		w.want(Accepted, v)
	}
	w.want(TooMany, w.createAppPassword("one more", "one more"))
	if n := len(EncodeState(w.state)) - before; n > 12<<10 {
		t.Errorf("25 app passwords take %d bytes", n)
	}
}
