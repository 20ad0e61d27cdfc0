package api

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/hsm"
)

// The problem of each error, byte for byte: clients branch on them.
func TestProblems(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asFrontend)
	var got strings.Builder
	for _, err := range []error{
		appliance.ErrNotFound, appliance.ErrExists, appliance.ErrPolicy, appliance.ErrTooMany, appliance.ErrConflict,
		appliance.ErrToken, appliance.ErrUnavailable, appliance.ErrUnknown,
		appliance.ErrNoticesFull, appliance.ErrEnded, appliance.ErrSignature, appliance.ErrNotEligible, appliance.ErrLastPhone,
		appliance.ErrStepUp,
		&appliance.InvalidError{Field: "uri", Reason: "must be an otpauth URI"},
		fmt.Errorf("asking the leader: %w: %w", appliance.ErrUnknown, appliance.ErrUnavailable),
		errors.New("a defect with PIN 4711 in it"),
	} {
		service.err = fmt.Errorf("doing something inside: %w", err)
		r := s.send(t, c, "PUT /v1/accounts/alice", "", "X-Request-Id", "r1")
		fmt.Fprintf(&got, "%v\n%d %s %s%s\n", err, r.status, r.header.Get("Content-Type"), retryAfter(r), r.body)
	}
	golden := filepath.Join("testdata", "problems.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("problems are not those of %s:\n%s", golden, got.String())
	}
	if strings.Contains(strings.ReplaceAll(got.String(), "a defect with PIN 4711 in it\n", ""), "4711") {
		t.Error("a defect's detail left the node")
	}
}

func retryAfter(r reply) string {
	if v := r.header.Get("Retry-After"); v != "" {
		return "Retry-After " + v + " "
	}
	return ""
}

// A panic is a defect like another, and its text stays inside.
func TestPanic(t *testing.T) {
	var log bytes.Buffer
	service := well()
	service.panics = true
	s := serve(t, Config{Service: service, Log: hclog.New(&hclog.LoggerOptions{Output: &log})}, false)
	got := s.send(t, s.client(t, asFrontend), "POST /v1/accounts/alice/verifications", `{"code":"123456"}`, "X-Request-Id", "r-panic")
	if got.status != 500 || strings.Contains(got.body, "on purpose") || !strings.Contains(got.body, "r-panic") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if text := log.String(); !strings.Contains(text, "on purpose") || !strings.Contains(text, "r-panic") {
		t.Errorf("the log lacks it: %s", text)
	}
}

// No code, URI or token that a client sends comes back or reaches the log, right or wrong, well-formed or not.
func TestSecretsAreNotEchoed(t *testing.T) {
	const secret = "98765432109" // as a code too long, as a part of everything else
	var log bytes.Buffer
	service := well()
	logger := hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Trace})
	for _, plain := range []bool{false, true} {
		s := serve(t, Config{Service: service, Log: logger}, plain)
		c := s.client(t, asFrontend)
		o := s.client(t, asOperator)
		verify, apps := "POST /v1/accounts/alice/verifications", "POST /v1/accounts/alice/authenticators"
		for _, tc := range [][2]string{
			{verify, `{"code":"` + secret + `"}`},
			{verify, `{"code":` + secret + `}`},
			{verify, `{"` + secret + `":1}`},
			{verify, `{"code":["` + secret + `"]}`},
			{verify, `{"code":"1","device":"` + secret + ` "}`},
			{verify, secret},
			{verify, `{"code":"` + secret + `"`},
			{verify, `{"code":"` + strings.Repeat(secret, 20) + `"}`},
			{verify, `{"code":` + secret + `x}`},
			{verify, `{"code":"123456","code":"` + secret + `"}`},
			{verify, `{"code":"123456"}` + secret},
			{apps, `{"uri":"otpauth://totp/a?secret=` + secret + `","label":"x"}`},
			{apps, `{"uri":{"` + secret + `":1}}`},
			{apps, `{"uri":"` + strings.Repeat(secret, 400) + `"}`},
			{apps, `{"params":{"algorithm":"` + secret + `"}}`},
			{apps + "/a1/resynchronisations", `{"first":"` + secret + `","second":"` + secret + `"}`},
			{"POST /v1/join", `{"token":"` + secret + `","x":"` + secret + `"}`},
			{"POST /v1/join", `{"token":` + secret + `}`},
			{verify + "?" + secret + "=" + secret, `{"code":"123456"}`},
			{apps + "?" + secret + "=" + secret, `{}`},
		} {
			for _, who := range []int{0, 1} {
				client := c
				if who == 1 {
					client = o
				}
				got := s.send(t, client, tc[0], tc[1])
				if got.status < 400 {
					t.Errorf("%s %s: %d", tc[0], tc[1], got.status)
				}
				if strings.Contains(got.body, secret) || strings.Contains(fmt.Sprint(got.header), secret) {
					t.Errorf("%s %s came back: %s", tc[0], tc[1], got.body)
				}
			}
		}
		service.answer = appliance.Verification{Outcome: account.Wrong}
		if got := s.send(t, c, verify, `{"code":"98765432"}`); got.status != 200 {
			t.Errorf("a wrong code: %d %s", got.status, got.body)
		}
		service.err = hsm.ErrTag
		if got := s.send(t, c, verify, `{"code":"98765432"}`); got.status != 500 {
			t.Errorf("a defect: %d %s", got.status, got.body)
		}
		service.err = nil
	}
	if text := log.String(); strings.Contains(text, "98765432") || !strings.Contains(text, "problem=invalid") {
		t.Errorf("the log: %s", text)
	}
}
