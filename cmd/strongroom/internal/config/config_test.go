package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom.internal/cmd/strongroom/internal/config"
)

// good is a configuration whose files exist.
func good(t *testing.T) (text, dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"module.so", "pin"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("1234\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return strings.ReplaceAll(`
[node]
id = "n1"
data_dir = "DIR/data"
[cluster]
listen = "127.0.0.1:7301"
heartbeat = "250ms"
[api]
listen = "127.0.0.1:7300"
[module]
path = "DIR/module.so"
token_label = "t"
pin_file = "DIR/pin"
sessions = 8
`, "DIR", dir), dir
}

func load(t *testing.T, text string) (*config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "strongroom.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load(path)
}

func TestLoadTakesValuesAndDefaults(t *testing.T) {
	text, _ := good(t)
	c, err := load(t, text)
	if err != nil {
		t.Fatal(err)
	}
	if c.Cluster.Heartbeat != 250*time.Millisecond || c.Module.Sessions != 8 || c.Module.Kind != "pkcs11" ||
		c.Log.Level != "info" || c.ClusterAddress() != "127.0.0.1:7301" {
		t.Errorf("got %+v", c)
	}
	pin, err := c.PIN()
	if err != nil || string(pin.Reveal()) != "1234" {
		t.Errorf("PIN: %q, %v", pin.Reveal(), err)
	}
}

func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	text, dir := good(t)
	if err := os.Chmod(filepath.Join(dir, "pin"), 0o640); err != nil {
		t.Fatal(err)
	}
	text = strings.NewReplacer(`id = "n1"`, `id = "N_1"`, `listen = "127.0.0.1:7300"`, `listen = "0.0.0.0:7300"`,
		`module.so"`, `absent.so"`, "sessions = 8", "sessions = -1").Replace(text)
	_, err := load(t, text)
	want(t, err, 5, "node.id", "api.advertise", "module.sessions", "absent.so", "chmod 600")
}

func TestEachListenerHasAnAddressOfItsOwn(t *testing.T) {
	text, _ := good(t)
	_, err := load(t, text+"[audit]\npublic_listen = \"127.0.0.1:7300\"\n")
	want(t, err, 1, "audit.public_listen: the same as api.listen")
	_, err = load(t, text+"[audit]\npublic_listen = \"nowhere\"\n")
	want(t, err, 1, "audit.public_listen: \"nowhere\" is not host:port")
	c, err := load(t, text+"[audit]\npublic_listen = \"127.0.0.1:7303\"\n")
	if err != nil || c.Audit.PublicListen != "127.0.0.1:7303" {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestUnknownKeysAreRefusedWithASuggestion(t *testing.T) {
	text, _ := good(t)
	text = strings.Replace(text, "sessions = 8", "sesions = 8\nlisten = \"x\"\nwhatever = 1\nresident = \"many\"", 1)
	_, err := load(t, text)
	want(t, err, 4, "module.sesions: no such key; did you mean module.sessions?", "module.listen: no such key",
		"module.whatever: no such key\n", "module.resident: must be a whole number")
}

func want(t *testing.T, err error, problems int, parts ...string) {
	t.Helper()
	var e *config.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a *config.Error", err)
	}
	if len(e.Problems) != problems {
		t.Errorf("%d problems, want %d", len(e.Problems), problems)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error()+"\n", p) {
			t.Errorf("%q is not in: %v", p, err)
		}
	}
}

func TestPINIsReadStrictlyAndNeverQuoted(t *testing.T) {
	text, dir := good(t)
	c, err := load(t, text)
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"", "\n", "0815secret\nmore\n", strings.Repeat("0815secret", 30)} {
		if err := os.WriteFile(filepath.Join(dir, "pin"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.PIN(); err == nil || strings.Contains(err.Error(), "0815") {
			t.Errorf("PIN of a file with %d bytes: %v", len(content), err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "pin"), []byte("ok"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "pin"), 0o604); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PIN(); err == nil {
		t.Error("a PIN that the world can read was taken")
	}
}

func TestPINFromASystemdCredential(t *testing.T) {
	text, dir := good(t)
	if err := os.WriteFile(filepath.Join(dir, "so-pin"), []byte("officer"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	c, err := load(t, strings.Replace(text, "pin_file", "# pin_file", 1))
	if err != nil {
		t.Fatal(err)
	}
	pin, err := c.PIN()
	if err != nil || string(pin.Reveal()) != "1234" || !c.HasSOPIN() {
		t.Errorf("PIN: %q, %v; security officer's: %v", pin.Reveal(), err, c.HasSOPIN())
	}
}

// TestExample: every key is in the example, and the example is valid but for the files that it names, also with the
// defaults that it shows taken in.
func TestExample(t *testing.T) {
	section, shown := "", []string{}
	var all strings.Builder
	for line := range strings.Lines(config.Example) {
		bare := strings.TrimPrefix(line, "# ")
		name, _, isKey := strings.Cut(bare, " = ")
		if isKey && !strings.Contains(name, " ") {
			line = bare
		}
		if s := strings.TrimSpace(line); strings.HasPrefix(s, "[") {
			section = strings.Trim(s, "[]")
		} else if isKey && !strings.Contains(name, " ") {
			shown = append(shown, section+"."+name)
		}
		if !strings.HasPrefix(line, "serial") {
			all.WriteString(line)
		}
	}
	slices.Sort(shown)
	if !slices.Equal(shown, config.Keys()) {
		t.Errorf("the example shows %v, the keys are %v", shown, config.Keys())
	}
	for name, text := range map[string]string{"as it is": config.Example, "uncommented": all.String()} {
		path := filepath.Join(t.TempDir(), "strongroom.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Read(path)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := config.Defaults(); c.Log != d.Log || c.Limits != d.Limits || c.Cluster.Heartbeat != d.Cluster.Heartbeat {
			t.Errorf("%s: shows other defaults than there are: %+v", name, c)
		}
	}
}
