package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strongroom.internal/appliance"
)

func TestIdentityIsKeptWhole(t *testing.T) {
	dir := t.TempDir()
	if _, err := readIdentity(dir); !errors.Is(err, errNoIdentity) {
		t.Errorf("of an empty directory: %v, want errNoIdentity", err)
	}
	want := &identity{appliance.Identity{
		ClusterID: "c", NodeID: "n1", TrustDomain: "td", Chain: []byte("chain"), Authority: []byte("authority"),
	}, true}
	if err := want.write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := readIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	for name, content := range map[string]string{
		"a newer format":       `{"format":2,"node_id":"n1"}`,
		"an unknown member":    `{"format":1,"node_id":"n1","surprise":1}`,
		"half of it":           `{"format":1,"node_`,
		"nothing of it at all": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, identityFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if id, err := readIdentity(dir); err == nil || errors.Is(err, errNoIdentity) {
			t.Errorf("%s was taken: %+v, %v", name, id, err)
		}
	}
	// Without a certificate there is an identity that is damaged, not none: init and join must not take the directory.
	if err := want.write(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, chainFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := readIdentity(dir); err == nil || errors.Is(err, errNoIdentity) {
		t.Errorf("without a certificate: %v", err)
	}
	if err := checkUnused(dir); err == nil {
		t.Error("a damaged node's directory was taken for an unused one")
	}
}

func TestOneProcessADataDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	unlock, err := lockDataDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockDataDir(dir); err == nil {
		t.Error("the directory was locked twice")
	}
	unlock()
	again, err := lockDataDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	again()
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory's mode is %v, %v", info.Mode(), err)
	}
}

func TestCredentialsAreNeverOverwritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "op")
	first, err := clientKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	// Interrupted before the certificate was there: the key is taken again.
	second, err := clientKey(dir)
	if err != nil || string(first) != string(second) {
		t.Errorf("another key, or %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, keyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode is %v, %v", info.Mode(), err)
	}
	if err := keepCredentials(dir, []byte("chain"), []byte("authority")); err != nil {
		t.Fatal(err)
	}
	if _, err := clientKey(dir); err == nil {
		t.Error("a directory with credentials was taken")
	}
}
