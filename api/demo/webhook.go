package demo

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"strongroom.internal/api/client"
)

const (
	secretPrefix = "whsec_"
	maxHookBody  = 64 << 10
	// hookTolerance is how old a webhook may be, and how far ahead: an older one is a replay.
	hookTolerance = 5 * time.Minute
	maxHookID     = 128
	// keepHookIDs is how many ids are remembered, newest last.
	keepHookIDs = 4096
)

func parseSecret(s client.Secret) ([]byte, error) {
	encoded, ok := strings.CutPrefix(s.Reveal(), secretPrefix)
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errors.New("must be whsec_ and 24 to 64 bytes in base64") // not the cause: it quotes
	}
	return key, nil
}

var (
	errSignature = errors.New("the webhook's signature is not right")
	errTimestamp = errors.New("the webhook's timestamp is not of now")
)

// verifyWebhook checks a webhook by the Standard Webhooks specification: HMAC-SHA-256 over "id.timestamp.body", one of
// the signatures in the header, and a timestamp of about now. It returns the webhook's id, the same for each delivery of
// one message.
func verifyWebhook(key []byte, h http.Header, body []byte, now time.Time) (id string, err error) {
	id, at := h.Get("Webhook-Id"), h.Get("Webhook-Timestamp")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil || id == "" || len(id) > maxHookID || strings.Contains(id, ".") {
		return "", errSignature
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	want, right := mac.Sum(nil), false
	for _, signature := range strings.Fields(h.Get("Webhook-Signature")) {
		encoded, ok := strings.CutPrefix(signature, "v1,")
		got, err := base64.StdEncoding.DecodeString(encoded)
		right = right || ok && err == nil && hmac.Equal(got, want)
	}
	if !right {
		return "", errSignature
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > hookTolerance || age < -hookTolerance {
		return "", errTimestamp
	}
	return id, nil
}

// hook receives the webhooks of one destination.
type hook struct {
	key  []byte
	take func(body []byte) error

	mu    sync.Mutex // guards what follows; held while one is taken, so that a second delivery of it waits
	seen  map[string]bool
	order []string
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxHookBody))
	if err != nil {
		http.Error(w, "the body can't be read", http.StatusBadRequest)
		return
	}
	id, err := verifyWebhook(h.key, r.Header, body, time.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	if err := h.once(id, body); err != nil {
		http.Error(w, "it could not be taken", http.StatusServiceUnavailable) // it comes again
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// once takes a message, unless it was taken. It comes at least once: a leader that dies after its post leaves the next
// one to post it again.
func (h *hook) once(id string, body []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen[id] {
		return nil
	}
	if err := h.take(body); err != nil {
		return err
	}
	if h.seen == nil {
		h.seen = make(map[string]bool)
	}
	h.seen[id] = true
	h.order = append(h.order, id)
	if len(h.order) > keepHookIDs {
		delete(h.seen, h.order[0])
		h.order = h.order[1:]
	}
	return nil
}
