package demo

import (
	"context"
	"strings"

	"strongroom.internal/api/wire"
)

var phonesPanel = panel{
	Name: "phones",
	load: func(ctx context.Context, s *Site, h *home) (any, error) {
		return s.api.Phones(ctx, h.person.Account)
	},
	actions: map[string]action{
		"add": func(ctx context.Context, s *Site, h *home, form func(string) string) (string, error) {
			number := strings.NewReplacer(" ", "", "-", "", "(", "", ")", "").Replace(form("number"))
			p, err := s.api.AddPhone(ctx, h.person.Account, wire.PhoneRequest{Number: wire.NewSecret(number), Label: form("label")})
			if err != nil || !p.Verified.IsZero() {
				return "That number is there already.", err
			}
			return sendToPhone(withoutKey(ctx), s, h, p.ID, form("channel")) // the key was for adding it
		},
		"send": func(ctx context.Context, s *Site, h *home, form func(string) string) (string, error) {
			return sendToPhone(ctx, s, h, form("phone"), form("channel"))
		},
		"verify": func(ctx context.Context, s *Site, h *home, form func(string) string) (string, error) {
			digits, ok := digitsOf(form("code"))
			if !ok {
				return "A code has six digits.", nil
			}
			v, err := s.api.VerifyPhone(ctx, h.person.Account, form("phone"), wire.NewSecret(digits))
			switch {
			case err != nil:
				return "", err
			case v.Outcome == wire.Accepted:
				return "The number is verified.", nil
			case v.Outcome == wire.Locked:
				return "There were too many wrong codes. " + until(v.RetryAt), nil
			case v.Outcome == wire.Ended:
				return "That code is over. Have another one sent.", nil
			}
			return "That code is not right.", nil
		},
		"remove": func(ctx context.Context, s *Site, h *home, form func(string) string) (string, error) {
			return "The number was removed.", s.api.RemovePhone(ctx, h.person.Account, form("phone"), "")
		},
	},
}

func sendToPhone(ctx context.Context, s *Site, h *home, phone, channel string) (string, error) {
	if channel != "voice" {
		channel = "text"
	}
	sent, err := s.api.SendPhoneCode(ctx, h.person.Account, phone, channel)
	if err != nil {
		return "", err
	}
	words, _ := sending(sent, channel)
	return words, nil
}
