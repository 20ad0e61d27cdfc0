package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance/audit/audittest"
)

// logServer serves a log like a node does.
type logServer struct {
	*httptest.Server
	log         *audittest.Log
	credentials string
	reads       atomic.Int64                // of tiles and bundles
	spoil       func(path string, b []byte) // changes what is answered; nil: nothing
	refuse      func(path string) bool      // with 503; nil: nothing
}

func serveLog(t *testing.T, l *audittest.Log) *logServer {
	s := &logServer{log: l, credentials: t.TempDir()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/log/trees", func(w http.ResponseWriter, _ *http.Request) {
		var answer wire.LogTrees
		for _, tree := range l.All {
			answer.Trees = append(answer.Trees, wire.LogTree{
				Name: tree.Tree, Origin: tree.Origin, First: tree.First, Size: tree.Size, Root: tree.Root[:], Closed: tree.Closed,
				Minimum: tree.Minimum, Signed: tree.Size,
			})
		}
		_ = json.NewEncoder(w).Encode(answer)
	})
	mux.HandleFunc("GET /v1/log/policy", func(w http.ResponseWriter, r *http.Request) {
		b, _ := l.Policy(r.Context())
		_, _ = w.Write(b)
	})
	mux.HandleFunc("GET /v1/log/{tree}/{path...}", s.resource)
	s.Server = httptest.NewUnstartedServer(mux)
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	s.writeCredentials(t)
	return s
}

func (s *logServer) resource(w http.ResponseWriter, r *http.Request) {
	path := r.PathValue("path")
	problem := func(status int, name, effect string) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(wire.Problem{Type: wire.ProblemPrefix + name, Title: name, Status: status, Effect: effect})
	}
	if s.refuse != nil && s.refuse(path) {
		problem(http.StatusServiceUnavailable, "unavailable", wire.EffectNone)
		return
	}
	if strings.HasPrefix(path, "tile/") {
		s.reads.Add(1)
	}
	b, err := s.log.Read(r.Context(), r.PathValue("tree"), path)
	if errors.Is(err, fs.ErrNotExist) {
		problem(http.StatusNotFound, "not-found", "")
		return
	}
	if s.spoil != nil {
		s.spoil(path, b)
	}
	_, _ = w.Write(b)
}

// writeCredentials writes those of a client that the server lets in.
func (s *logServer) writeCredentials(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "jo"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: private},
		authorityFile: {Type: "CERTIFICATE", Bytes: s.Certificate().Raw},
	} {
		if err := os.WriteFile(filepath.Join(s.credentials, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// strongroom runs the program as an auditor would, and answers its exit code and what it wrote.
func (s *logServer) strongroom(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	if args[1] == "export" || args[1] == "policy" {
		args = append(args, "--nodes", s.Listener.Addr().String(), "--credentials", s.credentials, "--timeout", "2s")
	}
	code = run(context.Background(), args, strings.NewReader(""), &out, &err)
	return code, out.String(), err.String()
}

// expect runs the program and wants an exit code, and texts that it has to write.
func (s *logServer) expect(t *testing.T, code int, texts []string, args ...string) (stdout string) {
	t.Helper()
	got, stdout, stderr := s.strongroom(args...)
	if got != code {
		t.Fatalf("strongroom %s ends with %d, want %d\n%s%s", strings.Join(args, " "), got, code, stdout, stderr)
	}
	for _, text := range texts {
		if !strings.Contains(stdout+stderr, text) {
			t.Errorf("strongroom %s doesn't say %q:\n%s%s", strings.Join(args, " "), text, stdout, stderr)
		}
	}
	return stdout
}

func makeLog(t *testing.T, sizes ...int64) *audittest.Log {
	t.Helper()
	l, err := audittest.MakeLog(audittest.Config{Trees: sizes})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// What docs/audit.md tells an auditor to do.
func TestAuditor(t *testing.T) {
	l := makeLog(t, 700, 900)
	s := serveLog(t, l)
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	policy := s.expect(t, 0, nil, "audit", "policy")
	if err := os.WriteFile(in("policy"), []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	s.expect(t, 0, []string{"entries", "1600, from index 0 to 1599", "tree 2027, size 900"}, "audit", "export", "--out", in("whole"))
	s.expect(t, 0, []string{"everything: all of it is here"}, "audit", "verify", in("whole"), "--policy", in("policy"))

	earlier := serveLog(t, makeLog(t, 700, 300))
	earlier.expect(t, 0, nil, "audit", "export", "--to", "2026-01-01T00:10:00Z", "--out", in("earlier.tar"))
	s.expect(t, 0, []string{"none is in the range"}, "audit", "export", "--from", "2026-01-03", "--to", "2026-01-03", "--since", in("earlier.tar"),
		"--policy", in("policy"), "--out", in("later.tar"))
	s.expect(t, 0, []string{"strongroom.test/log/2027 at size 300", "no entry is in it"},
		"audit", "verify", in("later.tar"), "--policy", in("policy"), "--since", in("earlier.tar"))

	receipt, err := l.Receipt(t.Context(), 1234)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in("receipt"), receipt, 0o600); err != nil {
		t.Fatal(err)
	}
	s.expect(t, 0, []string{"1234, position 534"}, "audit", "receipt", in("receipt"), "--policy", in("policy"))

	s.expect(t, exitFailure, []string{"a finished export"}, "audit", "export", "--out", in("whole"))
	s.expect(t, exitUsage, []string{`"out" not set`}, "audit", "export")
	s.expect(t, exitUsage, []string{`"policy" not set`}, "audit", "verify", in("whole"))
	s.expect(t, exitFailure, []string{"it must be an index, a date"}, "audit", "export", "--from", "yesterday", "--out", in("x"))
	s.expect(t, exitRefused, []string{"it is no C2SP tlog-proof"}, "audit", "receipt", in("policy"), "--policy", in("policy"))
}

// A run that broke off is gone on with where it was, though the log has grown and its partial tiles are gone.
func TestExportGoesOn(t *testing.T) {
	s := serveLog(t, makeLog(t, 2500))
	out := filepath.Join(t.TempDir(), "whole")
	s.refuse = func(path string) bool { return path == "tile/entries/007" }
	s.expect(t, exitFailure, []string{"Run the same again to go on"}, "audit", "export", "--out", out, "--workers", "2")
	s.refuse = nil
	s.expect(t, exitFailure, []string{"an unfinished export of something else"}, "audit", "export", "--out", out, "--from", "1")
	// A log may delete a partial tile once there is the full one, but not before.
	const partial = "tile/1/000.p/9"
	b, err := s.log.Read(t.Context(), "2026", partial)
	if err != nil {
		t.Fatal(err)
	}
	*s.log = *makeLog(t, 2900)
	if err := s.log.Put("2026", partial, b); err != nil {
		t.Fatal(err)
	}
	before := s.reads.Load()
	s.expect(t, 0, []string{"2500, from index 0 to 2499"}, "audit", "export", "--out", out)
	// 20 files are of full tiles and bundles; those up to the sixth of each were there already.
	if n := s.reads.Load() - before; n > 14 {
		t.Errorf("%d files were fetched again", n)
	}
	policy := filepath.Join(t.TempDir(), "policy")
	if err := os.WriteFile(policy, []byte(s.expect(t, 0, nil, "audit", "policy")), 0o600); err != nil {
		t.Fatal(err)
	}
	s.expect(t, 0, nil, "audit", "verify", out, "--policy", policy)
}

// A node that lies is found out while it is asked, and no export is made of it.
func TestExportOfALyingNode(t *testing.T) {
	s := serveLog(t, makeLog(t, 700))
	s.spoil = func(path string, b []byte) {
		if path == "tile/entries/001" {
			b[300] ^= 1
		}
	}
	out := filepath.Join(t.TempDir(), "whole")
	s.expect(t, exitRefused, []string{"2026/tile/entries/001: entry 256 (position 256 of tree 2026): its hash is not the one in 2026/tile/0/001"},
		"audit", "export", "--out", out)
	if _, err := os.Stat(filepath.Join(out, "export.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is an export.json: %v", err)
	}
}
