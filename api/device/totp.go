package device

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Seed is what a device computes the codes of its settings from. It doesn't print.
type Seed struct{ bytes []byte }

// SeedSize is the size of a seed: one block of HMAC-SHA-1.
const SeedSize = 64

// NewSeed takes a seed that was kept by Reveal.
func NewSeed(b []byte) (*Seed, error) {
	if len(b) != SeedSize {
		return nil, errors.New("a device's seed has 64 bytes")
	}
	return &Seed{append([]byte(nil), b...)}, nil
}

// Reveal returns the seed, for the one place that keeps it.
func (s *Seed) Reveal() []byte { return s.bytes }

func (*Seed) String() string               { return "(redacted)" }
func (*Seed) GoString() string             { return "(redacted)" }
func (*Seed) MarshalJSON() ([]byte, error) { return nil, errors.New("a seed is never marshalled") }

// Period is how long a code of the settings is shown.
const Period = 30 * time.Second

// Code is what the device's settings show at a moment, and how long it still will: RFC 6238 with SHA-1, six digits and
// 30 s. It needs no network.
func (s *Seed) Code(at time.Time) (code string, left time.Duration) {
	var counter [8]byte
	step := at.Unix() / int64(Period/time.Second)
	binary.BigEndian.PutUint64(counter[:], uint64(step))
	h := hmac.New(sha1.New, s.bytes)
	h.Write(counter[:])
	mac := h.Sum(nil)
	// RFC 4226, Section 5.3: dynamic truncation.
	offset := mac[len(mac)-1] & 0x0f
	n := binary.BigEndian.Uint32(mac[offset:]) & 0x7fffffff
	return fmt.Sprintf("%06d", n%1_000_000), time.Unix((step+1)*int64(Period/time.Second), 0).Sub(at)
}
