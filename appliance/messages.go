package appliance

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"strongroom.internal/appliance/account"
	"strongroom.internal/hsm"
)

// noticeJSON is what a webhook's body and a stream's event hold, in the shape that Standard Webhooks advises.
type noticeJSON struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      any       `json:"data"`
}

// noticeData is the front-end's. Members that a kind has no use for are absent.
type noticeData struct {
	Account    string      `json:"account"`
	SignIn     string      `json:"sign_in,omitempty"`
	Nonce      []byte      `json:"nonce,omitempty"`
	Purpose    string      `json:"purpose,omitempty"`
	Reason     string      `json:"reason,omitempty"` // of a denial
	Expires    time.Time   `json:"expires,omitzero"`
	Device     *deviceJSON `json:"device,omitempty"` // signed in on, added or removed
	Place      *placeJSON  `json:"place,omitempty"`
	Devices    []string    `json:"devices,omitempty"` // ids of the devices to tell
	Credential string      `json:"credential,omitempty"`
	Name       string      `json:"name,omitempty"`
	Phone      string      `json:"phone,omitempty"`
	Masked     string      `json:"masked,omitempty"`
	LinkToken  string      `json:"link_token,omitempty"`
	Recovery   string      `json:"recovery,omitempty"`
	Ready      time.Time   `json:"ready,omitzero"`   // when the recovery can be completed
	Phones     []string    `json:"phones,omitempty"` // ids of the phones that the gateway tells
}

type deviceJSON struct {
	Kind          string `json:"kind,omitempty"`
	Name          string `json:"name,omitempty"`
	Model         string `json:"model,omitempty"`
	Platform      string `json:"platform,omitempty"`
	SystemVersion string `json:"system_version,omitempty"`
}

// placeJSON always says that it is approximate: it comes from an address, and may be the network's.
type placeJSON struct {
	Label       string  `json:"label,omitempty"`
	Latitude    float64 `json:"latitude"`
	Longitude   float64 `json:"longitude"`
	AccuracyKM  int     `json:"accuracy_km"`
	Approximate bool    `json:"approximate"`
}

// jobJSON is the gateway's: what is to be sent or said to a number.
type jobJSON struct {
	Account  string    `json:"account"`
	SignIn   string    `json:"sign_in,omitempty"`
	Recovery string    `json:"recovery,omitempty"`
	Phone    string    `json:"phone"`
	About    string    `json:"about,omitempty"` // the notice that it tells of
	Channel  string    `json:"channel"`         // "text" or "voice"
	To       string    `json:"to"`              // E.164
	Text     string    `json:"text,omitempty"`
	Digits   string    `json:"digits,omitempty"` // voice: spaced, to be read aloud
	Expires  time.Time `json:"expires"`
	TwoStep  bool      `json:"two_step,omitempty"`
}

// Texts that tell a number that one was removed. They name neither the account nor the service: a number that was given up
// may be a stranger's by now.
const (
	otherRemoved = "The phone number %s was removed from your account. If that wasn't you, sign in and look at your devices and numbers."
	selfRemoved  = "This phone number was removed from an account and gets no more codes for it. If that wasn't you, sign in and look at your devices and numbers."
)

// tell is the body of a text without a code; nil for one that is no longer of use.
func (s *Service) tell(n account.Notice) ([]byte, error) {
	if account.Time(s.now().UnixMilli()) >= n.Expires {
		return nil, nil
	}
	return marshalNotice(n, jobJSON{
		Account: n.Account, Recovery: n.Recovery, Phone: n.Phone, About: n.About.String(), Channel: "text", To: n.Number,
		Text: tellMessage(n), Expires: moment(n.Expires),
	})
}

// noticeBody is the body of a notice; nil for a code that is no longer of use. A code is computed here, when it is
// delivered, and kept nowhere: the log has had the entry since it was asked for.
func (s *Service) noticeBody(ctx context.Context, q queue, n account.Notice) ([]byte, error) {
	if !n.Kind.Gateway() {
		return s.frontendBody(ctx, q.tenant, n)
	}
	if n.Kind == account.NoticeTell {
		return s.tell(n)
	}
	state, err := s.state(q.tenant, q.account)
	if err != nil {
		return nil, err
	}
	policy, err := s.policy(q.tenant)
	if err != nil {
		return nil, err
	}
	if !wanted(policy, state, n, account.Time(s.now().UnixMilli())) {
		return nil, nil
	}
	message := account.CodeMessage(q.tenant, q.account, n.SignIn+n.Recovery, account.PhoneChannel(n.Phone), n.N)
	if n.TwoStep {
		message = account.StepMessage(q.tenant, q.account, n.Phone, n.N)
	}
	macs, err := s.pool.KeyedMAC(ctx, hsm.KeyCode, [][]byte{message})
	if err != nil {
		return nil, moduleError("computing a code", err)
	}
	job := jobJSON{
		Account: n.Account, SignIn: n.SignIn, Recovery: n.Recovery, Phone: n.Phone, To: n.Number, Expires: moment(n.Expires), TwoStep: n.TwoStep,
	}
	digits := account.CodeOf(macs[0]).Reveal()
	if n.TwoStep {
		digits = account.StepCodeOf(macs[0]).Reveal()
	}
	if n.Voice {
		job.Channel, job.Digits = "voice", strings.Join(strings.Split(digits, ""), " ")
	} else {
		job.Channel, job.Text = "text", textMessage(digits, policy.CodeDomain, n)
	}
	return marshalNotice(n, job)
}

// wanted says whether the code of a notice would still be right.
func wanted(p Policy, state *account.State, n account.Notice, now account.Time) bool {
	if n.TwoStep {
		live, phone := state.LiveStepCode(now)
		return live == n.N && phone == n.Phone
	}
	if n.Recovery != "" {
		return state != nil && state.Access.Recovery.ID == n.Recovery && state.LiveRecoveryCode(p, now) == n.N
	}
	if n.SignIn == "" {
		return state.LivePhoneCode(p, n.Phone, now) == n.N
	}
	x := state.SignIn(n.SignIn)
	return x != nil && x.Open(now) && x.Code(account.PhoneChannel(n.Phone)) == n.N
}

// textMessage is a text message with its code. The last line binds the code to a domain: "Origin-bound one-time codes
// delivered via SMS" (WICG), so that a phone fills it in there and nowhere else.
func textMessage(code, domain string, n account.Notice) string {
	text := code + " is your sign-in code. Nobody who works for us will ask you for it."
	switch {
	case n.Recovery != "":
		text = code + " speaks for you in the recovery of your account, or stops it. Nobody who works for us will ask you for it."
	case n.SignIn == "" && !n.TwoStep:
		text = code + " is the code that confirms your phone number."
	}
	if domain == "" {
		return text
	}
	return fmt.Sprintf("%s\n\n@%s #%s", text, domain, code)
}

// tellMessage is a text message without a code. It has no link either: there is nothing in it to be phished with.
func tellMessage(n account.Notice) string {
	at := moment(n.Ready).Format("2 January 2006, 15:04 MST")
	switch n.About {
	case account.NoticePhoneRemoved:
		if n.Masked == "" {
			return selfRemoved
		}
		return fmt.Sprintf(otherRemoved, n.Masked)
	case account.NoticeRecoveryStarted:
		return "Somebody has asked to recover your account. It can be completed from " + at +
			" on, or sooner with more proof. If that is not you: sign in, or say no on one of your devices. Nobody who works for us can make it faster."
	case account.NoticeRecoveryGranted:
		return "The wait for the recovery of your account is over; it is about to be completed. If that is not you, say no on one of your devices now."
	case account.NoticeRecoveryCompleted:
		return "Your account was recovered, and has a new device. Its former devices no longer count."
	}
	return "The recovery of your account was stopped."
}

func (s *Service) frontendBody(ctx context.Context, tenant string, n account.Notice) ([]byte, error) {
	link, err := s.linkOf(ctx, tenant, n)
	if err != nil {
		return nil, err
	}
	data := noticeData{
		Account: n.Account, SignIn: n.SignIn, Nonce: n.Nonce, Expires: moment(n.Expires), Devices: n.Devices,
		Credential: n.Credential, Name: n.Name, Phone: n.Phone, Masked: n.Masked, LinkToken: link,
		Reason:   n.Reason.String(),
		Recovery: n.Recovery, Ready: moment(n.Ready), Phones: n.Phones,
	}
	if n.Purpose != account.InvalidPurpose {
		data.Purpose = n.Purpose.String()
	}
	if n.Device != (account.NewDevice{}) {
		d := deviceJSON(n.Device)
		data.Device = &d
	}
	if n.Place != (account.Place{}) {
		data.Place = &placeJSON{
			Label: n.Place.Label, Latitude: float64(n.Place.Latitude) / 100, Longitude: float64(n.Place.Longitude) / 100,
			AccuracyKM: int(n.Place.Accuracy), Approximate: true,
		}
	}
	return marshalNotice(n, data)
}

func marshalNotice(n account.Notice, data any) ([]byte, error) {
	return json.Marshal(noticeJSON{Type: n.Kind.String(), Timestamp: moment(n.Time), Data: data})
}
