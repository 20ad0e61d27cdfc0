package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance/audit"
)

// smallLog is a log of one node and one tree, served as nodes serve it.
type smallLog struct {
	http.ServeMux
	origin  string
	entries [][]byte
	hashes  []tlog.Hash
	signed  []byte
	policy  []byte
}

func newSmallLog(t *testing.T, n int) *smallLog {
	t.Helper()
	const domain = "strongroom.example"
	l := &smallLog{origin: audit.Origin(domain, "2026")}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		e := audit.Entry{Index: int64(i), Time: int64(i), Tenant: "acme", Operation: "verify", Outcome: "accepted"}
		raw := e.AppendJSON(nil)
		added, err := tlog.StoredHashes(int64(i), raw, tlog.HashReaderFunc(l.stored))
		if err != nil {
			t.Fatal(err)
		}
		l.entries, l.hashes = append(l.entries, raw), append(l.hashes, added...)
	}
	root, err := tlog.TreeHash(int64(n), tlog.HashReaderFunc(l.stored))
	if err != nil {
		t.Fatal(err)
	}
	text := audit.CheckpointText(l.origin, int64(n), root)
	s, err := audit.Sign(rand.Reader, text, audit.CosignerName(domain, "n1"), 1, key)
	if err != nil {
		t.Fatal(err)
	}
	l.signed = audit.Checkpoint(text, s.Log, s.Cosigner)
	if l.policy, err = audit.FormatPolicy(domain, "2026", []audit.Signer{{Node: "n1", Key: key.Public()}}, nil); err != nil {
		t.Fatal(err)
	}
	l.HandleFunc("GET /v1/log/trees", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(wire.LogTrees{Trees: []wire.LogTree{
			{Name: "2026", Origin: l.origin, Size: int64(n), Signed: int64(n), Root: root[:]},
		}})
	})
	l.HandleFunc("GET /v1/log/2026/{path...}", func(w http.ResponseWriter, r *http.Request) {
		b, err := l.resource(r.PathValue("path"))
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			_ = json.NewEncoder(w).Encode(wire.Problem{Type: wire.ProblemPrefix + "not-found", Title: "not found", Status: 404})
			return
		}
		_, _ = w.Write(b)
	})
	return l
}

func (l *smallLog) stored(indexes []int64) ([]tlog.Hash, error) {
	var list []tlog.Hash
	for _, i := range indexes {
		list = append(list, l.hashes[i])
	}
	return list, nil
}

func (l *smallLog) resource(path string) ([]byte, error) {
	if path == "checkpoint" {
		return l.signed, nil
	}
	tile, err := torchwood.ParseTilePath(path)
	if err != nil || tile.L >= 0 {
		return tlog.ReadTileData(tile, tlog.HashReaderFunc(l.stored))
	}
	var b []byte
	first := int(tile.N * torchwood.TileWidth)
	if first+tile.W > len(l.entries) {
		return nil, os.ErrNotExist
	}
	for _, e := range l.entries[first : first+tile.W] {
		if b, err = torchwood.AppendTileEntry(b, e); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// credentialsFor are a directory of credentials, of a client that nobody knows, for a test's server.
func credentialsFor(t *testing.T, server *httptest.Server) string {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		certFile:      {Type: "CERTIFICATE", Bytes: certificate},
		keyFile:       {Type: "PRIVATE KEY", Bytes: der},
		authorityFile: {Type: "CERTIFICATE", Bytes: server.Certificate().Raw},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestAuditArchive archives a served log, checks the archive, and finds a row that was changed.
func TestAuditArchive(t *testing.T) {
	connection := database.Database(t)
	l := newSmallLog(t, 300)
	server := httptest.NewUnstartedServer(l)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	policy := filepath.Join(t.TempDir(), "log.policy")
	if err := os.WriteFile(policy, l.policy, 0o600); err != nil {
		t.Fatal(err)
	}
	node := []string{"--nodes", strings.TrimPrefix(server.URL, "https://"), "--credentials", credentialsFor(t, server)}
	strongroom := func(code int, args ...string) (stdout, stderr string) {
		t.Helper()
		var out, messages bytes.Buffer
		if got := run(context.Background(), append([]string{"audit", "archive"}, args...), strings.NewReader(""), &out, &messages); got != code {
			t.Errorf("%v: exit code %d, not %d: %s", args, got, code, &messages)
		}
		return out.String(), messages.String()
	}
	contains := func(s string, parts ...string) {
		t.Helper()
		for _, p := range parts {
			if !strings.Contains(s, p) {
				t.Errorf("%q is not in %q", p, s)
			}
		}
	}
	db := []string{"--db", connection, "--policy", policy}

	_, messages := strongroom(exitFailure, append([]string{"check"}, db...)...)
	contains(messages, "no archive")
	out, messages := strongroom(exitOK, append(node, db...)...)
	contains(out, "TREE", "2026", "300", fmt.Sprintf("%x", rootOf(t, l)))
	contains(messages, "300 entries were stored")
	_, messages = strongroom(exitOK, append(node, db...)...)
	contains(messages, "0 entries were stored")
	out, _ = strongroom(exitOK, append([]string{"check", "--output", "json"}, db...)...)
	var report archived
	if err := json.Unmarshal([]byte(out), &report); err != nil || len(report.Trees) != 1 || *report.Trees[0].Signed != 300 {
		t.Errorf("the report is %s (%v)", out, err)
	}

	c, err := pgx.Connect(context.Background(), connection)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(context.Background(), `UPDATE log_entries SET outcome = 'wrong' WHERE position = 7`); err != nil {
		t.Fatal(err)
	}
	out, messages = strongroom(exitRefused, append([]string{"check"}, db...)...)
	contains(messages, "position 7", "column outcome")
	if out != "" {
		t.Errorf("it printed %q", out)
	}

	l.entries[280] = bytes.Replace(l.entries[280], []byte("accepted"), []byte("wrong"), 1)
	other := database.Database(t)
	_, messages = strongroom(exitRefused, append(node, "--db", other, "--policy", policy)...)
	contains(messages, "position 280")

	_, messages = strongroom(exitUsage, append(node, "--db", "postgres://ada:geheim@localhost/audit", "--policy", policy)...)
	contains(messages, "PGPASSFILE")
	if strings.Contains(messages, "geheim") {
		t.Errorf("the password is told: %s", messages)
	}
	_, messages = strongroom(exitUsage, append(node, "--db", "postgres://ada@db.example/audit", "--policy", policy)...)
	contains(messages, "sslmode=verify-full")
	strongroom(exitUsage, node...)
	strongroom(exitUsage, append([]string{"chekc"}, db...)...)
	strongroom(exitFailure, "check", "--db", connection, "--policy", filepath.Join(t.TempDir(), "none"))
}

func rootOf(t *testing.T, l *smallLog) []byte {
	t.Helper()
	root, err := tlog.TreeHash(int64(len(l.entries)), tlog.HashReaderFunc(l.stored))
	if err != nil {
		t.Fatal(err)
	}
	return root[:]
}
