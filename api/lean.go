package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"unicode/utf8"

	"strongroom.internal/api/wire"
)

// serveVerify is the hot path. It does what huma would do for the same route, which a test holds it to, without
// reflection and without decoding twice: see BenchmarkVerify for what that saves.
func (a *API) serveVerify(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	if r.URL.RawQuery != "" {
		a.fail(w, r, invalid("query", "must be empty"))
		return
	}
	request, err := parseVerify(exchangeOf(ctx).body)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	answer, err := a.verify(ctx, r.PathValue("account"), request)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	body, err := appendVerification(make([]byte, 0, 160), answer)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	h := w.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	_, _ = w.Write(body) // the client has gone: the attempt is charged and on the log all the same
}

var jsonType = []string{"application/json"}

// parseVerify reads a VerifyRequest as strictly as the schema has it. Bodies that are not the usual flat object of plain
// strings go the long way.
func parseVerify(body []byte) (wire.VerifyRequest, error) {
	if r, ok := scanVerify(body); ok {
		return r, checkVerify(r, true)
	}
	var members map[string]json.RawMessage
	if err := strictJSON(body, &members); err != nil || members == nil {
		if err == nil || json.Valid(body) && checkNames(body) == nil {
			return wire.VerifyRequest{}, invalid("body", "must be an object")
		}
		return wire.VerifyRequest{}, err
	}
	var r wire.VerifyRequest
	var code bool
	for name, raw := range members {
		var text string
		switch name {
		case "code", "device":
			if name == "device" && string(raw) == "null" {
				continue // huma takes it for absent
			}
			if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &text) != nil {
				return wire.VerifyRequest{}, invalid(name, "must be a string")
			}
			if name == "code" {
				r.Code, code = wire.NewSecret(text), true
			} else {
				r.Device = text
			}
		case "receipt":
			switch string(raw) {
			case "true":
				r.Receipt = true
			case "false", "null":
			default:
				return wire.VerifyRequest{}, invalid(name, "must be true or false")
			}
		default:
			return wire.VerifyRequest{}, invalid("body", "has members other than code, device and receipt")
		}
	}
	return r, checkVerify(r, code)
}

// checkVerify is the schema of VerifyRequest.
func checkVerify(r wire.VerifyRequest, code bool) error {
	switch n := utf8.RuneCountInString(r.Code.Reveal()); {
	case !code:
		return invalid("code", "is required")
	case n == 0 || n > 32:
		return invalid("code", "must be 6 to 8 digits")
	}
	if utf8.RuneCountInString(r.Device) > maxID {
		return invalid("device", idRule)
	}
	return nil
}

// scanVerify reads {"code":"...","device":"...","receipt":true} in any order, the strings without escapes and of printable
// ASCII. It is false for everything else, right or wrong.
func scanVerify(b []byte) (r wire.VerifyRequest, ok bool) {
	s := scanner{rest: b}
	if !s.take('{') {
		return r, false
	}
	var code, device, receipt bool
	for {
		name, ok := s.text()
		if !ok || !s.take(':') {
			return r, false
		}
		if string(name) == "receipt" && !receipt {
			if receipt = s.word("true"); !receipt {
				return r, false
			}
			r.Receipt = true
		} else {
			value, ok := s.text()
			switch {
			case !ok:
				return r, false
			case string(name) == "code" && !code:
				r.Code, code = wire.NewSecret(string(value)), true
			case string(name) == "device" && !device:
				r.Device, device = string(value), true
			default:
				return r, false
			}
		}
		if s.take(',') {
			continue
		}
		if !s.take('}') {
			return r, false
		}
		s.space()
		return r, code && len(s.rest) == 0
	}
}

type scanner struct{ rest []byte }

func (s *scanner) space() {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\n' || s.rest[0] == '\r' || s.rest[0] == '\t') {
		s.rest = s.rest[1:]
	}
}

func (s *scanner) take(c byte) bool {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *scanner) word(w string) bool {
	s.space()
	rest, ok := bytes.CutPrefix(s.rest, []byte(w))
	if ok {
		s.rest = rest
	}
	return ok
}

func (s *scanner) text() ([]byte, bool) {
	if !s.take('"') {
		return nil, false
	}
	for i, c := range s.rest {
		switch {
		case c == '"':
			text := s.rest[:i]
			s.rest = s.rest[i+1:]
			return text, true
		case c < ' ' || c > '~' || c == '\\':
			return nil, false
		}
	}
	return nil, false
}

// appendVerification appends v as wire.Encode writes it. All its strings are plain but the receipt, in which names of
// others' are: with one, it is wire's to encode.
func appendVerification(b []byte, v wire.Verification) ([]byte, error) {
	if v.Receipt != "" {
		return wire.Marshal(v)
	}
	b = append(append(append(b, `{"outcome":"`...), v.Outcome...), '"')
	if !v.RetryAt.IsZero() {
		b = append(b, `,"retry_at":"`...)
		b = append(v.RetryAt.AppendFormat(b, "2006-01-02T15:04:05.999999999Z07:00"), '"')
	}
	if v.Assurance != "" {
		b = append(append(append(b, `,"assurance":"`...), v.Assurance...), '"')
	}
	if v.Device != "" {
		b = append(append(append(b, `,"device":"`...), v.Device...), '"')
	}
	b = strconv.AppendInt(append(b, `,"entry":`...), v.Entry, 10)
	if v.Replayed {
		b = append(b, `,"replayed":true`...)
	}
	return append(b, "}\n"...), nil
}
