package tokenfile

import (
	"bufio"
	"encoding/base32"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"strongroom.internal/appliance/otp"
)

// columns of our CSV, in the order of its documentation.
var columns = []string{"account", "issuer", "label", "secret", "encoding", "mode", "hash", "digits", "period", "counter", "serial"}

// ReadCSV reads our own CSV (RFC 4180, UTF-8). Its first line names the columns, in any order; secret must be there, the
// others may be left out or empty:
//
//	account   the account's name in Strongroom
//	issuer    who the token says that it is for
//	label     whom it says that it is for; default the serial number, or the account
//	secret    the seed
//	encoding  base32 (default; spaces, hyphens and padding are ignored) or hex
//	mode      totp (default) or hotp
//	hash      SHA1 (default), SHA256 or SHA512
//	digits    6 (default), 7 or 8
//	period    30 (default) or 60 seconds; totp only
//	counter   of the next code; hotp only, and there it must be given
//	serial    the token's serial number
func ReadCSV(r io.Reader) iter.Seq2[otp.Record, error] {
	return func(yield func(otp.Record, error) bool) {
		buffered := bufio.NewReader(io.LimitReader(r, MaxFile+1))
		if mark, _ := buffered.Peek(3); string(mark) == "\ufeff" {
			_, _ = buffered.Discard(3)
		}
		c := csv.NewReader(buffered)
		c.ReuseRecord = true
		header, err := c.Read()
		if err != nil {
			yield(otp.Record{}, fileError("it has no line that names its columns"))
			return
		}
		at, err := place(header)
		if err != nil {
			yield(otp.Record{}, err)
			return
		}
		for rows := 0; ; {
			fields, err := c.Read()
			if errors.Is(err, io.EOF) {
				if rows == 0 {
					yield(otp.Record{}, fileError("it has no token"))
				}
				return
			}
			if rows++; rows > MaxRecords || c.InputOffset() > MaxFile {
				yield(otp.Record{}, fileError("it is too large"))
				return
			}
			record := otp.Record{Row: rows}
			var syntax *csv.ParseError
			switch {
			case errors.As(err, &syntax):
				record.Line = syntax.StartLine
				record.Fail("it is not CSV with as many columns as the first line") // not the cause, for one wording
			case err != nil:
				yield(otp.Record{}, fileError("it can't be read to its end: %v", err))
				return
			default:
				record.Line, _ = c.FieldPos(0)
				parseRow(&record, func(name string) string {
					if i, ok := at[name]; ok {
						return strings.TrimSpace(fields[i])
					}
					return ""
				})
			}
			record.Finish()
			if !yield(record, nil) {
				return
			}
		}
	}
}

// place finds the columns.
func place(header []string) (map[string]int, error) {
	at := make(map[string]int, len(header))
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(name))
		if !slices.Contains(columns, name) {
			return nil, fileError("column %d has no name that is known; there are %s", i+1, strings.Join(columns, ", "))
		}
		if _, twice := at[name]; twice {
			return nil, fileError("the column %s is there twice", name)
		}
		at[name] = i
	}
	if _, ok := at["secret"]; !ok {
		return nil, fileError("there is no column secret")
	}
	return at, nil
}

func parseRow(record *otp.Record, column func(string) string) {
	u := &record.URI
	record.Owner, record.Serial = column("account"), column("serial")
	u.Issuer, u.Account = column("issuer"), column("label")
	var err error
	switch encoding := strings.ToLower(column("encoding")); encoding {
	case "", "base32":
		u.Secret, err = fromBase32(column("secret"))
	case "hex":
		u.Secret, err = fromHex(column("secret"))
	default:
		err = errors.New("its encoding must be base32 or hex")
	}
	if err != nil {
		record.Fail(err.Error())
		return
	}
	if err := parseParams(u, column("mode"), column("hash"), column("digits"), column("period"), column("counter")); err != nil {
		record.Fail(err.Error())
	}
}

// parseParams reads the columns that decide a code, with the defaults of ReadCSV.
func parseParams(u *otp.URI, mode, hash, digits, period, counter string) error {
	p := &u.Params
	var errs []error
	switch strings.ToLower(mode) {
	case "", "totp":
		p.Mode = otp.TOTP
	case "hotp":
		p.Mode = otp.HOTP
	default:
		return errors.New("its mode must be totp or hotp")
	}
	var ok bool
	if p.Hash, ok = hashNamed(hash); !ok {
		errs = append(errs, errors.New("its hash must be SHA1, SHA256 or SHA512"))
	}
	if digits == "" {
		digits = "6"
	}
	d, err := strconv.ParseUint(digits, 10, 8)
	if err != nil || d < otp.MinDigits || d > otp.MaxDigits {
		errs = append(errs, errors.New("its digits must be 6, 7 or 8"))
	}
	p.Digits = uint8(d)
	if p.Mode == otp.HOTP {
		n, err := strconv.ParseUint(counter, 10, 63)
		if err != nil || n > uint64(otp.MaxCounter) {
			errs = append(errs, errors.New("its counter must be a number, and given"))
		}
		if period != "" && period != "0" {
			errs = append(errs, errors.New("a period makes no sense with a counter"))
		}
		u.Counter = otp.Step(n)
		return joined(errs)
	}
	if period == "" {
		period = "30"
	}
	if period != "30" && period != "60" {
		errs = append(errs, errors.New("its period must be 30 or 60 seconds"))
	}
	s, _ := strconv.ParseUint(period, 10, 16)
	p.Period = uint16(s)
	if counter != "" && counter != "0" {
		errs = append(errs, errors.New("a counter makes no sense with time"))
	}
	return joined(errs)
}

// joined is errors.Join on one line.
func joined(errs []error) error {
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	if len(texts) == 0 {
		return nil
	}
	return errors.New(strings.Join(texts, "; "))
}

// hashNamed reads SHA1, sha-256, HmacSHA512 and the like; SHA-1 where there is no name.
func hashNamed(name string) (otp.Hash, bool) {
	switch strings.ReplaceAll(strings.TrimPrefix(strings.ToUpper(name), "HMAC"), "-", "") {
	case "", "SHA1":
		return otp.SHA1, true
	case "SHA256":
		return otp.SHA256, true
	case "SHA512":
		return otp.SHA512, true
	}
	return otp.InvalidHash, false
}

func fromHex(s string) (*otp.Secret, error) {
	b, err := hex.DecodeString(s)
	if err != nil { // which quotes a byte
		clear(b)
		return nil, errors.New("its secret is not hexadecimal")
	}
	return otp.NewSecret(b), nil
}

func fromBase32(s string) (*otp.Secret, error) {
	compact := strings.ToUpper(strings.TrimRight(strings.NewReplacer(" ", "", "-", "").Replace(s), "="))
	b, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(compact)
	if err != nil || strings.ContainsAny(compact, "\r\n") { // which the decoder skips
		clear(b)
		return nil, errors.New("its secret is not base32")
	}
	return otp.NewSecret(b), nil
}
