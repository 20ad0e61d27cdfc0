package api

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance/account"
)

// Bounds on what a client may send and hold. Anything longer is refused before it is looked at.
const (
	maxBody           = 64 << 10
	maxHeader         = 16 << 10
	maxPath           = 1024 // bytes, percent-encoded: 128 bytes of account become at most 384
	maxQuery          = 256
	maxSearchQuery    = 8 << 10 // every member of an entry may be asked for, percent-encoded
	maxAccount        = 128
	maxID             = 64
	maxIdempotencyKey = 128
	maxRequestID      = 64
	maxEntries        = 512 // of the log in one answer

	maxStreams        = 256 // of one HTTP/2 connection
	maxInFlight       = 1024
	maxPatient        = 4096 // requests of routes that wait, streams among them
	maxPatientOfOne   = 3072 // of one tenant, so that none takes every place
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second // of a whole request
	writeTimeout      = 30 * time.Second // of a whole answer, its computation included
	idleTimeout       = 2 * time.Minute
	requestTimeout    = 10 * time.Second // of the use case
	shutdownTimeout   = 15 * time.Second

	maxLogStreams      = 64  // of the log, on one node
	streamBatch        = 256 // entries
	streamPause        = 50 * time.Millisecond
	streamHeartbeat    = 15 * time.Second
	streamWriteTimeout = 10 * time.Second // of a batch

	maxPublicConnections = 256 // of the public listener
	maxPublicInFlight    = 64
	publicTimeout        = 10 * time.Second
)

// checkPath refuses paths that ServeMux would answer with a redirect.
func checkPath(r *http.Request) error {
	p, query := r.URL.EscapedPath(), maxQuery
	if p == searchPath {
		query = maxSearchQuery
	}
	if len(p) > maxPath || len(r.URL.RawQuery) > query {
		return errTooLarge
	}
	if p == "" || p[0] != '/' || strings.Contains(p, "//") || strings.Contains(p, "/./") || strings.Contains(p, "/../") ||
		strings.HasSuffix(p, "/.") || strings.HasSuffix(p, "/..") {
		return errNoRoute
	}
	return nil
}

const accountRule = "must be 1 to 128 bytes of UTF-8 without control characters, percent-encoded in the path, and not . or .."

// checkPathValues checks the variables of a path. A credential or node that can't exist is not found, like one that
// does not; only what a client chooses itself has a rule to be told.
func checkPathValues(r *http.Request) error {
	if v := r.PathValue("account"); v != "" && !validAccount(v) {
		return invalid("account", accountRule)
	}
	if v := r.PathValue("tenant"); v != "" && !validName(v) {
		return invalid("tenant", "must be 1 to 64 characters from a-z, 0-9, dot, hyphen and underscore")
	}
	for _, name := range [...]string{"device", "authenticator", "id", "sign_in", "phone"} {
		if v := r.PathValue(name); v != "" && !validID(v) {
			return invalid(name, idRule)
		}
	}
	return nil
}

func validAccount(s string) bool {
	if len(s) == 0 || len(s) > maxAccount || s == "." || s == ".." || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}

// checkTexts checks what people named and what devices say of themselves: field, value, field, value. The schema counts
// characters, the core bytes.
func checkTexts(fieldsAndValues ...string) error {
	var wrong fieldErrors
	for i := 0; i < len(fieldsAndValues); i += 2 {
		if v := fieldsAndValues[i+1]; len(v) > account.MaxText || strings.ContainsFunc(v, unicode.IsControl) {
			wrong = append(wrong, wire.FieldError{Field: fieldsAndValues[i], Reason: "must be at most 128 bytes without control characters"})
		}
	}
	if wrong != nil {
		return wrong
	}
	return nil
}

const idRule = "must be 1 to 64 characters from A-Z, a-z, 0-9, dot, hyphen and underscore"

// validID is the rule for ids of credentials, nodes and requests.
func validID(s string) bool {
	if len(s) == 0 || len(s) > maxID {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// idempotencyKey is the request's key: at most one, of visible ASCII.
func idempotencyKey(h http.Header) (string, error) {
	values := h["Idempotency-Key"]
	if len(values) == 0 {
		return "", nil
	}
	key := values[0]
	ok := len(values) == 1 && len(key) > 0 && len(key) <= maxIdempotencyKey
	for i := range len(key) {
		ok = ok && key[i] > ' ' && key[i] <= '~'
	}
	if !ok {
		return "", invalid("Idempotency-Key", "must be one header of 1 to 128 visible ASCII characters")
	}
	return key, nil
}

// readBody reads the whole body of a request that may have one.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if r.ContentLength > maxBody {
		return nil, errTooLarge
	}
	if !jsonMediaType(r.Header.Get("Content-Type")) {
		return nil, errMediaType
	}
	size := r.ContentLength
	if size < 0 {
		size = 512
	}
	body := make([]byte, 0, size+1) // one more, so that the end is seen without growing
	limited := http.MaxBytesReader(w, r.Body, maxBody)
	for {
		n, err := limited.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if err == io.EOF {
			return body, nil
		}
		if err != nil {
			return nil, bodyError(err)
		}
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
	}
}

func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	var timeout net.Error
	switch {
	case errors.As(err, &tooLarge):
		return errTooLarge
	case errors.As(err, &timeout) && timeout.Timeout():
		return errBodyTimeout
	}
	return errMalformed // cut off: nobody reads the answer
}

// jsonMediaType takes application/json with any parameters, and none at all.
func jsonMediaType(t string) bool {
	if t == "" || t == "application/json" {
		return true
	}
	t, _, _ = strings.Cut(t, ";")
	return strings.EqualFold(strings.TrimSpace(t), "application/json")
}
