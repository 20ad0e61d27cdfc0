package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"strongroom.internal/appliance/audit/audittest"
	"strongroom.internal/appliance/audit/export"
)

// The scripts in testdata/script are the tests of the command line and its documentation.

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"strongroom-verify": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector's second at each program's end
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"makelog": makeLog, "exits": exits},
	})
}

// makelog DIR SIZE... makes a log with trees of these sizes, and in DIR its policy, an export of everything (whole), one
// of the second minute of 2026 (minute.tar), the oldest tree's checkpoint, and the receipt of entry 3.
func makeLog(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: makelog dir size...")
	}
	var c audittest.Config
	for _, size := range args[1:] {
		n, err := strconv.ParseInt(size, 10, 64)
		ts.Check(err)
		c.Trees = append(c.Trees, n)
	}
	l, err := audittest.MakeLog(c)
	ts.Check(err)
	ctx, dir := context.Background(), ts.MkAbs(args[0])
	write := func(name string, b []byte, err error) {
		ts.Check(err)
		ts.Check(os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	ts.Check(os.MkdirAll(dir, 0o700))
	policy, err := l.Policy(ctx)
	write("policy", policy, err)
	write("strict-policy", []byte(strings.Replace(string(policy), "group nodes 2 ", "group nodes all ", 1)), nil)
	receipt, err := l.Receipt(ctx, 3)
	write("receipt", receipt, err)
	checkpoint, err := l.Read(ctx, l.All[0].Tree, "checkpoint")
	write("checkpoint", checkpoint, err)
	other, err := l.Checkpoint("strongroom.test/log/2026\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
	write("other-checkpoint", other, err)
	_, err = export.Run(ctx, l, export.Config{Out: filepath.Join(dir, "whole")})
	ts.Check(err)
	_, err = export.Run(ctx, l, export.Config{
		Out: filepath.Join(dir, "minute.tar"), Asked: export.Asked{From: "2026-01-01T00:01:00Z", To: "2026-01-01T00:01:59Z"},
	})
	ts.Check(err)
}

// exits CODE COMMAND... runs a command that has to end with that code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code command args...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if ended, ok := err.(*exec.ExitError); ok {
		code = strconv.Itoa(ended.ExitCode())
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if code != args[0] {
		ts.Fatalf("exit code %s, want %s", code, args[0])
	}
}
