package appliance

import (
	"encoding/base64"
	"encoding/binary"

	"strongroom.internal/hsm"
)

// browserToken is what a trusted browser keeps: URL-safe base64, without padding, of
//
//	version 1, one byte
//	id of the browser's trust, ten bytes
//	number, four bytes, high byte first
//	the device-trust key's signature over account.BrowserTokenMessage: ECDSA P-256 with SHA-256, ASN.1 DER
//
// Whom it is of and what for only the signature knows: account and browser are in the message, not in the token.
type browserToken struct {
	id        string
	n         uint32
	signature []byte
}

const (
	browserTokenVersion = 1
	browserTokenHead    = 1 + 10 + 4
	maxBrowserSignature = 72
)

var browserTokenEncoding = base64.RawURLEncoding.Strict()

// parseBrowserToken is false for what can't be a token. It takes no other text than String makes.
func parseBrowserToken(text []byte) (t browserToken, ok bool) {
	if len(text) > browserTokenEncoding.EncodedLen(browserTokenHead+maxBrowserSignature) {
		return t, false
	}
	b := make([]byte, browserTokenEncoding.DecodedLen(len(text)))
	n, err := browserTokenEncoding.Decode(b, text)
	if err != nil || n <= browserTokenHead || n != len(b) || b[0] != browserTokenVersion {
		return t, false
	}
	for _, c := range text {
		if c == '\r' || c == '\n' { // which the decoder skips
			return t, false
		}
	}
	return browserToken{idEncoding.EncodeToString(b[1:11]), binary.BigEndian.Uint32(b[11:]), b[browserTokenHead:]}, true
}

// secret is the token as it is given out. The id must be one that newID drew.
func (t browserToken) secret() (*hsm.Secret, error) {
	id, err := idEncoding.DecodeString(t.id)
	if err != nil {
		return nil, err
	}
	b := append(make([]byte, 0, browserTokenHead+len(t.signature)), browserTokenVersion)
	b = binary.BigEndian.AppendUint32(append(b, id...), t.n)
	return hsm.NewSecret(browserTokenEncoding.AppendEncode(nil, append(b, t.signature...))), nil
}
