package account

import (
	"errors"
	"fmt"
)

// SignInPolicy is what a tenant's policy says of sign-ins and phones. Zero fields take the defaults of limits.go.
type SignInPolicy struct {
	SignInMinutes uint8 `cbor:"10,keyasint,omitempty" json:"sign_in_minutes,omitempty"`
	// CodeDomain is the domain that text messages bind their code to; empty: none.
	CodeDomain      string `cbor:"11,keyasint,omitempty" json:"code_domain,omitempty"`
	SendsPerSignIn  uint8  `cbor:"12,keyasint,omitempty" json:"sends_per_sign_in,omitempty"`
	SendsPerPhone   uint8  `cbor:"13,keyasint,omitempty" json:"sends_per_phone,omitempty"`       // an hour
	SendsPerAccount uint8  `cbor:"14,keyasint,omitempty" json:"sends_per_account,omitempty"`     // an hour
	CooldownSeconds uint16 `cbor:"15,keyasint,omitempty" json:"send_cooldown_seconds,omitempty"` // between two codes to one number
	// StepUpMinutes is how long ago a second factor may have been proved when phones are changed; 0: none is
	// asked for, unless the account is protected. Devices are added with one of DefaultStepUpMinutes then.
	StepUpMinutes uint16 `cbor:"16,keyasint,omitempty" json:"step_up_minutes,omitempty"`
	// TellPhones has the numbers of an account told by text message when one of them is removed.
	TellPhones bool `cbor:"17,keyasint,omitempty" json:"tell_phones,omitempty"`
}

func (p SignInPolicy) validate() error {
	var errs []error
	most := func(name string, n, most int) {
		if n > most {
			errs = append(errs, fmt.Errorf("%s: must be at most %d", name, most))
		}
	}
	most("sign_in_minutes", int(p.SignInMinutes), MaxSignInMinutes)
	most("sends_per_sign_in", int(p.SendsPerSignIn), MaxSendsPerSignIn)
	most("sends_per_phone", int(p.SendsPerPhone), MaxSendsPerPhone)
	most("sends_per_account", int(p.SendsPerAccount), MaxSendsPerAccount)
	most("send_cooldown_seconds", int(p.CooldownSeconds), MaxSendCooldown)
	most("step_up_minutes", int(p.StepUpMinutes), 24*60)
	if !validDomain(p.CodeDomain) {
		errs = append(errs, errors.New("code_domain: must be a domain name in lower-case ASCII"))
	}
	return errors.Join(errs...)
}

// validDomain takes a host name, or nothing: it stands on the last line of a text message.
func validDomain(s string) bool {
	if len(s) > MaxDomain {
		return false
	}
	for i := range len(s) {
		c := s[i]
		edge := i == 0 || i == len(s)-1 || s[i-1] == '.'
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case (c == '.' || c == '-') && !edge:
		default:
			return false
		}
	}
	return true
}

func or[T ~uint8 | ~uint16](n T, otherwise, most int) int {
	if n == 0 {
		return otherwise
	}
	return min(int(n), most)
}

func (p SignInPolicy) signInLife() Time {
	return Time(or(p.SignInMinutes, DefaultSignInMinutes, MaxSignInMinutes)) * 60 * 1000
}

func (p SignInPolicy) sendsPerSignIn() int {
	return or(p.SendsPerSignIn, DefaultSendsPerSignIn, MaxSendsPerSignIn)
}

func (p SignInPolicy) sendsPerPhone() int {
	return or(p.SendsPerPhone, DefaultSendsPerPhone, MaxSendsPerPhone)
}

func (p SignInPolicy) sendsPerAccount() int {
	return or(p.SendsPerAccount, DefaultSendsPerAccount, MaxSendsPerAccount)
}

func (p SignInPolicy) sendCooldown() Time {
	return Time(or(p.CooldownSeconds, DefaultSendCooldown, MaxSendCooldown)) * 1000
}
