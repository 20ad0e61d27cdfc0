package main

import (
	"context"
	"net"
	"os"
	"strconv"
	"time"
)

// systemd tells the service manager how things are: sd_notify(3), a datagram of lines to the socket in $NOTIFY_SOCKET.
// Without one every method does nothing.
type systemd struct {
	socket   string
	watchdog time.Duration // 0: none is wanted
}

func newSystemd() *systemd {
	s := &systemd{socket: os.Getenv("NOTIFY_SOCKET")}
	pid, usec := os.Getenv("WATCHDOG_PID"), os.Getenv("WATCHDOG_USEC")
	if n, err := strconv.ParseInt(usec, 10, 64); err == nil && n > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		s.watchdog = time.Duration(n) * time.Microsecond
	}
	return s
}

func (s *systemd) ready()             { s.notify("READY=1") }
func (s *systemd) stopping()          { s.notify("STOPPING=1") }
func (s *systemd) status(line string) { s.notify("STATUS=" + line) }

// notify drops what can't be sent: the service manager's trouble is not the node's.
func (s *systemd) notify(state string) {
	if s.socket == "" {
		return
	}
	name := s.socket
	if name[0] == '@' {
		name = "\x00" + name[1:] // an abstract socket
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = c.Write([]byte(state))
}

// run keeps the status line fresh and feeds the watchdog until ctx ends. A probe that hangs starves the watchdog, and
// the service manager restarts the node: that is what it is for.
func (s *systemd) run(ctx context.Context, line func() string, probe func()) {
	if s.socket == "" {
		return
	}
	every := 5 * time.Second
	if s.watchdog > 0 {
		every = min(every, s.watchdog/3)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		probe()
		if s.watchdog > 0 {
			s.notify("WATCHDOG=1")
		}
		s.status(line())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
