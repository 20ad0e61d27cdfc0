package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"strongroom.internal/api/wire"
)

func TestSecretsAreReadALineAtATimeAndBounded(t *testing.T) {
	term := &terminal{in: strings.NewReader("first\r\nsecond"), err: io.Discard}
	for _, want := range []string{"first", "second"} {
		got, err := term.secret("Code")
		if err != nil || string(got.Reveal()) != want {
			t.Errorf("got %q, %v; want %q", got.Reveal(), err, want)
		}
	}
	if _, err := term.secret("Code"); err == nil {
		t.Error("a secret was read from an empty stdin")
	}
	term.in = strings.NewReader(strings.Repeat("hunter2", maxSecret))
	if _, err := term.secret("Code"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("too long a secret: %v", err)
	}
}

func TestDangerNeedsYesWhereNobodyCanBeAsked(t *testing.T) {
	var said bytes.Buffer
	term := &terminal{in: strings.NewReader("n1\n"), err: &said}
	err := term.confirm(false, "n1", "This removes n1.")
	var coded *exitError
	if !errors.As(err, &coded) || coded.code != exitUsage || !strings.Contains(err.Error(), "--yes") {
		t.Errorf("got %v, want a usage error that names --yes", err)
	}
	if err := term.confirm(true, "n1", "This removes n1."); err != nil {
		t.Errorf("with --yes: %v", err)
	}
}

func TestSecretsArePrintedOnlyOnPurpose(t *testing.T) {
	var out bytes.Buffer
	term := &terminal{out: &out, format: "json"}
	token := wire.JoinToken{Token: wire.NewSecret("srjoin1_x")}
	if err := term.print(token, nil); err == nil {
		t.Errorf("print wrote a secret: %s", out.Bytes())
	}
	out.Reset()
	if err := term.printSecret(token, nil); err != nil || !strings.Contains(out.String(), `"token": "srjoin1_x"`) {
		t.Errorf("printSecret: %v: %s", err, out.Bytes())
	}
}

func TestMessagesAndDataNeverMix(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(context.Background(), []string{"version", "--output", "json"}, nil, &out, &errs); code != exitOK || errs.Len() > 0 {
		t.Errorf("version: %d, stderr %q", code, errs.String())
	}
	out.Reset()
	code := run(context.Background(), []string{"config", "check", "--config", "/nowhere"}, nil, &out, &errs)
	if code != exitFailure || out.Len() > 0 || !strings.HasPrefix(errs.String(), "strongroom: ") {
		t.Errorf("a failure: %d, stdout %q, stderr %q", code, out.String(), errs.String())
	}
}

func TestPeerAddresses(t *testing.T) {
	got, err := peerAddresses([]string{"https://n1.example:7300", "https://n2.example:7300/", "10.0.0.3:7300"})
	if err != nil || strings.Join(got, " ") != "n1.example:7300 n2.example:7300 10.0.0.3:7300" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"http://n1:7300", "https://n1:7300/v1", "https://me@n1:7300", "https://n1:7300?x"} {
		if got, err := peerAddresses([]string{bad}); err == nil {
			t.Errorf("%q was taken as %v", bad, got)
		}
	}
}

func TestClientConfigRefusesUnknownKeys(t *testing.T) {
	path := t.TempDir() + "/client.toml"
	if err := os.WriteFile(path, []byte("nodes = [\"a:1\"]\ncredentials = \"c\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := &connection{configPath: path}
	c, err := o.read()
	if err != nil || c.Nodes[0] != "a:1" || !strings.HasSuffix(c.Credentials, "/c") || c.Credentials[0] != '/' {
		t.Errorf("got %+v, %v", c, err)
	}
	if err := os.WriteFile(path, []byte("node = \"a:1\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := o.read(); err == nil || !strings.Contains(err.Error(), "node: no such key") {
		t.Errorf("got %v", err)
	}
}
