package account

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"slices"

	"pgregory.net/rapid"

	"strongroom.internal/appliance/otp"
)

// device makes a new device, with an id that was never used or, from a node that lies, was.
func (h *hand) device() Credential {
	k := Credential{
		ID: h.id("d"), Kind: Device, Params: totp6, Seed: h.secret(40), SeedVersion: 1, KeyVersion: 3,
		PublicKey: []byte(h.one(devicePublics()...)), Certificate: []byte("certificate"),
		Platform: h.one("iOS", "watchOS"), SystemVersion: "10.1",
	}
	if h.in(8) {
		k.ID = h.credential()
	} else if lost := h.s.Enrolment.Lost; len(lost) > 0 && h.in(4) {
		k.ID = lost[len(lost)-1].ID
	}
	return k
}

// credential draws an id: of one that is there, that was, or that never was.
func (h *hand) credential() string {
	var there, gone []string
	for i := range h.s.Credentials {
		there = append(there, h.s.Credentials[i].ID)
	}
	for _, k := range h.ledger.gone[h.name] {
		gone = append(gone, k.ID)
	}
	return h.known(there, gone)
}

func (h *hand) known(there, gone []string) string {
	if len(gone) > 0 && h.in(5) {
		return h.one(gone...)
	}
	if len(there) > 0 && !h.in(10) {
		return h.one(there...)
	}
	return "nobody"
}

// signInID prefers the newest.
func (h *hand) signInID() string {
	var all []string
	for i := range h.s.SignIns {
		all = append(all, h.s.SignIns[i].ID)
	}
	if n := len(all); n > 0 && h.in(2) {
		return all[n-1]
	}
	return h.known(all, nil)
}

// phone draws one; pending prefers one that is.
func (h *hand) phone(pending bool) string {
	var all []string
	for i := range h.s.Phones {
		all = append(all, h.s.Phones[i].ID)
	}
	if i := slices.IndexFunc(h.s.Phones, func(p Phone) bool { return p.Verified == 0 }); i >= 0 && pending && !h.in(4) {
		return h.s.Phones[i].ID
	}
	if h.s.Phantom {
		id, _ := h.s.phantomPhone()
		all = append(all, id)
	}
	return h.known(all, nil)
}

func (h *hand) appPassword() string {
	var all []string
	for i := range h.s.AppPasswords.List {
		all = append(all, h.s.AppPasswords.List[i].ID)
	}
	return h.known(all, nil)
}

// step draws one in or about a credential's window.
func (h *hand) step(k *Credential, reach int) otp.Step {
	off := otp.Step(rapid.IntRange(-reach, reach).Draw(h.rt, "off"))
	switch {
	case k == nil:
		return otp.StepAt(int64(h.now), 30) + off
	case k.Params.Mode == otp.HOTP:
		return max(k.Counter+off, 0)
	case h.in(4):
		return max(k.Watermark, 0)
	}
	return max(otp.StepAt(int64(h.now), k.Params.Period)+otp.Step(k.Drift)+off, 0)
}

// typed is what an evaluation finds of a code that somebody typed: one of a credential that is or was there, compared by a
// node that is honest three times of four, and otherwise claims that it matched.
func (h *hand) typed(device string) (matches []Match) {
	var codes []Credential
	codes = append(append(codes, h.s.Credentials...), h.ledger.gone[h.name]...)
	if len(codes) == 0 || h.in(5) {
		return nil
	}
	k := evenly(codes).Draw(h.rt, "code of")
	if h.in(4) {
		for range rapid.IntRange(1, 2).Draw(h.rt, "claims") {
			matches = append(matches, Match{h.credential(), h.step(&k, 7)})
		}
		return matches
	}
	step := h.step(&k, 1)
	for _, c := range h.s.Candidates(device, h.c.Time) {
		if string(c.Credential.Seed) == string(k.Seed) && slices.Contains(c.Steps, step) {
			matches = append(matches, Match{c.Credential.ID, step})
		}
	}
	return matches
}

// typedInSignIn likewise, of a code that was pushed or sent, of the settings, or of none.
func (h *hand) typedInSignIn() (matches []Match, codes []LiveCode) {
	live := h.s.Live("", h.c.Time)
	if h.in(3) { // those of sign-ins that are over too
		live = nil
		for _, y := range h.s.SignIns {
			for _, l := range y.Codes {
				live = append(live, SignInCode{y.ID, l})
			}
		}
	}
	switch n := evenly(times[:6]).Draw(h.rt, "code"); {
	case n > 4:
		return h.typed(""), nil
	case n == 1: // of any number, as a node claims that lies
		channel := h.one("device/"+h.credential(), "phone/"+h.phone(false))
		return nil, []LiveCode{{channel, uint32(rapid.IntRange(0, int(h.s.Channels.Made)+1).Draw(h.rt, "number"))}}
	case len(live) > 0:
		return nil, []LiveCode{evenly(live).Draw(h.rt, "live").LiveCode}
	}
	return nil, nil
}

// sign signs, and the ledger writes down what.
func (h *hand) sign(s statement, message []byte) []byte {
	key := deviceKeys()[s.key]
	if key == nil {
		return []byte("forged")
	}
	sum := sha256.Sum256(message)
	signature := must(ecdsa.SignASN1(rand.Reader, key, sum[:]))
	h.ledger.statements[string(signature)] = s
	return signature
}

// statement is what the device says of a sign-in.
func (h *hand) statement(signIn, device, says string) statement {
	nonce := ""
	if y := h.s.SignIn(signIn); y != nil {
		nonce = string(y.Nonce)
	}
	return h.about(signIn, nonce, device, says)
}

// about is what the device says if it is asked truly; one time of three, something about it is another's.
func (h *hand) about(signIn, nonce, device, says string) statement {
	s := statement{name: h.name, signIn: signIn, nonce: nonce, device: device, says: says}
	for _, k := range append(h.ledger.gone[h.name], h.s.Credentials...) {
		if k.ID == device {
			s.key = string(k.PublicKey)
		}
	}
	if !h.in(3) {
		return s
	}
	switch evenly(times[:7]).Draw(h.rt, "wrong") {
	case 7:
		s.name.tenant = h.one("acme", "umbra")
	case 1:
		s.signIn = h.signInID()
	case 2:
		s.nonce = string(h.secret(NonceSize))
	case 3:
		s.device = h.credential()
	case 4:
		s.says = h.one("allow", "deny", "fetch", "here", "confirm", "cancel", "present", "absent")
	case 5:
		s.key = h.one(devicePublics()...)
	case 6:
		s.key = ""
	}
	return s
}

func (h *hand) signed(s statement, at Time) []byte {
	y, tenant, account := &SignIn{ID: s.signIn, Nonce: []byte(s.nonce)}, s.name.tenant, s.name.account
	switch s.says {
	case "fetch":
		return h.sign(s, FetchMessage(tenant, account, y, &Fetch{Device: s.device, Time: at}))
	case "here":
		s.signIn = "" // it is about none
		return h.sign(s, TrustMessage(tenant, account, &CheckDevice{Device: s.device, Challenge: []byte(s.nonce), Time: at}))
	case "confirm", "cancel":
		r := &Recovery{ID: s.signIn, Nonce: []byte(s.nonce)}
		return h.sign(s, RecoveryMessage(tenant, account, r, &RecoverySigned{Device: s.device, Time: at}, s.says == "cancel"))
	case "present", "absent":
		return h.sign(s, ResetMessage(tenant, account, y, &ResetPassword{Device: s.device, Time: at, Present: s.says == "present"}))
	}
	return h.sign(s, DecisionMessage(tenant, account, y, &Decide{Device: s.device, Time: at, Allow: s.says == "allow"}))
}

func (h *hand) decide() {
	q := h.c.Decide
	q.Signature = h.signed(h.statement(q.SignIn, q.Device, map[bool]string{true: "allow", false: "deny"}[q.Allow]), q.Time)
}

func (h *hand) fetch() {
	q := h.c.Fetch
	q.Signature = h.signed(h.statement(q.SignIn, q.Device, "fetch"), q.Time)
}
