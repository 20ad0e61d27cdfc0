package interop

import (
	"bytes"
	"context"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom.internal/appliance/audit"
)

// TestFsckAcceptsTheServedLog: an independent verifier of tlog-tiles logs reads the whole log from each node, as that node
// serves it to the public, with any node's key, after two changes of leaders under load. And it would have noticed.
func TestFsckAcceptsTheServedLog(t *testing.T) {
	r := power(t)
	n := verifications(t)
	kills := 0
	r.load(t, n, func(done int) {
		if done != n/3 && done != 2*n/3 {
			return
		}
		leader, err := r.rack.Leader(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		if err := leader.Kill(); err != nil {
			t.Error(err)
			return
		}
		kills++
		if err := leader.PowerOn(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if kills != 2 {
		t.Fatalf("%d leaders were killed, want 2", kills)
	}
	for _, c := range r.rack.Chassis {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := c.AwaitReady(ctx); err != nil {
			t.Fatal(err)
		}
	}
	tree := r.signed(t)
	if tree.Size < int64(n) {
		t.Fatalf("the log has %d entries after %d verifications", tree.Size, n)
	}
	seen, err := r.operator.Cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		note, _ := r.operator.LogResource(context.Background(), tree.Name, "checkpoint")
		t.Logf("the checkpoint is\n%s", note)
		for _, c := range r.rack.Chassis {
			if logs, err := c.Logs(); err == nil {
				t.Logf("%s says:\n%s", c.ID(), logs)
			}
		}
	})
	for i, c := range r.rack.Chassis {
		// Each node serves the checkpoint of all; each key is one of the log's.
		key := ""
		for _, m := range seen.Members {
			if m.ID == r.rack.Chassis[(i+1)%len(r.rack.Chassis)].ID() {
				public, err := x509.ParsePKIXPublicKey(m.LogKey)
				if err != nil {
					t.Fatal(err)
				}
				if key, err = audit.LogVerifierKey(tree.Origin, public); err != nil {
					t.Fatal(err)
				}
			}
		}
		await(t, c.ID()+" serves a checkpoint that node has signed", func() error {
			out, err := r.runFsck(t, c.LogURL()+"/"+tree.Name+"/", key)
			if err != nil {
				return err
			}
			t.Logf("%s: %s", c.ID(), lastLine(out))
			return nil
		})
	}

	// One byte of one entry is changed on its way.
	node := r.rack.Chassis[0]
	key, err := audit.LogVerifierKey(tree.Origin, mustKey(t, seen.Members[0].LogKey))
	if err != nil {
		t.Fatal(err)
	}
	bundle := filepath.Join(node.DataDir(), "cluster", "key-usage-log", tree.Name, "tile", "entries", "000")
	raw, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	served := serve(t, node.LogURL()+"/"+tree.Name, map[string][]byte{"/tile/entries/000": raw})
	if out, err := r.runFsck(t, served+"/", key); err == nil {
		t.Errorf("fsck is content with a changed entry:\n%s", out)
	}
}

func mustKey(t *testing.T, pkix []byte) any {
	t.Helper()
	key, err := x509.ParsePKIXPublicKey(pkix)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// runFsck has fsck check a log. It ends with status 0 whatever it found, and says so on stderr.
func (r *rig) runFsck(t *testing.T, url, vkey string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "log.vkey")
	if err := os.WriteFile(file, []byte(vkey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, r.fsck, "--storage_url="+url, "--public_key="+file, "--ui=false", "--logtostderr", "--v=1", "--N=4")
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	if err := command.Run(); err != nil {
		return out.String(), &fsckError{out.String()}
	}
	if strings.Contains(out.String(), "fsck failed") || !strings.Contains(out.String(), "Successfully") {
		return out.String(), &fsckError{out.String()}
	}
	return out.String(), nil
}

type fsckError struct{ said string }

func (e *fsckError) Error() string { return "fsck: " + e.said }

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
