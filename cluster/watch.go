package cluster

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/hashicorp/raft"
)

// Each second every node asks the others how they are: their clock, what they have applied, and the members as they
// know them.
const (
	pingEvery = time.Second
	// maxClockOffset is how far a clock may be from the median before its node must not compute codes.
	maxClockOffset = time.Second
	// heardFor is how long a node's answer counts.
	heardFor = 5 * time.Second
)

// Member is one node of the cluster.
type Member struct {
	ID      string `cbor:"1,keyasint" json:"id"`
	Address string `cbor:"2,keyasint" json:"address"` // host:port
	Voter   bool   `cbor:"3,keyasint" json:"voter"`
}

func members(c raft.Configuration) []Member {
	all := make([]Member, 0, len(c.Servers))
	for _, s := range c.Servers {
		_, hostPort, err := splitAddress(s.Address)
		if err != nil {
			hostPort = string(s.Address)
		}
		all = append(all, Member{string(s.ID), hostPort, s.Suffrage == raft.Voter})
	}
	return all
}

func has(all []Member, id string) bool {
	return slices.ContainsFunc(all, func(m Member) bool { return m.ID == id })
}

// pong answers a ping.
type pong struct {
	Clock       int64    `cbor:"1,keyasint"` // Unix nanoseconds
	Applied     uint64   `cbor:"2,keyasint"`
	ConfigIndex uint64   `cbor:"3,keyasint"` // of the newest committed configuration
	Members     []Member `cbor:"4,keyasint"` // in it
	LogMissing  int64    `cbor:"5,keyasint"` // entries of the key-usage log that it has still to fetch
	WantsPad    bool     `cbor:"6,keyasint"` // its Raft log has to go on to another segment, see eraser
}

func (r *Raft) handlePing() ([]byte, error) {
	index, c := r.fsm.configuration()
	return cbor.Marshal(pong{r.cfg.Clock().UnixNano(), r.fsm.progress.now(), index, members(c), r.writer.missing(), r.fsm.eraser.stuck.Load()})
}

// watch is what a node knows of its peers.
type watch struct {
	mu       sync.Mutex // guards what follows
	heard    map[string]heard
	index    uint64 // of the newest committed configuration that any member told
	members  []Member
	newcomer string // the node that this leader is adding, and must reach before it is a member
}

func (w *watch) setNewcomer(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.newcomer = id
}

type heard struct {
	at      time.Time // monotonic
	offset  time.Duration
	applied uint64
	pad     bool
}

func (w *watch) init() { w.heard = map[string]heard{} }

// allowed tells whether a node may talk with this one. It may when it is a member in the newest configuration known
// here: Raft's own, or a committed one that a member told and this node has not received yet. Without the latter, a node
// that was down while the others were replaced could never be told so by the new ones. A node that waits to be added
// talks with every node of its trust domain.
func (r *Raft) allowed(id string) bool {
	own := members(r.latest())
	if len(own) == 0 {
		return true
	}
	applied, _ := r.fsm.configuration()
	r.watch.mu.Lock()
	defer r.watch.mu.Unlock()
	if id == r.watch.newcomer {
		return true
	}
	if r.watch.index > applied {
		return has(r.watch.members, id)
	}
	return has(own, id)
}

// latest is Raft's newest configuration, committed or not.
func (r *Raft) latest() raft.Configuration { return r.raft.GetConfiguration().Configuration() }

// known is the members to talk with.
func (r *Raft) known() []Member {
	own := members(r.latest())
	applied, _ := r.fsm.configuration()
	r.watch.mu.Lock()
	defer r.watch.mu.Unlock()
	if r.watch.index > applied {
		return slices.Clone(r.watch.members)
	}
	return own
}

// watchPeers pings until the node stops.
func (r *Raft) watchPeers() {
	defer r.running.Done()
	tick := time.NewTicker(min(pingEvery, r.cfg.Heartbeat))
	defer tick.Stop()
	var pings sync.WaitGroup
	defer pings.Wait()
	busy := map[string]chan struct{}{}
	for {
		if r.id.Phase == joining && len(r.latest().Servers) > 0 {
			if err := r.becomeMember(); err != nil {
				r.die(fmt.Errorf("noting that this node is a member: %w", err))
				return
			}
		}
		for _, m := range r.known() {
			if m.ID == r.cfg.NodeID {
				continue
			}
			select {
			case <-busy[m.ID]: // ended
			default:
				if busy[m.ID] != nil {
					continue // its last ping is still under way
				}
			}
			done := make(chan struct{})
			busy[m.ID] = done
			pings.Add(1)
			go func() {
				defer pings.Done()
				defer close(done)
				r.ping(m)
			}()
		}
		r.link.sweep()
		select {
		case <-tick.C:
		case <-r.stopping:
			return
		}
	}
}

// ping asks one node. If it does not answer, its connections are given up, so that what waits on them learns of it.
func (r *Raft) ping(m Member) {
	a := address(m.ID, m.Address)
	ctx, cancel := context.WithTimeout(r.life, r.cfg.rpcTimeout())
	defer cancel()
	before := r.cfg.Clock()
	began := time.Now()
	body, err := r.peers.call(ctx, a, kindPing, nil)
	if err != nil {
		if ctx.Err() != nil {
			r.link.drop(m.ID)
		}
		return
	}
	took := time.Since(began)
	var p pong
	if err := cbor.Unmarshal(body, &p); err != nil {
		r.cfg.Logger.Warn("a node's answer can't be read", "node", m.ID, "error", err)
		return
	}
	// Its clock was read at some moment of the exchange; half-way is off by at most half of what it took.
	offset := time.Unix(0, p.Clock).Sub(before.Round(0).Add(took / 2))
	r.watch.mu.Lock()
	defer r.watch.mu.Unlock()
	r.watch.heard[m.ID] = heard{time.Now(), offset, p.Applied, p.WantsPad}
	if p.ConfigIndex > r.watch.index {
		r.watch.index, r.watch.members = p.ConfigIndex, p.Members
	}
}

// ClockOffset is how far this node's clock is ahead of the median of the members' clocks, its own among them: with three
// nodes, one that is wrong doesn't move the median. ok is false when fewer than a majority were heard in the last
// seconds.
func (r *Raft) ClockOffset() (offset time.Duration, ok bool) {
	all := r.known()
	offsets := []time.Duration{0}
	r.watch.mu.Lock()
	for _, m := range all {
		if h, ok := r.watch.heard[m.ID]; ok && m.ID != r.cfg.NodeID && time.Since(h.at) < heardFor {
			offsets = append(offsets, h.offset)
		}
	}
	r.watch.mu.Unlock()
	if 2*len(offsets) <= len(all) {
		return 0, false
	}
	return -median(offsets), true
}

// median is the middle one, or the mean of the two.
func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	n := len(d)
	return (d[(n-1)/2] + d[n/2]) / 2
}

// ClockError returns an error when this node's clock is off by more than a second, and nil when it isn't or when too few
// nodes were heard to tell: such a node can commit nothing anyway.
func (r *Raft) ClockError() error {
	offset, ok := r.ClockOffset()
	if ok && offset.Abs() > maxClockOffset {
		return fmt.Errorf("this node's clock is %v off the median of the cluster's", offset.Round(time.Millisecond))
	}
	return nil
}
