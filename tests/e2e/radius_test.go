package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	firmwaresim "strongroom.internal/firmware-sim"
)

const radiusSecret = "a secret between gateway and server"

// radius runs `strongroom radius` as a front-end of the tenant, and gives its address.
func (r *rig) radius(t *testing.T) (address string) {
	t.Helper()
	ctx := deadline(t, time.Minute)
	credentials, err := r.rack.IssueClient(ctx, firmwaresim.Frontend, tenant, "radius")
	check(t, err)
	binary, err := firmwaresim.TestBinary(ctx)
	check(t, err)
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "secret"), []byte(radiusSecret+"\n"), 0o600))
	var nodes []string
	for _, c := range r.rack.Chassis {
		nodes = append(nodes, fmt.Sprintf("%q", c.APIAddr()))
	}
	config := filepath.Join(dir, "radius.toml")
	check(t, os.WriteFile(config, fmt.Appendf(nil, `listen = "127.0.0.1:0"
nodes = [%s]
credentials = %q
[[clients]]
network = "127.0.0.1/32"
secret_file = "secret"
service = "vpn"
`, strings.Join(nodes, ", "), credentials.Dir), 0o600))

	server := exec.Command(binary, "radius", "--config", config)
	said, err := server.StderrPipe()
	check(t, err)
	check(t, server.Start())
	lines := bufio.NewScanner(said)
	watchdog := time.AfterFunc(30*time.Second, func() { _ = server.Process.Kill() })
	for address == "" && lines.Scan() {
		_, address, _ = strings.Cut(lines.Text(), "address=")
	}
	watchdog.Stop()
	rest := make(chan string, 1)
	go func() {
		var b strings.Builder
		for lines.Scan() {
			b.WriteString(lines.Text() + "\n")
		}
		rest <- b.String()
	}()
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		stop := time.AfterFunc(20*time.Second, func() { _ = server.Process.Kill() })
		defer stop.Stop()
		log := <-rest
		if err := server.Wait(); err != nil {
			t.Errorf("the RADIUS server ended with %v: %s", err, log)
		}
		if !strings.Contains(log, "without Message-Authenticator") {
			t.Errorf("what was dropped is not in the log: %s", log)
		}
	})
	if address == "" {
		t.Fatal("the RADIUS server does not listen")
	}
	return strings.Trim(address, `"`)
}

// radclient sends one request with FreeRADIUS's client, which checks the answer, and gives the kind of the answer.
func radclient(t *testing.T, address, account, password string, attributes ...string) string {
	t.Helper()
	attributes = append(attributes, fmt.Sprintf("User-Name = %q", account), fmt.Sprintf("User-Password = %q", password))
	// Once: what is not answered within a second and a half won't be.
	command := exec.CommandContext(deadline(t, 20*time.Second), "radclient", "-x", "-r", "1", "-t", "1.5", address, "auth", radiusSecret)
	command.Stdin = strings.NewReader(strings.Join(attributes, ", "))
	out, err := command.CombinedOutput()
	for _, kind := range []string{"Access-Accept", "Access-Reject"} {
		if _, rest, ok := strings.Cut(string(out), "Received "+kind); ok {
			head, more, _ := strings.Cut(rest, "\n")
			if _, length, _ := strings.Cut(head, "length "); strings.TrimSpace(length) != "38" {
				t.Errorf("%s has more in it than its Message-Authenticator: %s%s", kind, head, more)
			}
			return kind
		}
	}
	if strings.Contains(string(out), "No reply from server") {
		return "none"
	}
	t.Fatalf("radclient (apt-get install freeradius-utils): %v: %s", err, out)
	return ""
}

// TestA1_ThroughRADIUS is the end of FEATURES.md's row A1, with FreeRADIUS's client as the judge.
func TestA1_ThroughRADIUS(t *testing.T) {
	r := power(t)
	address := r.radius(t)
	const signed = "Message-Authenticator = 0x00" // radclient computes it
	name := r.account(t)
	vpn := r.newAppPassword(t, 0, name, "", map[string]any{"label": "VPN", "service": "vpn", "network": "192.0.2.0/24"})
	mail := r.newAppPassword(t, 1, name, "", map[string]any{"label": "Mail", "service": "imap"})
	from := `Calling-Station-Id = "192.0.2.7"`
	for _, c := range []struct {
		what, account, password string
		attributes              []string
		want                    string
	}{
		{"once made", name, vpn.Password, []string{signed, from}, "Access-Accept"},
		{"from elsewhere", name, vpn.Password, []string{signed, `Calling-Station-Id = "198.51.100.7"`}, "Access-Reject"},
		{"from who knows where", name, vpn.Password, []string{signed}, "Access-Reject"},
		{"for another service", name, mail.Password, []string{signed, from}, "Access-Reject"},
		{"wrong", name, "aaaa-aaaa-aaaa-aaaa", []string{signed, from}, "Access-Reject"},
		{"malformed", name, "password", []string{signed, from}, "Access-Reject"},
		{"nobody's", "nobody-" + name, vpn.Password, []string{signed, from}, "Access-Reject"},
		{"unsigned", name, vpn.Password, []string{from}, "none"},
	} {
		if got := radclient(t, address, c.account, c.password, c.attributes...); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
	if list := r.appPasswords(t, 2, name); list[0].LastFrom != "192.0.2.7" {
		t.Errorf("it was last used from %q", list[0].LastFrom)
	}
	r.do(t, 1, "DELETE", "/v1/accounts/"+name+"/app-passwords/"+vpn.AppPassword.ID, nil, nil)
	if got := radclient(t, address, name, vpn.Password, signed, from); got != "Access-Reject" {
		t.Errorf("revoked: %s, want Access-Reject", got)
	}
}
