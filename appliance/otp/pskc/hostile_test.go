package pskc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"strongroom.internal/appliance/otp"
)

func one(t *testing.T, text string, o Options) seen {
	t.Helper()
	got, _, err := readAll(strings.NewReader(text), o)
	if err != nil || len(got) != 1 {
		t.Fatalf("%d records, %v", len(got), err)
	}
	return got[0]
}

// TestAlgorithms goes through every cipher with every MAC, and encrypted numbers.
func TestAlgorithms(t *testing.T) {
	for name, spec := range ciphers {
		for mac := range macs {
			k := bytes.Repeat([]byte{7}, spec.key)
			c := &container{t: t, key: k, macKey: []byte("twenty-four bytes of MAC"), cipher: name, mac: mac}
			seed := []byte("1234567890123456") // a multiple of eight, for key wrap without padding
			if strings.HasSuffix(name, "-pad") {
				seed = []byte(twenty)
			}
			counter := plainValue("Counter", "99")
			if !strings.Contains(name, "#kw-aes1") && !strings.Contains(name, "#kw-aes2") { // RFC 3394 can't wrap eight bytes
				counter = "<Counter>" + c.encrypted(binary.BigEndian.AppendUint64(nil, 99), "EncryptedValue") + "</Counter>"
			}
			c.packages = token("hotp", "<Secret>"+c.encrypted(seed, "EncryptedValue")+"</Secret>"+counter)
			got := one(t, c.String(), Options{Key: key(k)})
			if got.Err != "" || got.Secret != string(seed) || got.Counter != 99 {
				t.Errorf("%s, %s: %+v", name, mac, got)
			}
			c.noMAC, c.macKey = true, nil
			c.packages = token("hotp", "<Secret>"+c.encrypted(seed, "EncryptedValue")+"</Secret>"+plainValue("Counter", "0"))
			if got := one(t, c.String(), Options{Key: key(k)}); (got.Err == "") != spec.whole {
				t.Errorf("%s without a MAC: %+v", name, got)
			}
		}
	}
}

func TestNumbers(t *testing.T) {
	k := make([]byte, 16)
	c := &container{t: t, key: k, macKey: k, cipher: nsXenc + "aes128-cbc", mac: nsDS + "hmac-sha1"}
	number := func(b []byte) string { return c.encrypted(b, "EncryptedValue") }
	totp := func(interval, rest string) string {
		return token("totp", plainSecret+"<TimeInterval>"+interval+"</TimeInterval>"+rest)
	}
	for name, data := range map[string]string{
		"four bytes":         totp(number([]byte{0, 0, 0, 30}), "<TimeDrift>"+number([]byte{0xff, 0xff, 0xff, 0xfd})+"</TimeDrift>"),
		"eight bytes":        totp(number([]byte{0, 0, 0, 0, 0, 0, 0, 30}), plainValue("TimeDrift", "-3")),
		"text and white":     totp("<PlainValue>\n 30 </PlainValue>", plainValue("TimeDrift", " -3\t")),
		"a time of our days": totp("<PlainValue>30</PlainValue>", plainValue("TimeDrift", "-3")+plainValue("Time", "58907520")),
	} {
		c.packages = data
		if got := one(t, c.String(), Options{Key: key(k)}); got.Err != "" || got.Params.Period != 30 || got.Drift != -3 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestRefusedTokens: one token is bad, the file is not.
func TestRefusedTokens(t *testing.T) {
	good := token("hotp", plainSecret+plainValue("Counter", "5"))
	change := func(from, to string) string {
		if !strings.Contains(good, from) {
			t.Fatalf("%q is not in the token", from)
		}
		return strings.Replace(good, from, to, 1)
	}
	policy := func(p string) string { return change("</Key>", "<Policy>"+p+"</Policy></Key>") }
	totp := func(data string) string { return token("totp", plainSecret+data) }
	k := make([]byte, 16)
	c := &container{t: t, key: k, macKey: k, cipher: nsXenc + "aes128-cbc", mac: nsDS + "hmac-sha1"}
	for name, text := range map[string]string{
		"another algorithm":      change(":hotp", ":ocra"),
		"a draft's algorithm":    change(nsPSKC+":hotp", "http://www.ietf.org/keyprov/pskc#hotp"),
		"no algorithm":           change(` Algorithm="`+nsPSKC+`:hotp"`, ""),
		"five digits":            change(`Length="6"`, `Length="5"`),
		"nine digits":            change(`Length="6"`, `Length="9"`),
		"digits past a byte":     change(`Length="6"`, `Length="262"`),
		"no length":              change(`Length="6"`, ""),
		"hexadecimal codes":      change("DECIMAL", "HEXADECIMAL"),
		"a check digit":          change(`Length="6"`, `Length="6" CheckDigits="true"`),
		"a check digit, draft":   change(`Length="6"`, `Length="6" CheckDigit="1"`),
		"no format":              change(`<ResponseFormat Length="6" Encoding="DECIMAL"/>`, ""),
		"MD5":                    change("<AlgorithmParameters>", "<AlgorithmParameters><Suite>HMAC-MD5</Suite>"),
		"two hashes":             change("<AlgorithmParameters>", `<AlgorithmParameters><Suite hashalgo="sha256">SHA512</Suite>`),
		"two suites":             change("<AlgorithmParameters>", `<AlgorithmParameters><Suite>SHA1</Suite><suite>SHA256</suite>`),
		"two secrets":            change("<Data>", "<Data>"+plainSecret),
		"two values":             change("</Secret>", "<PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=</PlainValue></Secret>"),
		"no value":               change(plainSecret, "<Secret></Secret>"),
		"an empty value":         change(plainSecret, plainValue("Secret", " ")),
		"bad base64":             change("MTIz", "MTI!"),
		"loose base64":           change("OTA=", "OTB="),
		"base64 and more":        change("OTA=", "OTA=AAAA"),
		"base64 of URLs":         change("MTIz", "_-_-"),
		"a short secret":         change(plainSecret, plainValue("Secret", "MTIzNDU2Nzg5")),
		"a long secret":          change(plainSecret, plainValue("Secret", b64(make([]byte, 257)))),
		"a value over the bound": change(plainSecret, plainValue("Secret", b64(make([]byte, maxValue)))),
		"a MAC over plain":       change("</Secret>", "<ValueMAC>AAAA</ValueMAC></Secret>"),
		"a counter of letters":   change(">5<", ">five<"),
		"a negative counter":     change(">5<", ">-5<"),
		"a plus":                 change(">5<", ">+5<"),
		"an empty counter":       change(">5<", "><"),
		"a huge counter":         change(">5<", ">9223372036854775807<"),
		"a counter past 64 bits": change(">5<", ">18446744073709551616<"),
		"no key":                 "<KeyPackage><DeviceInfo/></KeyPackage>",
		"two keys":               change("</Key>", `</Key><Key Id="2"/>`),
		"a serial with a line":   change(">S1<", ">S1&#10;S2<"),
		"a long serial":          change(">S1<", ">"+strings.Repeat("S", 129)+"<"),
		"another usage":          policy("<KeyUsage>Encrypt</KeyUsage>"),
		"an unknown policy":      policy("<Colour>red</Colour>"),
		"a foreign date":         policy(`<x:StartDate xmlns:x="urn:x">2006-01-01T00:00:00Z</x:StartDate>`),
		"a foreign policy":       policy(`<x:Colour xmlns:x="urn:x">red</x:Colour>`),
		"bounded use":            policy("<NumberOfTransactions>9</NumberOfTransactions>"),
		"a PIN in the code":      policy(`<PINPolicy PINUsageMode="Append"/>`),
		"a date that is none":    policy("<ExpiryDate>tomorrow</ExpiryDate>"),
		"two dates":              policy("<ExpiryDate>2030-01-01T00:00:00Z</ExpiryDate><ExpiryDate>2031-01-01T00:00:00Z</ExpiryDate>"),
		"no interval":            totp(""),
		"an odd interval":        totp(plainValue("TimeInterval", "45")),
		"an interval of 0":       totp(plainValue("TimeInterval", "0")),
		"an interval in 16 bits": totp(plainValue("TimeInterval", "65566")),
		"another epoch":          totp(plainValue("TimeInterval", "30") + plainValue("Time", "100")),
		"a negative time":        totp(plainValue("TimeInterval", "30") + plainValue("Time", "-1")),
		"a drift of letters":     totp(plainValue("TimeInterval", "30") + plainValue("TimeDrift", "x")),
		"privacyIDEA's None":     totp(plainValue("TimeInterval", "None")),
		"a number of two bytes":  totp("<TimeInterval>" + c.encrypted([]byte{0, 30}, "EncryptedValue") + "</TimeInterval>"),
		"a reference":            token("hotp", `<Secret><EncryptedValue><xenc:EncryptionMethod Algorithm="`+c.cipher+`"/><xenc:CipherData><xenc:CipherReference URI="http://x/"/></xenc:CipherData></EncryptedValue></Secret>`),
		"an unknown cipher":      strings.Replace(token("hotp", "<Secret>"+c.encrypted([]byte(twenty), "EncryptedValue")+"</Secret>"), "aes128-cbc", "tripledes-cbc", 1),
		"another cipher":         strings.Replace(token("hotp", "<Secret>"+c.encrypted([]byte(twenty), "EncryptedValue")+"</Secret>"), "aes128-cbc", "aes256-cbc", 1),
	} {
		c.packages = text
		got := one(t, c.String(), Options{Key: key(k)})
		if got.Err == "" {
			t.Errorf("%s: was taken: %+v", name, got)
		}
		for _, leak := range []string{"MTIz", "1234567", "urn:", "http:", "red", "five", "S2"} {
			if strings.Contains(got.Err, leak) {
				t.Errorf("%s: the error quotes the file: %s", name, got.Err)
			}
		}
	}
	c.packages = good
	if got := one(t, c.String(), Options{Key: key(k)}); got.Err != "" || got.Counter != 5 {
		t.Errorf("the token that was changed is not good itself: %+v", got)
	}
}

// TestRefusedFiles: nothing of the file can be used.
func TestRefusedFiles(t *testing.T) {
	good := (&container{t: t, packages: token("hotp", plainSecret)}).String()
	body := strings.TrimPrefix(good, `<?xml version="1.0"?>`)
	figure := func(n int) string {
		raw, err := os.ReadFile(fmt.Sprintf("testdata/rfc6030-figure%d.xml", n))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	change := func(s, from, to string) string {
		if !strings.Contains(s, from) {
			t.Fatalf("%q is not in the file", from)
		}
		return strings.Replace(s, from, to, 1)
	}
	bomb := `<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">]>`
	external := `<!DOCTYPE x [<!ENTITY xxe SYSTEM "file:///etc/passwd">]>`
	inDepth := func(n int) string {
		return change(good, "<KeyPackage>", "<KeyPackage>"+strings.Repeat("<a>", n)+strings.Repeat("</a>", n))
	}
	o := Options{Key: key(unhex(t, "12345678901234567890123456789012")), Password: key([]byte("qwerty"))}
	for name, text := range map[string]string{
		"nothing":                    "",
		"white space":                " \n\t",
		"text":                       "hello",
		"text before":                "hello" + body,
		"text between":               change(good, "<KeyPackage>", "hello<KeyPackage>"),
		"text behind":                good + "hello",
		"a second container":         good + body,
		"another root":               `<x xmlns="` + nsPSKC + `" Version="1.0"/>`,
		"no namespace":               change(good, `xmlns="`+nsPSKC+`"`, ""),
		"another namespace":          change(good, `xmlns="`+nsPSKC+`"`, `xmlns="urn:x"`),
		"a draft's namespace":        change(good, `xmlns="`+nsPSKC+`"`, `xmlns="`+nsPSKC+`:1.0"`),
		"no version":                 change(good, ` Version="1.0"`, ""),
		"another version":            change(good, ` Version="1.0"`, ` Version="2.0"`),
		"no package":                 (&container{t: t}).String(),
		"an unknown element":         change(good, "<KeyPackage>", "<Colour/><KeyPackage>"),
		"a bomb":                     bomb + body,
		"a bomb that goes off":       bomb + change(body, "S1", "&lol2;"),
		"an external entity":         external + change(body, "S1", "&xxe;"),
		"an entity of HTML":          change(good, "S1", "&nbsp;"),
		"a style sheet":              change(good, "<KeyContainer", `<?xml-stylesheet href="http://x/"?><KeyContainer`),
		"another encoding":           change(good, `<?xml version="1.0"?>`, `<?xml version="1.0" encoding="UTF-16"?>`),
		"bytes that are not UTF-8":   change(good, "S1", "\xff\xfe"),
		"a NUL":                      change(good, "S1", "\x00"),
		"cut off":                    good[:len(good)-30],
		"not closed":                 strings.TrimSuffix(good, "</KeyContainer>"),
		"closed wrongly":             change(good, "</Key>", "</Kye>"),
		"an attribute twice":         change(good, `Id="1"`, `Id="1" id="2"`),
		"deep":                       inDepth(maxDepth),
		"very deep":                  inDepth(100_000),
		"many elements":              change(good, "<KeyPackage>", "<KeyPackage>"+strings.Repeat("<a/>", maxElements)),
		"much text":                  change(good, ">S1<", ">"+strings.Repeat("S", maxText)+"<"),
		"much text in pieces":        change(good, ">S1<", ">"+strings.Repeat("SSSSSSSS<!-- x -->", maxText/8)+"<"),
		"a large comment":            change(good, ">S1<", "><!--"+strings.Repeat("S", maxText)+"--><"),
		"a large attribute":          change(good, `Id="1"`, `Id="`+strings.Repeat("S", maxText)+`"`),
		"many attributes":            change(good, `Id="1"`, strings.Repeat(`a="xxxxxxxx" `, maxText/8)),
		"two encryption keys":        change(figure(6), "<EncryptionKey>", "<EncryptionKey/><EncryptionKey>"),
		"two MAC methods":            change(figure(6), "<MACMethod ", `<MACMethod/><MACMethod `),
		"a key after its use":        change(figure(6), "</KeyPackage>", "</KeyPackage><EncryptionKey/>"),
		"no encryption key":          change(change(figure(6), "<EncryptionKey>", "<Extensions>"), "</EncryptionKey>", "</Extensions>"),
		"a certificate":              figure(8),
		"an unknown MAC":             change(figure(6), "hmac-sha1", "hmac-md5"),
		"a MAC key that is named":    change(figure(6), "<MACKey>", "<MACKeyReference>x</MACKeyReference><MACKey>"),
		"no MAC key":                 change(change(figure(6), "<MACKey>", "<Extensions>"), "</MACKey>", "</Extensions>"),
		"a MAC key under 3DES":       change(figure(6), "aes128-cbc", "tripledes-cbc"),
		"a MAC key that is too long": change(figure(6), "ESIz", strings.Repeat("AAAA", maxValue/3)),
		"another derivation":         change(figure(7), "pkcs-5v2-0#pbkdf2", "pkcs-5v2-0#pbkdf1"),
		"no salt":                    change(figure(7), "<Specified>Ej7/PEpyEpw=</Specified>", "<OtherSource/>"),
		"an empty salt":              change(figure(7), "Ej7/PEpyEpw=", ""),
		"a huge salt":                change(figure(7), "Ej7/PEpyEpw=", b64(make([]byte, maxSalt+1))),
		"no iterations":              change(figure(7), ">1000<", ">0<"),
		"negative iterations":        change(figure(7), ">1000<", ">-1<"),
		"many iterations":            change(figure(7), ">1000<", ">10000001<"),
		"iterations past 64 bits":    change(figure(7), ">1000<", ">99999999999999999999<"),
		"a key of 17 bytes":          change(figure(7), "<KeyLength>16<", "<KeyLength>17<"),
		"a huge key":                 change(figure(7), "<KeyLength>16<", "<KeyLength>1000000000<"),
		"an unknown PRF":             change(figure(7), "<PRF/>", `<PRF Algorithm="http://x/"/>`),
	} {
		got, _, err := readAll(strings.NewReader(text), o)
		if !errors.Is(err, ErrFile) && !errors.Is(err, ErrKey) {
			t.Errorf("%s: was read: %+v, %v", name, got, err)
			continue
		}
		for _, leak := range []string{"MTIz", "hello", "Colour", "passwd", "lol", "Kye", "http:"} {
			if strings.Contains(err.Error(), leak) {
				t.Errorf("%s: the error quotes the file: %v", name, err)
			}
		}
	}
	for name, text := range map[string]string{
		"as it is": good, "a byte order mark": "\ufeff" + body, "a minor version": change(good, ` Version="1.0"`, ` Version="1.7"`),
		"extensions":        change(good, "<KeyPackage>", "<Extensions><a/></Extensions><KeyPackage>"),
		"foreign elements":  change(good, "<Data>", `<Data><x:y xmlns:x="urn:x">z</x:y>`),
		"XML's own entity":  change(good, ">S1<", ">S&amp;1<"),
		"a CDATA section":   change(good, "MTIz", "<![CDATA[MTIz]]>"),
		"white space after": good + "\n<!-- end -->\n",
	} {
		if got := one(t, text, o); got.Err != "" || got.Secret != twenty {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestManyKeys: a file is read as a stream, and not for ever.
func TestManyKeys(t *testing.T) {
	head, foot, _ := strings.Cut((&container{t: t, packages: "|"}).String(), "|")
	packages := &repeated{head: head, body: "<KeyPackage/>", foot: foot, left: MaxKeys + 1}
	n := 0
	var last error
	for r, err := range Read(packages, Options{}) {
		if last = err; err == nil {
			n++
		}
		if err == nil && r.Row != n {
			t.Fatalf("row %d is said to be %d", n, r.Row)
		}
	}
	if n != MaxKeys || !errors.Is(last, ErrFile) {
		t.Errorf("%d keys were read, and then %v", n, last)
	}
	// Who has seen enough stops.
	packages = &repeated{head: head, body: "<KeyPackage/>", foot: foot, left: 1 << 30}
	for range Read(packages, Options{}) {
		break
	}
}

// TestLargeFile: what comes after the most bytes is an error, not an end.
func TestLargeFile(t *testing.T) {
	good := (&container{t: t, packages: token("hotp", plainSecret)}).String()
	for most := range len(good) + 2 {
		f := &file{x: newReader(strings.NewReader(good), most)}
		err := f.read(func(otp.Record, error) bool { return true })
		if large := most < len(good); (err != nil) != large || large && !strings.Contains(err.Error(), "too large") {
			t.Errorf("%d of %d bytes: %v", most, len(good), err)
		}
	}
}

// repeated is a reader of head, left times body, foot.
type repeated struct {
	head, body, foot string
	left             int
	now              string
}

func (r *repeated) Read(p []byte) (int, error) {
	for r.now == "" {
		switch {
		case r.head != "":
			r.now, r.head = r.head, ""
		case r.left > 0:
			r.now, r.left = r.body, r.left-1
		default:
			r.now, r.foot = r.foot, " "
		}
	}
	n := copy(p, r.now)
	r.now = r.now[n:]
	return n, nil
}

func FuzzRead(f *testing.F) {
	files, err := os.ReadDir("testdata")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file.Name(), ".xml") {
			raw, err := os.ReadFile("testdata/" + file.Name())
			if err != nil {
				f.Fatal(err)
			}
			f.Add(raw)
		}
	}
	cheap := func(string) (*otp.Secret, error) { return otp.NewSecret(make([]byte, 16)), nil }
	f.Fuzz(func(t *testing.T, raw []byte) {
		if bytes.Contains(bytes.ToLower(raw), []byte("iterationcount")) {
			return // what PBKDF2 costs is bounded, and still too much here
		}
		rows := 0
		for r, err := range Read(bytes.NewReader(raw), Options{Key: cheap, Password: cheap}) {
			if err != nil {
				if !errors.Is(err, ErrFile) && !errors.Is(err, ErrKey) {
					t.Errorf("it ended with %v", err)
				}
				return
			}
			if rows++; r.Row != rows {
				t.Errorf("row %d is said to be %d", rows, r.Row)
			}
			if r.Err != nil {
				if r.URI.Secret != nil {
					t.Error("a secret came with an error")
				}
				continue
			}
			if err := r.URI.Validate(); err != nil {
				t.Errorf("a token can't be used: %v", err)
			}
		}
	})
}
