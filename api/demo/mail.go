package demo

import (
	"slices"
	"time"

	"strongroom.internal/api/wire"
)

// mail is what the service wrote to the person. Those of protection are kept with the home: their link works for two weeks.
type mail struct {
	Off   bool      `json:"off,omitempty"` // protection was turned off, else on
	At    time.Time `json:"at"`
	Token string    `json:"token,omitempty"` // of the link that turns it off again; empty: nothing does
	Until time.Time `json:"until,omitzero"`
}

const maxMails = 8

// mailed writes to the person what a notice says of protection. A notice comes at least once, the mail once.
func (h *home) mailed(n wire.Notice, data wire.NoticeData) (changed bool) {
	m := mail{Off: n.Type == wire.NoticeProtectionOff, At: n.Timestamp, Token: data.LinkToken, Until: data.Expires}
	if n.Type != wire.NoticeProtectionOn && !m.Off {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if slices.ContainsFunc(h.mails, func(x mail) bool { return x.Off == m.Off && x.At.Equal(m.At) }) {
		return false
	}
	h.mails = append(h.mails, m)
	h.mails = h.mails[max(0, len(h.mails)-maxMails):]
	return true
}

func (h *home) letters() []mail {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.mails)
}
