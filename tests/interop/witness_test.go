package interop

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance/audit"
)

// TestLitewitnessCosigns: a witness that others run checks that each checkpoint follows the one before, and cosigns it;
// also after the leader, who knew what the witness had seen, is killed.
func TestLitewitnessCosigns(t *testing.T) {
	r := power(t)
	tree := r.signed(t)
	vkey, url := r.startWitness(t, tree.Origin)
	if err := r.operator.SetLogWitnesses(t.Context(), []wire.LogWitness{{VKey: vkey, URL: url}}); err != nil {
		t.Fatal(err)
	}
	// The policy of an auditor who wants the witness as well as a majority of the nodes.
	proposed, err := r.operator.LogPolicy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	strict := strings.Replace(string(proposed), "quorum nodes", "group both all nodes external-1\nquorum both", 1)
	policy, err := audit.ParsePolicy([]byte(strict))
	if err != nil {
		t.Fatalf("%v\n%s", err, strict)
	}
	cosigned := func(when string, least int64) (size int64) {
		t.Helper()
		await(t, when+": the witness has cosigned", func() error {
			note, err := r.operator.LogResource(t.Context(), tree.Name, "checkpoint")
			if err != nil {
				return err
			}
			head, err := policy.Open(note)
			if err == nil && head.Size < least {
				err = fmt.Errorf("size %d, want %d", head.Size, least)
			}
			size = head.Size
			return err
		})
		return size
	}
	first := cosigned("at first", tree.Size)
	r.load(t, 300, func(int) {})
	second := cosigned("after more entries", first+300)
	leader, err := r.rack.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(leader.Kill(), leader.PowerOn(t.Context())); err != nil {
		t.Fatal(err)
	}
	r.load(t, 300, func(int) {})
	cosigned("by a leader that never asked before", second+300)
	if err := r.operator.SetLogWitnesses(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

// startWitness starts litewitness with a key in an ssh-agent of its own, and a log that it is to know by every node's key.
func (r *rig) startWitness(t *testing.T, origin string) (vkey, url string) {
	t.Helper()
	const name = "witness.example/lite"
	dir := t.TempDir()
	socket := filepath.Join(dir, "agent")
	agent := start(t, exec.Command("ssh-agent", "-D", "-a", socket))
	await(t, "ssh-agent listens", func() error { _, err := os.Stat(socket); return err })
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	add := exec.Command("ssh-add", "-q", "-")
	add.Stdin, add.Env = bytes.NewReader(pem.EncodeToMemory(block)), append(os.Environ(), "SSH_AUTH_SOCK="+socket)
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("ssh-add (apt-get install openssh-client): %v\n%s\n%s", err, out, agent)
	}
	sshKey, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	if vkey, err = audit.CosignerVerifierKey(name, public); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	db := filepath.Join(dir, "witness.db")
	said := start(t, exec.Command(r.litewitness, "-db", db, "-name", name, "-ssh-agent", socket, "-listen", address,
		"-key", ssh.FingerprintSHA256(sshKey)))
	await(t, "the witness listens", func() error {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return fmt.Errorf("%w: %s", err, said)
		}
		return c.Close()
	})
	seen, err := r.operator.Cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	empty := "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" // SHA-256 of nothing
	sql := fmt.Sprintf("INSERT INTO log VALUES ('%s', 0, '%s');", origin, empty)
	for _, m := range seen.Members {
		key, err := audit.LogVerifierKey(origin, mustKey(t, m.LogKey))
		if err != nil {
			t.Fatal(err)
		}
		sql += fmt.Sprintf("INSERT INTO key VALUES ('%s', '%s');", origin, key)
	}
	if out, err := exec.Command("sqlite3", "-cmd", ".timeout 5000", db, sql).CombinedOutput(); err != nil {
		t.Fatalf("sqlite3 (apt-get install sqlite3): %v\n%s", err, out)
	}
	return vkey, "http://" + address
}

// start starts a program that ends with the test, and returns what it says.
func start(t *testing.T, c *exec.Cmd) *output {
	t.Helper()
	said := &output{}
	c.Stdout, c.Stderr = said, said
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		ended := make(chan struct{})
		go func() { _ = c.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-ctx.Done():
			_ = c.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(c.Path), said)
		}
	})
	return said
}
