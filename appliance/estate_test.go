package appliance

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"testing"

	"strongroom.internal/appliance/account"
	"strongroom.internal/cluster"
	"strongroom.internal/hsm"
)

// memory is a state in a map: the disk's stand-in for a machine's tests.
type memory map[string][]byte

func (m memory) Get(key []byte) ([]byte, error) { return m[string(key)], nil }
func (m memory) Set(key, value []byte)          { m[string(key)] = bytes.Clone(value) }
func (m memory) Delete(key []byte)              { delete(m, string(key)) }
func (m memory) LogHead() cluster.LogHead       { return cluster.LogHead{} }

func (m memory) Scan(prefix, from []byte, fn func(key, value []byte) bool) error {
	var keys []string
	for k := range m {
		if bytes.HasPrefix([]byte(k), prefix) && k >= string(from) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		if !fn([]byte(k), m[k]) {
			break
		}
	}
	return nil
}

// apply runs one estate command as an engine would and returns its outcome and its entry's operation.
func (m memory) apply(t *testing.T, cmd estate) account.Outcome {
	t.Helper()
	var machine Machine
	applied, err := machine.Apply(m, append([]byte{estateCommand}, mustEncode(cmd)...))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range applied.Entries {
		if e.Operation == "" || e.Outcome == "" {
			t.Fatalf("the command left no whole entry: %+v", e)
		}
	}
	if len(applied.Entries) == 0 {
		t.Fatal("the command left no entry")
	}
	var result estateResult
	if err := decode(applied.Finish(7), &result); err != nil {
		t.Fatal(err)
	}
	if result.Entry != 7 {
		t.Errorf("the result names entry %d, want 7", result.Entry)
	}
	return result.Outcome
}

func TestAClusterIsFoundedOnce(t *testing.T) {
	m := memory{}
	first := estate{Found: &found{
		Cluster: clusterInfo{ID: "one"}, Keys: []hsm.SealedKey{{Name: hsm.KeyCode, Version: 1}}, Member: member{ID: "n1"},
	}}
	if got := m.apply(t, first); got != account.Done {
		t.Fatalf("founding: %v", got)
	}
	if got := m.apply(t, estate{Found: &found{Cluster: clusterInfo{ID: "two"}}}); got != account.Exists {
		t.Errorf("founding again: %v, want exists", got)
	}
	info, _, err := readRecord[clusterInfo](m, clusterRecord)
	if err != nil || info.ID != "one" {
		t.Errorf("the cluster is %q (%v), want the first", info.ID, err)
	}
}

func TestAJoinTokenLetsOneNodeInOnce(t *testing.T) {
	hash := sha256.Sum256([]byte("secret"))
	admitAt := func(now account.Time, id string) estate {
		return estate{Time: now, Admit: &admit{Token: hash, Member: member{ID: id, ClusterAddr: "127.0.0.1:1"}}}
	}
	m := memory{}
	if got := m.apply(t, admitAt(1, "n2")); got != account.NotFound {
		t.Errorf("without a token: %v, want not found", got)
	}
	m.apply(t, estate{AddToken: &addToken{Hash: hash, Expires: 100}})
	if got := m.apply(t, admitAt(101, "n2")); got != account.NotFound {
		t.Errorf("after the token's end: %v, want not found", got)
	}
	if got := m.apply(t, admitAt(100, "n2")); got != account.Done {
		t.Errorf("in time: %v, want done", got)
	}
	if got := m.apply(t, admitAt(100, "n3")); got != account.NotFound {
		t.Errorf("a second node with the token: %v, want not found", got)
	}
}

func TestANodeIDIsNeverGivenAgain(t *testing.T) {
	hash := sha256.Sum256([]byte("secret"))
	admitN2 := func(m memory) account.Outcome {
		m.apply(t, estate{AddToken: &addToken{Hash: hash, Expires: 100}})
		return m.apply(t, estate{Admit: &admit{Token: hash, Member: member{ID: "n2"}}})
	}
	m := memory{}
	if got := admitN2(m); got != account.Done {
		t.Fatalf("admitting: %v", got)
	}
	// Interrupted before it was in Raft: the same id may try again.
	if got := admitN2(m); got != account.Done {
		t.Errorf("admitting again before it joined: %v, want done", got)
	}
	m.apply(t, estate{Joined: &joined{ID: "n2"}})
	if got := admitN2(m); got != account.Exists {
		t.Errorf("admitting after it joined: %v, want exists", got)
	}
	if got := m.apply(t, estate{Retire: &retire{ID: "n2"}}); got != account.Done {
		t.Errorf("removing: %v, want done", got)
	}
	if got := admitN2(m); got != account.Exists {
		t.Errorf("admitting after it was removed: %v, want exists", got)
	}
	if got := m.apply(t, estate{Retire: &retire{ID: "n2"}}); got != account.NotFound {
		t.Errorf("removing twice: %v, want not found", got)
	}
}

func TestAnUnknownCommandStopsTheNode(t *testing.T) {
	var machine Machine
	founded := memory{clusterRecord: mustEncode(clusterInfo{ID: "one"})}
	for name, command := range map[string][]byte{
		"empty":          {},
		"kind":           []byte("z"),
		"estate, empty":  append([]byte{estateCommand}, mustEncode(estate{})...),
		"estate, field":  append([]byte{estateCommand}, mustEncode(map[int]int{99: 1})...),
		"estate, broken": {estateCommand, 0xff},
		"account, empty": {accountCommand, 0xa0},
		"log, empty":     append([]byte{logCommandByte}, mustEncode(logCommand{})...),
	} {
		if _, err := machine.Apply(founded, command); err == nil {
			t.Errorf("%s: was applied", name)
		}
	}
}
