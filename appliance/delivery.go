package appliance

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"strongroom.internal/appliance/account"
	"strongroom.internal/cluster"
	"strongroom.internal/cluster/failpoint"
	"strongroom.internal/hsm"
)

// The leader posts what is pending, by the Standard Webhooks specification: at least once, and in order for each account.
// What was taken is said so in a committed command; a leader that dies before that leaves it to the next one, which posts
// it again under the same webhook-id.

const (
	maxDeliveries   = 64               // accounts that are being posted for at once
	maxPerHook      = 16               // of them, for one tenant and destination; 1 while that takes nothing
	deliveryTimeout = 10 * time.Second // of one post
	firstRetry      = time.Second
	lastRetry       = 5 * time.Minute
	deliverEvery    = time.Second
	// deliverAtOnce bounds how many notices of one account are posted before it is said that they were taken.
	deliverAtOnce = 32
)

// queue is the pending notices of one account for one destination.
type queue struct {
	tenant, account string
	to              destination
}

// queueState is what the leader remembers of a queue between two looks; it is lost with the leader, and then every queue
// is tried at once.
type queueState struct {
	busy     bool
	failures int
	next     time.Time
}

// delivery is a leader's memory of what it delivers.
type delivery struct {
	mu     sync.Mutex // guards what follows
	queues map[queue]*queueState
	last   map[hook]string // the last failure, until something is taken
}

// hook is where notices of a tenant and destination are posted.
type hook struct {
	tenant string
	to     destination
}

func (q queue) hook() hook { return hook{q.tenant, q.to} }

// most is how many accounts may be posted for at once. One that takes nothing is tried with one: a tenant whose service
// hangs, with thousands of accounts that wait, would have all places, and the others' codes would not be sent. mu is held.
func (d *delivery) most(h hook) int {
	if d.last[h] != "" {
		return 1
	}
	return maxPerHook
}

// deliver posts pending notices while this node leads, until ctx ends.
func (s *Service) deliver(ctx context.Context) error {
	var workers sync.WaitGroup
	defer workers.Wait()
	again := make(chan struct{}, 1)
	tick := time.NewTicker(deliverEvery)
	defer tick.Stop()
	var trouble trouble
	for {
		rung := s.noticed.wait()
		if s.estate.Load() != nil && s.leads() {
			trouble.note(ctx, s.log, "reading the notices that wait", s.startDeliveries(ctx, &workers, again))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-rung:
			s.settle(ctx)
		case <-again:
		case <-tick.C:
		}
	}
}

func (s *Service) leads() bool { return s.members.Status().Leader == s.nodeID }

// settle waits a moment for what the machine was told of to be in a view.
func (s *Service) settle(ctx context.Context) {
	applied := s.members.Status().Applied
	wait, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	_ = s.engine.WaitApplied(wait, applied+1)
}

// startDeliveries looks at all that is pending and starts what is due and not under way.
func (s *Service) startDeliveries(ctx context.Context, workers *sync.WaitGroup, again chan<- struct{}) error {
	pending, order, err := s.pending()
	if err != nil {
		return err
	}
	d := &s.delivery
	d.mu.Lock()
	defer d.mu.Unlock()
	busy, at := 0, map[hook]int{}
	for q, state := range d.queues {
		if state.busy {
			busy++
			at[q.hook()]++
		} else if pending[q] == nil {
			delete(d.queues, q)
		}
	}
	waits := map[hook]bool{}
	for _, q := range order {
		waits[q.hook()] = true
	}
	maps.DeleteFunc(d.last, func(h hook, _ string) bool { return !waits[h] })
	now := time.Now()
	for _, q := range order {
		state := d.queues[q]
		if state == nil {
			state = &queueState{}
			if d.queues == nil {
				d.queues, d.last = map[queue]*queueState{}, map[hook]string{}
			}
			d.queues[q] = state
		}
		if state.busy || now.Before(state.next) || busy >= maxDeliveries || at[q.hook()] >= d.most(q.hook()) {
			continue
		}
		state.busy = true
		busy++
		at[q.hook()]++
		workers.Go(func() {
			err := s.deliverQueue(ctx, q, pending[q])
			s.delivered(q, err)
			select {
			case again <- struct{}{}:
			default:
			}
		})
	}
	return nil
}

// delivered notes how a queue's deliveries went.
func (s *Service) delivered(q queue, err error) {
	d := &s.delivery
	d.mu.Lock()
	defer d.mu.Unlock()
	state := d.queues[q]
	state.busy = false
	where := q.hook()
	if err == nil {
		state.failures, state.next = 0, time.Time{}
		delete(d.last, where)
		return
	}
	state.next = time.Now().Add(min(firstRetry<<min(state.failures, 16), lastRetry))
	state.failures++
	if d.last[where] != err.Error() {
		s.log.Warn("a notice was not taken: will try again", "tenant", q.tenant, "destination", q.to, "error", err)
	}
	d.last[where] = err.Error()
}

// pending reads all pending notices, by queue, and the queues in the order of their oldest.
func (s *Service) pending() (byQueue map[queue][]numbered, order []queue, err error) {
	byQueue = map[queue][]numbered{}
	err = s.engine.View(func(r cluster.Reader) error {
		return scanRecords(r, pendingPrefix, func(key string, n numbered) {
			tenant, rest, _ := strings.Cut(strings.TrimPrefix(key, pendingPrefix), "\x00")
			name, _, _ := strings.Cut(rest, "/")
			to, err := parseDestination(name)
			if err != nil {
				return
			}
			q := queue{tenant, n.Notice.Account, to}
			if byQueue[q] == nil {
				order = append(order, q)
			}
			if len(byQueue[q]) < deliverAtOnce {
				byQueue[q] = append(byQueue[q], n)
			}
		})
	})
	return byQueue, order, err
}

// deliverQueue posts an account's notices one after the other, up to the first that isn't taken, and says which were.
func (s *Service) deliverQueue(ctx context.Context, q queue, list []numbered) error {
	var taken []uint64
	var failed error
	for _, n := range list {
		if !s.leads() || ctx.Err() != nil {
			failed = errors.New("this node leads no more")
			break
		}
		if failed = s.post(ctx, q, n.Notice); failed != nil {
			break
		}
		taken = append(taken, n.Number)
	}
	if len(taken) == 0 {
		return failed
	}
	failpoint.Hit("notice-posted")
	cmd := noticeCommand{
		Time: account.Time(s.now().UnixMilli()), Node: s.nodeID,
		Delivered: &delivered{Tenant: q.tenant, Destination: q.to, Numbers: taken},
	}
	committed, err := s.engine.Propose(ctx, append([]byte{noticeCommandByte}, mustEncode(cmd)...))
	if err == nil {
		err = s.engine.WaitApplied(ctx, committed.Position)
	}
	return errors.Join(failed, err)
}

// post has one notice taken. It is nil too for one that nobody needs any more.
func (s *Service) post(ctx context.Context, q queue, n account.Notice) error {
	ctx, cancel := context.WithTimeout(ctx, deliveryTimeout)
	defer cancel()
	w, found, err := s.webhook(q.tenant, q.to)
	if err != nil {
		return err
	}
	if !found {
		return nil // it was removed, and all that waited for it
	}
	body, err := s.noticeBody(ctx, q, n)
	if err != nil || body == nil {
		return err
	}
	id, at := "msg_"+n.ID, strconv.FormatInt(s.now().Unix(), 10)
	signature, err := s.signWebhook(ctx, q, w, id+"."+at+"."+string(body))
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("making the request: the URL is not well-formed")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Strongroom")
	r.Header.Set("Webhook-Id", id)
	r.Header.Set("Webhook-Timestamp", at)
	r.Header.Set("Webhook-Signature", signature)
	answer, err := s.http.Do(r)
	if err != nil {
		// Not the cause as it is: it quotes the URL, whose path may be a secret.
		return fmt.Errorf("posting to %s: %w", hostOf(w.URL), errors.Unwrap(err))
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // so that the connection can be used again
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("posting to %s: it answers %d", hostOf(w.URL), answer.StatusCode)
	}
	return nil
}

// signWebhook is the signature of Standard Webhooks, "v1,<base64>", made in the module.
func (s *Service) signWebhook(ctx context.Context, q queue, w webhook, content string) (string, error) {
	var seed hsm.SealedSeed
	if err := decode(w.Seed, &seed); err != nil {
		return "", fmt.Errorf("decoding a webhook's secret: %w", err)
	}
	macs, err := s.pool.MAC(ctx, []hsm.Evaluation{{
		Binding: webhookBinding(q.tenant, q.to, w.Version), Seed: seed, Messages: [][]byte{[]byte(content)},
	}})
	if err != nil {
		return "", moduleError("signing a notice", err)
	}
	return "v1," + base64.StdEncoding.EncodeToString(macs[0][0]), nil
}

// Outbox is how the delivery of a tenant's notices stands.
type Outbox struct {
	Destination string
	Waiting     int
	Oldest      time.Time // of those that wait; zero: none waits
	Failure     string    // of the last try; only the leader knows it
}

// Outboxes says how the delivery of a tenant's notices stands, and how many were dropped to make room.
func (s *Service) Outboxes(ctx context.Context, _ Caller, tenant string) (list []Outbox, lost uint64, err error) {
	if err := s.engine.Sync(ctx); err != nil {
		return nil, 0, engineError(err)
	}
	err = s.engine.View(func(r cluster.Reader) error {
		head, err := readHead(r, tenant)
		if err != nil {
			return err
		}
		lost = head.Lost
		for _, d := range destinations {
			o := Outbox{Destination: d.String(), Waiting: int(head.Waiting[d])}
			var failed error
			err := r.Scan([]byte(pendingPrefixOf(tenant, d)), nil, func(_, raw []byte) bool {
				var n numbered
				failed = decode(raw, &n)
				o.Oldest = moment(n.Notice.Time)
				return false
			})
			if err := errors.Join(err, failed); err != nil {
				return err
			}
			s.delivery.mu.Lock()
			o.Failure = s.delivery.last[hook{tenant, d}]
			s.delivery.mu.Unlock()
			list = append(list, o)
		}
		return nil
	})
	return list, lost, err
}

// outboxTotals sums up all tenants, for the metrics.
func (s *Service) outboxTotals() (waiting int, lost uint64, err error) {
	err = s.engine.View(func(r cluster.Reader) error {
		return scanRecords(r, headKey(""), func(_ string, h outboxHead) {
			waiting += int(h.Waiting[toFrontend]) + int(h.Waiting[toGateway])
			lost += h.Lost
		})
	})
	return waiting, lost, err
}
