package account

import (
	"crypto/sha256"
	"encoding/hex"
)

// Notice is what somebody outside is to be told of an act: the front-end, which tells the account's devices, or the
// operator's gateway, which sends codes. The engine's state keeps it from the same step on in which the act is decided
// until it is delivered. Its encoding is CBOR; new members have new keys.
type Notice struct {
	Kind       NoticeKind `cbor:"1,keyasint"`
	ID         string     `cbor:"2,keyasint"` // the same each time that it is delivered, and never another's
	Account    string     `cbor:"3,keyasint"`
	Time       Time       `cbor:"4,keyasint"`
	SignIn     string     `cbor:"5,keyasint,omitempty"`
	Nonce      []byte     `cbor:"6,keyasint,omitempty"`
	Purpose    Purpose    `cbor:"7,keyasint,omitempty"`
	Expires    Time       `cbor:"8,keyasint,omitempty"`
	Device     NewDevice  `cbor:"9,keyasint,omitzero"`
	Place      Place      `cbor:"10,keyasint,omitzero"`
	Devices    []string   `cbor:"11,keyasint,omitempty"` // those that are to be told
	Credential string     `cbor:"12,keyasint,omitempty"` // the device that decided, was added or removed; what was right
	Name       string     `cbor:"13,keyasint,omitempty"` // what a person called it
	Phone      string     `cbor:"14,keyasint,omitempty"`
	Masked     string     `cbor:"15,keyasint,omitempty"`
	// Number, Voice and N are the gateway's: a code with that number of the phone's channel is to be sent. The code isn't
	// here. Messages without a code have N 0.
	Number string `cbor:"16,keyasint,omitempty"`
	Voice  bool   `cbor:"17,keyasint,omitempty"`
	N      uint32 `cbor:"18,keyasint,omitempty"`
	// Link is Enrolment.Link, of which the token is made when the notice is delivered.
	Link []byte `cbor:"40,keyasint,omitempty"`
	// Reason is why a sign-in was denied.
	Reason DenyReason `cbor:"56,keyasint,omitempty"`
	// TwoStep says that the code is one of two-step verification.
	TwoStep bool `cbor:"50,keyasint,omitempty"`
	// Recovery and Ready are of a recovery; Phones are those that are told of it by the gateway, each by a NoticeTell.
	Recovery string     `cbor:"46,keyasint,omitempty"`
	Ready    Time       `cbor:"47,keyasint,omitempty"`
	Phones   []string   `cbor:"48,keyasint,omitempty"`
	About    NoticeKind `cbor:"49,keyasint,omitempty"`
}

// NoticeKind is what a notice is about.
type NoticeKind uint8

// Kinds. They are in stored notices: never change a number.
const (
	InvalidNotice NoticeKind = iota
	NoticeBegun
	NoticeAllowed
	NoticeDenied
	NoticeVerified
	NoticeCancelled
	NoticeSend // the gateway's
	NoticeDeviceAdded
	NoticeDeviceRemoved
	NoticePhoneAdded
	NoticePhoneRemoved
)

// Kinds about trust.
const (
	NoticeBrowserTrusted NoticeKind = 33 + iota
	NoticeBrowserReused             // its trust has ended: two browsers have had its token
	NoticePasswordChanged
)

// Kinds about protection.
const (
	NoticeProtectionOn NoticeKind = 40 + iota
	NoticeProtectionOff
	NoticeDeviceLost
)

// NoticeNotMe warns: a sign-in was denied by somebody who says that it isn't theirs.
const NoticeNotMe NoticeKind = 56

// Kinds about two-step verification.
const (
	NoticeTwoStepOn NoticeKind = 50 + iota
	NoticeTwoStepOff
	NoticeRecoveryKeyMade
	NoticeRecoveryKeyUsed
)

// Kinds about recoveries and password resets.
const (
	NoticeRecoveryStarted NoticeKind = 60 + iota
	NoticeRecoveryShortened
	NoticeRecoveryGranted
	NoticeRecoveryCompleted
	NoticeRecoveryCancelled
	NoticePasswordReset
	// NoticeTell is the gateway's: a text without a code to Number, on what it is About. One on a number that was removed has
	// that number's Masked, and none when it is the one that is told.
	NoticeTell
)

var noticeNames = [...]string{
	InvalidNotice: "invalid", NoticeBegun: "sign-in.begun", NoticeAllowed: "sign-in.allowed", NoticeDenied: "sign-in.denied",
	NoticeVerified: "sign-in.verified", NoticeCancelled: "sign-in.cancelled", NoticeSend: "code.send",
	NoticeDeviceAdded: "device.added", NoticeDeviceRemoved: "device.removed", NoticePhoneAdded: "phone.added",
	NoticePhoneRemoved:   "phone.removed",
	NoticeBrowserTrusted: "browser.trusted", NoticeBrowserReused: "browser.token-reused", NoticePasswordChanged: "password.changed",
	NoticeProtectionOn: "protection.on", NoticeProtectionOff: "protection.off", NoticeDeviceLost: "device.lost",
	NoticeNotMe:     "sign-in.not_me",
	NoticeTwoStepOn: "two-step.on", NoticeTwoStepOff: "two-step.off", NoticeRecoveryKeyMade: "recovery-key.made",
	NoticeRecoveryKeyUsed: "recovery-key.used",
	NoticeRecoveryStarted: "recovery.started", NoticeRecoveryShortened: "recovery.shortened",
	NoticeRecoveryGranted: "recovery.granted", NoticeRecoveryCompleted: "recovery.completed",
	NoticeRecoveryCancelled: "recovery.cancelled", NoticePasswordReset: "password.reset", NoticeTell: "phone.tell",
}

// String is the kind's name on the wire.
func (k NoticeKind) String() string {
	if int(k) >= len(noticeNames) || noticeNames[k] == "" {
		return noticeNames[0]
	}
	return noticeNames[k]
}

// Gateway says that the notice goes to the operator's gateway, and to nobody else.
func (k NoticeKind) Gateway() bool { return k == NoticeSend || k == NoticeTell }

// noticeOf begins a notice about a sign-in.
func noticeOf(k NoticeKind, x *SignIn) Notice {
	return Notice{
		Kind: k, SignIn: x.ID, Nonce: x.Nonce, Purpose: x.Purpose, Expires: x.Expires, Device: x.Device, Place: x.Place,
		Reason: x.Reason,
	}
}

// notify adds notices to a decision. Their ids come from the command's random bytes. A decision that had no effect tells
// nobody.
func (d *Decision) notify(c *Command, notices ...Notice) {
	if d.Entry == nil {
		return
	}
	for _, x := range notices {
		x.Account, x.Time = c.Account, Time(d.Entry.Time)
		parts := []string{"strongroom/notice/v1", string(c.Salt), c.Account, x.Kind.String(), eight(uint64(x.Time))}
		if n := d.told(x.Kind); n > 0 { // several of a kind in one act
			parts = append(parts, eight(n))
		}
		sum := sha256.Sum256(appendParts(nil, parts...))
		x.ID = hex.EncodeToString(sum[:12])
		d.Notices = append(d.Notices, x)
	}
}

// told counts the decision's notices of a kind.
func (d *Decision) told(k NoticeKind) (n uint64) {
	for i := range d.Notices {
		if d.Notices[i].Kind == k {
			n++
		}
	}
	return n
}

// also adds an entry for another key that the act uses, or is about to use. It goes before the use: the answer that needs
// it leaves after both.
func (d *Decision) also(operation, key, subject string) {
	if d.Entry == nil {
		return
	}
	e := *d.Entry
	e.Operation, e.Key, e.KeyVersion, e.Subject, e.MACs, e.Coalesced = operation, key, 1, subject, 1, 0
	d.Also = append(d.Also, &e)
}

// CodeKey is hsm.KeyCode, as log entries name it.
const CodeKey = "code"
