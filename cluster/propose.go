package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

const (
	queueLength = 8192 // proposals that wait; more are turned away as busy
	inFlight    = 2    // entries, or requests to the leader, under way at once; what comes meanwhile makes the next
)

var (
	// errNoLeader: another node is the one to ask, or nobody is for now. Propose and Sync try again on it.
	errNoLeader = fmt.Errorf("%w: this node is not the leader or knows none", ErrNoEffect)
	errBusy     = fmt.Errorf("%w: too many commands are waiting", ErrNoEffect)
	errStopped  = errors.New("this node is stopped")
)

// proposal is one command on its way.
type proposal struct {
	command   []byte
	forwarded bool         // it came from another node, and must not go to a third
	taken     atomic.Int32 // 0: queued, 1: on its way, 2: its caller left before
	done      chan outcome // of capacity 1
}

type outcome struct {
	result Result
	err    error
}

func (p *proposal) finish(r Result, err error) { p.done <- outcome{r, err} }

// Propose is of Engine. It tries again while there is no leader, within the context or ProposeTimeout.
func (r *Raft) Propose(ctx context.Context, command []byte) (Result, error) {
	if len(command) > MaxCommand {
		return Result{}, fmt.Errorf("%w: a command of %d bytes, at most %d are allowed", ErrNoEffect, len(command), MaxCommand)
	}
	ctx, cancel := r.bound(ctx)
	defer cancel()
	for {
		result, err := r.proposeOnce(ctx, command, false)
		if err == nil || !errors.Is(err, errNoLeader) || !r.retry(ctx) {
			return result, err
		}
	}
}

// bound gives a context without a deadline one.
func (r *Raft) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, r.cfg.ProposeTimeout)
}

// retry waits for another leader, or a little, and tells whether to try again.
func (r *Raft) retry(ctx context.Context) bool {
	timer := time.NewTimer(r.cfg.Heartbeat / 10)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.leaderChange():
		return true
	case <-ctx.Done():
	case <-r.stopping:
	case <-r.dead:
	}
	return false
}

// proposeOnce queues a command and waits for its outcome.
func (r *Raft) proposeOnce(ctx context.Context, command []byte, forwarded bool) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, fmt.Errorf("%w: %w", ErrNoEffect, err)
	}
	p := &proposal{command: command, forwarded: forwarded, done: make(chan outcome, 1)}
	if err := r.enqueue(p); err != nil {
		return Result{}, err
	}
	var why error
	select {
	case o := <-p.done:
		return o.result, o.err
	case <-ctx.Done():
		why = ctx.Err()
	case <-r.stopping:
		why = errStopped
	case <-r.dead:
		why = errStopped
	}
	if p.taken.CompareAndSwap(0, 2) {
		return Result{}, fmt.Errorf("%w: %w", ErrNoEffect, why)
	}
	select { // it may have ended at the same moment
	case o := <-p.done:
		return o.result, o.err
	default:
		return Result{}, fmt.Errorf("%w: %w", ErrUnknown, why)
	}
}

func (r *Raft) enqueue(p *proposal) error {
	select {
	case <-r.stopping:
		return fmt.Errorf("%w: %w", ErrNoEffect, errStopped)
	case <-r.dead:
		return fmt.Errorf("%w: %w", ErrNoEffect, errStopped)
	default:
	}
	select {
	case r.queue <- p:
		return nil
	default:
		return errBusy
	}
}

// pack makes batches of the queue. An idle node sends a command at once; while inFlight batches are under way, commands
// gather, and the next batch takes all of them: the busier, the larger.
func (r *Raft) pack() {
	defer r.running.Done()
	slots := make(chan struct{}, inFlight)
	for {
		var first *proposal
		select {
		case first = <-r.queue:
		case <-r.stopping:
			return
		}
		select {
		case slots <- struct{}{}:
		case <-r.stopping:
			return // the caller sees stopping too
		}
		batch := gather(first, r.queue)
		if len(batch) == 0 {
			<-slots
			continue
		}
		r.running.Add(1)
		go func() {
			defer r.running.Done()
			defer func() { <-slots }()
			r.commit(batch)
		}()
	}
}

// gather takes what waits, up to the bounds of a batch, and leaves out what its caller gave up.
func gather(first *proposal, queue <-chan *proposal) []*proposal {
	var batch []*proposal
	size := 0
	for p := first; ; {
		if p.taken.CompareAndSwap(0, 1) {
			batch = append(batch, p)
			size += len(p.command)
		}
		// Another of the largest commands must still fit.
		if len(batch) == maxBatch || size > maxBatchBytes-MaxCommand {
			return batch
		}
		select {
		case p = <-queue:
		default:
			return batch
		}
	}
}

// commit sends a batch to where it is decided, and gives every proposal its outcome.
func (r *Raft) commit(batch []*proposal) {
	if r.raft.State() == raft.Leader {
		r.commitHere(batch)
		return
	}
	mine := batch[:0]
	for _, p := range batch {
		if p.forwarded {
			p.finish(Result{}, errNoLeader)
		} else {
			mine = append(mine, p)
		}
	}
	if len(mine) > 0 {
		r.commitThere(mine)
	}
}

func encode(batch []*proposal) []byte {
	commands := make([][]byte, len(batch))
	size := 8
	for i, p := range batch {
		commands[i] = p.command
		size += len(p.command) + 4
	}
	return appendBatch(make([]byte, 0, size), commands)
}

// share gives each proposal its result, or all of them the error.
func share(batch []*proposal, results []Result, err error) {
	if err == nil && len(results) != len(batch) {
		err = fmt.Errorf("%w: %d results for %d commands", ErrUnknown, len(results), len(batch))
	}
	for i, p := range batch {
		if err != nil {
			p.finish(Result{}, err)
		} else {
			p.finish(results[i], nil)
		}
	}
}

// commitHere makes the batch an entry of Raft's log, on the leader.
func (r *Raft) commitHere(batch []*proposal) {
	f := r.raft.Apply(encode(batch), r.cfg.rpcTimeout())
	if err := r.await(f, 2*r.cfg.ProposeTimeout); err != nil {
		share(batch, nil, raftError(err))
		return
	}
	switch answer := f.Response().(type) {
	case []Result:
		share(batch, answer, nil)
	case error:
		share(batch, nil, fmt.Errorf("%w: %w", ErrUnknown, answer))
	default:
		share(batch, nil, fmt.Errorf("%w: no answer from the state", ErrUnknown))
	}
}

// await waits for one of Raft's futures, which can stay pending for ever.
func (r *Raft) await(f raft.Future, timeout time.Duration) error {
	done := make(chan error, 1)
	go func() { done <- f.Error() }()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return errors.New("no outcome in time")
	case <-r.dead:
		return errStopped
	case <-r.halted:
		return errStopped
	}
}

// raftError sorts the errors of raft.Apply into the two classes. Only these three say that an entry was never appended.
// Everything else, an error of the log store too, leaves it open: the entry may be on disk.
func raftError(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return errNoLeader
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return errBusy
	}
	return fmt.Errorf("%w: %v", ErrUnknown, err)
}

// commitThere sends the batch to the leader.
func (r *Raft) commitThere(batch []*proposal) {
	leader, id := r.raft.LeaderWithID()
	if leader == "" || id == raft.ServerID(r.cfg.NodeID) {
		share(batch, nil, errNoLeader)
		return
	}
	ctx, cancel := context.WithTimeout(r.life, 2*r.cfg.ProposeTimeout)
	defer cancel()
	body, err := r.peers.call(ctx, leader, kindPropose, encode(batch))
	if err != nil {
		share(batch, nil, err)
		return
	}
	outcomes, err := parseOutcomes(body, len(batch))
	if err != nil {
		share(batch, nil, fmt.Errorf("%w: reading the leader's answer: %v", ErrUnknown, err))
		return
	}
	for i, p := range batch {
		p.done <- outcomes[i]
	}
}

// handlePropose decides a batch that another node sent.
func (r *Raft) handlePropose(ctx context.Context, payload []byte) ([]byte, error) {
	commands, err := parseBatch(payload)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNoEffect, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*r.cfg.ProposeTimeout)
	defer cancel()
	all := make([]*proposal, len(commands))
	outcomes := make([]outcome, len(commands))
	for i, c := range commands {
		all[i] = &proposal{command: c, forwarded: true, done: make(chan outcome, 1)}
		if err := r.enqueue(all[i]); err != nil {
			all[i].finish(Result{}, err)
		}
	}
	for i, p := range all {
		select {
		case outcomes[i] = <-p.done:
			continue
		case <-ctx.Done():
		case <-r.stopping:
		case <-r.dead:
		}
		if p.taken.CompareAndSwap(0, 2) {
			outcomes[i].err = fmt.Errorf("%w: %w", ErrNoEffect, errStopped)
			continue
		}
		select {
		case outcomes[i] = <-p.done:
		default:
			outcomes[i].err = fmt.Errorf("%w: the leader is stopping or stuck", ErrUnknown)
		}
	}
	return appendOutcomes(nil, outcomes), nil
}

// The outcomes of a forwarded batch: for each command its status, and then either the uint64 position and the data, or
// the message of the error; data and message are preceded by a uint32 length.
func appendOutcomes(dst []byte, outcomes []outcome) []byte {
	for _, o := range outcomes {
		dst = append(dst, status(o.err))
		data := o.result.Data
		if o.err == nil {
			dst = binary.BigEndian.AppendUint64(dst, o.result.Position)
		} else {
			data = []byte(o.err.Error())
		}
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(data)))
		dst = append(dst, data...)
	}
	return dst
}

var errOutcomes = errors.New("not the outcomes of a batch")

// parseOutcomes reads the outcomes of n commands.
func parseOutcomes(b []byte, n int) ([]outcome, error) {
	all := make([]outcome, n)
	for i := range all {
		if len(b) < 1 {
			return nil, errOutcomes
		}
		s := b[0]
		b = b[1:]
		var position uint64
		if s == statusOK {
			if len(b) < 8 {
				return nil, errOutcomes
			}
			position = binary.BigEndian.Uint64(b)
			b = b[8:]
		}
		if len(b) < 4 {
			return nil, errOutcomes
		}
		size := binary.BigEndian.Uint32(b)
		if b = b[4:]; uint64(size) > uint64(len(b)) {
			return nil, errOutcomes
		}
		data := b[:size:size]
		b = b[size:]
		if err := statusError(s, string(data)); err != nil {
			all[i].err = err
		} else {
			all[i].result = Result{Data: data, Position: position}
		}
	}
	if len(b) != 0 {
		return nil, errOutcomes
	}
	return all, nil
}
