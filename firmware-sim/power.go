package firmwaresim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// How long a node gets to come up and to go down in order.
const (
	liveTimeout = 30 * time.Second
	offTimeout  = 45 * time.Second // a node gives itself 30 s
)

var (
	// ErrOff: the chassis is not powered on.
	ErrOff = errors.New("the chassis is off")
	// ErrOn: it is.
	ErrOn = errors.New("the chassis is on")
)

// PowerOn starts the node and returns once it is live, which doesn't say that it is ready: it may wait for its token or
// for its peers; see AwaitReady.
func (c *Chassis) PowerOn(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.on() {
		return fmt.Errorf("powering %s on: %w", c.ID(), ErrOn)
	}
	p, err := start(c.rack.binary, c.LogFile(), c.env, "serve", "--config", c.ConfigFile())
	if err != nil {
		return fmt.Errorf("powering %s on: %w", c.ID(), err)
	}
	c.running = p
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	if err := poll(ctx, func() error { return c.ended(p) }, c.live); err != nil {
		_ = p.signal(syscall.SIGKILL)
		<-p.done
		c.running = nil
		return c.withLog(fmt.Errorf("powering %s on: %w", c.ID(), err))
	}
	return nil
}

// on says whether the node's process runs. The caller holds mu.
func (c *Chassis) on() bool { return c.running != nil && !c.running.ended() }

// PowerOff ends the node in order and waits for its end. A chassis that is off stays off; a node that ended otherwise
// than in order is an error.
func (c *Chassis) PowerOff() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.on() {
		c.running = nil
		return nil
	}
	p := c.running
	if err := errors.Join(p.signal(syscall.SIGCONT), p.signal(syscall.SIGTERM)); err != nil {
		return fmt.Errorf("powering %s off: %w", c.ID(), err)
	}
	timer := time.NewTimer(offTimeout)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		return c.withLog(fmt.Errorf("powering %s off: still running after %v", c.ID(), offTimeout))
	}
	c.running = nil
	if p.err != nil {
		return c.withLog(fmt.Errorf("powering %s off: %w", c.ID(), p.err))
	}
	return nil
}

// Kill takes the power away: SIGKILL, without a word to the node. A chassis that is off stays off.
func (c *Chassis) Kill() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running == nil {
		return nil
	}
	if err := c.running.signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("killing %s: %w", c.ID(), err)
	}
	<-c.running.done
	c.running = nil
	return nil
}

// Pause stops the node where it stands, as a hung machine; Resume lets it go on. Both are ErrOff when it isn't running.
func (c *Chassis) Pause() error { return c.setPaused("pausing", syscall.SIGSTOP) }

// Resume lets a paused node go on.
func (c *Chassis) Resume() error { return c.setPaused("resuming", syscall.SIGCONT) }

func (c *Chassis) setPaused(doing string, s syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.on() {
		return fmt.Errorf("%s %s: %w", doing, c.ID(), ErrOff)
	}
	if err := c.running.signal(s); err != nil {
		return fmt.Errorf("%s %s: %w", doing, c.ID(), err)
	}
	c.running.paused = s == syscall.SIGSTOP
	return nil
}

// PID is the process of the node, 0 when it is off.
func (c *Chassis) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.on() {
		return 0
	}
	return c.running.cmd.Process.Pid
}

// AwaitEnd returns how the node's process ended by itself: nil for in order. It is ErrOff when it doesn't run.
func (c *Chassis) AwaitEnd(ctx context.Context) error {
	c.mu.Lock()
	p := c.running
	c.mu.Unlock()
	if p == nil {
		return fmt.Errorf("waiting for the end of %s: %w", c.ID(), ErrOff)
	}
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("waiting for the end of %s: %w", c.ID(), ctx.Err())
	}
}

// WipeDisk erases the node's disk. The chassis has to be off. Such a node has no identity and no state; see
// Rack.Replace for how it comes back.
func (c *Chassis) WipeDisk() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.on() {
		return fmt.Errorf("wiping the disk of %s: %w", c.ID(), ErrOn)
	}
	if err := os.RemoveAll(c.DataDir()); err != nil {
		return fmt.Errorf("wiping the disk of %s: %w", c.ID(), err)
	}
	return nil
}
