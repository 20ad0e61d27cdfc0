package hsm_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom.internal/hsm"
)

// golden reads a file of hexadecimal bytes; '#' begins a comment.
func golden(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var digits strings.Builder
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var place = hsm.Binding{Tenant: "bank", Account: "bob", Credential: "c7", Version: 2}

// What is MACed is fixed for ever: a change here makes every stored record refuse to open. Find another way.
func TestCanonicalBytes(t *testing.T) {
	seed := hsm.SealedSeed{KeyVersion: 1, Hash: hsm.SHA256, Blob: []byte{0xb0, 0xb1, 0xb2}, Tag: []byte("not part of it")}
	key := hsm.SealedKey{
		Name: hsm.KeyCode, Version: 3, KeyVersion: 1, Blob: []byte{0xb0, 0xb1}, Tag: []byte("not part of it"),
	}
	signing := hsm.SealedKey{
		Name: hsm.KeyAuthority, Version: 1, KeyVersion: 2, Blob: []byte{0xb0, 0xb1}, Public: []byte{0x30, 0x59},
	}
	for name, got := range map[string][]byte{
		"seed.hex": seed.Tagged(place), "cluster-key.hex": key.Tagged(), "signing-key.hex": signing.Tagged(),
	} {
		if want := golden(t, name); !bytes.Equal(got, want) {
			t.Errorf("%s: bytes\n%x, want\n%x", name, got, want)
		}
	}
	recipient, ephemeral := bytes.Repeat([]byte{0xde}, 65), bytes.Repeat([]byte{0xe0}, 65)
	want := sha256.Sum256(golden(t, "envelope.hex"))
	if got := hsm.EnvelopeContext(place, recipient, ephemeral); got != want {
		t.Errorf("envelope: %x, want %x", got, want)
	}
}

// Two places never have the same bytes, however their fields are cut.
func FuzzPlacesDiffer(f *testing.F) {
	f.Add("ab", "c", "d", uint32(1), "a", "bc", "d", uint32(1))
	f.Add("", "\x00\x00\x00\x00", "", uint32(4), "\x00\x00\x00\x00", "", "", uint32(4))
	f.Fuzz(func(t *testing.T, t1, a1, c1 string, v1 uint32, t2, a2, c2 string, v2 uint32) {
		one, two := hsm.Binding{Tenant: t1, Account: a1, Credential: c1, Version: v1},
			hsm.Binding{Tenant: t2, Account: a2, Credential: c2, Version: v2}
		var s hsm.SealedSeed
		if (one == two) != bytes.Equal(s.Tagged(one), s.Tagged(two)) {
			t.Errorf("%+v and %+v", one, two)
		}
	})
}
