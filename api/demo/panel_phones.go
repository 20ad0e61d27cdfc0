package demo

import (
	"context"

	"strongroom.internal/api/wire"
)

var phonesPanel = panel{
	Name: "phones", Title: "Phone numbers",
	load: func(ctx context.Context, s *Site, h *home) (any, error) {
		list, err := s.api.Phones(ctx, h.person.Account)
		if err != nil {
			return nil, err
		}
		type shown struct {
			wire.Phone
			Later bool // another is asked first
		}
		var phones []shown
		for i, p := range list {
			phones = append(phones, shown{p, i > 0})
		}
		return phones, nil
	},
	actions: map[string]action{
		"add": func(ctx context.Context, s *Site, h *home, x session, form func(string) string) (saying, error) {
			p, err := s.api.AddPhone(ctx, h.person.Account, wire.PhoneRequest{
				Number: wire.NewSecret(plainNumber(form("number"))), Label: form("label"), SignIn: x.opened,
			})
			if err != nil || !p.Verified.IsZero() {
				return complains("That number is there already."), err
			}
			return s.sendTo(withoutKey(ctx), h, p.ID, form("channel")) // the key was for adding it
		},
		"send": func(ctx context.Context, s *Site, h *home, _ session, form func(string) string) (saying, error) {
			return s.sendTo(ctx, h, form("phone"), form("channel"))
		},
		"verify": func(ctx context.Context, s *Site, h *home, _ session, form func(string) string) (saying, error) {
			said, _, err := s.enterPhoneCode(ctx, h, form("phone"), form("code"))
			return said, err
		},
		"label": func(ctx context.Context, s *Site, h *home, x session, form func(string) string) (saying, error) {
			return says("The number’s label was changed."), s.changePhone(ctx, h, x, form("phone"), func(p *wire.PhoneChange) { p.Label = form("label") })
		},
		"first": func(ctx context.Context, s *Site, h *home, x session, form func(string) string) (saying, error) {
			return says("That number is offered first now."), s.changePhone(ctx, h, x, form("phone"), func(p *wire.PhoneChange) { p.Position = 0 })
		},
		"remove": func(ctx context.Context, s *Site, h *home, x session, form func(string) string) (saying, error) {
			return says("The number was removed."), s.api.RemovePhone(ctx, h.person.Account, form("phone"), x.opened)
		},
	},
}

// changePhone changes one thing about a number: the API sets its label and its place together.
func (s *Site) changePhone(ctx context.Context, h *home, x session, id string, change func(*wire.PhoneChange)) error {
	list, err := s.api.Phones(ctx, h.person.Account)
	if err != nil {
		return err
	}
	var r wire.PhoneChange
	for i, p := range list {
		if p.ID == id {
			r = wire.PhoneChange{Label: p.Label, Position: i, SignIn: x.opened}
		}
	}
	change(&r)
	_, err = s.api.ChangePhone(ctx, h.person.Account, id, r)
	return err
}

// sendTo has the code brought that verifies a number.
func (s *Site) sendTo(ctx context.Context, h *home, phone, channel string) (saying, error) {
	if channel != "voice" {
		channel = "text"
	}
	sent, err := s.api.SendPhoneCode(ctx, h.person.Account, phone, channel)
	if err != nil {
		return saying{}, err
	}
	return saysOf(sent, channel), nil
}

// enterPhoneCode is one attempt with that code.
func (s *Site) enterPhoneCode(ctx context.Context, h *home, phone, code string) (said saying, right bool, err error) {
	digits, ok := digitsOf(code)
	if !ok {
		return complains("A code has six digits."), false, nil
	}
	v, err := s.api.VerifyPhone(ctx, h.person.Account, phone, wire.NewSecret(digits))
	switch {
	case err != nil:
		return saying{}, false, err
	case v.Outcome == wire.Accepted:
		return says("The number is verified."), true, nil
	case v.Outcome == wire.Locked:
		return complains("There were too many wrong codes. " + until(v.RetryAt)), false, nil
	case v.Outcome == wire.Ended:
		return complains("That code is over. Have another one sent."), false, nil
	}
	return complains("That code is not right."), false, nil
}
