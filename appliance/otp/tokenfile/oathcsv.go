package tokenfile

import (
	"io"
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"strongroom.internal/appliance/otp"
)

// What LinOTP calls OATH CSV and privacyIDEA, which was made of it, too. There is no quoting: a line is cut at its commas,
// spaces around a value go, and a line whose first value is empty or begins with # is none. OCRA and TAN tokens, which are
// in the same files, are bad rows.

// versionLine begins a file of privacyIDEA with owners.
var versionLine = regexp.MustCompile(`^#\s*version:\s*2\s*$`)

// split cuts a line and gives columns that aren't there as empty.
func split(line []byte) func(int) string {
	columns := strings.Split(string(line), ",")
	return func(i int) string {
		if i >= len(columns) {
			return ""
		}
		return strings.TrimSpace(columns[i])
	}
}

// ReadLinOTP reads the file that LinOTP 2 and 3 import (linotp/lib/ImportOTP/oath.py):
//
//	serial, seed in hexadecimal, [hotp|totp], [digits], [seconds], [sha1|sha256|sha512]
//
// Defaults: hotp, 6, 30, and the hash by the seed's length: SHA-256 for 32 bytes, SHA-512 for 64, SHA-1 else. There is no
// counter: 0 is taken. LinOTP has no command that exports seeds (its "export token info" is a list without them), so this
// is what makers ship for it and what scripts write out of its database.
func ReadLinOTP(r io.Reader) iter.Seq2[otp.Record, error] {
	return each(r, func(line []byte, record *otp.Record) bool {
		column := split(line)
		if column(0) == "" || strings.HasPrefix(column(0), "#") {
			return false
		}
		record.Serial = column(0)
		secret, err := fromHex(column(1))
		if err != nil {
			record.Fail(err.Error())
			return true
		}
		record.URI.Secret = secret
		mode, hash, period, counter := oathMode(column(2)), column(5), column(4), ""
		if hash == "" {
			hash = hashByLength(secret, linotpHashes)
		}
		if mode == "hotp" {
			period, counter = "", "0" // the column means nothing there
			record.Note("the file has no counter; 0 is taken")
		}
		if err := parseParams(&record.URI, mode, hash, column(3), period, counter); err != nil {
			record.Fail(err.Error())
		}
		return true
	})
}

// oathMode is LinOTP's default and its other name for HOTP.
func oathMode(s string) string {
	switch s = strings.ToLower(s); s {
	case "", "hmac":
		return "hotp"
	}
	return s
}

// Hashes by the length of a seed in bytes; SHA-1 for all others. The two that only privacyIDEA has are refused.
var (
	linotpHashes      = map[int]string{32: "SHA256", 64: "SHA512"}
	privacyIDEAHashes = map[int]string{28: "SHA224", 32: "SHA256", 48: "SHA384", 64: "SHA512"}
)

func hashByLength(secret *otp.Secret, hashes map[int]string) string {
	if name, ok := hashes[len(secret.Reveal())]; ok {
		return name
	}
	return "SHA1"
}

// ReadPrivacyIDEA reads the CSV that privacyIDEA 3 exports and the two that it imports. Which one it is, is told by where
// hotp or totp stands, and by a first line # version: 2.
//
//	owner, serial, seed, hotp|totp, digits, [seconds]               pi-tokenjanitor find export --format csv
//	serial, seed, [hotp|totp], [digits], [seconds or counter]       privacyidea/lib/importotp.py, parseOATHcsv
//	user, resolver, realm, serial, seed, and so on                  the same with # version: 2
//
// An owner is user@realm, or n/a. Seeds are hexadecimal, or base32 as the exporter's --b32 writes them. Defaults: hotp, 6,
// 30, counter 0. The hash is nowhere in the file; it goes by the seed's length, as privacyIDEA's own import has it
// (privacyidea/lib/tokenclass.py, get_import_csv): SHA-256 for 32 bytes, SHA-512 for 64, SHA-1 else, and SHA-224 and
// SHA-384, which can't be served. The exporter leaves counters out: its HOTP tokens have to be resynchronised, and its PSKC
// export, which has hash and counter, is better.
func ReadPrivacyIDEA(r io.Reader) iter.Seq2[otp.Record, error] {
	owners, first := false, true
	return each(r, func(line []byte, record *otp.Record) bool {
		if first {
			owners = versionLine.Match(line)
		}
		first = false
		column := split(line)
		if strings.HasPrefix(column(0), "#") {
			return false
		}
		skip := 0
		isMode := func(i int) bool { return slices.Contains([]string{"hotp", "totp"}, strings.ToLower(column(i))) }
		exported := !owners && !isMode(2) && isMode(3)
		switch {
		case owners:
			record.Owner = column(0)
			if realm := column(2); record.Owner != "" && realm != "" {
				record.Owner += "@" + realm
			}
			skip = 3
		case exported:
			if record.Owner = column(0); record.Owner == "n/a" {
				record.Owner = ""
			}
			skip = 1
		}
		if record.Serial = column(skip); record.Serial == "" {
			return false
		}
		secret, err := fromHex(column(skip + 1))
		if err != nil {
			secret, err = fromBase32(column(skip + 1))
		}
		if err != nil {
			record.Fail("its secret is neither hexadecimal nor base32")
			return true
		}
		record.URI.Secret = secret
		mode, period, counter := oathMode(column(skip+2)), column(skip+4), ""
		if mode == "hotp" {
			period, counter = "", period
			if counter == "" {
				counter = "0"
				record.Note("the file has no counter; 0 is taken")
			}
		}
		if exported {
			record.Note("the file doesn't name the hash; it is taken by the length of the seed")
		}
		hash := hashByLength(secret, privacyIDEAHashes)
		if err := parseParams(&record.URI, mode, hash, column(skip+3), period, counter); err != nil {
			record.Fail(err.Error())
		}
		return true
	})
}

// ReadYubico reads the log that the YubiKey Personalization Tool writes in its traditional format (src/yubikeylogger.cpp),
// whose lines for OATH-HOTP have all that is needed:
//
//	OATH-HOTP, time, slot, public id, , seed in hexadecimal, access code, new access code, modhex flags (3), digits,
//	moving factor seed, and five flags of other modes
//
// Lines of other modes are bad rows; those without a key are skipped. The tool's Yubico format is not read: in it a slot
// for challenge and response looks like one for OATH-HOTP. The serial number is the public id, which the key may type
// before each code.
func ReadYubico(r io.Reader) iter.Seq2[otp.Record, error] {
	return each(r, func(line []byte, record *otp.Record) bool {
		column := split(line)
		switch kind := strings.ToLower(column(0)); {
		case kind == "logging start" || strings.HasPrefix(kind, "#") || strings.HasPrefix(kind, "configuration "):
			return false
		case kind != "oath-hotp":
			record.Fail("it is not an OATH-HOTP slot in the traditional format")
			return true
		}
		if n := strings.Count(string(line), ","); n != 17 {
			record.Fail("it must have 18 columns, and has " + strconv.Itoa(n+1))
			return true
		}
		record.Serial, record.Manufacturer = column(3), "Yubico"
		secret, err := fromHex(column(5))
		if err != nil {
			record.Fail(err.Error())
			return true
		}
		record.URI.Secret = secret
		if record.Serial != "" {
			record.Note("the key may type its public id before each code")
		}
		record.Note("the counter is the one that the key was made with")
		if err := parseParams(&record.URI, "hotp", "SHA1", column(11), "", column(12)); err != nil {
			record.Fail(err.Error())
		}
		return true
	})
}
