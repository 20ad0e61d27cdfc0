// Package interop has programs of others judge the key-usage log: tessera's fsck, which checks a whole tlog-tiles log, and
// litewitness, a C2SP tlog-witness. Both are built from their sources, by the tools' module.
package interop

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
	firmwaresim "strongroom.internal/firmware-sim"
)

const tenant = "interop"

// rig is the rack that the tests share, and the programs.
type rig struct {
	rack              *firmwaresim.Rack
	frontend          *client.Client
	operator          *client.Client
	fsck, litewitness string
}

var shared struct {
	sync.Once
	rig *rig
	err error
}

func TestMain(m *testing.M) {
	os.Exit(firmwaresim.Main(mainFunc(func() int {
		code := m.Run()
		if shared.rig != nil && shared.rig.rack != nil {
			if err := shared.rig.rack.Close(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = max(code, 1)
			}
			_ = os.RemoveAll(shared.rig.rack.Dir())
		}
		return code
	})))
}

type mainFunc func() int

func (f mainFunc) Run() int { return f() }

// power gives the rack, ready.
func power(t *testing.T) *rig {
	t.Helper()
	shared.Do(func() { shared.rig, shared.err = newRig() })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.rig
}

func newRig() (*rig, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	binary, err := firmwaresim.TestBinary(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "strongroom-interop")
	if err != nil {
		return nil, err
	}
	r := &rig{fsck: filepath.Join(dir, "fsck"), litewitness: filepath.Join(dir, "litewitness")}
	for path, program := range map[string]string{
		r.fsck: "github.com/transparency-dev/tessera/cmd/fsck", r.litewitness: "filippo.io/torchwood/cmd/litewitness",
	} {
		build := exec.CommandContext(ctx, "go", "build", "-modfile=tests/tools/go.mod", "-o", path, program)
		build.Dir = "../.."
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building %s: %w: %s", program, err, out)
		}
	}
	if r.rack, err = firmwaresim.Create(ctx, firmwaresim.Config{Dir: dir, Binary: binary}); err != nil {
		return nil, err
	}
	if err := r.rack.Up(ctx); err != nil {
		return r, err
	}
	if _, err := r.rack.RunAs(ctx, r.rack.Operator(), "", "policy", "set", tenant, "--allow-import"); err != nil {
		return r, err
	}
	credentials, err := r.rack.IssueClient(ctx, firmwaresim.Frontend, tenant, "fe")
	if err != nil {
		return r, err
	}
	if r.frontend, err = r.rack.Client(credentials); err != nil {
		return r, err
	}
	r.operator, err = r.rack.Client(r.rack.Operator())
	return r, err
}

// load makes accounts and sends n verifications about them to the nodes, some of them right, and calls at with the number
// that was answered, now and then.
func (r *rig) load(t *testing.T, n int, at func(done int)) {
	t.Helper()
	const each = 20 // below an account's budget
	accounts := (n + each - 1) / each
	seeds := make([][]byte, accounts)
	name := func(i int) string { return fmt.Sprintf("%s-%d", t.Name(), i) }
	var group errgroup.Group
	group.SetLimit(32)
	for i := range accounts {
		group.Go(func() error {
			seeds[i] = make([]byte, 20)
			_, _ = rand.Read(seeds[i])
			if _, err := r.frontend.PutAccount(t.Context(), name(i)); err != nil {
				return err
			}
			uri := "otpauth://totp/i:a?issuer=i&secret=" + base32.StdEncoding.EncodeToString(seeds[i])
			_, err := r.frontend.AddAuthenticator(t.Context(), name(i), wire.AuthenticatorRequest{URI: wire.NewSecret(uri)})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	outcomes := map[string]int{}
	done := 0
	for k := range n {
		group.Go(func() error {
			i := k % accounts
			code := fmt.Sprintf("%06d", k%1_000_000)
			if k/accounts == each/2 {
				code = codeAt(seeds[i], time.Now())
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // elections under way
			defer cancel()
			v, err := r.frontend.Verify(ctx, name(i), wire.VerifyRequest{Code: wire.NewSecret(code)})
			mu.Lock()
			defer mu.Unlock()
			outcomes[v.Outcome]++
			done++
			at(done)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d verifications: %v", n, outcomes)
	if outcomes["accepted"] == 0 || outcomes["wrong"] == 0 {
		t.Fatalf("outcomes %v: want right and wrong ones", outcomes)
	}
}

func codeAt(seed []byte, at time.Time) string {
	mac := hmac.New(sha1.New, seed)
	_ = binary.Write(mac, binary.BigEndian, at.Unix()/30)
	sum := mac.Sum(nil)
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]&15:])&0x7fffffff%1_000_000)
}

// signed waits until the newest checkpoint has the whole log, and returns its tree.
func (r *rig) signed(t *testing.T) (tree wire.LogTree) {
	t.Helper()
	await(t, "the whole log is signed", func() error {
		trees, err := r.operator.LogTrees(t.Context())
		if err != nil {
			return err
		}
		tree = trees[len(trees)-1]
		if tree.Size == 0 || tree.Signed != tree.Size {
			return fmt.Errorf("%d of %d entries", tree.Signed, tree.Size)
		}
		return nil
	})
	return tree
}

func await(t *testing.T, what string, is func() error) {
	t.Helper()
	err := errors.New("never looked")
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = is(); err == nil {
			return
		}
	}
	t.Fatalf("not in time: %s: %v", what, err)
}

// verifications is how many there are to be; STRONGROOM_INTEROP says so.
func verifications(t *testing.T) int {
	t.Helper()
	text := os.Getenv("STRONGROOM_INTEROP")
	if text == "" {
		return 3000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1000 {
		t.Fatalf("STRONGROOM_INTEROP=%s: want a number of at least 1000", text)
	}
	return n
}
