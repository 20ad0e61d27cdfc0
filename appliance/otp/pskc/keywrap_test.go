package pskc

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var wrapVectors = []struct {
	name, kek, plain, wrapped string
	padded                    bool
}{
	{"RFC 3394, 4.1", "000102030405060708090A0B0C0D0E0F", "00112233445566778899AABBCCDDEEFF", "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5", false},
	{"RFC 3394, 4.2", "000102030405060708090A0B0C0D0E0F1011121314151617", "00112233445566778899AABBCCDDEEFF", "96778B25AE6CA435F92B5B97C050AED2468AB8A17AD84E5D", false},
	{"RFC 3394, 4.3", "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "00112233445566778899AABBCCDDEEFF", "64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7", false},
	{"RFC 3394, 4.4", "000102030405060708090A0B0C0D0E0F1011121314151617", "00112233445566778899AABBCCDDEEFF0001020304050607", "031D33264E15D33268F24EC260743EDCE1C6C7DDEE725A936BA814915C6762D2", false},
	{"RFC 3394, 4.5", "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "00112233445566778899AABBCCDDEEFF0001020304050607", "A8F9BC1612C68B3FF6E6F4FBE30E71E4769C8B80A32CB8958CD5D17D6B254DA1", false},
	{"RFC 3394, 4.6", "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F", "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21", false},
	{"RFC 5649, 6, 20 octets", "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8", "c37b7e6492584340bed12207808941155068f738", "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a", true},
	{"RFC 5649, 6, 7 octets", "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8", "466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f", true},
}

func TestUnwrap(t *testing.T) {
	for _, v := range wrapVectors {
		block, err := aes.NewCipher(unhex(t, v.kek))
		if err != nil {
			t.Fatal(err)
		}
		open, other := unwrap, unwrapPadded
		if v.padded {
			open, other = other, open
		}
		wrapped := unhex(t, v.wrapped)
		got, err := open(block, wrapped)
		if err != nil || !strings.EqualFold(hex.EncodeToString(got), v.plain) {
			t.Errorf("%s: %x, %v", v.name, got, err)
		}
		if _, err := other(block, wrapped); err == nil {
			t.Errorf("%s: the other algorithm takes it", v.name)
		}
		for i := range wrapped {
			wrapped[i] ^= 1
			if _, err := open(block, wrapped); err == nil {
				t.Errorf("%s: it is taken with byte %d changed", v.name, i)
			}
			wrapped[i] ^= 1
		}
	}
}

func TestUnwrapLengths(t *testing.T) {
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	for _, open := range []func(cipher.Block, []byte) ([]byte, error){unwrap, unwrapPadded, decryptCBC} {
		for n := range 50 {
			if _, err := open(block, make([]byte, n)); err == nil {
				t.Errorf("%d zeros are something wrapped", n)
			}
		}
	}
}

// TestUnwrapPadding: RFC 5649, Section 3: padding is zeros, and less than a block.
func TestUnwrapPadding(t *testing.T) {
	key := make([]byte, 16)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		length byte
		data   string
		ok     bool
	}{
		"right":               {9, "123456789\x00\x00\x00\x00\x00\x00\x00", true},
		"not zeros":           {9, "123456789\x00\x00\x00\x00\x00\x00\x01", false},
		"a whole block":       {8, "12345678\x00\x00\x00\x00\x00\x00\x00\x00", false},
		"longer than it is":   {17, "1234567890123456", false},
		"none":                {16, "1234567890123456", true},
		"one block, right":    {7, "1234567\x00", true},
		"one block, not zero": {7, "1234567\x01", false},
		"empty":               {0, "\x00\x00\x00\x00\x00\x00\x00\x00", false},
	} {
		wrapped := wrapBlocks(t, key, []byte{0xa6, 0x59, 0x59, 0xa6, 0, 0, 0, c.length}, []byte(c.data))
		got, err := unwrapPadded(block, wrapped)
		if (err == nil) != c.ok || c.ok && string(got) != c.data[:c.length] {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
