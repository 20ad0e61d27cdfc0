package otp

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"os"
	"strconv"
	"strings"
	"testing"
)

// In tests the MAC is computed here, where a module would.
var hashes = map[string]func() hash.Hash{"SHA1": sha1.New, "SHA256": sha256.New, "SHA512": sha512.New}

func mac(name string, secret []byte, s Step) []byte {
	h := hmac.New(hashes[name], secret)
	c := Counter(s)
	h.Write(c[:])
	return h.Sum(nil)
}

// vectors reads a file of vectors: fields divided by spaces, lines with # are comments.
func vectors(t *testing.T, name string, fields, least int) (rows [][]string) {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for scanner := bufio.NewScanner(f); scanner.Scan(); {
		if row := strings.Fields(scanner.Text()); !strings.HasPrefix(scanner.Text(), "#") {
			if len(row) != fields {
				t.Fatalf("%s: %q has not %d fields", name, scanner.Text(), fields)
			}
			rows = append(rows, row)
		}
	}
	if len(rows) < least {
		t.Fatalf("%s: %d vectors, want %d", name, len(rows), least)
	}
	return rows
}

func integer(t *testing.T, s string, base int) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, base, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRFC4226AppendixD(t *testing.T) {
	secret := []byte("12345678901234567890")
	for _, row := range vectors(t, "rfc4226.txt", 4, 10) {
		step := Step(integer(t, row[0], 10))
		m := mac("SHA1", secret, step)
		if got := hex.EncodeToString(m); got != row[1] {
			t.Errorf("MAC of count %s: got %s, want %s", row[0], got, row[1])
		}
		// The truncated decimal's last digits are the code of every length.
		for digits := uint8(MinDigits); digits <= MaxDigits; digits++ {
			decimal := "000" + row[2]
			want := decimal[len(decimal)-int(digits):]
			if got := Truncate(m, digits).Reveal(); got != want {
				t.Errorf("count %s, %d digits: got %s, want %s", row[0], digits, got, want)
			}
		}
		if got := Truncate(m, 6).Reveal(); got != row[3] {
			t.Errorf("count %s: got %s, want %s", row[0], got, row[3])
		}
	}
}

func TestRFC6238AppendixB(t *testing.T) {
	lengths := map[string]int{"SHA1": 20, "SHA256": 32, "SHA512": 64}
	for _, row := range vectors(t, "rfc6238.txt", 4, 18) {
		secret := bytes.Repeat([]byte("1234567890"), 7)[:lengths[row[2]]]
		step := StepAt(integer(t, row[0], 10)*1000, 30)
		if want := Step(integer(t, row[1], 16)); step != want {
			t.Errorf("step at %s: got %x, want %x", row[0], step, want)
		}
		m := mac(row[2], secret, step)
		for digits := uint8(MinDigits); digits <= MaxDigits; digits++ {
			want := row[3][8-digits:]
			if got := Truncate(m, digits).Reveal(); got != want {
				t.Errorf("%s at %s, %d digits: got %s, want %s", row[2], row[0], digits, got, want)
			}
		}
	}
}

func TestOathtool(t *testing.T) {
	for _, row := range vectors(t, "oathtool.txt", 7, 100) {
		secret, err := hex.DecodeString(row[5])
		if err != nil {
			t.Fatal(err)
		}
		step := Step(integer(t, row[4], 10))
		if row[0] == "totp" {
			step = StepAt(int64(step)*1000, uint16(integer(t, row[3], 10)))
		}
		if got := Truncate(mac(row[1], secret, step), uint8(integer(t, row[2], 10))).Reveal(); got != row[6] {
			t.Errorf("%v: got %s", row, got)
		}
	}
}
