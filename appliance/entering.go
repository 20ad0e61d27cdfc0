package appliance

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"

	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/otp"
	"strongroom.internal/hsm"
)

// EnterRequest is one attempt on a sign-in: with a code that was typed, or with the proof of a device that received one.
type EnterRequest struct {
	SignIn string
	Code   otp.Code   // unless there is a Proof
	Proof  *TextProof // the text message was received by the device that signs
	// Register, if set, makes the new device trusted in the same step.
	Register *DeviceRequest
}

// TextProof is a new device's signature over [TextProofMessage] with the key that it is to be registered with.
type TextProof struct {
	Phone     string
	Signature []byte // ECDSA P-256 with SHA-256, ASN.1 DER
}

// Entered answers it. Outcome is that of a Verification, or Ended. Device is there when one was registered.
type Entered struct {
	Verification
	Device *EnrolledDevice
}

const textProofDomain = "strongroom/text-proof/v1"

// TextProofMessage is what a device signs to prove that it received a text: the domain string, tenant, account, sign-in,
// nonce, phone, and SHA-256 of the code's digits; each after its length in four bytes, high byte first.
func TextProofMessage(tenant, name, signIn string, nonce []byte, phone, code string) []byte {
	sum := sha256.Sum256([]byte(code))
	var m []byte
	for _, part := range []string{textProofDomain, tenant, name, signIn, string(nonce), phone, string(sum[:])} {
		m = binary.BigEndian.AppendUint32(m, uint32(len(part)))
		m = append(m, part...)
	}
	return m
}

// VerifySignIn judges one attempt on a sign-in: with its codes, and with those that the account's devices show by
// themselves. A right one spends the sign-in for all channels. The new device becomes trusted in the same step, or not at
// all.
func (s *Service) VerifySignIn(ctx context.Context, c Caller, idempotencyKey, name string, r EnterRequest) (Entered, error) {
	enter := account.Enter{SignIn: r.SignIn, Register: r.Register != nil, Proof: r.Proof != nil}
	var key *ecdsa.PublicKey
	if r.Register != nil {
		var err error
		if key, _, err = parseDeviceKey(r.Register.PublicKey); err != nil {
			return Entered{}, err
		}
		sum := sha256.Sum256(r.Register.PublicKey)
		enter.Own = binary.BigEndian.Uint64(sum[:])
	}
	if r.Proof != nil && key == nil {
		return Entered{}, &InvalidError{Field: "register", Reason: "is required with a text proof: it has the key that signed"}
	}
	result, position, err := s.attemptResult(ctx, c, idempotencyKey, name, func(state *account.State, cmd *account.Command) error {
		e := enter
		e.MACs = attemptMACs(cmd)
		cmd.Enter = &e
		own := ""
		if x := state.SignIn(r.SignIn); x != nil {
			own = x.Own
		}
		if s.over(state, cmd) {
			return nil
		}
		e.Evaluated = true
		if r.Proof != nil {
			if err := s.compareProof(ctx, state, cmd, r, key); err != nil {
				return err
			}
		} else if err := s.compare(ctx, state, cmd, func(uint8) otp.Code { return r.Code }); err != nil {
			return err
		}
		if r.Register == nil || !acceptable(state, &e, own) {
			return nil
		}
		device, err := s.prepareDevice(ctx, c.Tenant, name, *r.Register)
		e.Device = &device
		return err
	})
	if err != nil {
		return Entered{}, err
	}
	return s.entered(ctx, c, name, r, result, position)
}

// over fills in what an evaluation is of, and says that no module need be asked.
func (s *Service) over(state *account.State, cmd *account.Command) bool {
	e := cmd.Enter
	if state == nil {
		return !e.Combined
	}
	e.Keys, e.Made = state.Keys, state.Channels.Made
	x := state.SignIn(e.SignIn)
	return s.settled(state, cmd) || !e.Combined && (x == nil || !x.Open(max(state.Time, cmd.Time))) ||
		e.Combined && state.Repeated(e.Repeat, cmd.Time)
}

// acceptable says whether a code is right that isn't spent. Only then is a new device's seed made, so that a spent code
// takes as long as a wrong one.
func acceptable(state *account.State, e *account.Enter, own string) bool {
	for _, m := range e.Matches {
		if state.Acceptable(m, own) {
			return true
		}
	}
	return len(e.Codes) > 0 && !state.Phantom
}

// compare has the module compute every live code and the window of every credential, and notes which equal the code of
// their length.
func (s *Service) compare(ctx context.Context, state *account.State, cmd *account.Command, code func(digits uint8) otp.Code) error {
	e := cmd.Enter
	if err := s.compareLive(ctx, state, cmd, func(_ account.SignInCode, mac []byte) bool {
		return account.CodeOf(mac).Equal(code(account.CodeDigits))
	}); err != nil {
		return err
	}
	candidates := state.Candidates("", cmd.Time)
	if len(candidates) == 0 {
		macs, err := s.decoys.evaluate(ctx, s.pool, state == nil, cmd)
		e.MACs += macs
		return err
	}
	macs, err := s.evaluate(ctx, cmd, candidates)
	if err != nil {
		return err
	}
	for i, candidate := range candidates {
		e.MACs += uint32(len(macs[i]))
		digits := candidate.Credential.Params.Digits
		for _, n := range code(digits).Matches(macs[i], digits) {
			e.Matches = append(e.Matches, account.Match{Credential: candidate.Credential.ID, Step: candidate.Steps[n]})
		}
	}
	return nil
}

// compareLive notes the live codes for which equal says so.
func (s *Service) compareLive(
	ctx context.Context, state *account.State, cmd *account.Command, equal func(l account.SignInCode, mac []byte) bool,
) error {
	live := state.Live(cmd.Enter.SignIn, cmd.Time)
	if len(live) == 0 {
		return nil
	}
	messages := make([][]byte, len(live))
	for i, l := range live {
		messages[i] = account.CodeMessage(cmd.Tenant, cmd.Account, l.SignIn, l.Channel, l.N)
	}
	macs, err := s.pool.KeyedMAC(ctx, hsm.KeyCode, messages)
	if err != nil {
		return moduleError("computing codes", err)
	}
	cmd.Enter.MACs += uint32(len(macs))
	for i, l := range live {
		if equal(l, macs[i]) {
			cmd.Enter.Codes = append(cmd.Enter.Codes, l.LiveCode)
		}
	}
	return nil
}

// compareProof compares the signature with the code that was sent to the phone.
func (s *Service) compareProof(
	ctx context.Context, state *account.State, cmd *account.Command, r EnterRequest, key *ecdsa.PublicKey,
) error {
	x := state.SignIn(r.SignIn)
	return s.compareLive(ctx, state, cmd, func(l account.SignInCode, mac []byte) bool {
		if l.Channel != account.PhoneChannel(r.Proof.Phone) {
			return false
		}
		message := TextProofMessage(cmd.Tenant, cmd.Account, x.ID, x.Nonce, r.Proof.Phone, account.CodeOf(mac).Reveal())
		sum := sha256.Sum256(message)
		return ecdsa.VerifyASN1(key, sum[:], r.Proof.Signature)
	})
}

// entered is what a front-end may know of the decision, with the device that was registered.
func (s *Service) entered(
	ctx context.Context, c Caller, name string, r EnterRequest, result account.Result, position uint64,
) (Entered, error) {
	v, err := s.verification(c, result)
	if err != nil {
		return Entered{}, err
	}
	e := Entered{Verification: v}
	if r.Register == nil || v.Outcome != account.Accepted {
		if strings.Contains(v.Credential, "/") {
			e.Credential = "" // a channel, not a device
		}
		return e, nil
	}
	state, err := s.stateAt(ctx, position, c.Tenant, name)
	if err != nil {
		return Entered{}, err
	}
	enrolled := state.Find(result.Credential)
	if enrolled == nil {
		return Entered{}, ErrNotFound // removed again meanwhile
	}
	policy, err := s.policy(c.Tenant)
	if err != nil {
		return Entered{}, err
	}
	device, err := enrolledDevice(policy, c.Tenant, name, enrolled, result.Entry)
	if err != nil {
		return Entered{}, err
	}
	e.Device, e.Credential = &device, device.ID
	return e, nil
}

// Combined answers VerifyCombined. Remainder is the length in bytes of what stood before the code; Accepted only.
type Combined struct {
	Verification
	Remainder int
}

// VerifyCombined judges a text that ends with a code, as older software sends it that knows one field for the password
// and the code. The text is compared and forgotten. The very same text again, within ten minutes of being refused, is
// refused again and costs nothing: software that saved it would lock its owner out.
func (s *Service) VerifyCombined(ctx context.Context, c Caller, idempotencyKey, name string, text *hsm.Secret) (Combined, error) {
	typed := text.Reveal()
	tails := codesAtEnd(typed)
	if tails[otp.MinDigits].Digits() == 0 {
		return Combined{}, &InvalidError{Field: "text", Reason: "must end with the 6 to 8 digits of a code"}
	}
	var repeat []byte
	result, position, err := s.attemptResult(ctx, c, idempotencyKey, name, func(state *account.State, cmd *account.Command) error {
		if repeat == nil {
			macs, err := s.pool.KeyedMAC(ctx, hsm.KeyPepper, [][]byte{repeatMessage(c.Tenant, name, typed)})
			if err != nil {
				return moduleError("comparing with what was refused before", err)
			}
			repeat = macs[0][:account.RepeatSize]
		}
		e := account.Enter{Combined: true, Repeat: repeat, MACs: max(attemptMACs(cmd), 1)}
		cmd.Enter = &e
		if s.over(state, cmd) {
			return nil
		}
		e.Evaluated = true
		return s.compare(ctx, state, cmd, func(digits uint8) otp.Code { return tails[digits] })
	})
	if err != nil {
		return Combined{}, err
	}
	v, err := s.verification(c, result)
	if err != nil {
		return Combined{}, err
	}
	answer := Combined{Verification: v}
	if v.Outcome != account.Accepted {
		return answer, nil
	}
	digits := account.CodeDigits
	if strings.Contains(v.Credential, "/") {
		answer.Credential = ""
	} else {
		state, err := s.stateAt(ctx, position, c.Tenant, name)
		if err != nil {
			return Combined{}, err
		}
		k := state.Find(v.Credential)
		if k == nil {
			return Combined{}, ErrNotFound
		}
		digits = int(k.Params.Digits)
	}
	answer.Remainder = len(typed) - digits
	return answer, nil
}

// codesAtEnd reads the codes of each length that a text may end with. Only ASCII digits count: full-width ones, spaces
// and signs are no code (CVE-2025-55000).
func codesAtEnd(text []byte) (codes [otp.MaxDigits + 1]otp.Code) {
	for n := otp.MinDigits; n <= otp.MaxDigits && n <= len(text); n++ {
		if code, err := otp.ParseCode(string(text[len(text)-n:])); err == nil {
			codes[n] = code
		}
	}
	return codes
}

const repeatDomain = "strongroom/repeat/v1"

func repeatMessage(tenant, name string, typed []byte) []byte {
	var m []byte
	for _, part := range []string{repeatDomain, tenant, name, string(typed)} {
		m = binary.BigEndian.AppendUint32(m, uint32(len(part)))
		m = append(m, part...)
	}
	return m
}

// enrolledDevice is what a new device needs. One that may show no codes gets no seed.
func enrolledDevice(p Policy, tenant, name string, k *account.Credential, entry int64) (EnrolledDevice, error) {
	d := EnrolledDevice{CredentialInfo: credentialInfo(p, k), Binding: binding(tenant, name, k), Entry: entry}
	if !p.ShowsCodes(k) {
		return d, nil
	}
	if err := decode(k.Envelope, &d.Envelope); err != nil {
		return EnrolledDevice{}, fmt.Errorf("decoding the envelope of %s: %w", k.ID, err)
	}
	return d, nil
}
