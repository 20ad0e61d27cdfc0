package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"strongroom.internal/tests/postgres"
)

// The scripts in testdata/script are the tests of the command line and its documentation. They run the real binary on
// real SoftHSM tokens.

const scriptDeadline = 2 * time.Minute

const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

func TestMain(m *testing.M) {
	testscript.Main(withDatabase{m}, map[string]func(){"strongroom": main})
}

// database is for the tests that need one.
var database postgres.Server

// withDatabase ends it after the tests.
type withDatabase struct{ *testing.M }

func (m withDatabase) Run() int {
	code := m.M.Run()
	if err := database.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestScripts(t *testing.T) {
	if _, err := os.Stat(softHSM); err != nil {
		t.Skip("no SoftHSM: apt-get install softhsm2 makes this run")
	}
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		RequireUniqueNames: true,
		Deadline:           time.Now().Add(scriptDeadline), // a script that hangs says where
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("SOFTHSM", softHSM)
			e.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector's second at each program's end
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"chassis":  chassis,
			"newtoken": blankToken,
			"await":    await,
			"exits":    exits,
			"occupy":   occupy,
		},
	})
}

// chassis ID makes a virtual node: a token, PIN files, a configuration ID/strongroom.toml on free ports, and the
// variables ID_API, ID_MONITOR, and ID_LOG: an address for the public log, which is off.
func chassis(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: chassis id")
	}
	id := args[0]
	dir := ts.MkAbs(id)
	write := func(name, content string) {
		ts.Check(os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	ts.Check(os.MkdirAll(dir, 0o700))
	write("softhsm2.conf", fmt.Sprintf("directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n", dir))
	write("pin", "user-pin-of-"+id+"\n")
	write("so-pin", "officer-pin-of-"+id+"\n")
	blankToken(ts, false, args)
	ports := freePorts(ts, 4)
	write("strongroom.toml", fmt.Sprintf(`[node]
id = %q
data_dir = "%[2]s/data"
[cluster]
listen = "127.0.0.1:%[3]d"
heartbeat = "200ms"
[api]
listen = "127.0.0.1:%[4]d"
metrics_listen = "127.0.0.1:%[5]d"
[module]
path = %[6]q
token_label = %[1]q
pin_file = "%[2]s/pin"
so_pin_file = "%[2]s/so-pin"
softhsm2_conf = "%[2]s/softhsm2.conf"
sessions = 4
[limits]
min_free_mib = 16
`, id, dir, ports[0], ports[1], ports[2], softHSM))
	ts.Setenv(id+"_RAFT", fmt.Sprintf("127.0.0.1:%d", ports[0]))
	ts.Setenv(id+"_API", fmt.Sprintf("127.0.0.1:%d", ports[1]))
	ts.Setenv(id+"_MONITOR", fmt.Sprintf("127.0.0.1:%d", ports[2]))
	ts.Setenv(id+"_LOG", fmt.Sprintf("127.0.0.1:%d", ports[3]))
}

// newtoken ID initialises the chassis's token, whatever was on it.
func blankToken(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: newtoken id")
	}
	id, dir := args[0], ts.MkAbs(args[0])
	ts.Check(os.RemoveAll(filepath.Join(dir, "tokens")))
	ts.Check(os.Mkdir(filepath.Join(dir, "tokens"), 0o700))
	c := exec.Command("softhsm2-util", "--init-token", "--free", "--label", id, "--pin", "user-pin-of-"+id, "--so-pin", "officer-pin-of-"+id)
	c.Env = append(os.Environ(), "SOFTHSM2_CONF="+filepath.Join(dir, "softhsm2.conf"))
	if out, err := c.CombinedOutput(); err != nil {
		ts.Fatalf("softhsm2-util: %v\n%s", err, out)
	}
}

func freePorts(ts *testscript.TestScript, n int) (ports []int) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
		defer l.Close()
	}
	return ports
}

// await ADDRESS PATH STATUS waits until monitoring answers PATH with STATUS.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: await address path status")
	}
	var last string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		answer, err := http.Get("http://" + args[0] + args[1])
		if err != nil {
			last = err.Error()
			continue
		}
		var body bytes.Buffer
		_, _ = body.ReadFrom(answer.Body)
		answer.Body.Close()
		if last = fmt.Sprint(answer.StatusCode); last == args[2] {
			return
		}
		last += " " + body.String()
	}
	ts.Fatalf("%s%s is not %s in time: %s", args[0], args[1], args[2], last)
}

// exits CODE COMMAND... runs a command that has to end with that code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code command args...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if ended, ok := err.(*exec.ExitError); ok {
		code = fmt.Sprint(ended.ExitCode())
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if code != args[0] {
		ts.Fatalf("exit code %s, want %s", code, args[0])
	}
}

// occupied are the addresses that occupy took.
var occupied sync.Map

// occupy ADDRESS takes an address; ! occupy ADDRESS gives it back.
func occupy(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] occupy address")
	}
	if neg {
		l, _ := occupied.Load(args[0])
		ts.Check(l.(net.Listener).Close())
		return
	}
	l, err := net.Listen("tcp", args[0])
	ts.Check(err)
	occupied.Store(args[0], l)
	ts.Defer(func() { _ = l.Close() })
}
