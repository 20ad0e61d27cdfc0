package main

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"strongroom.internal/appliance/otp"
	"strongroom.internal/appliance/otp/pskc"
	"strongroom.internal/appliance/otp/tokenfile"
	"strongroom.internal/cmd/strongroom/internal/bulk"
)

// TestDocumentedImports reads every example of docs/import.md: its language is the format.
func TestDocumentedImports(t *testing.T) {
	raw, err := os.ReadFile("../../docs/import.md")
	if err != nil {
		t.Fatal(err)
	}
	key, err := hex.DecodeString("12345678901234567890123456789012")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), hex.EncodeToString(key)) {
		t.Error("the key of the PSKC example is not in the text")
	}
	o := tokenfile.Options{PSKC: pskc.Options{Key: func(string) (*otp.Secret, error) { return otp.NewSecret(key), nil }}}
	seen := make(map[string]int)
	for _, block := range strings.Split(string(raw), "\n```")[1:] {
		name, example, _ := strings.Cut(block, "\n")
		if name == "" { // the end of one
			continue
		}
		seen[name]++
		if name == "two-step" {
			rows, err := readSteps(strings.NewReader(example))
			if err != nil || len(rows) != 2 || len(rows[0].phones) != 2 || rows[1].phones[0].Number.Reveal() != "+14155550163" {
				t.Errorf("the example of two-step verification: %+v, %v", rows, err)
			}
			continue
		}
		if name == "accounts" {
			if _, err := bulk.ReadMapping(strings.NewReader(example)); err != nil {
				t.Errorf("the accounts of the example: %v", err)
			}
			continue
		}
		n := 0
		for r, err := range tokenfile.Read(tokenfile.Format(name), strings.NewReader(example), o) {
			if err != nil || r.Err != nil {
				t.Errorf("the %s example, row %d: %v, %v", name, r.Row, err, r.Err)
			}
			n++
		}
		if n == 0 {
			t.Errorf("the %s example has no token", name)
		}
		detected, err := tokenfile.Detect([]byte(example))
		if err == nil && string(detected) != name {
			t.Errorf("the %s example is taken for %s", name, detected)
		}
		if alike := name == "linotp" || name == "privacyidea"; err != nil && !alike {
			t.Errorf("the %s example: %v", name, err)
		}
	}
	for _, format := range tokenfile.Formats() {
		if seen[string(format)] == 0 {
			t.Errorf("there is no example of %s", format)
		}
	}
	if seen["accounts"] == 0 {
		t.Error("there is no example of accounts")
	}
}
