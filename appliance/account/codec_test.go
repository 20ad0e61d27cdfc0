package account

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strongroom.internal/appliance/otp"
)

// goldenStates and goldenCommands are what the files of testdata/golden hold, byte by byte. Both are in logs and stores
// out there: a file that fails means that another way must be found, never that the file be made anew.
var goldenStates = map[string]*State{
	"state-phantom": {
		Version: 1, Phantom: true, Salt: []byte("0123456789abcdef"), Time: start,
		Attempts: Attempts{Failures: 1, Charge: 300, Last: start},
	},
	"state-refused": {
		Version: 1, Phantom: true, Salt: []byte("0123456789abcdef"), Time: start,
		Attempts: Attempts{Failures: 100, Charge: 30_000, Delays: 67, Last: start},
		Refused:  Refused{Since: start, Entry: 7, Count: 1000},
	},
	"state-account": {
		Version: 1, Salt: []byte("0123456789abcdef"), Created: start, Time: start + 90*second, Keys: 0x303132333436,
		Credentials: []Credential{
			{
				ID: "phone", Kind: Device, Params: totp6, Seed: []byte("seed"), SeedVersion: 1, KeyVersion: 3,
				Envelope: []byte("envelope"), Certificate: []byte("certificate"), PublicKey: []byte("key"), Name: "Ann's phone",
				Model: "model", Serial: "serial", Platform: "platform", SystemVersion: "system", Added: start,
				LastUsed: start + 30*second, Watermark: 58907521, Drift: -1,
			},
			{
				ID: "token", Kind: Authenticator, Params: hotp6, Seed: []byte("seed"), SeedVersion: 1, KeyVersion: 3,
				Issuer: "ACME", Label: "ann", Added: start, Watermark: -1,
			},
			{
				ID: "other", Kind: Authenticator, Params: otp.Params{Mode: otp.HOTP, Hash: otp.SHA512, Digits: 8}, Seed: []byte("seed"),
				SeedVersion: 1, KeyVersion: 4, Added: start, Watermark: 41, Counter: 42,
			},
		},
		Attempts: Attempts{Failures: 34, Charge: 10200, Delays: 2, Last: start + 90*second, RetryAt: start + 210*second},
		Requests: Requests{
			{ID: requestID(1), Operation: requestVerify, Outcome: Accepted, Credential: "phone", Entry: 1000, Time: start},
			{
				ID: requestID(2), Operation: requestRemove, Fingerprint: 0x0102030405060708, Outcome: NotFound, Entry: 1001,
				Time: start + 90*second,
			},
		},
	},
}

func goldenCommand(set func(*Command)) *Command {
	c := &Command{
		Time: start, Tenant: "acme", Account: "ann", Actor: "spiffe://s/frontend/acme/web", Request: requestID(1),
		Salt: []byte("0123456789abcdef"), Node: "n1", Module: "SC-0001",
	}
	set(c)
	return c
}

func init() {
	goldenStates["state-protected"] = &State{
		Version: 1, Salt: []byte("0123456789abcdef"), Created: start, Time: start + 90*second, Keys: 0x303132333437,
		Phones: []Phone{{ID: "p1", Number: "+14155550101", Added: start, Verified: start + minute}},
		Enrolment: Enrolment{
			Mode: TwoFactor, Since: start + 90*second, Link: []byte("fedcba9876543210"), Until: start + 90*second + 14*24*hour, Class: "child",
			PriorDay: 20454,
			Lost: []LostDevice{{
				ID: "old", Name: "Ann's", Model: "model", Serial: "serial", Platform: "iOS", SystemVersion: "9", Added: start, LastUsed: start + second,
				Erased: true, At: start + minute,
			}},
		},
	}
	goldenStates["state-born"] = &State{
		Version: 1, Salt: []byte("0123456789abcdef"), Created: start, Time: start, Keys: 0x303132333436, Enrolment: Enrolment{Mode: Pending, Born: true},
	}
	for name, set := range map[string]func(*Command){
		"command-create-class": func(c *Command) { c.Create = &Create{Class: "child"} },
		"command-protect": func(c *Command) {
			c.Protect = &Protect{Own: "phone", Link: []byte("fedcba9876543210"), SignIn: "s1", Checked: true}
		},
		"command-protect-new": func(c *Command) {
			c.Protect = &Protect{
				Register: true, Link: []byte("fedcba9876543210"), Key: 0x0102030405060708, Platform: "iOS", SystemVersion: "9",
				Device: &Credential{
					ID: "mac", Kind: Device, Params: totp6, Seed: []byte("seed"), SeedVersion: 1, KeyVersion: 3, PublicKey: []byte("key"),
					Platform: "iOS", SystemVersion: "9",
				},
			}
		},
		"command-protect-settings": func(c *Command) {
			c.Protect = &Protect{Own: "phone", Link: []byte("fedcba9876543210"), Prior: []byte("sealed"), PriorDay: 20454}
		},
		"command-unprotect": func(c *Command) {
			c.Unprotect = &Unprotect{Link: []byte("fedcba9876543210"), Matched: true, MACs: 1, Token: 0x0102030405060708}
		},
		"command-lose":          func(c *Command) { c.Lose = &Lose{Device: "phone", Erased: true} },
		"command-update-device": func(c *Command) { c.UpdateDevice = &UpdateDevice{Device: "phone", Name: "mine", SystemVersion: "9.1"} },
		"command-classify":      func(c *Command) { c.Classify = &Classify{Class: "child"} },
	} {
		goldenCommands[name] = goldenCommand(set)
	}
}

var goldenNonce = []byte("0123456789abcdef")

func init() {
	goldenStates["state-sign-in"] = &State{
		Version: 1, Salt: []byte("0123456789abcdef"), Created: start, Time: start + 90*second, Keys: 0x303132333437,
		Credentials: []Credential{{
			ID: "phone", Kind: Device, Params: totp6, Seed: []byte("seed"), SeedVersion: 1, KeyVersion: 3,
			PublicKey: []byte("key"), Added: start, Watermark: -1,
		}},
		SignIns: []SignIn{
			{
				ID: "s1", Nonce: goldenNonce, Purpose: ForBrowser, Begun: start, Expires: start + 10*minute, Ended: start + minute,
				End: Denied, By: "phone", Sends: 1, Quiet: true,
			},
			{
				ID: "s2", Nonce: goldenNonce, Purpose: ForDevice, Begun: start + minute, Expires: start + 11*minute, Own: "tablet",
				Device: NewDevice{Kind: "computer", Name: "Ann's Mac", Model: "Mac", Platform: "macOS", SystemVersion: "15.1"},
				Place:  Place{Label: "Oslo, Norway", Latitude: 59_90, Longitude: -10_80, Accuracy: 20},
				Codes:  []LiveCode{{"device/phone", 7}, {"phone/p1", 9}},
			},
		},
		Phones: []Phone{
			{ID: "p1", Number: "+14155550101", Label: "mine", Added: start, Verified: start + second},
			{ID: "p2", Number: "+14155550102", Added: start, Code: 8, CodeAt: start + 2*second},
		},
		Channels: Channels{
			Made: 9, Sent: []Sent{{0x0102030405060708, start}}, Repeat: []byte("fedcba9876543210"), RepeatAt: start,
		},
	}
}

func init() {
	goldenStates["state-repeat"] = &State{
		Version: 1, Salt: []byte("0123456789abcdef"), Created: start, Time: start, Keys: 1, Refused: Refused{Count: 3, MACs: 4},
		Channels: Channels{Repeat: []byte("fedcba9876543210"), RepeatAt: start, RepeatEntry: 1000},
	}
}

func init() {
	goldenStates["state-presence"] = &State{
		Version: 1, Salt: []byte("0123456789abcdef"), Created: start, Time: start + 90*second, Keys: 0x303132333437,
		Credentials: []Credential{{
			ID: "phone", Kind: Device, Params: totp6, Seed: []byte("seed"), SeedVersion: 1, KeyVersion: 3,
			PublicKey: []byte("key"), Added: start, Watermark: -1, Presence: Presence{State: SignedOut, Since: start + minute, Seen: start + second},
		}},
		SignIns: []SignIn{{
			ID: "s1", Nonce: goldenNonce, Purpose: ForDevice, Begun: start, Expires: start + 10*minute, Ended: start + minute, End: Denied,
			By: "phone", Reason: NotMe,
		}},
		Channels: Channels{Denied: []Time{start + second, start + minute}},
	}
	for name, set := range map[string]func(*Command){
		"command-presence": func(c *Command) { c.Presence = &ReportPresence{Device: "phone", SignedIn: true} },
		"command-decide-reason": func(c *Command) {
			c.Decide = &Decide{SignIn: "s1", Device: "phone", Time: start, Signature: []byte("signature"), Reason: NotMe}
		},
		"command-verify-phone-protect": func(c *Command) {
			c.VerifyPhone = &VerifyPhone{
				Phone: "p1", Code: 9, Evaluated: true, Matched: true, MACs: 1, Protect: &Protect{Own: "phone", Link: []byte("fedcba9876543210")},
			}
		},
	} {
		goldenCommands[name] = goldenCommand(set)
	}
}

func init() {
	for name, set := range map[string]func(*Command){
		"command-begin": func(c *Command) {
			c.Begin = &Begin{
				SignIn: "s1", Nonce: goldenNonce, Purpose: ForDevice, Own: "tablet", Device: NewDevice{Kind: "computer", Model: "Mac"},
				Place: Place{Label: "Oslo, Norway", Latitude: 59_90, Longitude: 10_80, Accuracy: 20},
			}
		},
		"command-decide": func(c *Command) {
			c.Decide = &Decide{SignIn: "s1", Device: "phone", Allow: true, Time: start, Signature: []byte("signature")}
		},
		"command-fetch": func(c *Command) {
			c.Fetch = &Fetch{SignIn: "s1", Device: "phone", Time: start, Signature: []byte("signature")}
		},
		"command-send": func(c *Command) { c.Send = &Send{SignIn: "s1", Phone: "p1", Voice: true} },
		"command-enter": func(c *Command) {
			c.Enter = &Enter{
				SignIn: "s1", Keys: 0x303132333436, Made: 9, Evaluated: true, Matches: []Match{{Credential: "phone", Step: 58907520}},
				Codes: []LiveCode{{"phone/p1", 9}}, MACs: 5, Register: true, Proof: true, Own: 0x0102030405060708,
				Device: &Credential{
					ID: "mac", Kind: Device, Params: totp6, Seed: []byte("seed"), SeedVersion: 1, KeyVersion: 3, PublicKey: []byte("key"),
				},
			}
		},
		"command-enter-combined": func(c *Command) {
			c.Enter = &Enter{Combined: true, Keys: 1, Repeat: []byte("fedcba9876543210")}
		},
		"command-cancel": func(c *Command) { c.Cancel = &Cancel{SignIn: "s1"} },
		"command-add-phone": func(c *Command) {
			c.AddPhone = &AddPhone{Phone: Phone{ID: "p1", Number: "+14155550101", Label: "mine"}, SignIn: "s1"}
		},
		"command-edit-phone": func(c *Command) {
			c.EditPhone = &EditPhone{Phone: "p1", Remove: true, Label: "mine", Position: 2, SignIn: "s1"}
		},
		"command-send-phone": func(c *Command) { c.SendPhone = &SendPhone{Phone: "p1", Voice: true} },
		"command-verify-phone": func(c *Command) {
			c.VerifyPhone = &VerifyPhone{Phone: "p1", Code: 9, Evaluated: true, Matched: true, MACs: 1}
		},
	} {
		goldenCommands[name] = goldenCommand(set)
	}
}

var goldenCommands = map[string]*Command{
	"command-create": goldenCommand(func(c *Command) { c.Create = &Create{} }),
	"command-delete": goldenCommand(func(c *Command) { c.Delete, c.Salt = &Delete{}, nil }),
	"command-enrol": goldenCommand(func(c *Command) {
		c.Enrol = &Enrol{Door: SealedDoor, MACs: 1, Credential: Credential{
			ID: "phone", Kind: Device, Params: totp6, Seed: []byte("seed"), SeedVersion: 1, KeyVersion: 3,
			Envelope: []byte("envelope"), Certificate: []byte("certificate"), PublicKey: []byte("key"), Name: "Ann's phone",
			Model: "model", Serial: "serial", Platform: "platform", SystemVersion: "system",
		}}
	}),
	"command-remove": goldenCommand(func(c *Command) { c.Remove = &Remove{Credential: "phone"} }),
	"command-verify": goldenCommand(func(c *Command) {
		c.Verify = &Verify{
			Keys: 0x303132333436, Device: "phone", Evaluated: true, MACs: 3,
			Matches: []Match{{Credential: "phone", Step: 58907520}},
		}
	}),
	"command-resync": goldenCommand(func(c *Command) {
		c.Resync = &Resync{Keys: 0x303132333436, Credential: "token", Evaluated: true, Matches: []otp.Step{7}, MACs: 101}
	}),
}

// golden reads a file of hex digits; what follows a # explains them.
func golden(t testing.TB, name string) (b []byte) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "golden", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		digits, _, _ := strings.Cut(line, "#")
		part, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(digits), " ", ""))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b = append(b, part...)
	}
	return b
}

func TestGolden(t *testing.T) {
	for name, want := range goldenStates {
		b := golden(t, name)
		if got := EncodeState(want); !bytes.Equal(got, b) {
			t.Errorf("%s is encoded as\n%x, not as\n%x", name, got, b)
		}
		got, err := DecodeState(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s is decoded as something else (-want +got):\n%s", name, diff)
		}
	}
	for name, want := range goldenCommands {
		b := golden(t, name)
		if got := EncodeCommand(want); !bytes.Equal(got, b) {
			t.Errorf("%s is encoded as\n%x, not as\n%x", name, got, b)
		}
		got, err := DecodeCommand(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s is decoded as something else (-want +got):\n%s", name, diff)
		}
	}
}

// mangle gives encodings that mean the same, or something else, and aren't the one encoding.
func mangle(b []byte) map[string][]byte {
	replace := func(old, new string) []byte { return bytes.Replace(b, []byte(old), []byte(new), 1) }
	more := bytes.Clone(b)
	more[0]++ // one more pair in the outer map
	return map[string][]byte{
		"nothing":        {},
		"a cut end":      b[:len(b)-1],
		"trailing bytes": append(bytes.Clone(b), 0),
		"a second item":  append(bytes.Clone(b), b...),
		"an unknown key": append(bytes.Clone(more), 0x18, 0x63, 0x00),
		"a repeated key": append(bytes.Clone(more), 0x01, 0x01),
		"a text key":     append(bytes.Clone(more), 0x61, 'x', 0x00),
		"an endless map": append(append([]byte{0xbf}, b[1:]...), 0xff),
		"a tag":          append([]byte{0xd9, 0xd9, 0xf7}, b...),
		"null":           {0xf6},
		"a long integer": replace("\x01\x1b", "\x18\x01\x1b"),
		"keys in disorder": bytes.Replace(replace("\x02\x64acme\x03\x63ann", "\x03\x63ann\x02\x64acme"),
			[]byte("\x01\x01\x02\x01\x03\x06"), []byte("\x02\x01\x01\x01\x03\x06"), 1),
		"an empty member": append(bytes.Clone(more), 0x0f, 0xf6),
	}
}

func TestDecodeRefuses(t *testing.T) {
	state, command := golden(t, "state-account"), golden(t, "command-verify")
	for name, b := range mangle(state) {
		if bytes.Equal(b, state) {
			continue
		}
		if _, err := DecodeState(b); !errors.Is(err, ErrState) {
			t.Errorf("a state with %s: %v", name, err)
		}
	}
	for name, b := range mangle(command) {
		if bytes.Equal(b, command) {
			t.Errorf("%s is no change", name)
		}
		if _, err := DecodeCommand(b); !errors.Is(err, ErrCommand) {
			t.Errorf("a command with %s: %v", name, err)
		}
	}
	if _, err := DecodeState(make([]byte, MaxState+1)); !errors.Is(err, ErrState) {
		t.Errorf("a state that is too large: %v", err)
	}
	if _, err := DecodeCommand(make([]byte, MaxCommand+1)); !errors.Is(err, ErrCommand) {
		t.Errorf("a command that is too large: %v", err)
	}
	for name, spoil := range map[string]func(*State){
		"the version before": func(s *State) { s.Version = 0 },
		"the next version":   func(s *State) { s.Version = 2 },
		"a short salt":       func(s *State) { s.Salt = s.Salt[1:] },
		"no time":            func(s *State) { s.Time = 0 },
		"a phantom's past":   func(s *State) { s.Phantom = true },
		"one id twice":       func(s *State) { s.Credentials[1].ID = "phone" },
		"a drift":            func(s *State) { s.Credentials[0].Drift = MaxDrift + 1 },
		"a watermark":        func(s *State) { s.Credentials[0].Watermark = -2 },
		"many requests":      func(s *State) { s.Requests = make(Requests, MaxRequests+1) },
		"many sign-ins":      func(s *State) { s.SignIns = make([]SignIn, MaxSignIns+1) },
		"a sign-in of zeros": func(s *State) { s.SignIns = make([]SignIn, 1) },
		"many phones":        func(s *State) { s.Phones = make([]Phone, MaxPhones+1) },
		"a phone of zeros":   func(s *State) { s.Phones = make([]Phone, 1) },
		"a short repeat":     func(s *State) { s.Channels.Repeat = []byte("x") },
		"many denials":       func(s *State) { s.Channels.Denied = make([]Time, QuietAfter+1) },
		"a presence of none": func(s *State) { s.Credentials[0].Presence.State = SignedOut + 1 },
		"a timeless sign-in": func(s *State) { s.Credentials[0].Presence.State = SignedIn },
		"many credentials":   func(s *State) { s.Credentials = make([]Credential, MaxCredentials+1) },
	} {
		s, err := DecodeState(state)
		if err != nil {
			t.Fatal(err)
		}
		spoil(s)
		if _, err := DecodeState(EncodeState(s)); !errors.Is(err, ErrState) {
			t.Errorf("a state with %s: %v", name, err)
		}
	}
}

// TestLargestFits: what is valid can be decoded, at its largest.
func TestLargestFits(t *testing.T) {
	long := strings.Repeat("ü", MaxText/2)
	k := Credential{
		Kind: Device, Params: totp6, Seed: make([]byte, MaxSeed), SeedVersion: 1 << 31, KeyVersion: 1 << 31,
		Envelope: make([]byte, MaxEnvelope), Certificate: make([]byte, MaxCertificate), PublicKey: make([]byte, MaxPublicKey),
		Name: long, Model: long, Serial: long, Platform: long, SystemVersion: long, Issuer: long, Label: long,
	}
	w := newWorld(t)
	w.policy.MaxCredentials = MaxCredentials
	w.want(Done, w.create())
	for i := range byte(MaxCredentials) {
		k.ID = strings.Repeat(string(rune('A'+i)), MaxID)
		c := w.command()
		c.Actor, c.Node, c.Module = strings.Repeat("a", MaxActor), strings.Repeat("n", MaxNode), strings.Repeat("m", MaxModule)
		c.Enrol = &Enrol{Credential: k, Door: SealedDoor}
		w.want(Done, c)
	}
	for i := range byte(MaxRequests) {
		w.want(Wrong, w.with(requestID(i+1), w.verify()))
		w.state.Attempts = Attempts{}
	}
	for i := range byte(MaxSignIns) {
		c := w.begin(strings.Repeat(string(rune('A'+i)), MaxID))
		c.Begin.Own = k.ID
		c.Begin.Device, c.Begin.Place = NewDevice{long, long, long, long, long}, Place{Label: long, Latitude: 90_00, Longitude: 180_00, Accuracy: 1<<16 - 1}
		w.want(Done, c)
	}
	w.policy.AllowTwoStepImport = true
	steps := w.enrolSteps(true)
	for i := range byte(MaxStepPhones) {
		p := stepPhone(strings.Repeat(string(rune('A'+i)), MaxID), "+12345678901234"+string(rune('0'+i)))
		p.Label = long
		steps.EnrolTwoStep.Phones = append(steps.EnrolTwoStep.Phones, p)
	}
	steps.EnrolTwoStep.Platform, steps.EnrolTwoStep.SystemVersion = long, long
	w.want(Done, steps)
	for i := range byte(MaxPhones) {
		c := w.addPhone(strings.Repeat(string(rune('A'+i)), MaxID), "+12345678901234"+string(rune('0'+i)))
		c.AddPhone.Phone.Label = long
		w.want(Done, c)
	}
	c := w.verify()
	for i := range MaxMatches {
		c.Verify.Matches = append(c.Verify.Matches, Match{k.ID, otp.Step(i)})
	}
	w.want(Wrong, c)
	if n := len(EncodeState(w.state)); n < MaxState/2 {
		t.Errorf("MaxState is %d and the largest state has %d bytes", MaxState, n)
	}
}

func FuzzDecodeState(f *testing.F) {
	for name := range goldenStates {
		f.Add(golden(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeState(b)
		if err != nil {
			return
		}
		if again := EncodeState(s); !bytes.Equal(b, again) {
			t.Errorf("%x comes back as %x", b, again)
		}
		// Whatever a store holds, an attempt on it is decided and leaves a state that can be read.
		w := &world{t: t, state: s, now: s.Time, coalesced: s.Refused.Count}
		w.apply(w.verify())
		w.apply(w.begin("new"))
		w.apply(w.enter(""))
		w.apply(w.sendStep(""))
		w.apply(w.verifyStep(true))
		w.apply(w.recoveryKey("wrong"))
		w.apply(w.endSteps())
		for i := range s.SignIns {
			id := s.SignIns[i].ID
			w.apply(w.enter(id, s.SignIns[i].Codes...))
			w.apply(w.decide(id, "phone", i%2 == 0))
			w.apply(w.send(id, "p1"))
		}
		w.policy.Recovery = recoverable
		for _, c := range []*Command{
			w.recover("new"), w.says(EmailEvidence), w.recoveryCode(RecoveryEvidence, true), w.claim(), w.redeem(GrantReset, true),
			w.act(RecoveryWithdraw, InvalidEvidence),
		} {
			w.apply(c)
		}
		for i := range s.Phones {
			w.apply(w.sendPhone(s.Phones[i].ID))
			w.apply(w.removePhone(s.Phones[i].ID))
		}
		if len(s.Credentials) > 0 {
			w.apply(w.resync(s.Credentials[0].ID))
			w.apply(w.remove(s.Credentials[0].ID))
		}
	})
}

func FuzzDecodeCommand(f *testing.F) {
	for name := range goldenCommands {
		f.Add(golden(f, name))
	}
	account := goldenStates["state-account"]
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeCommand(b)
		if err != nil {
			return
		}
		if again := EncodeCommand(c); !bytes.Equal(b, again) {
			t.Errorf("%x comes back as %x", b, again)
		}
		for _, s := range []*State{nil, account, goldenStates["state-phantom"]} {
			w := &world{t: t, state: s, policy: Policy{AllowImport: true, AllowReveal: true}}
			w.apply(c)
		}
	})
}

// BenchmarkVerify is what one right code costs each replica beside the tree and the store: decode the command and the
// state, decide, encode the state.
func BenchmarkVerify(b *testing.B) {
	for name, requests := range map[string]int{"first request": 0, "16 requests": MaxRequests} {
		s := &State{
			Version: 1, Salt: make([]byte, SaltSize), Created: start, Time: start, Keys: 1 << 40,
			Credentials: []Credential{{
				ID: "abcdefghijklmnop", Kind: Device, Params: totp6, Seed: make([]byte, 140), SeedVersion: 1, KeyVersion: 1,
				Envelope: make([]byte, 150), Certificate: make([]byte, 500), PublicKey: make([]byte, 91), Name: "Ann's phone",
				Model: "Phone 7", Serial: "S123", Added: start, LastUsed: start, Watermark: 1,
			}},
		}
		for i := range requests {
			s.Requests = append(s.Requests, Request{
				ID: requestID(byte(i)), Operation: requestVerify, Outcome: Accepted,
				Credential: "abcdefghijklmnop", Entry: 1 << 30, Time: start,
			})
		}
		w := &world{t: b, state: s, now: start}
		c := w.verify(w.current("abcdefghijklmnop"))
		c.Request = requestID(77)
		command, state := EncodeCommand(c), EncodeState(s)
		run := func(part string, f func()) {
			b.Run(name+"/"+part, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					f()
				}
			})
		}
		run("all", func() {
			c, err := DecodeCommand(command)
			if err != nil {
				b.Fatal(err)
			}
			s, err := DecodeState(state)
			if err != nil {
				b.Fatal(err)
			}
			d := Apply(Policy{}, s, c)
			d.SetEntry(1 << 30)
			EncodeState(d.Next)
		})
		run("decode command", func() { _, _ = DecodeCommand(command) })
		run("decode state", func() { _, _ = DecodeState(state) })
		run("apply", func() { Apply(Policy{}, s, c) })
		run("encode state", func() { EncodeState(s) })
	}
}
