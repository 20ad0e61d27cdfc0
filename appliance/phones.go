package appliance

import (
	"context"
	"time"

	"github.com/nyaruka/phonenumbers"

	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/otp"
	"strongroom.internal/hsm"
)

// PhoneInfo is a phone as its front-end sees it. The number itself isn't shown again.
type PhoneInfo struct {
	ID       string
	Masked   string
	Label    string
	Added    time.Time
	Verified time.Time // zero while it is pending
}

// PhoneRequest adds a phone.
type PhoneRequest struct {
	Number string // E.164
	Label  string
	SignIn string // verified of late, where the tenant's policy asks for it
}

// PhoneChange changes a phone's label and place in the list.
type PhoneChange struct {
	Label    string
	Position int
	SignIn   string
}

// AddPhone adds a number, pending until its code is typed. A number that the account has is left as it is.
func (s *Service) AddPhone(ctx context.Context, c Caller, idempotencyKey, name string, r PhoneRequest) (PhoneInfo, error) {
	if err := checkNumber(r.Number); err != nil {
		return PhoneInfo{}, err
	}
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return PhoneInfo{}, err
	}
	id, err := s.newID()
	if err != nil {
		return PhoneInfo{}, err
	}
	cmd.AddPhone = &account.AddPhone{Phone: account.Phone{ID: id, Number: r.Number, Label: r.Label}, SignIn: r.SignIn, Guarded: true}
	state, result, err := s.done(ctx, cmd)
	if err != nil {
		return PhoneInfo{}, err
	}
	return phoneOf(state, result.Credential)
}

// checkNumber wants a number that can exist, written as E.164 has it: what people type is the front-end's to understand.
func checkNumber(number string) error {
	parsed, err := phonenumbers.Parse(number, "")
	if err != nil || !phonenumbers.IsValidNumber(parsed) || phonenumbers.Format(parsed, phonenumbers.E164) != number {
		return &InvalidError{Field: "number", Reason: "must be a phone number in E.164, such as +14155550132"}
	}
	return nil
}

func phoneOf(state *account.State, id string) (PhoneInfo, error) {
	p := state.Phone(id)
	if p == nil {
		return PhoneInfo{}, ErrNotFound // removed again meanwhile
	}
	return phoneInfo(p), nil
}

func phoneInfo(p *account.Phone) PhoneInfo {
	return PhoneInfo{ID: p.ID, Masked: p.Masked(), Label: p.Label, Added: moment(p.Added), Verified: moment(p.Verified)}
}

// Phones lists an account's phones in the person's order, linearizably.
func (s *Service) Phones(ctx context.Context, c Caller, name string) ([]PhoneInfo, error) {
	state, err := s.current(ctx, c.Tenant, name)
	if err != nil {
		return nil, err
	}
	list := make([]PhoneInfo, len(state.Phones))
	for i := range state.Phones {
		list[i] = phoneInfo(&state.Phones[i])
	}
	return list, nil
}

// ChangePhone sets a phone's label and its place in the list.
func (s *Service) ChangePhone(ctx context.Context, c Caller, idempotencyKey, name, id string, r PhoneChange) (PhoneInfo, error) {
	state, err := s.editPhone(ctx, c, idempotencyKey, name, account.EditPhone{
		Phone: id, Label: r.Label, Position: uint8(min(max(r.Position, 0), account.MaxPhones)), SignIn: r.SignIn,
	})
	if err != nil {
		return PhoneInfo{}, err
	}
	return phoneOf(state, id)
}

// RemovePhone removes a phone, but never the last that is verified. Codes that were sent to it are dead when this returns.
func (s *Service) RemovePhone(ctx context.Context, c Caller, idempotencyKey, name, id, signIn string) error {
	_, err := s.editPhone(ctx, c, idempotencyKey, name, account.EditPhone{Phone: id, Remove: true, SignIn: signIn, Guarded: true})
	return err
}

func (s *Service) editPhone(ctx context.Context, c Caller, idempotencyKey, name string, e account.EditPhone) (*account.State, error) {
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return nil, err
	}
	cmd.EditPhone = &e
	state, _, err := s.done(ctx, cmd)
	return state, err
}

// SendPhoneCode has the code sent that verifies a pending phone.
func (s *Service) SendPhoneCode(ctx context.Context, c Caller, idempotencyKey, name, id string, voice bool) (Sending, error) {
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return Sending{}, err
	}
	cmd.SendPhone = &account.SendPhone{Phone: id, Voice: voice}
	return s.sending(ctx, cmd)
}

// VerifyPhone judges one attempt with the code that was sent to a pending phone. It is charged like any other.
func (s *Service) VerifyPhone(ctx context.Context, c Caller, idempotencyKey, name, id string, code otp.Code) (Verification, error) {
	result, _, err := s.attemptPhone(ctx, c, idempotencyKey, name, id, code, nil)
	if err != nil {
		return Verification{}, err
	}
	v, err := s.verification(c, result)
	v.Credential = ""
	return v, err
}

// VerifyPhoneAndProtect is VerifyPhone that turns protection on in the same step, or does neither. What is in the way of
// protection is an error, before the code is looked at; ErrProtected, where it is on. Protected is there when the code was
// accepted.
func (s *Service) VerifyPhoneAndProtect(
	ctx context.Context, c Caller, idempotencyKey, name, id string, code otp.Code, r ProtectRequest,
) (Verification, *Protected, error) {
	q, err := s.protecting(r)
	if err != nil {
		return Verification{}, nil, err
	}
	result, position, err := s.attemptPhone(ctx, c, idempotencyKey, name, id, code, func(state *account.State, cmd *account.Command) error {
		try := q
		attempt := cmd.VerifyPhone
		attempt.Protect = &try
		if !attempt.Matched || state.Answered(cmd.Request, cmd.Time) {
			return nil
		}
		if err := s.sealSettings(cmd, &try, r); err != nil {
			return err
		}
		return s.prepareProtected(ctx, state.VerifiedWith(id, cmd.Time), cmd, &try, r)
	})
	if err != nil {
		return Verification{}, nil, err
	}
	v, err := s.verification(c, result)
	v.Credential = ""
	if err != nil || result.Outcome != account.Accepted {
		return v, nil, err
	}
	p, err := s.protected(ctx, c, name, r, result, position)
	return v, &p, err
}

// attemptPhone runs one attempt with the code of a pending phone; also, where it is given, adds to the command what depends
// on the code being right.
func (s *Service) attemptPhone(
	ctx context.Context, c Caller, idempotencyKey, name, id string, code otp.Code, also func(*account.State, *account.Command) error,
) (account.Result, uint64, error) {
	policy, err := s.policy(c.Tenant)
	if err != nil {
		return account.Result{}, 0, err
	}
	result, position, err := s.attemptResult(ctx, c, idempotencyKey, name, func(state *account.State, cmd *account.Command) error {
		q := &account.VerifyPhone{Phone: id, MACs: attemptMACs(cmd), Code: state.LivePhoneCode(policy, id, cmd.Time)}
		cmd.VerifyPhone = q
		if q.Code != 0 && !s.settled(state, cmd) {
			q.Evaluated = true
			macs, err := s.pool.KeyedMAC(ctx, hsm.KeyCode, [][]byte{
				account.CodeMessage(cmd.Tenant, cmd.Account, "", account.PhoneChannel(id), q.Code),
			})
			if err != nil {
				return moduleError("computing a code", err)
			}
			q.MACs++
			q.Matched = account.CodeOf(macs[0]).Equal(code)
		}
		if also == nil {
			return nil
		}
		return also(state, cmd)
	})
	if err == nil && result.Outcome == account.Exists {
		err = ErrExists // it is verified: there is nothing to attempt
	}
	return result, position, err
}
