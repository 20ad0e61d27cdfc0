package pskc

import (
	"encoding/binary"
	"strconv"
	"strings"

	"strongroom.internal/appliance/otp"
)

// keyPackage fills in a record. What is wrong with this token alone goes into it; an error is one of the whole file.
func (f *file) keyPackage(n *node, r *otp.Record) error {
	var in finder
	device, key := in.one(n, "DeviceInfo"), in.one(n, "Key")
	if key == nil {
		r.Fail("its package has no key")
		return nil
	}
	r.Serial, r.Manufacturer = in.text(device, "SerialNo"), in.text(device, "Manufacturer")
	r.URI.Issuer = in.text(key, "Issuer")
	r.Owner = in.text(key, "UserId")
	if r.Owner == "" {
		r.Owner = in.text(device, "UserId")
	}
	r.URI.Account = r.Serial
	if r.URI.Account == "" {
		r.URI.Account = key.attrs["id"]
	}
	parseParams(&in, key, r)
	parsePolicy(&in, device, in.one(key, "Policy"), r)
	if in.err != nil {
		r.Fail(in.err.Error())
		return nil
	}
	return f.data(&in, key, r)
}

// algorithms are the profiles that are read; see the package comment.
var algorithms = map[string]otp.Mode{nsPSKC + ":hotp": otp.HOTP, nsPSKC + ":totp": otp.TOTP}

func parseParams(in *finder, key *node, r *otp.Record) {
	p := &r.URI.Params
	mode, ok := algorithms[key.attrs["algorithm"]]
	if !ok {
		in.fail("its algorithm is neither HOTP nor TOTP of RFC 6030")
		return
	}
	p.Mode = mode
	params := in.one(key, "AlgorithmParameters")
	format := in.one(params, "ResponseFormat")
	if format == nil {
		in.fail("it doesn't say how many digits its codes have")
		return
	}
	if format.attrs["encoding"] != "DECIMAL" {
		in.fail("its codes are not decimal")
	}
	// Section 4.3.4: a Luhn digit is appended, and the code that is typed is no OTP of RFC 4226 any more.
	if check := firstOf(format.attrs, "checkdigit", "checkdigits"); check != "" && check != "false" && check != "0" {
		in.fail("its codes have a check digit")
	}
	digits, err := strconv.ParseUint(format.attrs["length"], 10, 8)
	if err != nil || digits < otp.MinDigits || digits > otp.MaxDigits {
		in.fail("its codes don't have 6, 7 or 8 digits")
		return
	}
	p.Digits = uint8(digits)
	p.Hash = suite(in, in.one(params, "Suite"))
}

func firstOf(attrs map[string]string, names ...string) string {
	for _, name := range names {
		if v := attrs[name]; v != "" {
			return v
		}
	}
	return ""
}

// suite is the hash: HMAC-SHA256, sha256 and the like, as text or as privacyIDEA's attribute. None is SHA-1.
func suite(in *finder, n *node) otp.Hash {
	if n == nil {
		return otp.SHA1
	}
	name, attr := n.String(), n.attrs["hashalgo"]
	switch {
	case name == "":
		name = attr
	case attr != "" && attr != name:
		in.fail("it names two hashes")
	}
	switch strings.ReplaceAll(strings.TrimPrefix(strings.ToUpper(name), "HMAC"), "-", "") {
	case "", "SHA1":
		return otp.SHA1
	case "SHA256":
		return otp.SHA256
	case "SHA512":
		return otp.SHA512
	}
	in.fail("its hash is not SHA-1, SHA-256 or SHA-512")
	return otp.InvalidHash
}

// data reads secret and moving factor.
func (f *file) data(in *finder, key *node, r *otp.Record) error {
	data := in.one(key, "Data")
	secret, found, err := f.value(in, data, "Secret")
	if err != nil || in.err != nil {
		return settle(in, r, err)
	}
	if !found { // Section 4.4: it is named, or derived from what is named
		r.Fail("its secret is not in the file")
		return nil
	}
	r.URI.Secret = otp.NewSecret(secret)
	if r.URI.Params.Mode == otp.HOTP {
		counter, found, err := f.integer(in, data, "Counter")
		if err != nil || in.err != nil {
			return settle(in, r, err)
		}
		if !found { // Section 10.1 wants one; Figure 7 has none
			r.Note("the file has no counter; 0 is taken")
		}
		if counter < 0 || counter > int64(otp.MaxCounter) {
			r.Fail("its counter is out of bounds")
			return nil
		}
		r.URI.Counter = otp.Step(counter)
		return nil
	}
	return settle(in, r, f.time(in, data, r))
}

// settle divides an error of the whole file from one of the token.
func settle(in *finder, r *otp.Record, err error) error {
	if err == nil && in.err != nil {
		r.Fail(in.err.Error())
	}
	return err
}

// Time is the number of intervals that had passed when the file was written (Section 4.2), for tokens that count from the
// Unix epoch a date of our days. Those that count from another start can't be served: RFC 6238's T0 is 0 here.
const (
	earliest = 946_684_800   // the year 2000, in Unix seconds
	latest   = 4_102_444_800 // the year 2100
)

func (f *file) time(in *finder, data *node, r *otp.Record) error {
	interval, found, err := f.integer(in, data, "TimeInterval")
	if err != nil || in.err != nil {
		return err
	}
	if !found {
		in.fail("it has no TimeInterval")
		return nil
	}
	if interval != 30 && interval != 60 {
		in.fail("its time interval is not 30 or 60 seconds")
		return nil
	}
	r.URI.Params.Period = uint16(interval)
	passed, _, err := f.integer(in, data, "Time")
	if err != nil || in.err != nil {
		return err
	}
	if passed != 0 && (passed < earliest/interval || passed > latest/interval) {
		in.fail("its time doesn't count from the Unix epoch")
		return nil
	}
	r.Drift, _, err = f.integer(in, data, "TimeDrift")
	return err
}

// value reads a member of Data. What is wrong with it goes to in; an error is one of the file.
func (f *file) value(in *finder, data *node, name string) (raw []byte, found bool, err error) {
	n := in.one(data, name)
	if n == nil {
		return nil, false, nil
	}
	plain, cipher, mac := in.one(n, "PlainValue"), in.one(n, "EncryptedValue"), in.one(n, "ValueMAC")
	switch {
	case (plain == nil) == (cipher == nil):
		in.fail(name + " has not one value")
		return nil, false, nil
	case plain != nil && mac != nil:
		in.fail(name + " has a MAC and is not encrypted")
		return nil, false, nil
	case plain != nil && name != "Secret":
		return plain.trimmed(), true, nil
	case plain != nil:
		raw, err := decodeBase64(plain)
		if err != nil {
			in.fail(name + ": " + err.Error())
		}
		return raw, true, nil
	}
	e, err := parseEncrypted(cipher)
	var sum []byte
	if err == nil && mac != nil {
		sum, err = decodeBase64(mac)
	}
	if err != nil {
		in.fail(name + ": " + err.Error())
		return nil, false, nil
	}
	if err := f.keys.ready(f.o); err != nil {
		return nil, false, err
	}
	if raw, err = f.keys.decrypt(e, sum); err != nil {
		in.fail(name + ": " + err.Error())
		return nil, false, nil
	}
	f.info.Encrypted = true
	return raw, true, nil
}

// integer reads a number. Encrypted ones are four or eight bytes, high byte first: Section 4.2.
func (f *file) integer(in *finder, data *node, name string) (v int64, found bool, err error) {
	raw, found, err := f.value(in, data, name)
	if err != nil || in.err != nil || !found {
		return 0, false, err
	}
	if n := in.one(data, name); in.one(n, "PlainValue") == nil {
		switch len(raw) {
		case 4:
			return int64(int32(binary.BigEndian.Uint32(raw))), true, nil
		case 8:
			return int64(binary.BigEndian.Uint64(raw)), true, nil
		}
		in.fail(name + " is not a number of four or eight bytes")
		return 0, false, nil
	}
	v, err = strconv.ParseInt(string(raw), 10, 64)
	if err != nil || len(raw) > 0 && raw[0] == '+' {
		in.fail(name + " is not a number")
		return 0, false, nil
	}
	return v, true, nil
}
