package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// manager is a service manager's end of sd_notify.
func manager(t *testing.T) (path string, next func() string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return path, func() string {
		b := make([]byte, 4096)
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

func TestSystemdIsToldAndFed(t *testing.T) {
	path, next := manager(t)
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "30000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	s := newSystemd()
	s.ready()
	if got := next(); got != "READY=1" {
		t.Errorf("got %q", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	hang := make(chan struct{})
	fed := 0
	go func() {
		defer close(ended)
		s.run(ctx, func() string { return "line" }, func() {
			if fed++; fed > 2 {
				<-hang // a probe that hangs starves the watchdog
			}
		})
	}()
	var got []string
	for range 4 {
		got = append(got, next())
	}
	if all := strings.Join(got, " "); all != "WATCHDOG=1 STATUS=line WATCHDOG=1 STATUS=line" {
		t.Errorf("got %s", all)
	}
	s.stopping() // the next thing that is heard: nothing came from the probe that hangs
	if got := next(); got != "STOPPING=1" {
		t.Errorf("got %q while the probe hangs", got)
	}
	close(hang)
	cancel()
	<-ended
}

func TestWithoutSystemdNothingIsSaid(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	s := newSystemd()
	s.ready()
	s.run(context.Background(), func() string { panic("asked") }, func() { panic("asked") })
}

func TestTheWatchdogOfAnotherProcessIsNotFed(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "30000")
	t.Setenv("WATCHDOG_PID", "1")
	if s := newSystemd(); s.watchdog != 0 {
		t.Errorf("got %v", s.watchdog)
	}
}
