package wire

import (
	"encoding/json"
	"time"
)

// Notice is the body of a webhook and the data of an event in the stream.
type Notice struct {
	Type      string          `json:"type" example:"sign-in.begun"`
	Timestamp time.Time       `json:"timestamp"`
	Data      json.RawMessage `json:"data" doc:"A NoticeData, or for code.send and phone.tell a CodeJob."`
}

// Types of notices.
const (
	NoticeBegun         = "sign-in.begun"
	NoticeAllowed       = "sign-in.allowed"
	NoticeDenied        = "sign-in.denied"
	NoticeVerified      = "sign-in.verified"
	NoticeCancelled     = "sign-in.cancelled"
	NoticeSend          = "code.send" // the gateway's alone
	NoticeDeviceAdded   = "device.added"
	NoticeDeviceRemoved = "device.removed"
	NoticePhoneAdded    = "phone.added"
	NoticePhoneRemoved  = "phone.removed"
	NoticeProtectionOn  = "protection.on" // with link_token and expires, while there is a way back
	NoticeProtectionOff = "protection.off"
	NoticeDeviceLost    = "device.lost"
	NoticeNotMe         = "sign-in.not_me" // alert: a sign-in was denied by somebody who says that it isn't theirs

	NoticeBrowserTrusted  = "browser.trusted"
	NoticeBrowserReused   = "browser.token-reused" // its trust has ended: two browsers have had its token
	NoticePasswordChanged = "password.changed"

	NoticeTwoStepOn       = "two-step.on"
	NoticeTwoStepOff      = "two-step.off"
	NoticeRecoveryKeyMade = "recovery-key.made"
	NoticeRecoveryKeyUsed = "recovery-key.used"

	NoticeRecoveryStarted   = "recovery.started"   // push it to all devices: their owner may cancel it
	NoticeRecoveryShortened = "recovery.shortened" // by evidence
	NoticeRecoveryGranted   = "recovery.granted"   // the wait is over, and it is about to be completed
	NoticeRecoveryCompleted = "recovery.completed" // the devices that it names are trusted no more
	NoticeRecoveryCancelled = "recovery.cancelled"
	NoticePasswordReset     = "password.reset"
	NoticeTell              = "phone.tell" // the gateway's: a text without a code
)

// NoticeData is what a front-end is told.
type NoticeData struct {
	Account    string     `json:"account"`
	SignIn     string     `json:"sign_in,omitempty"`
	Nonce      []byte     `json:"nonce,omitempty"`
	Purpose    string     `json:"purpose,omitempty"`
	Expires    time.Time  `json:"expires,omitzero"`
	Device     *NewDevice `json:"device,omitempty"` // that is signed in on, was added or removed
	Place      *Place     `json:"place,omitempty"`
	Devices    []string   `json:"devices,omitempty"` // ids of those to tell; none for a sign-in that is to be kept quiet
	Credential string     `json:"credential,omitempty"`
	Name       string     `json:"name,omitempty"`
	Phone      string     `json:"phone,omitempty"`
	Masked     string     `json:"masked,omitempty"`
	Reason     string     `json:"reason,omitempty"` // of a denial: not_me or mistake
	Recovery   string     `json:"recovery,omitempty"`
	Ready      time.Time  `json:"ready,omitzero"`       // when the recovery can be completed
	Phones     []string   `json:"phones,omitempty"`     // ids of those that the gateway tells of it
	LinkToken  string     `json:"link_token,omitempty"` // for the mail that tells the person: it turns protection off again
}

// CodeJob is what a gateway is to send or say. That of phone.tell has no code.
type CodeJob struct {
	Account  string    `json:"account"`
	SignIn   string    `json:"sign_in,omitempty"` // absent: of two-step verification, a recovery, or it verifies the phone
	Recovery string    `json:"recovery,omitempty"`
	Phone    string    `json:"phone"`
	About    string    `json:"about,omitempty"` // of phone.tell: the notice that it tells of
	Channel  string    `json:"channel"`         // "text" or "voice"
	To       string    `json:"to"`              // E.164
	Text     string    `json:"text,omitempty"`
	Digits   string    `json:"digits,omitempty"` // voice: spaced, to be read aloud
	Expires  time.Time `json:"expires"`
	TwoStep  bool      `json:"two_step,omitempty"` // the code has four digits
}

// WebhookRequest has notices posted to a URL.
type WebhookRequest struct {
	URL    string `json:"url" minLength:"1" maxLength:"512" example:"https://push.example.com/strongroom"`
	Secret Secret `json:"secret,omitzero" maxLength:"128" doc:"whsec_ and 24 to 64 bytes in base64 (Standard Webhooks). Absent: one is made in the hardware and shown in the answer, this once."`
}

func (r WebhookRequest) reveal() any {
	return struct {
		URL    string `json:"url"`
		Secret string `json:"secret,omitempty"`
	}{r.URL, r.Secret.Reveal()}
}

// Webhook is where notices go.
type Webhook struct {
	Destination string `json:"destination" enum:"frontend,gateway"`
	URL         string `json:"url"`
	Secret      Secret `json:"secret,omitzero" doc:"When it was made here; shown this once."`
	Entry       int64  `json:"entry,omitempty"`
}

func (w Webhook) reveal() any {
	return struct {
		Destination string `json:"destination"`
		URL         string `json:"url"`
		Secret      string `json:"secret,omitempty"`
		Entry       int64  `json:"entry,omitempty"`
	}{w.Destination, w.URL, w.Secret.Reveal(), w.Entry}
}

// WebhookInfo is a webhook without its secret.
type WebhookInfo struct {
	Destination string `json:"destination" enum:"frontend,gateway"`
	URL         string `json:"url"`
}

// Webhooks is a list.
type Webhooks struct {
	Webhooks []WebhookInfo `json:"webhooks" nullable:"false"`
}

// Outbox is how the delivery of notices stands.
type Outbox struct {
	Destinations []OutboxDestination `json:"destinations" nullable:"false"`
	Lost         uint64              `json:"lost" doc:"Notices that were dropped because too many waited."`
}

// OutboxDestination is one of them.
type OutboxDestination struct {
	Destination string    `json:"destination" enum:"frontend,gateway"`
	Waiting     int       `json:"waiting"`
	Oldest      time.Time `json:"oldest,omitzero" doc:"When the one was written that waits longest."`
	Failure     string    `json:"failure,omitempty" doc:"Of the last try; the leader alone knows it."`
}
