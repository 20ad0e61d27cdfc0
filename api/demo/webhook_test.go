package demo

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"strongroom.internal/api/wire"
)

// The example of github.com/standard-webhooks/standard-webhooks, libraries/go: TestWebhook, sign.
const (
	exampleSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	exampleID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	exampleTime      = 1614265330
	exampleBody      = `{"test": 2432232314}`
	exampleSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

func hookHeader(id string, at int64, signature string) http.Header {
	return http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {fmt.Sprint(at)}, "Webhook-Signature": {signature}}
}

func TestWebhookByTheStandard(t *testing.T) {
	key, err := parseSecret(wire.NewSecret(exampleSecret))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(exampleTime, 0)
	for _, c := range []struct {
		name   string
		header http.Header
		body   string
		now    time.Time
		want   error
	}{
		{"the example", hookHeader(exampleID, exampleTime, exampleSignature), exampleBody, now, nil},
		{"among others", hookHeader(exampleID, exampleTime, "v1a,eA== v1,eA== "+exampleSignature), exampleBody, now, nil},
		{"a while later", hookHeader(exampleID, exampleTime, exampleSignature), exampleBody, now.Add(4 * time.Minute), nil},
		{"a replay", hookHeader(exampleID, exampleTime, exampleSignature), exampleBody, now.Add(6 * time.Minute), errTimestamp},
		{"of the future", hookHeader(exampleID, exampleTime, exampleSignature), exampleBody, now.Add(-6 * time.Minute), errTimestamp},
		{"another body", hookHeader(exampleID, exampleTime, exampleSignature), exampleBody + " ", now, errSignature},
		{"another id", hookHeader("msg_x", exampleTime, exampleSignature), exampleBody, now, errSignature},
		{"another time", hookHeader(exampleID, exampleTime+1, exampleSignature), exampleBody, now, errSignature},
		{"another version", hookHeader(exampleID, exampleTime, "v2"+exampleSignature[2:]), exampleBody, now, errSignature},
		{"nothing", http.Header{}, exampleBody, now, errSignature},
		{"an id with a dot", hookHeader(exampleID+".1", exampleTime, exampleSignature), exampleBody, now, errSignature},
	} {
		id, err := verifyWebhook(key, c.header, []byte(c.body), c.now)
		if !errors.Is(err, c.want) || err == nil && id != exampleID {
			t.Errorf("%s: %q, %v, want %v", c.name, id, err, c.want)
		}
	}
}

func TestWebhookSecrets(t *testing.T) {
	for _, bad := range []string{"", "whsec_", exampleSecret[6:], "whsec_c2hvcnQ=", "whsec_!", "whsec_" + strings.Repeat("A", 120)} {
		if _, err := parseSecret(wire.NewSecret(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestHookTakesAMessageOnce(t *testing.T) {
	key := []byte("a key of at least 24 bytes")
	taken, fail := 0, true
	h := &hook{key: key, take: func([]byte) error {
		if fail {
			return errors.New("not now")
		}
		taken++
		return nil
	}}
	post := func(id string) int {
		at := time.Now().Unix()
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%d.%s", id, at, "{}")
		r := httptest.NewRequest(http.MethodPost, FrontendHook, strings.NewReader("{}"))
		r.Header = hookHeader(id, at, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	if status := post("a"); status != http.StatusServiceUnavailable {
		t.Errorf("one that could not be taken is answered %d", status)
	}
	fail = false
	for range 3 {
		if status := post("a"); status != http.StatusNoContent {
			t.Errorf("it is answered %d", status)
		}
	}
	if taken != 1 {
		t.Errorf("it was taken %d times", taken)
	}
	for n := range keepHookIDs + 10 {
		post(fmt.Sprint(n))
	}
	if len(h.seen) != keepHookIDs || len(h.order) != keepHookIDs {
		t.Errorf("%d ids are remembered", len(h.seen))
	}
	big := httptest.NewRequest(http.MethodPost, FrontendHook, strings.NewReader(strings.Repeat("x", maxHookBody+1)))
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, big); w.Code != http.StatusBadRequest {
		t.Errorf("one that is too large is answered %d", w.Code)
	}
}

func FuzzVerifyWebhook(f *testing.F) {
	f.Add(exampleID, fmt.Sprint(exampleTime), exampleSignature, []byte(exampleBody))
	key, _ := parseSecret(wire.NewSecret(exampleSecret))
	f.Fuzz(func(t *testing.T, id, at, signature string, body []byte) {
		got, err := verifyWebhook(key, http.Header{
			"Webhook-Id": {id}, "Webhook-Timestamp": {at}, "Webhook-Signature": {signature},
		}, body, time.Unix(exampleTime, 0))
		if err == nil && (got != exampleID || string(body) != exampleBody) {
			t.Errorf("forged: %q %q", id, body)
		}
	})
}
