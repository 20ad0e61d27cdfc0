package demo

import (
	"errors"
	"fmt"
	"net/http"

	"strongroom.internal/api/client"
	"strongroom.internal/api/demo/app"
	"strongroom.internal/api/wire"
)

// Who has neither the phone nor a number at hand recovers the account on the Mac, and waits for days. Meanwhile all of its
// devices and numbers say so, and any of them stops it.

// shownHelp is what would speak for whoever recovers.
type shownHelp struct {
	Kind   string
	Sooner string // by how much it shortens the wait; empty: it doesn't
}

// offered are the kinds of evidence that this service takes.
var offered = map[string]bool{wire.EvidenceEmail: true, wire.EvidencePassword: true, wire.EvidencePhoneCode: true}

// evidenceWords is what people read of evidence that was given.
var evidenceWords = map[string]string{
	wire.EvidenceEmail: "the link in the mail", wire.EvidencePassword: "the password", wire.EvidencePhoneCode: "a code on a trusted number",
	wire.EvidenceDevice: "a trusted device",
}

// recoveryPages are by state. What isn't here is over.
var recoveryPages = map[string]string{wire.RecoveryWaiting: "recovery", wire.RecoveryReady: "recovery-ready"}

func (s *Site) recoveryPage(w http.ResponseWriter, r *http.Request, h *home) {
	x, err := s.api.Recovery(r.Context(), h.person.Account)
	if isNotFound(err) || err == nil && x.ID == "" {
		back(w, r, "/mac/forgot")
		return
	}
	if err != nil {
		s.show(w, r, http.StatusOK, view{
			Title: "Recovery", Page: "forgot", Pane: paneMac, Said: complains(s.explain("reading a recovery", err)), Data: h.who(),
		})
		return
	}
	var given []string
	for _, kind := range x.Evidence {
		given = append(given, evidenceWords[kind])
	}
	page := recoveryPages[x.State]
	if page == "" {
		page = "recovery-over"
	}
	s.show(w, r, http.StatusOK, view{
		Title: "Recover your account", Page: page, Pane: paneMac,
		Data: map[string]any{"Recovery": x, "Helps": helps(x), "Given": given, "Account": h.person.Account},
	})
}

func helps(x wire.Recovery) (list []shownHelp) {
	for _, help := range x.Helps {
		if !offered[help.Kind] {
			continue
		}
		list = append(list, shownHelp{help.Kind, sooner(help.Hours)})
	}
	return list
}

// sooner is a time in words.
func sooner(hours int) string {
	switch {
	case hours == 0:
		return ""
	case hours%24 != 0:
		return fmt.Sprintf("up to %d hours sooner", hours)
	case hours == 24:
		return "up to a day sooner"
	}
	return fmt.Sprintf("up to %d days sooner", hours/24)
}

func (s *Site) startRecovery(w http.ResponseWriter, r *http.Request, h *home) {
	to := "/mac/recovery"
	defer func() { back(w, r, to) }()
	started, err := s.api.StartRecovery(withKey(r), h.person.Account)
	switch {
	case err != nil:
		h.complain(paneMac, s.explain("starting a recovery", err))
		to = "/mac/forgot"
	case started.Outcome == wire.TooSoon:
		h.complain(paneMac, "None can be started before "+started.RetryAt.Local().Format(dayLayout)+": one was stopped by the account’s owner, or started not long ago.")
		to = "/mac/forgot"
	}
}

// recovering is a form about the recovery that runs. What it does returns what is said of it.
func (s *Site) recovering(act func(r *http.Request, h *home, id string) (saying, error)) at {
	return func(w http.ResponseWriter, r *http.Request, h *home) {
		defer back(w, r, "/mac/recovery")
		said, err := act(r, h, r.PostFormValue("recovery"))
		var p *client.Problem
		if errors.As(err, &p) && (p.Named("ended") || p.Named("not-found")) {
			said, err = complains("That recovery is over."), nil
		}
		if err != nil {
			h.complain(paneMac, s.explain("acting on a recovery", err))
			return
		}
		h.leave(paneMac, said)
		h.changed(paneMac)
	}
}

func (s *Site) withdrawRecovery(r *http.Request, h *home, id string) (saying, error) {
	return says("The recovery was stopped."), s.api.WithdrawRecovery(withKey(r), h.person.Account, id)
}

func (s *Site) sendRecoveryCode(r *http.Request, h *home, id string) (saying, error) {
	q := sendRequest(r)
	sent, err := s.api.SendRecoveryCode(withKey(r), h.person.Account, id, q)
	return saysOf(sent, q.Channel), err
}

func (s *Site) recoveryCode(r *http.Request, h *home, id string) (saying, error) {
	digits, ok := digitsOf(r.PostFormValue("code"))
	if !ok {
		return complains("A code has six digits."), nil
	}
	return s.speakFor(r, h, id, wire.EvidenceRequest{Kind: wire.EvidencePhoneCode, Code: wire.NewSecret(digits)})
}

// recoveryPassword: that it was right is this service's word.
func (s *Site) recoveryPassword(r *http.Request, h *home, id string) (saying, error) {
	if _, right := s.homes.checkPassword(h.person.Account, r.PostFormValue("password")); !right {
		return complains("That is not the password."), nil
	}
	return s.speakFor(r, h, id, wire.EvidenceRequest{Kind: wire.EvidencePassword})
}

// speakFor gives evidence.
func (s *Site) speakFor(r *http.Request, h *home, id string, q wire.EvidenceRequest) (saying, error) {
	p, err := s.api.GiveEvidence(withKey(r), h.person.Account, id, q)
	switch {
	case err != nil:
		return saying{}, err
	case p.Outcome == wire.Accepted:
		return says("Thank you. The recovery can be completed from " + p.Recovery.Ready.Local().Format(dayLayout) + " on."), nil
	case p.Outcome == wire.Locked:
		return complains("There were too many wrong codes. " + until(p.RetryAt)), nil
	case p.Outcome == wire.Ended:
		return complains("That is over. Have another code sent."), nil
	}
	return complains("That code is not right."), nil
}

// completeRecovery binds the account to the Mac, and sets a new password. The grant is asked for and redeemed at once.
func (s *Site) completeRecovery(r *http.Request, h *home, id string) (saying, error) {
	text := r.PostFormValue("new")
	if words := unfit(text); words != "" {
		return complains(words), nil
	}
	claim, err := s.api.ClaimRecovery(r.Context(), h.person.Account, id)
	switch {
	case err != nil:
		return saying{}, err
	case claim.Outcome == wire.NotYet:
		return complains("It can be completed from " + claim.RetryAt.Local().Format(dayLayout) + " on."), nil
	case claim.Outcome == wire.EvidenceNeeded:
		return complains("Something has to speak for you first."), nil
	case claim.Outcome != wire.Granting:
		return complains("That recovery is over."), nil
	}
	mac, _ := h.theMac()
	bound, err := s.api.CompleteRecovery(withKey(r), h.person.Account, id, wire.CompletionRequest{Grant: claim.Grant, NewDevice: mac.About()})
	if err != nil {
		return saying{}, err
	}
	if err := mac.Enrolled(bound); err != nil {
		s.log.Error("making a Mac trusted", "error", err)
	}
	s.takePassword(h, text, nil)
	return says("The account is yours again. This Mac is trusted, and what was trusted before is not."), nil
}

// recoveries is the one that a device was told of, in a list.
func recoveries(d *app.Device) []app.Recovery {
	if x, runs := d.Recovery(); runs {
		return []app.Recovery{x}
	}
	return nil
}

// stopRecovery has the phone sign its owner's no.
func (s *Site) stopRecovery(w http.ResponseWriter, r *http.Request, h *home) {
	defer back(w, r, "/phone")
	if err := h.thePhone().StopRecovery(r.Context(), relay{s.api}, r.PostFormValue("recovery")); err != nil {
		h.complain(panePhone, s.explain("stopping a recovery", err))
		return
	}
	s.keep(h)
	h.say(panePhone, "The recovery was stopped. Nobody can start one for a while.")
	h.changed(panePhone, paneMac, paneAccount)
}

// speakPage is where the link in the mail leads. As with undoPage, nothing is done yet.
func (s *Site) speakPage(w http.ResponseWriter, r *http.Request, h *home) {
	token := r.URL.Query().Get("token")
	if token == "" || len(token) > maxToken {
		back(w, r, "/messages")
		return
	}
	s.show(w, r, http.StatusOK, view{
		Title: "Recover your account", Page: "speak", Pane: paneMessages, Data: map[string]any{"Token": token, "Account": h.person.Account},
	})
}

func (s *Site) speak(w http.ResponseWriter, r *http.Request, h *home) {
	defer back(w, r, "/messages")
	id := h.recoveryOf(r.PostFormValue("token"))
	if id == "" {
		h.complain(paneMessages, inWords["link"])
		return
	}
	said, err := s.speakFor(r, h, id, wire.EvidenceRequest{Kind: wire.EvidenceEmail})
	if err != nil {
		said = complains(s.explain("speaking for a recovery", err))
	}
	h.leave(paneMessages, said)
	h.changed(paneMac)
}
