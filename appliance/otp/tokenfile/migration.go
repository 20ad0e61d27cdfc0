package tokenfile

import (
	"encoding/base64"
	"errors"
	"io"
	"iter"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"strongroom.internal/appliance/otp"
)

// ReadMigration reads what Google Authenticator shows as QR codes to move its accounts to another phone, one URI a line:
//
//	otpauth-migration://offline?data=BASE64
//
// The data is a protocol buffer. There is no specification; what follows was read out of the app in 2020 and is what all
// who read it agree on (Aegis, KeePassOTP and others; see docs/import.md):
//
//	message Payload {
//	  repeated Token token = 1;
//	  int32 version = 2;      // 1, and 2 since accounts have an id
//	  int32 batch_size = 3;   // of how many QR codes the export is
//	  int32 batch_index = 4;  // which of them this is, from 0
//	  int32 batch_id = 5;     // the export's, the same in all of its codes
//	}
//	message Token {
//	  bytes secret = 1;
//	  string name = 2;        // account, or issuer:account
//	  string issuer = 3;
//	  int32 algorithm = 4;    // 1 SHA-1, 2 SHA-256, 3 SHA-512, 4 MD5
//	  int32 digits = 5;       // 1 six, 2 eight
//	  int32 type = 6;         // 1 HOTP, 2 TOTP
//	  int64 counter = 7;
//	}
//
// There is no period: it is 30 s. Fields with other numbers are left alone, as protocol buffers want it. An export that
// misses a code, or has one twice, is ErrFile; with incomplete, the missing are left out. A file may hold several exports.
func ReadMigration(r io.Reader, incomplete bool) iter.Seq2[otp.Record, error] {
	return func(yield func(otp.Record, error) bool) {
		parts, err := readParts(r)
		// What was not given away is destroyed, however it ends.
		defer func() {
			for _, p := range parts {
				p.destroy()
			}
		}()
		if err == nil {
			err = complete(parts, incomplete)
		}
		if err != nil {
			yield(otp.Record{}, err)
			return
		}
		row := 0
		for i := range parts {
			for j := range parts[i].tokens {
				record := parts[i].tokens[j]
				parts[i].tokens[j] = otp.Record{}
				row++
				record.Row = row
				record.Finish()
				if !yield(record, nil) {
					return
				}
			}
		}
	}
}

// Bounds on one payload, each more than a QR code holds.
const (
	maxPayload = 8 << 10
	maxBatch   = 10_000
)

// part is the payload of one QR code.
type part struct {
	line            int
	version         uint64
	size, index, id uint64
	tokens          []otp.Record
}

func (p *part) destroy() {
	for i := range p.tokens {
		p.tokens[i].Destroy()
	}
}

func readParts(r io.Reader) (parts []*part, err error) {
	s := newScanner(r)
	defer s.destroy()
	tokens := 0
	for {
		text, err := s.next()
		if err != nil {
			return parts, err
		}
		if text == nil {
			break
		}
		if text[0] == '#' {
			continue
		}
		p, err := parsePart(string(text))
		if err != nil {
			return parts, fileError("line %d: %v", s.line, err)
		}
		p.line = s.line
		for i := range p.tokens {
			p.tokens[i].Line = s.line
		}
		parts = append(parts, p)
		if tokens += len(p.tokens); tokens > MaxRecords {
			return parts, fileError("it has more than %d tokens", MaxRecords)
		}
	}
	if tokens == 0 {
		return parts, fileError("it has no token")
	}
	return parts, nil
}

// complete says whether all parts of each export are there, each once.
func complete(parts []*part, incomplete bool) error {
	exports := make(map[uint64]map[uint64]int) // id, index: line
	sizes := make(map[uint64]uint64)
	for _, p := range parts {
		if exports[p.id] == nil {
			exports[p.id], sizes[p.id] = make(map[uint64]int), p.size
		}
		if p.size != sizes[p.id] {
			return fileError("line %d: its export has another number of QR codes than it says elsewhere", p.line)
		}
		if before := exports[p.id][p.index]; before != 0 {
			return fileError("line %d: it is the same part of an export as line %d", p.line, before)
		}
		exports[p.id][p.index] = p.line
	}
	if incomplete {
		return nil
	}
	for _, id := range slices.Sorted(maps.Keys(exports)) {
		if have := uint64(len(exports[id])); have < sizes[id] {
			return fileError("an export has %d QR codes, and only %d of them are in the file", sizes[id], have)
		}
	}
	return nil
}

func parsePart(text string) (*part, error) {
	const prefix = "otpauth-migration://offline?"
	if len(text) < len(prefix) || !strings.EqualFold(text[:len(prefix)], prefix) {
		return nil, errors.New("it must begin with otpauth-migration://offline?data=")
	}
	data, found := strings.CutPrefix(text[len(prefix):], "data=")
	if !found || strings.ContainsAny(data, "&#") {
		return nil, errors.New("it has not the parameter data alone")
	}
	data, err := url.PathUnescape(data) // which leaves a plus alone
	if err != nil || len(data) > maxLine {
		return nil, errors.New("its data is escaped wrongly")
	}
	encoding := base64.StdEncoding
	if strings.ContainsAny(data, "-_") {
		encoding = base64.URLEncoding
	}
	payload, err := encoding.WithPadding(base64.NoPadding).DecodeString(strings.TrimRight(data, "="))
	defer clear(payload)
	if err != nil || strings.ContainsAny(data, "\r\n") || len(payload) > maxPayload {
		return nil, errors.New("its data is not base64")
	}
	p := &part{}
	if err := p.parse(payload); err != nil {
		p.destroy()
		return nil, err
	}
	return p, nil
}

var errProto = errors.New("its data is not what Google Authenticator writes")

func (p *part) parse(payload []byte) error {
	seen := make(map[protowire.Number]bool)
	err := fields(payload, func(n protowire.Number, v field) error {
		if n == 1 {
			if v.bytes == nil {
				return errProto
			}
			record, err := parseToken(v.bytes)
			p.tokens = append(p.tokens, record)
			return err
		}
		to, known := map[protowire.Number]*uint64{2: &p.version, 3: &p.size, 4: &p.index, 5: &p.id}[n]
		if known && (v.bytes != nil || seen[n]) {
			return errProto
		}
		if known {
			seen[n], *to = true, v.number
		}
		return nil
	})
	p.size = max(p.size, 1)
	switch {
	case err != nil:
		return err
	case p.version != 1 && p.version != 2:
		return errors.New("its version is not known")
	case p.size > maxBatch || p.index >= p.size:
		return errProto
	}
	return nil
}

// parseToken reads one account. What makes it unusable is the record's error.
func parseToken(b []byte) (record otp.Record, err error) {
	var name, issuer string
	var algorithm, digits, kind, counter uint64
	seen := make(map[protowire.Number]bool)
	err = fields(b, func(n protowire.Number, v field) error {
		if n < 1 || n > 7 {
			return nil
		}
		if seen[n] || (n <= 3) != (v.bytes != nil) {
			return errProto
		}
		seen[n] = true
		switch n {
		case 1:
			record.URI.Secret = otp.NewSecret(slices.Clone(v.bytes))
		case 2:
			name = string(v.bytes)
		case 3:
			issuer = string(v.bytes)
		default:
			*[]*uint64{&algorithm, &digits, &kind, &counter}[n-4] = v.number
		}
		return nil
	})
	if err != nil {
		record.Destroy()
		return otp.Record{}, err
	}
	u := &record.URI
	u.Params.Hash = map[uint64]otp.Hash{1: otp.SHA1, 2: otp.SHA256, 3: otp.SHA512}[algorithm]
	u.Params.Digits = map[uint64]uint8{1: 6, 2: 8}[digits]
	switch {
	case kind == 1:
		u.Params.Mode, u.Counter = otp.HOTP, otp.Step(counter)
	case kind == 2:
		u.Params.Mode, u.Params.Period = otp.TOTP, 30
	}
	switch {
	case kind != 1 && kind != 2:
		record.Fail("its type is neither HOTP nor TOTP")
	case algorithm == 4:
		record.Fail("its hash is MD5, which is not supported")
	case u.Params.Hash == otp.InvalidHash:
		record.Fail("its hash is not SHA-1, SHA-256 or SHA-512")
	case u.Params.Digits == 0:
		record.Fail("its codes don't have 6 or 8 digits")
	case counter > uint64(otp.MaxCounter):
		record.Fail("its counter is out of bounds")
	case !utf8.ValidString(name) || !utf8.ValidString(issuer):
		record.Fail("its name or issuer is not UTF-8")
	}
	// The name repeats the issuer, or is older than it: the field is what the app shows.
	if prefix, account, found := strings.Cut(name, ":"); found {
		if issuer == "" {
			issuer = strings.TrimSpace(prefix)
		}
		name = account
	}
	u.Issuer, u.Account = issuer, strings.TrimSpace(name)
	return record, nil
}

// field is a value of the wire format: a varint, or bytes, which are never nil.
type field struct {
	number uint64
	bytes  []byte
}

// fields goes through a message. It is flat: nothing recurses, so that no message can be too deep.
func fields(b []byte, each func(protowire.Number, field) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errProto
		}
		b = b[n:]
		var v field
		switch kind {
		case protowire.VarintType:
			v.number, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			if v.bytes, n = protowire.ConsumeBytes(b); v.bytes == nil {
				v.bytes = []byte{}
			}
		case protowire.Fixed32Type, protowire.Fixed64Type:
			n = protowire.ConsumeFieldValue(number, kind, b)
			if n >= 0 {
				b = b[n:]
				if number <= 7 {
					return errProto
				}
				continue
			}
		default: // groups, which are of before 2008
			return errProto
		}
		if n < 0 {
			return errProto
		}
		if err := each(number, v); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
