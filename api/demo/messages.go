package demo

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"strongroom.internal/api/wire"
)

// The text messages and calls of the person's number, as the telephone company brings them, and the service's mail.

// shownMessage is a message as the page has it.
type shownMessage struct {
	ID       int
	At       time.Time
	To       string
	Voice    bool
	Ringing  bool
	Spoken   []string // digits
	Lines    []string
	Autofill string // the last line, that binds the code to a domain
	Expires  time.Time
	Mail     *mail // then there is nothing else
}

func (s *Site) messagesPage(w http.ResponseWriter, r *http.Request, h *home) {
	var list []shownMessage
	for _, m := range h.inbox() {
		list = append(list, shown(m, time.Now()))
	}
	for _, m := range h.letters() {
		list = append(list, shownMessage{At: m.At, To: h.person.Account, Mail: &m})
	}
	slices.SortStableFunc(list, func(a, b shownMessage) int { return b.At.Compare(a.At) })
	s.show(w, r, http.StatusOK, view{Title: "Messages, calls and mail", Page: "messages", Pane: paneMessages, Refresh: 5, Data: list})
}

// ringFor is how long a phone rings.
const ringFor = 2 * time.Minute

func shown(m message, now time.Time) shownMessage {
	x := shownMessage{ID: m.id, At: m.at, To: m.job.To, Voice: m.job.Channel == "voice", Expires: m.job.Expires}
	if x.Voice {
		x.Ringing = !m.answered && now.Sub(m.at) < ringFor
		if m.answered {
			x.Spoken = strings.Fields(m.job.Digits)
		}
		return x
	}
	x.Lines = strings.Split(strings.TrimSpace(m.job.Text), "\n")
	// WICG, "Origin-bound one-time codes delivered via SMS": the last line is "@" domain " #" code.
	if last := x.Lines[len(x.Lines)-1]; len(x.Lines) > 1 && strings.HasPrefix(last, "@") && strings.Contains(last, " #") {
		x.Autofill, x.Lines = last, x.Lines[:len(x.Lines)-1]
	}
	return x
}

func (s *Site) answerCall(w http.ResponseWriter, r *http.Request, h *home) {
	if id, err := strconv.Atoi(r.PostFormValue("id")); err == nil {
		h.answer(id)
	}
	h.changed(paneMessages)
	back(w, r, "/messages")
}

// awaitText waits for the text that verifies a number.
func (h *home) awaitText(phone string, done <-chan struct{}) (wire.CodeJob, bool) {
	changes, end, ok := h.watch()
	if !ok {
		return wire.CodeJob{}, false
	}
	defer end()
	for {
		for _, m := range h.inbox() {
			if m.job.Phone == phone && m.job.SignIn == "" && m.job.Recovery == "" && textCode.MatchString(m.job.Text) {
				return m.job, true
			}
		}
		select {
		case <-changes:
		case <-done:
			return wire.CodeJob{}, false
		}
	}
}
