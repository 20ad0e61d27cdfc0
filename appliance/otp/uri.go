package otp

import (
	"bytes"
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// URI is an otpauth URI, as authenticator apps read it from a QR code:
//
//	otpauth://TYPE/LABEL?secret=BASE32&issuer=…&algorithm=…&digits=…&period=…&counter=…
//
// TYPE is totp or hotp. LABEL is the account, or issuer:account. The format is Google Authenticator's Key URI format;
// there is no RFC.
type URI struct {
	Params  Params
	Issuer  string // empty: none
	Account string
	Counter Step // HOTP: the counter of the next code; 0 for TOTP
	Secret  *Secret
}

const (
	// MaxURI bounds an otpauth URI in bytes: about what fits a QR code that a phone still reads.
	MaxURI = 2048
	// MaxName bounds issuer and account, in bytes after unescaping: both and a 64-byte secret fit a QR code.
	MaxName = 128
	// MinSecret and MaxSecret bound a secret in bytes. RFC 4226, Section 4, R6 wants 16 or more; sites that hand out 10
	// are too many to refuse. Nothing seen in the field comes near 256.
	MinSecret = 10
	MaxSecret = 256
	// MaxCounter bounds a counter, so that no window around it overflows.
	MaxCounter Step = 1 << 62
)

// ErrURI: the text is not an otpauth URI that can be used. What is wrapped around it says why and never quotes the text.
var ErrURI = errors.New("not a usable otpauth URI")

func uriError(why string) error { return fmt.Errorf("%w: %s", ErrURI, why) }

// ParseURI reads an otpauth URI. It is strict about what decides a code: every parameter at most once, known values
// only, a secret of MinSecret to MaxSecret bytes, and a counter that HOTP must have and TOTP must not. It forgives what
// apps and sites really write: lower-case or padded base32, spaces and hyphens in the secret, an algorithm written
// HmacSHA1 or SHA-1, and parameters that only dress (image, color and others), which it drops. Defaults: SHA1, 6
// digits, 30 s. Errors wrap ErrURI.
func ParseURI(s string) (URI, error) {
	if len(s) > MaxURI {
		return URI{}, uriError("it is too long")
	}
	u, err := url.Parse(s)
	if err != nil { // url.Error quotes its input
		return URI{}, uriError("its syntax is wrong")
	}
	if u.Scheme != "otpauth" || u.User != nil || u.Opaque != "" || u.Fragment != "" {
		return URI{}, uriError("it must look like otpauth://totp/…")
	}
	var uri URI
	switch strings.ToLower(u.Host) {
	case "totp":
		uri.Params.Mode = TOTP
	case "hotp":
		uri.Params.Mode = HOTP
	default:
		return URI{}, uriError("its type must be totp or hotp")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return URI{}, uriError("its parameters are escaped wrongly")
	}
	if err := uri.parseNames(strings.TrimPrefix(u.Path, "/"), query); err != nil {
		return URI{}, err
	}
	if err := uri.parseParams(query); err != nil {
		return URI{}, err
	}
	if uri.Secret, err = parseSecret(query); err != nil {
		return URI{}, err
	}
	return uri, nil
}

// parseNames reads label and issuer. The issuer parameter is the newer of the two places; where both are given they must
// agree, or one URI would show two names.
func (uri *URI) parseNames(label string, query url.Values) error {
	issuer, _, err := one(query, "issuer")
	if err != nil {
		return err
	}
	prefix, account, found := strings.Cut(label, ":")
	if !found {
		prefix, account = "", label
	}
	// The format allows spaces after the colon.
	prefix, account, issuer = strings.TrimSpace(prefix), strings.TrimSpace(account), strings.TrimSpace(issuer)
	if prefix != "" && issuer != "" && prefix != issuer {
		return uriError("its label and its issuer parameter name different issuers")
	}
	if issuer == "" {
		issuer = prefix
	}
	if account == "" {
		return uriError("its label names no account")
	}
	if err := checkName(issuer); err != nil {
		return err
	}
	if err := checkName(account); err != nil {
		return err
	}
	uri.Issuer, uri.Account = issuer, account
	return nil
}

func checkName(s string) error {
	if len(s) > MaxName {
		return uriError("its issuer or account is too long")
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || strings.Contains(s, ":") {
		return uriError("its issuer or account holds a character that it must not")
	}
	return nil
}

func (uri *URI) parseParams(query url.Values) error {
	p := &uri.Params
	algorithm, _, err := one(query, "algorithm")
	if err != nil {
		return err
	}
	algorithm = strings.ToUpper(algorithm)
	switch strings.ReplaceAll(strings.TrimPrefix(algorithm, "HMAC"), "-", "") {
	case "", "SHA1":
		p.Hash = SHA1
	case "SHA256":
		p.Hash = SHA256
	case "SHA512":
		p.Hash = SHA512
	default:
		return uriError("its algorithm must be SHA1, SHA256 or SHA512")
	}
	digits, err := number(query, "digits", 6)
	if err != nil {
		return err
	}
	if digits < MinDigits || digits > MaxDigits {
		return uriError("its digits must be 6, 7 or 8")
	}
	p.Digits = uint8(digits)
	_, counted := query["counter"]
	if p.Mode == TOTP {
		if counted {
			return uriError("a counter makes no sense with time")
		}
		period, err := number(query, "period", 30)
		if err != nil {
			return err
		}
		if period != 30 && period != 60 {
			return uriError("its period must be 30 or 60 seconds")
		}
		p.Period = uint16(period)
		return nil
	}
	// Some sites write a period even here; it decides nothing.
	if !counted {
		return uriError("its counter is missing")
	}
	counter, err := number(query, "counter", 0)
	if err != nil {
		return err
	}
	if counter > uint64(MaxCounter) {
		return uriError("its counter is too large")
	}
	uri.Counter = Step(counter)
	return nil
}

// one reads a parameter that may be there at most once.
func one(query url.Values, name string) (value string, found bool, err error) {
	values := query[name]
	if len(values) > 1 {
		return "", false, uriError("its " + name + " is given twice")
	}
	if len(values) == 0 {
		return "", false, nil
	}
	return values[0], true, nil
}

func number(query url.Values, name string, missing uint64) (uint64, error) {
	s, found, err := one(query, name)
	if err != nil || !found {
		return missing, err
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil { // strconv quotes its input
		return 0, uriError("its " + name + " is no number that can be")
	}
	return n, nil
}

func parseSecret(query url.Values) (*Secret, error) {
	text, found, err := one(query, "secret")
	if err != nil {
		return nil, err
	}
	if !found || text == "" {
		return nil, uriError("its secret is missing")
	}
	// Sites show secrets in groups, and a plus in a query is a space.
	compact := make([]byte, 0, len(text))
	for i := range len(text) {
		switch c := text[i]; {
		case c == ' ' || c == '-':
		case 'a' <= c && c <= 'z':
			compact = append(compact, c-'a'+'A')
		default:
			compact = append(compact, c)
		}
	}
	defer clear(compact)
	unpadded := bytes.TrimRight(compact, "=")
	if padding := len(compact) - len(unpadded); padding > 6 || padding > 0 && len(compact)%8 != 0 {
		return nil, uriError("its secret is padded wrongly")
	}
	// Bits that are left over after the last byte are dropped, as apps do: sites draw base32 characters at random.
	encoding := base32.StdEncoding.WithPadding(base32.NoPadding)
	secret := make([]byte, encoding.DecodedLen(len(unpadded)))
	n, err := encoding.Decode(secret, unpadded)
	if err != nil || bytes.ContainsAny(unpadded, "\r\n") { // which Decode skips
		clear(secret)
		return nil, uriError("its secret is not base32")
	}
	if n < MinSecret || n > MaxSecret {
		clear(secret)
		return nil, uriError("its secret must have 10 to 256 bytes")
	}
	return NewSecret(secret[:n:n]), nil
}

// Validate reports everything that would keep an app, or ParseURI, from reading what Format writes. It doesn't quote names
// or the secret.
func (uri URI) Validate() error {
	errs := []error{uri.Params.Validate(), checkName(uri.Issuer), checkName(uri.Account)}
	if uri.Account == "" {
		errs = append(errs, uriError("its account is missing"))
	}
	for _, name := range []string{uri.Issuer, uri.Account} {
		if name != strings.TrimSpace(name) {
			errs = append(errs, uriError("its issuer or account begins or ends with a space"))
		}
	}
	if uri.Counter < 0 || uri.Counter > MaxCounter || uri.Params.Mode == TOTP && uri.Counter != 0 {
		errs = append(errs, uriError("its counter must not be"))
	}
	if n := len(uri.Secret.Reveal()); n < MinSecret || n > MaxSecret {
		errs = append(errs, uriError("its secret must have 10 to 256 bytes"))
	}
	return errors.Join(errs...)
}

// Format writes the URI as every authenticator app reads it: the issuer in the label and as a parameter, base32 in upper
// case without padding, all parameters spelt out, spaces as %20. Of a URI that is valid it is at most MaxURI bytes, and
// ParseURI reads the same from it. The result holds the secret: treat it as one.
func (uri URI) Format() string {
	var b strings.Builder
	b.WriteString("otpauth://")
	b.WriteString(uri.Params.Mode.String())
	b.WriteByte('/')
	if uri.Issuer != "" {
		b.WriteString(escape(uri.Issuer))
		b.WriteByte(':')
	}
	b.WriteString(escape(uri.Account))
	b.WriteString("?secret=")
	b.WriteString(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(uri.Secret.Reveal()))
	if uri.Issuer != "" {
		b.WriteString("&issuer=")
		b.WriteString(escape(uri.Issuer))
	}
	fmt.Fprintf(&b, "&algorithm=%s&digits=%d", uri.Params.Hash, uri.Params.Digits)
	if uri.Params.Mode == HOTP {
		fmt.Fprintf(&b, "&counter=%d", uri.Counter)
	} else {
		fmt.Fprintf(&b, "&period=%d", uri.Params.Period)
	}
	return b.String()
}

// escape escapes for path and query alike: some apps read a plus in a query as a plus.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
