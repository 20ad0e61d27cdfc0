package hsmtest

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"strongroom.internal/hsm"
)

// dayKeys: what is sealed to a day opens in the module that has its key, for as long as it has it.
func (s suite) dayKeys(t *testing.T) {
	rig := s.newRig(t)
	m := start(t, rig, rig.Open(t), hsm.PoolConfig{})
	check(t, m.CreateWrappingKey(t.Context()))
	if days := ok[[]uint32](t)(m.DayKeys(t.Context())); len(days) != 0 {
		t.Errorf("a fresh module has the keys of %v", days)
	}
	first := ok[hsm.DayKey](t)(m.CreateDayKey(t.Context(), 20_782))
	next := ok[hsm.DayKey](t)(m.CreateDayKey(t.Context(), 20_783))
	if again := ok[hsm.DayKey](t)(m.CreateDayKey(t.Context(), 20_782)); !bytes.Equal(again.Public, first.Public) {
		t.Error("a second key of the day was made")
	}
	secret := random(32)
	sealed := ok[[]byte](t)(first.Seal(secret))
	opens := func(day uint32) error {
		opened, err := m.OpenDay(t.Context(), day, sealed)
		if err == nil && !bytes.Equal(opened.Reveal(), secret) {
			t.Errorf("day %d: something else came out", day)
		}
		return err
	}
	check(t, opens(20_782))
	if err := opens(20_783); err == nil || errors.Is(err, hsm.ErrGone) {
		t.Errorf("the next day's key opens it: %v", err)
	}
	if err := opens(20_784); !errors.Is(err, hsm.ErrNoKey) {
		t.Errorf("a day without a key: %v", err)
	}
	damaged := bytes.Clone(sealed)
	damaged[9] ^= 1
	for what, b := range map[string][]byte{"damaged": damaged, "empty": nil, "cut": sealed[1:]} {
		if _, err := m.OpenDay(t.Context(), 20_782, b); err == nil || errors.Is(err, hsm.ErrGone) {
			t.Errorf("%s: %v", what, err)
		}
	}
	check(t, opens(20_782)) // the session is none the worse

	// It stays when the module is opened again, and its end is for good.
	check(t, m.Pool.Close())
	m = start(t, rig, rig.Open(t), hsm.PoolConfig{})
	check(t, opens(20_782))
	if days := ok[[]uint32](t)(m.DayKeys(t.Context())); !slices.Equal(days, []uint32{20_782, 20_783}) {
		t.Errorf("the keys of %v are there", days)
	}
	check(t, m.DestroyDayKey(t.Context(), 20_782))
	check(t, m.DestroyDayKey(t.Context(), 20_782))
	if err := opens(20_782); !errors.Is(err, hsm.ErrNoKey) {
		t.Errorf("a destroyed key: %v", err)
	}
	if anew := ok[hsm.DayKey](t)(m.CreateDayKey(t.Context(), 20_782)); bytes.Equal(anew.Public, first.Public) {
		t.Error("the destroyed key came back")
	}
	if err := opens(20_782); err == nil {
		t.Error("a key that was made anew opens what the destroyed one held")
	}
	if days := ok[[]uint32](t)(m.DayKeys(t.Context())); !slices.Equal(days, []uint32{20_782, 20_783}) {
		t.Errorf("the keys of %v are there", days)
	}
	other := s.born(t, hsm.PoolConfig{})
	ok[hsm.DayKey](t)(other.CreateDayKey(t.Context(), 20_783))
	sealed = ok[[]byte](t)(next.Seal(secret))
	if _, err := other.OpenDay(t.Context(), 20_783, sealed); err == nil || errors.Is(err, hsm.ErrGone) {
		t.Errorf("another module opens it: %v", err)
	}
	for what, k := range map[string]hsm.DayKey{"no key": {}, "a key": {Public: []byte{1}}} {
		if _, err := k.Seal(secret); err == nil {
			t.Errorf("%s that is none is sealed to", what)
		}
	}
}
