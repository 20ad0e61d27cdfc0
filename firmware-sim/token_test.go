package firmwaresim

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// newTestRack makes a rack whose nodes can't start: enough for what is done to boxes that are off.
func newTestRack(t *testing.T, nodes int) *Rack {
	t.Helper()
	r, err := Create(t.Context(), Config{Dir: t.TempDir(), Binary: "/bin/false", Nodes: nodes})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Each chassis has a token of its own, and pulling one is seen by any program that looks.
func TestTokenIsPulledAndPutBack(t *testing.T) {
	r := newTestRack(t, 2)
	tokens := func(c *Chassis) string {
		util := exec.Command("softhsm2-util", "--show-slots")
		util.Env = c.ModuleEnv()
		out, err := util.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	for _, c := range r.Chassis {
		for _, other := range r.Chassis {
			if got := strings.Contains(tokens(c), other.TokenLabel()); got != (c == other) {
				t.Errorf("the token of %s in %s: %v", other.ID(), c.ID(), got)
			}
		}
	}
	c := r.Chassis[0]
	if err := c.InsertToken(); !errors.Is(err, ErrToken) {
		t.Errorf("inserting a token that is in: %v", err)
	}
	if err := c.PullToken(); err != nil || c.TokenIn() {
		t.Fatalf("pulling: %v, in %v", err, c.TokenIn())
	}
	if strings.Contains(tokens(c), c.TokenLabel()) {
		t.Error("the token is still seen")
	}
	if err := c.PullToken(); !errors.Is(err, ErrNoToken) {
		t.Errorf("pulling a token that is out: %v", err)
	}
	if err := c.InsertToken(); err != nil || !strings.Contains(tokens(c), c.TokenLabel()) {
		t.Errorf("inserting: %v", err)
	}
}

// A rack is found again as it was: ids, addresses, PINs.
func TestRackIsFoundAgain(t *testing.T) {
	dir := t.TempDir()
	config := Config{Dir: dir, Binary: "/bin/false", Nodes: 2, TrustDomain: "other.test"}
	if _, err := Open(config); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opening nothing: %v", err)
	}
	made, err := OpenOrCreate(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Replace(t.Context(), made.Chassis[1]); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(t.Context(), config); err == nil {
		t.Error("a rack was built over another")
	}
	found, err := OpenOrCreate(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if found.TrustDomain() != "other.test" || len(found.Chassis) != 2 {
		t.Fatalf("found %+v", found)
	}
	for i, want := range []string{"n1", "n2-2"} {
		a, b := made.Chassis[i], found.Chassis[i]
		if b.ID() != want || a.APIAddr() != b.APIAddr() || a.ConfigFile() != b.ConfigFile() {
			t.Errorf("chassis %d: made %v, found %v", i, a, b)
		}
	}
}

// A rack that was made before the log was public gets a port for it when it is opened, and keeps it and all else.
func TestFormerRackGetsAPortForTheLog(t *testing.T) {
	made := newTestRack(t, 2)
	former := rackRecord{Format: 1, TrustDomain: made.TrustDomain()}
	for _, c := range made.Chassis {
		former.Chassis = append(former.Chassis, chassisRecord{Slot: c.slot, ID: c.ID(), Ports: c.ports[:portsOfFormerChassis]})
	}
	raw, err := json.Marshal(former)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(made.path(rackFile), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	var urls [2]string
	for range 2 {
		found, err := Open(Config{Dir: made.Dir(), Binary: "/bin/false"})
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range found.Chassis {
			config, err := os.ReadFile(c.ConfigFile())
			if err != nil {
				t.Fatal(err)
			}
			if urls[i] == "" {
				urls[i] = c.LogURL()
			}
			listen := strings.TrimSuffix(strings.TrimPrefix(urls[i], "http://"), "/log")
			if c.LogURL() != urls[i] || c.APIAddr() != made.Chassis[i].APIAddr() || !strings.Contains(string(config), `public_listen = "`+listen+`"`) {
				t.Errorf("%s has its log at %s, its API at %s, and the configuration\n%s", c.ID(), c.LogURL(), c.APIAddr(), config)
			}
		}
	}
	if urls[0] == urls[1] {
		t.Errorf("two chassis have their logs at %s", urls[0])
	}
}

// PINs are nobody else's to read, and in no configuration.
func TestPINsAreKeptApart(t *testing.T) {
	c := newTestRack(t, 1).Chassis[0]
	config, err := os.ReadFile(c.ConfigFile())
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{c.PINFile(), c.SOPINFile()} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
		pin, err := readLine(path)
		if err != nil || len(pin) < 20 || strings.Contains(string(config), pin) {
			t.Errorf("%s: %d bytes, %v, or it is in the configuration", path, len(pin), err)
		}
	}
}

func TestNextID(t *testing.T) {
	for id, want := range map[string]string{"n1": "n1-2", "n1-2": "n1-3", "n1-9": "n1-10"} {
		if got := nextID("n1", id); got != want {
			t.Errorf("after %s: %s, want %s", id, got, want)
		}
	}
}
