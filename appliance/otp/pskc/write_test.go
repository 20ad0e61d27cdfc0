package pskc

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"
)

// The other side of the reader: what a maker of tokens does. It is written for tests, with fixed initialization vectors.

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func encryptCBC(t testing.TB, key, plain []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	padded := append([]byte(nil), plain...)
	for n := aes.BlockSize - len(plain)%aes.BlockSize; n > 0; n-- {
		padded = append(padded, byte(aes.BlockSize-len(plain)%aes.BlockSize))
	}
	out := []byte("an IV of 16 byte")
	out = append(out, padded...)
	cipher.NewCBCEncrypter(block, out[:16]).CryptBlocks(out[16:], out[16:])
	return out
}

// wrap is RFC 3394, and RFC 5649.
func wrap(t testing.TB, key, plain []byte, padded bool) []byte {
	t.Helper()
	a := []byte{0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6}
	r := append([]byte(nil), plain...)
	if padded {
		a = binary.BigEndian.AppendUint32([]byte{0xa6, 0x59, 0x59, 0xa6}, uint32(len(plain)))
		for len(r)%8 != 0 {
			r = append(r, 0)
		}
	}
	return wrapBlocks(t, key, a, r)
}

// wrapBlocks wraps whole blocks under any initial value.
func wrapBlocks(t testing.TB, key, a, r []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	n := len(r) / 8
	if n == 1 {
		out := append(a, r...)
		block.Encrypt(out, out)
		return out
	}
	b := make([]byte, 16)
	for j := range 6 {
		for i := 1; i <= n; i++ {
			copy(b, a)
			copy(b[8:], r[(i-1)*8:i*8])
			block.Encrypt(b, b)
			binary.BigEndian.PutUint64(a, binary.BigEndian.Uint64(b)^uint64(n*j+i))
			copy(r[(i-1)*8:], b[8:])
		}
	}
	return append(a, r...)
}

// container is a PSKC file in the making.
type container struct {
	t               testing.TB
	key, macKey     []byte
	cipher, mac     string // algorithms
	noMAC           bool   // values have none
	encryptionKey   string // default: a pre-shared key
	extra, packages string
}

func (c *container) encrypted(plain []byte, element string) string {
	var value []byte
	switch {
	case strings.HasSuffix(c.cipher, "-cbc"):
		value = encryptCBC(c.t, c.key, plain)
	default:
		value = wrap(c.t, c.key, plain, strings.HasSuffix(c.cipher, "-pad"))
	}
	s := fmt.Sprintf(`<%s><xenc:EncryptionMethod Algorithm="%s"/><xenc:CipherData><xenc:CipherValue>%s</xenc:CipherValue></xenc:CipherData></%[1]s>`,
		element, c.cipher, b64(value))
	if element == "EncryptedValue" && !c.noMAC {
		h := hmac.New(macs[c.mac], c.macKey)
		h.Write(value)
		s += "<ValueMAC>" + b64(h.Sum(nil)) + "</ValueMAC>"
	}
	return s
}

func (c *container) String() string {
	head := `<?xml version="1.0"?><KeyContainer Version="1.0" xmlns="` + nsPSKC + `" xmlns:ds="` + nsDS + `" xmlns:xenc="` + nsXenc + `" xmlns:xenc11="` + nsXenc11 + `">`
	if c.key != nil {
		if c.encryptionKey == "" {
			c.encryptionKey = "<ds:KeyName>k</ds:KeyName>"
		}
		head += "<EncryptionKey>" + c.encryptionKey + "</EncryptionKey>"
	}
	if c.macKey != nil {
		head += `<MACMethod Algorithm="` + c.mac + `">` + c.encrypted(c.macKey, "MACKey") + "</MACMethod>"
	}
	return head + c.extra + c.packages + "</KeyContainer>"
}

// token is a KeyPackage.
func token(profile, data string) string {
	return `<KeyPackage><DeviceInfo><SerialNo>S1</SerialNo></DeviceInfo><Key Id="1" Algorithm="` + nsPSKC + ":" + profile +
		`"><AlgorithmParameters><ResponseFormat Length="6" Encoding="DECIMAL"/></AlgorithmParameters><Data>` + data + `</Data></Key></KeyPackage>`
}

func plainValue(name, value string) string {
	return "<" + name + "><PlainValue>" + value + "</PlainValue></" + name + ">"
}

var plainSecret = plainValue("Secret", b64([]byte(twenty)))

// TestWritePrivacyIDEA shows how the test file was made, and that it still is that.
func TestWritePrivacyIDEA(t *testing.T) {
	c := &container{
		t: t, key: unhex(t, "000102030405060708090a0b0c0d0e0f"), macKey: []byte("twenty bytes of MACs"),
		cipher: nsXenc + "aes128-cbc", mac: nsDS + "hmac-sha1",
	}
	pack := func(manufacturer, serial, kind, digits, suite string, seed []byte, interval, counter, drift string) string {
		return `<keypackage>
<deviceinfo>
<manufacturer>` + manufacturer + `</manufacturer>
<serialno>` + serial + `</serialno>
</deviceinfo>
<key algorithm="urn:ietf:params:xml:ns:keyprov:pskc:` + kind + `" id="` + serial + `">
<issuer>privacyIDEA</issuer>
<algorithmparameters>
<responseformat encoding="DECIMAL" length="` + digits + `"></responseformat>
<suite hashalgo="` + suite + `"></suite>
</algorithmparameters>
<data>
<secret>
<encryptedvalue>` + lower(c.encrypted(seed, "EncryptedValue")) + `
</secret>
<time>
<plainvalue>0</plainvalue>
</time>
<timeinterval>
<plainvalue>` + interval + `</plainvalue>
</timeinterval>
<counter>
<plainvalue>` + counter + `</plainvalue>
</counter>
<timedrift>
<plainvalue>` + drift + `</plainvalue>
</timedrift>
</data>
</key>
</keypackage>
`
	}
	want := `<keycontainer version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" xmlns:xenc="http://www.w3.org/2001/04/xmlenc#">
<encryptionkey>
<ds:keyname>Pre-shared-key</ds:keyname>
</encryptionkey>
<macmethod algorithm="http://www.w3.org/2000/09/xmldsig#hmac-sha1">
<mackey>` + lower(c.encrypted(c.macKey, "MACKey")) + `
</macmethod>
` + pack("new phone", "TOTP0001A1B2", "totp", "6", "sha256", []byte("12345678901234567890123456789012"), "30", "58907520", "-2") +
		pack("", "OATH0001C3D4", "hotp", "8", "sha1", []byte(twenty), "0", "42", "0") + "</keycontainer>\n"
	got, err := os.ReadFile("testdata/privacyidea.xml")
	if os.Getenv("UPDATE") != "" {
		err = os.WriteFile("testdata/privacyidea.xml", []byte(want), 0o644)
		got = []byte(want)
	}
	if err != nil || string(got) != want {
		t.Errorf("testdata/privacyidea.xml is not what is made here (%v); UPDATE=1 makes it anew", err)
	}
}

// lower makes names lower-case as an HTML parser does, after the first one, which the caller has written.
func lower(s string) string {
	_, s, _ = strings.Cut(s, ">")
	var b strings.Builder
	for i, part := range strings.Split(s, "<") {
		if i == 0 {
			b.WriteString(part)
			continue
		}
		name, rest, _ := strings.Cut(part, ">")
		if tag, attrs, ok := strings.Cut(name, " "); ok {
			attr, value, _ := strings.Cut(strings.TrimSuffix(attrs, "/"), "=")
			b.WriteString("<" + strings.ToLower(tag) + " " + strings.ToLower(attr) + "=" + value + "></" + strings.ToLower(tag) + ">" + rest)
			continue
		}
		b.WriteString("<" + strings.ToLower(name) + ">" + rest)
	}
	return b.String()
}
