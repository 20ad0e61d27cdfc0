package firmwaresim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"strongroom.internal/api/wire"
)

// Up brings the whole rack up, wherever it stands: it founds the cluster on the first chassis when there is none, puts
// tokens back that are out, powers on what is off, lets in who is not in yet, and returns when every node is ready and
// votes. A node whose disk was wiped comes back as a new one. The nodes stay on when it fails.
func (r *Rack) Up(ctx context.Context) error {
	for _, c := range r.Chassis {
		if !c.TokenIn() {
			r.say("putting the token of %s back", c.ID())
			if err := c.InsertToken(); err != nil {
				return err
			}
		}
	}
	members := r.members()
	if len(members) == 0 || !r.Operator().present() {
		if err := r.Init(ctx, r.Chassis[0]); err != nil {
			return err
		}
		members = r.members()
	}
	if err := r.powerOn(ctx, members); err != nil {
		return err
	}
	for _, c := range r.Chassis {
		if c.Initialised() {
			continue
		}
		if err := r.renewIfWiped(ctx, c); err != nil {
			return err
		}
		if err := r.Join(ctx, c); err != nil {
			return err
		}
		if err := r.powerOn(ctx, []*Chassis{c}); err != nil {
			return err
		}
	}
	return r.AwaitVoters(ctx)
}

// members are the chassis that are in the cluster as far as they know.
func (r *Rack) members() []*Chassis {
	var members []*Chassis
	for _, c := range r.Chassis {
		if c.Initialised() {
			members = append(members, c)
		}
	}
	return members
}

// renewIfWiped replaces a chassis whose node is a member of the cluster and doesn't know it any more.
func (r *Rack) renewIfWiped(ctx context.Context, c *Chassis) error {
	leader, err := r.Leader(ctx)
	if err != nil {
		return err
	}
	seen, err := r.Cluster(ctx, leader)
	if err != nil {
		return fmt.Errorf("listing the members: %w", err)
	}
	if !slices.ContainsFunc(seen.Members, func(m wire.Member) bool { return m.ID == c.ID() }) {
		return nil
	}
	r.say("%s has lost its disk: replacing it", c.ID())
	return r.Replace(ctx, c)
}

// powerOn powers several chassis on at once, those that are off, and waits until they are ready.
func (r *Rack) powerOn(ctx context.Context, chassis []*Chassis) error {
	errs := make([]error, len(chassis))
	var wg sync.WaitGroup
	for i, c := range chassis {
		wg.Go(func() {
			if c.Power() != On {
				r.say("powering %s on", c.ID())
			}
			if errs[i] = c.PowerOn(ctx); errors.Is(errs[i], ErrOn) {
				errs[i] = nil
			}
			if errs[i] == nil {
				errs[i] = c.AwaitReady(ctx)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Init founds the cluster on a chassis that is off, and keeps the first operator's credentials; see Operator.
func (r *Rack) Init(ctx context.Context, c *Chassis) error {
	r.say("founding the cluster on %s", c.ID())
	_, err := r.Run(ctx, "", "init", "--config", c.ConfigFile(), "--trust-domain", r.trustDomain,
		"--operator-out", r.Operator().Dir)
	if err != nil {
		return fmt.Errorf("founding the cluster on %s: %w", c.ID(), err)
	}
	return nil
}

// Join lets a chassis that is off into the cluster, by a one-time token of a node that is ready. Power it on afterwards.
func (r *Rack) Join(ctx context.Context, c *Chassis) error {
	r.say("joining %s", c.ID())
	var peers []*Chassis
	for _, peer := range r.Chassis {
		if peer != c && peer.Ready(ctx) == nil {
			peers = append(peers, peer)
		}
	}
	if len(peers) == 0 {
		return fmt.Errorf("joining %s: no node is ready to let it in", c.ID())
	}
	operator, err := r.Client(r.Operator(), peers...)
	if err != nil {
		return fmt.Errorf("joining %s: %w", c.ID(), err)
	}
	defer operator.Close()
	token, err := operator.CreateJoinToken(ctx, 0)
	if err != nil {
		return fmt.Errorf("joining %s: making a token: %w", c.ID(), err)
	}
	_, err = r.Run(ctx, token.Token.Reveal(), "join", "--config", c.ConfigFile(), "--peer", "https://"+peers[0].APIAddr(),
		"--token-file", "-")
	if err != nil {
		return fmt.Errorf("joining %s: %w", c.ID(), err)
	}
	return nil
}

// Replace puts a new box in the place of a chassis that is off: an empty disk, a new token and a new node id. If the node
// that it was is in the cluster, that is removed from it. Join lets the new one in.
func (r *Rack) Replace(ctx context.Context, c *Chassis) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	former := c.ID()
	if c.on() {
		return fmt.Errorf("replacing %s: %w", former, ErrOn)
	}
	if r.Operator().present() {
		if err := r.RemoveNode(ctx, former); err != nil {
			return fmt.Errorf("replacing %s: %w", former, err)
		}
	}
	r.ids.Lock()
	c.id = nextID(c.slot, former)
	r.ids.Unlock()
	if err := c.build(ctx); err != nil {
		return fmt.Errorf("replacing %s: %w", former, err)
	}
	return r.keep()
}

// RemoveNode takes a node out of the cluster, by its id.
func (r *Rack) RemoveNode(ctx context.Context, id string) error {
	operator, err := r.Client(r.Operator())
	if err != nil {
		return err
	}
	defer operator.Close()
	if err := operator.RemoveNode(ctx, id); err != nil {
		return fmt.Errorf("removing node %s: %w", id, err)
	}
	return nil
}

// nextID is slot, slot-2, slot-3, ...: an id is never used twice.
func nextID(slot, id string) string {
	n := 1
	if _, after, ok := strings.Cut(id, slot+"-"); ok {
		_, _ = fmt.Sscanf(after, "%d", &n)
	}
	return fmt.Sprintf("%s-%d", slot, n+1)
}

// Cluster asks one node what it sees.
func (r *Rack) Cluster(ctx context.Context, c *Chassis) (wire.Cluster, error) {
	operator, err := r.Client(r.Operator(), c)
	if err != nil {
		return wire.Cluster{}, err
	}
	defer operator.Close()
	return operator.Cluster(ctx)
}

// Leader finds the chassis that leads: one that is on, not paused, and says so itself in the newest term. It waits for
// an election, as long as ctx lasts.
func (r *Rack) Leader(ctx context.Context) (*Chassis, error) {
	var leader *Chassis
	err := poll(ctx, never, func(ctx context.Context) error {
		leader = nil
		var term uint64
		var errs []error
		for _, c := range r.Chassis {
			if power := c.Power(); power != On {
				errs = append(errs, fmt.Errorf("%s is %s", c.ID(), power))
				continue
			}
			one, cancel := context.WithTimeout(ctx, time.Second)
			seen, err := r.Cluster(one, c)
			cancel()
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", c.ID(), err))
			} else if seen.Leader == c.ID() && seen.Term >= term {
				leader, term = c, seen.Term
			}
		}
		if leader == nil {
			return errors.Join(append(errs, errors.New("no node says that it leads"))...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("finding the leader: %w", err)
	}
	return leader, nil
}

// AwaitVoters returns once every chassis is a voter of the cluster in the leader's eyes.
func (r *Rack) AwaitVoters(ctx context.Context) error {
	err := poll(ctx, never, func(ctx context.Context) error {
		leader, err := r.Leader(ctx)
		if err != nil {
			return err
		}
		seen, err := r.Cluster(ctx, leader)
		if err != nil {
			return err
		}
		voters := make(map[string]bool)
		for _, m := range seen.Members {
			voters[m.ID] = m.Voter
		}
		for _, c := range r.Chassis {
			if !voters[c.ID()] {
				return fmt.Errorf("%s has no vote yet", c.ID())
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("waiting for all nodes to vote: %w", err)
	}
	return nil
}

func never() error { return nil }
