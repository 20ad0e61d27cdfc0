package hsm

import (
	"fmt"
	"time"
)

// Status says whether a module can be used.
type Status uint8

// Statuses. Gone heals by itself when the module is back; PINRefused needs a restart with the right PIN.
const (
	InvalidStatus Status = iota
	Starting
	Ready
	Gone
	PINRefused
)

func (s Status) String() string {
	switch s {
	case Starting:
		return "starting"
	case Ready:
		return "ready"
	case Gone:
		return "gone"
	case PINRefused:
		return "PIN refused"
	}
	return "invalid"
}

// State is what a Pool knows of its module.
type State struct {
	Status Status
	Since  time.Time
	Reason string // of a status that is not Ready; holds no secret

	SessionsOpen  int
	SessionsInUse int
	Waiting       int
	Resident      int
	Hits          uint64 // MACs that found their seed resident
	Misses        uint64 // that had to unseal it
	Evictions     uint64
	Recoveries    uint64
}

func (s State) err() error {
	switch s.Status {
	case PINRefused:
		return fmt.Errorf("%w; it is not tried again: %s", ErrPIN, s.Reason)
	case Ready:
		return fmt.Errorf("%w: it went and came back, try again", ErrGone)
	}
	return fmt.Errorf("%w: %s", ErrGone, s.Reason)
}

// State gives the module's state now.
func (p *Pool) State() State {
	p.mu.Lock()
	s := p.state
	p.mu.Unlock()
	c := &p.counters
	s.SessionsOpen, s.SessionsInUse, s.Waiting = int(c.open.Load()), int(c.inUse.Load()), int(c.waiting.Load())
	s.Resident = p.resident.len()
	s.Hits, s.Misses, s.Evictions, s.Recoveries = c.hits.Load(), c.misses.Load(), c.evictions.Load(), c.recoveries.Load()
	return s
}

// setState changes the status and says so. The status PINRefused is final.
func (p *Pool) setState(status Status, reason error) {
	p.mu.Lock()
	old := p.state.Status
	if old == status || old == PINRefused {
		p.mu.Unlock()
		return
	}
	p.state = State{Status: status, Since: time.Now()}
	if reason != nil {
		p.state.Reason = reason.Error()
	}
	switch {
	case status == Ready:
		p.down = make(chan struct{})
	case old == Ready:
		close(p.down)
	}
	p.mu.Unlock()
	if p.config.OnChange != nil {
		p.config.OnChange(p.State())
	}
}
