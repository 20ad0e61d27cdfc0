package appliance

import (
	"bytes"
	"errors"
	"fmt"

	"strongroom.internal/appliance/account"
	"strongroom.internal/cluster"
)

// The outbox keeps what others have to be told. A notice is written in the same step as the act that it is about, once for
// each way that it goes: pending, until whoever it is for has taken it and a committed command says so; and, for the
// front-end's stream, in a ring of the newest.
//
// Acts that are nothing without their notice are refused while maxWaiting are pending. What must not be refused, such as
// the removal of a stolen device, goes on to write; beyond twice as many, the oldest that is pending makes room and is
// counted as lost.

// destination is who a pending notice is for.
type destination uint8

const (
	invalidDestination destination = iota
	toFrontend
	toGateway
)

var destinationNames = [...]string{"invalid", "frontend", "gateway"}

func (d destination) String() string { return destinationNames[d] }

// destinations in the order of the documentation.
var destinations = [...]destination{toFrontend, toGateway}

const (
	// maxPending is the number of pending notices of one tenant and destination from which on acts are refused.
	maxPending = 10_000
	// keepNotices is how many notices a stream that was interrupted can be resumed over.
	keepNotices = 1_000
)

// outboxHead is where a tenant's outbox stands.
type outboxHead struct {
	Next    uint64    `cbor:"1,keyasint"` // number of the next notice; the first is 1
	Waiting [3]uint32 `cbor:"2,keyasint"` // pending, by destination
	Lost    uint64    `cbor:"3,keyasint"` // pending ones that were dropped to make room
}

// numbered is a notice and its number among those of its tenant.
type numbered struct {
	Number uint64         `cbor:"1,keyasint"`
	Notice account.Notice `cbor:"2,keyasint"`
}

// webhook is where notices of a destination are posted. Seed is the sealed secret, with which the module signs.
type webhook struct {
	URL     string `cbor:"1,keyasint"`
	Seed    []byte `cbor:"2,keyasint"`
	Version uint32 `cbor:"3,keyasint"`
}

func headKey(tenant string) string { return outboxPrefix + "head/" + tenant }

func noticePrefix(tenant string) string { return outboxPrefix + "notice/" + tenant + "\x00" }

func noticeKey(tenant string, n uint64) []byte {
	return fmt.Appendf(nil, "%s%016x", noticePrefix(tenant), n)
}

func pendingKey(tenant string, d destination, n uint64) []byte {
	return fmt.Appendf(nil, "%s%016x", pendingPrefixOf(tenant, d), n)
}

func pendingPrefixOf(tenant string, d destination) string {
	return pendingPrefix + tenant + "\x00" + d.String() + "/"
}

func webhookKey(tenant string, d destination) string {
	return webhookPrefix + tenant + "\x00" + d.String()
}

func readHead(r cluster.Reader, tenant string) (outboxHead, error) {
	head, _, err := readRecord[outboxHead](r, headKey(tenant))
	return head, err
}

// noteOutbox fills in what a command's decision has to know of the outbox, if it has to know.
func noteOutbox(tx cluster.Tx, cmd *account.Command, p *Policy) error {
	act := cmd.RecoveryAct
	tells := cmd.StartRecovery != nil || act != nil && act.Act == account.RecoveryClaim
	sends := cmd.Send != nil || cmd.SendPhone != nil || cmd.SendTwoStep != nil || act != nil && act.Act == account.RecoverySend ||
		cmd.EditPhone != nil && cmd.EditPhone.Remove
	if cmd.Begin == nil && !sends && !tells {
		return nil
	}
	head, err := readHead(tx, cmd.Tenant)
	if err != nil {
		return err
	}
	if tells {
		p.NoticesFull = head.Waiting[toFrontend] >= maxPending || head.Waiting[toGateway] >= maxPending
		return nil
	}
	to := toGateway
	if cmd.Begin != nil {
		to = toFrontend
	} else if _, p.Gateway, err = readRecord[webhook](tx, webhookKey(cmd.Tenant, toGateway)); err != nil {
		return err
	}
	p.NoticesFull = head.Waiting[to] >= maxPending
	return nil
}

// prepareNotices writes the notices of a decision. What it reads, it reads before the writes of the step.
func prepareNotices(tx cluster.Tx, tenant string, notices []account.Notice) (write func(), err error) {
	if len(notices) == 0 {
		return func() {}, nil
	}
	head, err := readHead(tx, tenant)
	if err != nil {
		return nil, err
	}
	var configured [len(destinationNames)]bool
	for _, d := range destinations {
		if _, configured[d], err = readRecord[webhook](tx, webhookKey(tenant, d)); err != nil {
			return nil, err
		}
	}
	var drop [][]byte
	for _, n := range notices {
		if d := destinationOf(n.Kind); configured[d] {
			if head.Waiting[d] >= 2*maxPending {
				key, err := oldest(tx, pendingPrefixOf(tenant, d), drop)
				if err != nil {
					return nil, err
				}
				if key != nil {
					drop = append(drop, key)
					head.Waiting[d]--
					head.Lost++
				}
			}
			head.Waiting[d]++
		}
	}
	return func() {
		for _, key := range drop {
			tx.Delete(key)
		}
		for _, n := range notices {
			head.Next++
			encoded := mustEncode(numbered{Number: head.Next, Notice: n})
			d := destinationOf(n.Kind)
			if configured[d] {
				tx.Set(pendingKey(tenant, d, head.Next), encoded)
			}
			if d == toFrontend {
				tx.Set(noticeKey(tenant, head.Next), encoded)
			}
			if head.Next > keepNotices {
				tx.Delete(noticeKey(tenant, head.Next-keepNotices))
			}
		}
		tx.Set([]byte(headKey(tenant)), mustEncode(head))
	}, nil
}

// prepareErasure finds an account's notices, pending ones too. One names the account and the time of an act, which is
// an entry's as well: it would link the key-usage log to a person after the account is gone.
func prepareErasure(tx cluster.Tx, tenant, name string) (erase func(), err error) {
	head, err := readHead(tx, tenant)
	if err != nil {
		return nil, err
	}
	var drop [][]byte
	find := func(prefix []byte) (found uint32, err error) {
		var bad error
		err = tx.Scan(prefix, nil, func(k, raw []byte) bool {
			if !bytes.Contains(raw, []byte(name)) {
				return true
			}
			var n numbered
			if bad = decode(raw, &n); bad == nil && n.Notice.Account == name {
				drop = append(drop, bytes.Clone(k))
				found++
			}
			return bad == nil
		})
		return found, errors.Join(err, bad)
	}
	_, err = find([]byte(noticePrefix(tenant)))
	for _, d := range destinations {
		n, e := find([]byte(pendingPrefixOf(tenant, d)))
		head.Waiting[d] -= n
		err = errors.Join(err, e)
	}
	if err != nil {
		return nil, fmt.Errorf("finding an account's notices: %w", err)
	}
	return func() {
		for _, k := range drop {
			tx.Delete(k)
		}
		if len(drop) > 0 {
			tx.Set([]byte(headKey(tenant)), mustEncode(head))
		}
	}, nil
}

func destinationOf(k account.NoticeKind) destination {
	if k.Gateway() {
		return toGateway
	}
	return toFrontend
}

// oldest is the first key under a prefix that isn't among those that go anyway.
func oldest(tx cluster.Tx, prefix string, except [][]byte) (key []byte, err error) {
	err = tx.Scan([]byte(prefix), nil, func(k, _ []byte) bool {
		for _, e := range except {
			if bytes.Equal(e, k) {
				return true
			}
		}
		key = bytes.Clone(k)
		return false
	})
	return key, err
}

// noticeCommand is a command about the outbox. Exactly one pointer is set. It leaves no entry: no key is used by it.
type noticeCommand struct {
	Time account.Time `cbor:"1,keyasint"`
	Node string       `cbor:"2,keyasint"`

	Delivered *delivered `cbor:"10,keyasint,omitempty"`
}

// delivered says that pending notices were taken, or are of no use any more.
type delivered struct {
	Tenant      string      `cbor:"1,keyasint"`
	Destination destination `cbor:"2,keyasint"`
	Numbers     []uint64    `cbor:"3,keyasint"`
}

func applyNotice(tx cluster.Tx, encoded []byte) (cluster.Applied, error) {
	var cmd noticeCommand
	if err := decode(encoded, &cmd); err != nil {
		return cluster.Applied{}, fmt.Errorf("decoding a command about notices: %w", err)
	}
	q := cmd.Delivered
	if q == nil || q.Destination != toFrontend && q.Destination != toGateway {
		return cluster.Applied{}, fmt.Errorf("applying a command about notices of an unknown kind")
	}
	head, err := readHead(tx, q.Tenant)
	if err != nil {
		return cluster.Applied{}, err
	}
	for _, n := range q.Numbers {
		key := pendingKey(q.Tenant, q.Destination, n)
		value, err := tx.Get(key)
		if err != nil {
			return cluster.Applied{}, fmt.Errorf("reading a pending notice: %w", err)
		}
		if value != nil { // another leader may have said so before
			tx.Delete(key)
			head.Waiting[q.Destination]--
		}
	}
	tx.Set([]byte(headKey(q.Tenant)), mustEncode(head))
	return cluster.Applied{}, nil
}
