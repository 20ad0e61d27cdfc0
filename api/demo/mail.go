package demo

import (
	"crypto/rand"
	"crypto/subtle"
	"slices"
	"time"

	"strongroom.internal/api/wire"
)

// mail is what the service wrote to the person. Mails are kept with the home: their links work for two weeks and more.
type mail struct {
	Off bool      `json:"off,omitempty"` // protection was turned off, else on
	At  time.Time `json:"at"`
	// Token is of the link that turns it off again; empty: nothing does. Of a recovery: of the one that speaks for it.
	Token    string    `json:"token,omitempty"`
	Until    time.Time `json:"until,omitzero"`
	Recovery string    `json:"recovery,omitempty"` // that was started: the mail is of it
}

const maxMails = 8

// mailed writes to the person what a notice says of protection, or that a recovery was started: its link's token is this
// service's own, and what it is worth the service says to the API. A notice comes at least once, the mail once.
func (h *home) mailed(n wire.Notice, data wire.NoticeData) (changed bool) {
	m := mail{Off: n.Type == wire.NoticeProtectionOff, At: n.Timestamp, Token: data.LinkToken, Until: data.Expires}
	switch n.Type {
	case wire.NoticeProtectionOn, wire.NoticeProtectionOff:
	case wire.NoticeRecoveryStarted:
		m.Recovery, m.Token, m.Until = data.Recovery, rand.Text(), data.Ready
	default:
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if slices.ContainsFunc(h.mails, func(x mail) bool { return x.Off == m.Off && x.Recovery == m.Recovery && x.At.Equal(m.At) }) {
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

// recoveryOf is the recovery that the link with a token speaks for; empty: there is no such link.
func (h *home) recoveryOf(token string) (id string) {
	for _, m := range h.letters() {
		if m.Recovery != "" && subtle.ConstantTimeCompare([]byte(m.Token), []byte(token)) == 1 {
			id = m.Recovery
		}
	}
	return id
}
