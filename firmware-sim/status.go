package firmwaresim

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// Power is the state of a chassis's power.
type Power uint8

// Off is the zero value.
const (
	Off Power = iota
	On
	Paused
	Ended // the node's process ended by itself; PowerOn starts it again
)

var powers = [...]string{"off", "on", "paused", "ended"}

func (p Power) String() string { return powers[p] }

// MarshalText writes the word.
func (p Power) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads it.
func (p *Power) UnmarshalText(text []byte) error {
	i := slices.Index(powers[:], string(text))
	if i < 0 {
		return fmt.Errorf("%q is no state of power", text)
	}
	*p = Power(i)
	return nil
}

// Power tells the state of the chassis's power.
func (c *Chassis) Power() Power {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.running == nil:
		return Off
	case c.running.ended():
		return Ended
	case c.running.paused:
		return Paused
	default:
		return On
	}
}

// Status is what can be seen from outside of a chassis.
type Status struct {
	Slot    string `json:"slot"`
	ID      string `json:"id"`
	Power   Power  `json:"power"`
	PID     int    `json:"pid,omitempty"`
	TokenIn bool   `json:"token_in"`
	Member  bool   `json:"member"` // it has an identity on its disk
	Ready   bool   `json:"ready"`
	Reason  string `json:"reason,omitempty"` // why it is not
	API     string `json:"api"`
	Metrics string `json:"metrics"`
	Log     string `json:"log"` // where the key-usage log is public
}

// Status looks at a chassis.
func (c *Chassis) Status(ctx context.Context) Status {
	s := Status{
		Slot: c.slot, ID: c.ID(), Power: c.Power(), PID: c.PID(), TokenIn: c.TokenIn(), Member: c.Initialised(),
		API: c.APIAddr(), Metrics: c.MetricsAddr(), Log: c.LogURL(),
	}
	if s.Power == On {
		if err := c.Ready(ctx); err != nil {
			s.Reason = err.Error()
		} else {
			s.Ready = true
		}
	}
	return s
}

// Status looks at all chassis at once.
func (r *Rack) Status(ctx context.Context) []Status {
	all := make([]Status, len(r.Chassis))
	var wg sync.WaitGroup
	for i, c := range r.Chassis {
		wg.Go(func() { all[i] = c.Status(ctx) })
	}
	wg.Wait()
	return all
}
