package otp

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Record is one token of a file that another system wrote: appliance/otp/tokenfile and appliance/otp/pskc read them.
type Record struct {
	// Row is its place among the tokens of the file, from 1, those that can't be used included.
	Row int
	// Line is where it begins in the file, from 1.
	Line int
	// Owner is whom it belongs to, as the file says it: a user's name, a distinguished name. Empty: the file doesn't say.
	Owner string
	// URI is what codes are made of. Its Account is the token's label.
	URI URI
	// Serial and Manufacturer are the token's own; empty: the file doesn't say.
	Serial, Manufacturer string
	// Drift is by how many steps the token's clock was ahead when it was last seen; TOTP only.
	Drift int64
	// NotBefore and NotAfter bound, both included, when the token may be used. Zero: no bound.
	NotBefore, NotAfter time.Time
	// Notes are what the file left open or an importer can't keep: constant sentences without a value of the file.
	Notes []string
	// Err is why the token can't be used. Then there is no secret. It quotes nothing of the file.
	Err error
}

// maxOwner bounds an owner in bytes: a distinguished name.
const maxOwner = 512

// Note adds a remark.
func (r *Record) Note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// Fail says why the token can't be used, and destroys its secret.
func (r *Record) Fail(why string) {
	r.URI.Secret.Destroy()
	r.URI.Secret, r.Err = nil, errors.New(why)
}

// Finish checks a record that a reader has filled in. What people read is made to fit a URI, because files of hardware
// tokens have no labels; what decides a code is not touched. After it, either Err is set or URI is valid.
func (r *Record) Finish() {
	switch {
	case r.Err != nil:
		r.Fail(r.Err.Error())
		return
	case !plain(r.Owner, maxOwner):
		r.Fail("its owner is too long or holds a character that it must not")
		return
	case !plain(r.Serial, MaxName) || !plain(r.Manufacturer, MaxName):
		r.Fail("its serial number or manufacturer is too long or holds a character that it must not")
		return
	}
	u := &r.URI
	if err := u.Params.Validate(); err != nil {
		r.Fail(strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	if n := len(u.Secret.Reveal()); n < MinSecret || n > MaxSecret {
		r.Fail(fmt.Sprintf("its secret has %d bytes; it must have %d to %d", n, MinSecret, MaxSecret))
		return
	}
	if u.Counter < 0 || u.Counter > MaxCounter {
		r.Fail("its counter is out of bounds")
		return
	}
	if u.Params.Mode == TOTP {
		u.Counter = 0
	}
	u.Issuer = fit(u.Issuer)
	for _, label := range []string{u.Account, r.Serial, r.Owner, "token"} {
		if u.Account = fit(label); u.Account != "" {
			break
		}
	}
	if err := u.Validate(); err != nil {
		r.Fail(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
}

// Destroy overwrites the secret.
func (r *Record) Destroy() { r.URI.Secret.Destroy() }

// plain: text of people and devices, which ends up in reports and on terminals.
func plain(s string, most int) bool {
	return len(s) <= most && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// fit makes a name of any text: a colon, which divides issuer and account in a URI, becomes a hyphen; what can't be shown
// goes; and it is cut at MaxName bytes.
func fit(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == ':':
			return '-'
		case r == utf8.RuneError || unicode.IsControl(r):
			return -1
		}
		return r
	}, s)
	for len(s) > MaxName {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return strings.TrimSpace(s)
}
