package radius

import (
	"crypto/hmac"
	"crypto/md5"
	"errors"
	"net/netip"
	"unicode/utf8"

	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"

	"strongroom.internal/api/wire"
)

// Why a packet is dropped. These are for the log's counts and quote nothing of the packet.
var (
	errMalformed = errors.New("malformed")
	errCode      = errors.New("not an Access-Request")
	errUnsigned  = errors.New("without Message-Authenticator")
	errForged    = errors.New("wrong Message-Authenticator or secret")
)

// maxAccount bounds an account's name in bytes, as the API does.
const maxAccount = 128

// read reads an Access-Request and checks that who sent it has the secret.
func read(b, secret []byte) (*layeh.Packet, error) {
	if len(b) > layeh.MaxPacketLength {
		return nil, errMalformed
	}
	p, err := layeh.Parse(b, secret)
	if err != nil {
		return nil, errMalformed
	}
	if p.Code != layeh.CodeAccessRequest {
		return nil, errCode
	}
	field, n := single(p, rfc2869.MessageAuthenticator_Type)
	if n == 0 {
		return nil, errUnsigned
	}
	if n > 1 || len(field) != md5.Size {
		return nil, errMalformed
	}
	got := [md5.Size]byte(field)
	want, err := messageAuthenticator(p, field)
	if err != nil {
		return nil, errMalformed
	}
	copy(field, got[:])
	if !hmac.Equal(got[:], want) {
		return nil, errForged
	}
	return p, nil
}

// messageAuthenticator computes it for a packet whose own field is given, and leaves that field zero. RFC 3579, Section
// 3.2: HMAC-MD5 over the packet with the request's authenticator in its place, and sixteen zero bytes in the field's.
func messageAuthenticator(p *layeh.Packet, field layeh.Attribute) ([]byte, error) {
	clear(field)
	raw, err := p.MarshalBinary()
	if err != nil {
		return nil, err
	}
	mac := hmac.New(md5.New, p.Secret)
	mac.Write(raw)
	return mac.Sum(nil), nil
}

// attempt takes from a request what the cluster is asked, except for the service. It is false for what can't be an
// attempt with an app password: no or two names or passwords, CHAP, EAP.
func attempt(p *layeh.Packet) (account string, r wire.VerifyAppPasswordRequest, ok bool) {
	name, names := single(p, rfc2865.UserName_Type)
	hidden, passwords := single(p, rfc2865.UserPassword_Type)
	if names != 1 || passwords != 1 || len(name) == 0 || len(name) > maxAccount || !utf8.Valid(name) {
		return "", r, false
	}
	password, err := layeh.UserPassword(hidden, p.Secret, p.Authenticator[:])
	defer clear(password)
	if err != nil || len(password) == 0 || !utf8.Valid(password) {
		return "", r, false
	}
	r.Password = wire.NewSecret(string(password))
	if station, n := single(p, rfc2865.CallingStationID_Type); n == 1 {
		if a, err := netip.ParseAddr(string(station)); err == nil {
			r.SourceIP = a.Unmap().WithZone("").String()
		}
	}
	return string(name), r, true
}

// answer writes the answer to a request. Beside the code nothing in it depends on why.
func answer(request *layeh.Packet, code layeh.Code) ([]byte, error) {
	p := request.Response(code)
	field := make(layeh.Attribute, md5.Size)
	p.Add(rfc2869.MessageAuthenticator_Type, field) // first, so that no prefix can be chosen: CVE-2024-3596
	for _, a := range request.Attributes {
		if a.Type == rfc2865.ProxyState_Type { // RFC 2865, Section 5.33: unchanged, in their order
			p.Add(a.Type, a.Attribute)
		}
	}
	mac, err := messageAuthenticator(p, field)
	if err != nil {
		return nil, err
	}
	copy(field, mac)
	return p.Encode()
}

// single gives the first attribute of a type, and how many there are.
func single(p *layeh.Packet, t layeh.Type) (first layeh.Attribute, n int) {
	for _, a := range p.Attributes {
		if a.Type == t {
			if n == 0 {
				first = a.Attribute
			}
			n++
		}
	}
	return first, n
}
