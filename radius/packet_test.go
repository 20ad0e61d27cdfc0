package radius

import (
	"bytes"
	"crypto/md5"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"
)

const testSecret = "a secret of 24 bytes now"

// newRequest makes a signed Access-Request; change alters it before it is signed.
func newRequest(t testing.TB, account, password string, change func(*layeh.Packet)) []byte {
	t.Helper()
	p := layeh.New(layeh.CodeAccessRequest, []byte(testSecret))
	field := make(layeh.Attribute, md5.Size)
	p.Add(rfc2865.UserName_Type, layeh.Attribute(account))
	hidden, err := layeh.NewUserPassword([]byte(password), p.Secret, p.Authenticator[:])
	if err != nil {
		t.Fatal(err)
	}
	p.Add(rfc2865.UserPassword_Type, hidden)
	p.Add(rfc2869.MessageAuthenticator_Type, field)
	if change != nil {
		change(p)
	}
	mac, err := messageAuthenticator(p, field)
	if err != nil {
		t.Fatal(err)
	}
	copy(field, mac)
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRead(t *testing.T) {
	good := newRequest(t, "alice", "abcd-efgh-ijkm-npqr", nil)
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	name := bytes.Clone(good)
	name[22] ^= 1
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"good", good, nil},
		{"padded", append(bytes.Clone(good), 0, 0, 0), nil},
		{"empty", nil, errMalformed},
		{"cut off", good[:len(good)-1], errMalformed},
		{"too long", append(bytes.Clone(good), make([]byte, layeh.MaxPacketLength)...), errMalformed},
		{"its authenticator changed", flipped, errForged},
		{"its name changed", name, errForged},
		{"unsigned", newRequest(t, "alice", "x", func(p *layeh.Packet) { p.Del(rfc2869.MessageAuthenticator_Type) }), errUnsigned},
		{"signed twice", newRequest(t, "alice", "x", func(p *layeh.Packet) {
			p.Add(rfc2869.MessageAuthenticator_Type, make(layeh.Attribute, md5.Size))
		}), errMalformed},
		{"short signature", newRequest(t, "alice", "x", func(p *layeh.Packet) {
			p.Set(rfc2869.MessageAuthenticator_Type, make(layeh.Attribute, 4))
		}), errMalformed},
		{"accounting", newRequest(t, "alice", "x", func(p *layeh.Packet) { p.Code = layeh.CodeAccountingRequest }), errCode},
	} {
		if _, err := read(c.b, []byte(testSecret)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := read(good, []byte("another secret of theirs")); !errors.Is(err, errForged) {
		t.Errorf("with another secret: %v, want %v", err, errForged)
	}
}

func TestAttempt(t *testing.T) {
	type asked struct {
		Account, Password, Source string
		OK                        bool
	}
	set := func(kind layeh.Type, value string) func(*layeh.Packet) {
		return func(p *layeh.Packet) { p.Set(kind, layeh.Attribute(value)) }
	}
	add := func(kind layeh.Type, value string) func(*layeh.Packet) {
		return func(p *layeh.Packet) { p.Add(kind, layeh.Attribute(value)) }
	}
	long := strings.Repeat("x", maxAccount)
	for _, c := range []struct {
		name, account, password string
		change                  func(*layeh.Packet)
		want                    asked
	}{
		{"plain", "alice", "abcd-efgh-ijkm-npqr", nil, asked{"alice", "abcd-efgh-ijkm-npqr", "", true}},
		{"longest name", long, "p", nil, asked{long, "p", "", true}},
		{"too long a name", long + "x", "p", nil, asked{}},
		{"no UTF-8", "\xff", "p", nil, asked{}},
		{"an empty name", "", "p", nil, asked{}},
		{"two names", "alice", "p", add(rfc2865.UserName_Type, "bob"), asked{}},
		{"no password", "alice", "p", func(p *layeh.Packet) { p.Del(rfc2865.UserPassword_Type) }, asked{}},
		{"an empty password", "alice", "", nil, asked{}},
		{"a password of odd length", "alice", "p", set(rfc2865.UserPassword_Type, "odd"), asked{}},
		{"IPv4", "alice", "p", add(rfc2865.CallingStationID_Type, "192.0.2.7"), asked{"alice", "p", "192.0.2.7", true}},
		{"IPv6", "alice", "p", add(rfc2865.CallingStationID_Type, "2001:db8::7"), asked{"alice", "p", "2001:db8::7", true}},
		{"mapped", "alice", "p", add(rfc2865.CallingStationID_Type, "::ffff:192.0.2.7"), asked{"alice", "p", "192.0.2.7", true}},
		{"a telephone", "alice", "p", add(rfc2865.CallingStationID_Type, "00-11-22-33-44-55"), asked{"alice", "p", "", true}},
	} {
		p, err := read(newRequest(t, c.account, c.password, c.change), []byte(testSecret))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		account, r, ok := attempt(p)
		if d := cmp.Diff(c.want, asked{account, r.Password.Reveal(), r.SourceIP, ok}); d != "" {
			t.Errorf("%s: -want +got\n%s", c.name, d)
		}
	}
}

// TestAnswer: signed first, Proxy-State as it came, nothing else, and what RFC 2865 has clients check.
func TestAnswer(t *testing.T) {
	raw := newRequest(t, "alice", "p", func(p *layeh.Packet) {
		p.Add(rfc2865.ProxyState_Type, layeh.Attribute("second hop"))
		p.Add(rfc2865.NASIdentifier_Type, layeh.Attribute("vpn"))
		p.Add(rfc2865.ProxyState_Type, layeh.Attribute("a first hop"))
	})
	request, err := read(raw, []byte(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	b, err := answer(request, layeh.CodeAccessReject)
	if err != nil {
		t.Fatal(err)
	}
	if !layeh.IsAuthenticResponse(b, raw, []byte(testSecret)) {
		t.Error("its authenticator is wrong")
	}
	p, err := layeh.Parse(b, []byte(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Attributes) != 3 || p.Attributes[0].Type != rfc2869.MessageAuthenticator_Type ||
		string(p.Attributes[1].Attribute) != "second hop" || string(p.Attributes[2].Attribute) != "a first hop" {
		t.Fatalf("it has %d attributes, the first of type %d", len(p.Attributes), p.Attributes[0].Type)
	}
	got := bytes.Clone(p.Attributes[0].Attribute)
	p.Authenticator = request.Authenticator
	if want, err := messageAuthenticator(p, p.Attributes[0].Attribute); err != nil || !bytes.Equal(got, want) {
		t.Errorf("Message-Authenticator is %x, want %x, %v", got, want, err)
	}
}

// FuzzRead: what was read has been signed, can be answered, and the answer is no longer than it.
func FuzzRead(f *testing.F) {
	f.Add(newRequest(f, "alice", "p", nil))
	f.Add(newRequest(f, "alice", "p", func(p *layeh.Packet) { p.Add(rfc2865.ProxyState_Type, layeh.Attribute("hop")) }))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := layeh.Parse(b, []byte(testSecret))
		if err == nil { // sign it, or nothing gets further
			if field, n := single(p, rfc2869.MessageAuthenticator_Type); n == 1 && len(field) == md5.Size {
				mac, err := messageAuthenticator(p, field)
				if err != nil {
					t.Fatal(err)
				}
				copy(field, mac)
				b, _ = p.MarshalBinary()
			}
		}
		p, err = read(b, []byte(testSecret))
		if err != nil {
			return
		}
		account, r, ok := attempt(p)
		if ok && (account == "" || len(account) > maxAccount || r.Password.IsZero()) {
			t.Errorf("an attempt with %q", account)
		}
		a, err := answer(p, layeh.CodeAccessAccept)
		if err != nil || len(a) > len(b) {
			t.Errorf("%d bytes are answered with %d, %v", len(b), len(a), err)
		}
	})
}
