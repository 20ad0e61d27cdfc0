package hsmtest

import (
	"bytes"
	"errors"
	"testing"

	"strongroom.internal/hsm"
)

// transfer is a join: the wrapping key goes from one module to another, once, under the security officer's approval.
func (s suite) transfer(t *testing.T) {
	donor, joiner := s.born(t, hsm.PoolConfig{}), s.bare(t, hsm.PoolConfig{})
	if donor.Trust == nil {
		t.Fatal("a rig needs Trust")
	}
	b := binding("a")
	sealed := donor.importSeed(t, b, hsm.SHA1, random(20))
	keys := donor.makeClusterKeys(t)
	check(t, donor.InstallClusterKeys(t.Context(), keys))
	transport := ok[[]byte](t)(joiner.CreateTransportKey(t.Context()))

	if _, err := donor.ExportTo(t.Context(), transport); !errors.Is(err, hsm.ErrUntrusted) {
		t.Fatalf("exporting to a key that nobody trusts: %v", err)
	}
	donor.Trust(t, transport)
	pack := ok[hsm.KeyPackage](t)(donor.ExportTo(t.Context(), transport))
	if _, err := donor.ExportTo(t.Context(), transport); !errors.Is(err, hsm.ErrUntrusted) {
		t.Errorf("exporting again under the same approval: %v", err)
	}

	check(t, joiner.ImportFrom(t.Context(), pack))
	if err := joiner.ImportFrom(t.Context(), pack); err == nil {
		t.Error("the package was taken in twice")
	}
	same := ok[[]hsm.KeyCheck](t)(donor.KeyChecks(t.Context()))
	if got := ok[[]hsm.KeyCheck](t)(joiner.KeyChecks(t.Context())); !equalChecks(got, same) || !equalChecks(got, pack.Checks) {
		t.Errorf("check values %v at the joiner, %v at the donor", got, same)
	}
	want := ok[[][]byte](t)(donor.mac(t.Context(), b, sealed, counter(9)))
	if got := ok[[][]byte](t)(joiner.mac(t.Context(), b, sealed, counter(9))); !bytes.Equal(got[0], want[0]) {
		t.Error("the joiner computes another MAC")
	}
	check(t, joiner.InstallClusterKeys(t.Context(), keys))
	message := [][]byte{[]byte("a sign-in")}
	if !bytes.Equal(ok[[]byte](t)(donor.SnapshotMAC(t.Context(), []byte("m"))),
		ok[[]byte](t)(joiner.SnapshotMAC(t.Context(), []byte("m")))) {
		t.Error("a snapshot's MAC differs on the two modules")
	}
	if !bytes.Equal(ok[[][]byte](t)(donor.KeyedMAC(t.Context(), hsm.KeyCode, message))[0],
		ok[[][]byte](t)(joiner.KeyedMAC(t.Context(), hsm.KeyCode, message))[0]) {
		t.Error("the joiner computes another code")
	}
	// And back: what the joiner seals, the donor opens.
	b2 := binding("b")
	sealed2 := joiner.importSeed(t, b2, hsm.SHA256, random(32))
	if !bytes.Equal(ok[[][]byte](t)(donor.mac(t.Context(), b2, sealed2, counter(1)))[0],
		ok[[][]byte](t)(joiner.mac(t.Context(), b2, sealed2, counter(1)))[0]) {
		t.Error("the donor computes another MAC")
	}
	if err := joiner.CreateWrappingKey(t.Context()); err == nil {
		t.Error("a member of a cluster founded another")
	}
	s.transferOfOthers(t, donor, pack)
}

// transferOfOthers: a package is for one joiner, and whatever comes of it, the transport key is gone.
func (s suite) transferOfOthers(t *testing.T, donor module, pack hsm.KeyPackage) {
	stranger := s.bare(t, hsm.PoolConfig{})
	first := ok[[]byte](t)(stranger.CreateTransportKey(t.Context()))
	if err := stranger.ImportFrom(t.Context(), pack); err == nil || errors.Is(err, hsm.ErrGone) {
		t.Fatalf("a package for another joiner: %v", err)
	}
	donor.Trust(t, first)
	own := ok[hsm.KeyPackage](t)(donor.ExportTo(t.Context(), first))
	if err := stranger.ImportFrom(t.Context(), own); err == nil {
		t.Error("the transport key outlived a package that was refused")
	}
	damaged := ok[hsm.KeyPackage](t)(func() (hsm.KeyPackage, error) {
		key := ok[[]byte](t)(stranger.CreateTransportKey(t.Context()))
		donor.Trust(t, key)
		return donor.ExportTo(t.Context(), key)
	}())
	damaged.Wrapping = append([]byte(nil), damaged.Wrapping...)
	damaged.Wrapping[7] ^= 1
	if err := stranger.ImportFrom(t.Context(), damaged); err == nil || errors.Is(err, hsm.ErrGone) {
		t.Errorf("a damaged package: %v", err)
	}
	if err := stranger.ImportFrom(t.Context(), hsm.KeyPackage{OAEPHash: pack.OAEPHash}); err == nil {
		t.Error("an empty package was taken in")
	}
	// A donor that claims other keys than it sent is found out.
	second := ok[[]byte](t)(stranger.CreateTransportKey(t.Context()))
	donor.Trust(t, second)
	lie := ok[hsm.KeyPackage](t)(donor.ExportTo(t.Context(), second))
	lie.Checks = append([]hsm.KeyCheck(nil), lie.Checks...)
	lie.Checks[0].Value = make([]byte, 8)
	if err := stranger.ImportFrom(t.Context(), lie); err == nil {
		t.Error("other keys than the cluster's were taken in")
	}
	if _, err := stranger.KeyChecks(t.Context()); !errors.Is(err, hsm.ErrNoKey) {
		t.Errorf("keys that were refused are on the module: %v", err)
	}
}
