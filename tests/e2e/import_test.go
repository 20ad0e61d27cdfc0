package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom.internal/api/wire"
	firmwaresim "strongroom.internal/firmware-sim"
)

// Tokens of the file: so many that the import is in the middle of it when it is cut off.
const (
	importAccounts = 8
	importEach     = 12
)

// importToken is one of a maker's file.
type importToken struct {
	serial, account string
	seed            []byte
}

// importing is an import of the command line, with its files.
type importing struct {
	r       *rig
	as      firmwaresim.Credentials
	dir     string
	journal string
}

func (i *importing) write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(i.dir, name)
	check(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func (i *importing) run(ctx context.Context, file string, args ...string) error {
	args = append([]string{"account", "import", file, "--journal", i.journal, "--create-accounts", "--concurrency", "1"}, args...)
	_, err := i.r.rack.RunAs(ctx, i.as, "", args...)
	return err
}

// done are the rows that the journal says are imported, with their credentials. A journal that isn't there has none, and a
// line that is cut off none either.
func (i *importing) done() map[int]string {
	rows := map[int]string{}
	raw, _ := os.ReadFile(i.journal)
	for line := range bytes.Lines(raw) {
		var l struct {
			Done       int
			Credential string
		}
		if json.Unmarshal(line, &l) == nil && l.Done > 0 {
			rows[l.Done] = l.Credential
		}
	}
	return rows
}

// TestE8_ImportWhileTheLeaderDies: a maker's encrypted PSKC file, on three nodes. In the middle of it the leader is killed, and
// the import with it. Nothing is there by halves; the same command goes on with the rest, on the two nodes that are left; each
// token is there once, and the codes of those around the cut are right on every node. Then privacyIDEA's CSV.
func TestE8_ImportWhileTheLeaderDies(t *testing.T) {
	r := power(t)
	as, err := r.rack.IssueClient(t.Context(), firmwaresim.Frontend, tenant, "importer")
	check(t, err)
	before := r.head(t)
	dir := t.TempDir()
	i := &importing{r: r, as: as, dir: dir, journal: filepath.Join(dir, "journal")}
	tokens, owners := importTokens(t)
	key := make([]byte, 16)
	_, _ = rand.Read(key)
	file := i.write(t, "tokens.xml", pskcFile(t, key, tokens))
	args := []string{"--accounts", i.write(t, "owners.csv", owners), "--key-file", i.write(t, "key", hex.EncodeToString(key))}

	ctx, cut := context.WithCancel(deadline(t, time.Minute))
	defer cut()
	ended := make(chan error, 1)
	go func() { ended <- i.run(ctx, file, args...) }()
	eventually(t, 30*time.Second, func(context.Context) error {
		select {
		case err := <-ended:
			t.Fatalf("it ended before it was cut off: %v", err)
		default:
		}
		if n := len(i.done()); n < len(tokens)/4 {
			return fmt.Errorf("%d tokens are imported", n)
		}
		return nil
	})
	leader := r.leader(t)
	r.kill(t, leader)
	cut()
	<-ended
	other := r.newLeader(t, leader)
	sure := i.done()
	if len(sure) >= len(tokens) {
		t.Fatal("nothing was left to do: this shows nothing")
	}
	there := r.imported(t, other, tokens)
	for row, credential := range sure {
		if there[credential] != tokens[row-1].account {
			t.Errorf("row %d was imported and is not there", row)
		}
	}
	if n := len(there) - len(sure); n < 0 || n > 1 {
		t.Errorf("%d tokens are there, and %d were answered, one at a time", len(there), len(sure))
	}

	report := filepath.Join(dir, "report.jsonl")
	check(t, i.run(deadline(t, time.Minute), file, append(args, "--report", report)...))
	outcomes := map[string]int{}
	raw, err := os.ReadFile(report)
	check(t, err)
	for line := range bytes.Lines(raw) {
		var row struct{ Outcome string }
		check(t, json.Unmarshal(line, &row))
		outcomes[row.Outcome]++
	}
	if want := map[string]int{"imported": len(tokens) - len(sure), "imported-before": len(sure)}; !maps.Equal(outcomes, want) {
		t.Errorf("the second run says %v, want %v", outcomes, want)
	}
	r.powerOn(t, leader)
	r.ready(t)
	for _, node := range r.nodes() {
		if there := r.imported(t, node, tokens); len(there) != len(tokens) {
			t.Errorf("node %d has %d tokens, want %d", node, len(there), len(tokens))
		}
	}
	// Every row of those that were under way, and of each account one.
	for row, x := range tokens {
		if row%importEach != 0 && (row < len(sure)-3 || row > len(sure)+3) {
			continue
		}
		if v := r.verify(t, row%3, x.account, tokenCode(t, x.seed, 1), ""); v.Outcome != wire.Accepted {
			t.Errorf("row %d: its code: %+v", row+1, v)
		}
		if v := r.verify(t, (row+1)%3, x.account, tokenCode(t, x.seed, 1), ""); v.Outcome == wire.Accepted {
			t.Errorf("row %d: its code a second time: %+v", row+1, v)
		}
	}

	// privacyIDEA's, twice: the second time there is nothing to do.
	ben := "ben-" + strings.ToLower(rand.Text()[:8]) + "@acme"
	seeds := []string{hex.EncodeToString(tokens[0].seed[:19]) + "01", hex.EncodeToString(tokens[0].seed[:19]) + "02"}
	i.journal = filepath.Join(dir, "journal-2")
	csv := i.write(t, "tokens.csv", fmt.Sprintf("%s, TOTP1, %s, totp, 6, 30\n%s, TOTP2, %s, totp, 8, 30\n", ben, seeds[0], ben, seeds[1]))
	for range 2 {
		check(t, i.run(deadline(t, time.Minute), csv, "--format", "privacyidea"))
	}
	first, err := hex.DecodeString(seeds[0])
	check(t, err)
	if v := r.verify(t, 2, ben, oathtool(t, base32.StdEncoding.EncodeToString(first), time.Now()), ""); v.Outcome != wire.Accepted {
		t.Errorf("privacyIDEA's token: %+v", v)
	}

	h := r.since(t, before)
	entries := map[string]int{}
	for n, e := range h.entries {
		if e.Operation == "import-seed" && e.Outcome == "done" {
			entries[e.Key]++
		}
		for _, x := range tokens {
			if strings.Contains(string(h.raw[n]), hex.EncodeToString(x.seed)) || strings.Contains(string(h.raw[n]), x.account) {
				t.Errorf("a seed or a name is in %s", h.raw[n])
			}
		}
	}
	if len(entries) < len(tokens)+2 {
		t.Errorf("%d seeds came in and %d have entries", len(tokens)+2, len(entries))
	}
	for credential, n := range entries {
		if n != 1 {
			t.Errorf("%s came in %d times", credential, n)
		}
	}
}

// imported are the authenticators of the accounts of a file, and whose they are. Each is whole.
func (r *rig) imported(t *testing.T, node int, tokens []importToken) map[string]string {
	t.Helper()
	there := map[string]string{}
	for n := 0; n < len(tokens); n += importEach {
		account := tokens[n].account
		if r.status(t, node, http.MethodGet, "/v1/accounts/"+account, nil) == http.StatusNotFound {
			continue
		}
		var list wire.Credentials
		r.do(t, node, http.MethodGet, "/v1/accounts/"+account+"/authenticators", nil, &list)
		for _, a := range list.Credentials {
			there[a.ID] = account
			if a.Params.Type != "hotp" || a.Params.Digits != 8 || a.Params.Algorithm != "SHA1" || a.Added.IsZero() {
				t.Errorf("%s of %s is %+v", a.ID, account, a)
			}
		}
	}
	return there
}

// importTokens are HOTP tokens with eight digits, and the CSV that says whose they are.
func importTokens(t *testing.T) (tokens []importToken, owners string) {
	t.Helper()
	owners = "serial,account\n"
	for range importAccounts {
		account := "import-" + strings.ToLower(rand.Text()[:10])
		for range importEach {
			x := importToken{serial: "T" + rand.Text()[:12], account: account, seed: make([]byte, 20)}
			_, _ = rand.Read(x.seed)
			tokens = append(tokens, x)
			owners += x.serial + "," + x.account + "\n"
		}
	}
	return tokens, owners
}

func tokenCode(t *testing.T, seed []byte, counter int) string {
	t.Helper()
	command := exec.Command("oathtool", "--hotp", "--digits=8", fmt.Sprintf("--counter=%d", counter), "-")
	command.Stdin = strings.NewReader(hex.EncodeToString(seed))
	out, err := command.Output()
	check(t, err)
	return strings.TrimSpace(string(out))
}
