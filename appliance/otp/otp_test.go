package otp

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestParamsValidate(t *testing.T) {
	good := []Params{
		{TOTP, SHA1, 6, 30}, {TOTP, SHA256, 7, 60}, {TOTP, SHA512, 8, 30}, {HOTP, SHA1, 6, 0},
	}
	for _, p := range good {
		if err := p.Validate(); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	bad := []Params{
		{},
		{TOTP, SHA1, 5, 30},
		{TOTP, SHA1, 9, 30},
		{TOTP, SHA1, 6, 0},
		{TOTP, SHA1, 6, 31},
		{TOTP, 0, 6, 30},
		{TOTP, 4, 6, 30},
		{3, SHA1, 6, 30},
		{HOTP, SHA1, 6, 30},
	}
	for _, p := range bad {
		if err := p.Validate(); err == nil {
			t.Errorf("%+v is valid", p)
		}
	}
	err := Params{Mode: 9, Hash: 9, Digits: 9}.Validate()
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("three mistakes are reported as %v", err)
	}
}

func TestStepAt(t *testing.T) {
	for _, c := range []struct {
		ms     int64
		period uint16
		want   Step
	}{
		{0, 30, 0},
		{29_999, 30, 0},
		{30_000, 30, 1},
		{59_999, 60, 0},
		{60_000, 60, 1},
		{-1, 30, -1},
		{-30_000, 30, -1},
		{-30_001, 30, -2},
		{1767225599999, 30, 58907519},
		{1767225600000, 30, 58907520},
	} {
		if got := StepAt(c.ms, c.period); got != c.want {
			t.Errorf("StepAt(%d, %d) = %d, want %d", c.ms, c.period, got, c.want)
		}
	}
}

func TestWindow(t *testing.T) {
	for _, c := range []struct {
		first, last Step
		want        []Step
	}{
		{3, 5, []Step{3, 4, 5}},
		{5, 5, []Step{5}},
		{5, 4, nil},
		{-2, 1, []Step{0, 1}},
		{-3, -1, nil},
		{math.MaxInt64 - 1, math.MaxInt64, []Step{math.MaxInt64 - 1, math.MaxInt64}},
	} {
		if got := Window(c.first, c.last); !slices.Equal(got, c.want) {
			t.Errorf("Window(%d, %d) = %v, want %v", c.first, c.last, got, c.want)
		}
	}
}

func TestCounter(t *testing.T) {
	if got, want := Counter(0x0102030405060708), [8]byte{1, 2, 3, 4, 5, 6, 7, 8}; got != want {
		t.Errorf("got %x, want %x", got, want)
	}
}
