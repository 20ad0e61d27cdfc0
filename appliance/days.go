package appliance

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"strongroom.internal/appliance/account"
	"strongroom.internal/cluster"
	"strongroom.internal/hsm"
)

// publishDay says that a node has made its key of a day.
type publishDay struct {
	Node string     `cbor:"1,keyasint"`
	Key  hsm.DayKey `cbor:"2,keyasint"`
}

// destroyDay says that a node destroys its key of a day, next. With it go the records that the key held.
type destroyDay struct {
	Node string `cbor:"1,keyasint"`
	Day  uint32 `cbor:"2,keyasint"`
}

// resealPrior adds a node to those that can open an account's earlier settings.
type resealPrior struct {
	Tenant  string    `cbor:"1,keyasint"`
	Account string    `cbor:"2,keyasint"`
	Day     uint32    `cbor:"3,keyasint"`
	Slot    priorSlot `cbor:"4,keyasint"`
}

// Operations and the key's name in log entries. They are signed: never change one.
const (
	opMakeDay    = "create-prior-key"
	opDestroyDay = "destroy-prior-key"
	opReseal     = "reseal-earlier-settings"
	keyOfDay     = hsm.KeyName(account.PriorKey)
)

const (
	// daySlack is how long after its last settings ran out a key of a day is destroyed: nodes' clocks differ.
	daySlack = account.Time(60 * 1000)
	// dayAhead is how long before a day its key is made.
	dayAhead = 6 * time.Hour
	// keepDaysEvery is how often a node looks after its keys of days.
	keepDaysEvery = 10 * time.Second
	// sweepAtOnce bounds the records that one command deletes.
	sweepAtOnce = 1000
)

// dayOver is when the key of a day is destroyed: the settings that were sealed in its last moment have run out.
func dayOver(day uint32) account.Time { return account.DayStart(day+1) + account.WayBack + daySlack }

func dayName(day uint32) string { return moment(account.DayStart(day)).Format(time.DateOnly) }

func (p *publishDay) decide(tx cluster.Tx, now account.Time) (estateDecision, error) {
	d := estateDecision{operation: opMakeDay, key: keyOfDay, subject: p.Node, detail: "of " + dayName(p.Key.Day), outcome: account.Ended}
	if now < dayOver(p.Key.Day) && p.Key.Day <= account.DayOf(now)+1 {
		d.outcome = account.Done
		d.write = func() { tx.Set([]byte(dayKeyKey(p.Key.Day, p.Node)), mustEncode(p.Key)) }
	}
	return d, nil
}

func (q *destroyDay) decide(tx cluster.Tx, now account.Time) (estateDecision, error) {
	d := estateDecision{operation: opDestroyDay, key: keyOfDay, subject: q.Node, detail: "of " + dayName(q.Day), outcome: account.TooSoon}
	if now < dayOver(q.Day) {
		return d, nil
	}
	d.outcome = account.Done
	var dead [][]byte
	err := tx.Scan([]byte(priorPrefixOf(q.Day)), nil, func(key, _ []byte) bool {
		dead = append(dead, bytes.Clone(key))
		return len(dead) < sweepAtOnce
	})
	d.write = func() {
		for _, key := range dead {
			tx.Delete(key)
		}
		tx.Delete([]byte(dayKeyKey(q.Day, q.Node)))
	}
	return d, err
}

func (q *resealPrior) decide(tx cluster.Tx, now account.Time) (estateDecision, error) {
	d := estateDecision{operation: opReseal, key: keyOfDay, subject: q.Slot.Node, detail: "of " + dayName(q.Day), outcome: account.NotFound}
	key := priorKey(q.Day, q.Tenant, q.Account)
	r, known, err := readRecord[priorRecord](tx, string(key))
	if err != nil || !known || now >= dayOver(q.Day) {
		return d, err
	}
	d.outcome = account.Done
	slots := slices.DeleteFunc(slices.Clone(r.Slots), func(s priorSlot) bool { return s.Node == q.Slot.Node })
	r.Slots = append(slots, q.Slot)
	d.write = func() { tx.Set(key, mustEncode(r)) }
	return d, nil
}

// keepDays makes this node's keys of the days that need one, destroys those that are over, and seals what it can open to
// nodes that can't yet. What it could not do this time it does the next.
func (s *Service) keepDays(ctx context.Context) error {
	if s.estate.Load() == nil || s.now().Before(s.days.next) {
		return nil
	}
	if err := s.onTime(); err != nil {
		return err
	}
	now := account.Time(s.now().UnixMilli())
	have, err := s.pool.DayKeys(ctx)
	if err != nil {
		return moduleError("listing the keys of days", err)
	}
	published, kept, err := s.daysInState()
	if err != nil {
		return err
	}
	// What the module has is asked, not the state: a state that was put back from a backup keeps no key alive.
	for _, day := range union(have, kept, published[s.nodeID]) {
		if now < dayOver(day) {
			continue
		}
		if err := s.destroyDay(ctx, day); err != nil {
			return err
		}
	}
	need := append(kept, account.DayOf(now), account.DayOf(now+account.Time(dayAhead/time.Millisecond)))
	for _, day := range union(need) {
		if now >= dayOver(day) || slices.Contains(have, day) && slices.Contains(published[s.nodeID], day) {
			continue
		}
		key, err := s.pool.CreateDayKey(ctx, day)
		if err != nil {
			return moduleError("making the key of a day", err)
		}
		if _, _, err := s.proposeEstate(ctx, estate{PublishDay: &publishDay{Node: s.nodeID, Key: key}}); err != nil {
			return err
		}
	}
	if err := s.resealAll(ctx, now); err != nil {
		return err
	}
	s.days.next = s.now().Add(keepDaysEvery)
	return nil
}

// destroyDay writes down that the key is destroyed, and destroys it. Who dies in between does it again.
func (s *Service) destroyDay(ctx context.Context, day uint32) error {
	result, _, err := s.proposeEstate(ctx, estate{DestroyDay: &destroyDay{Node: s.nodeID, Day: day}})
	if err != nil {
		return err
	}
	if result.Outcome != account.Done {
		return fmt.Errorf("destroying the key of %s: %v", dayName(day), result.Outcome)
	}
	if err := s.pool.DestroyDayKey(ctx, day); err != nil {
		return moduleError("destroying the key of a day", err)
	}
	s.log.Info("destroyed the key of earlier settings", "day", dayName(day))
	return nil
}

func union(lists ...[]uint32) []uint32 {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}

// daysInState lists the days of published keys, by node, and the days of which there are settings.
func (s *Service) daysInState() (published map[string][]uint32, kept []uint32, err error) {
	published = map[string][]uint32{}
	err = s.engine.View(func(r cluster.Reader) error {
		if err := scanRecords(r, dayKeyPrefix, func(key string, k hsm.DayKey) {
			_, node, _ := strings.Cut(strings.TrimPrefix(key, dayKeyPrefix), "/")
			published[node] = append(published[node], k.Day)
		}); err != nil {
			return err
		}
		// From day to day, without reading what is kept.
		from := []byte(priorPrefix)
		for {
			var found []byte
			if err := r.Scan([]byte(priorPrefix), from, func(key, _ []byte) bool {
				found = bytes.Clone(key)
				return false
			}); err != nil {
				return err
			}
			if found == nil {
				return nil
			}
			day, err := strconv.ParseUint(string(found[len(priorPrefix):len(priorPrefix)+8]), 16, 32)
			if err != nil {
				return fmt.Errorf("reading the day of %q: %w", found, err)
			}
			kept = append(kept, uint32(day))
			from = []byte(priorPrefixOf(uint32(day) + 1))
		}
	})
	return published, kept, err
}

// resealAll seals what this node can open to the members that can't. The first of a record's nodes that is still a member
// does it. It looks again only when members or their keys have changed.
func (s *Service) resealAll(ctx context.Context, now account.Time) error {
	_, kept, err := s.daysInState()
	if err != nil {
		return err
	}
	seen := ""
	for _, day := range kept {
		if now >= dayOver(day) {
			continue
		}
		keys, members, err := s.dayKeysOf(day)
		if err != nil {
			return err
		}
		seen += fmt.Sprint(day)
		members = slices.DeleteFunc(members, func(id string) bool { _, ok := keys[id]; return !ok })
		for _, id := range members {
			seen += " " + id + string(keys[id].Public)
		}
		if strings.HasPrefix(s.days.resealed, seen) {
			continue
		}
		if err := s.resealDay(ctx, day, keys, members); err != nil {
			return err
		}
	}
	s.days.resealed = seen
	return nil
}

func (s *Service) resealDay(ctx context.Context, day uint32, keys map[string]hsm.DayKey, members []string) error {
	prefix := priorPrefixOf(day)
	var todo []resealPrior
	err := s.engine.View(func(r cluster.Reader) error {
		return scanRecords(r, prefix, func(key string, record priorRecord) {
			first := slices.IndexFunc(record.Slots, func(slot priorSlot) bool { return slices.Contains(members, slot.Node) })
			if first < 0 || record.Slots[first].Node != s.nodeID {
				return
			}
			tenant, name, _ := strings.Cut(strings.TrimPrefix(key, prefix), "\x00")
			for _, id := range members {
				if !slices.ContainsFunc(record.Slots, func(slot priorSlot) bool { return slot.Node == id }) {
					todo = append(todo, resealPrior{Tenant: tenant, Account: name, Day: day, Slot: priorSlot{Node: id, Sealed: record.Slots[first].Sealed}})
				}
			}
		})
	})
	if err != nil {
		return err
	}
	for _, q := range todo {
		key, err := s.pool.OpenDay(ctx, day, q.Slot.Sealed)
		if err != nil {
			return moduleError("opening earlier settings", err)
		}
		q.Slot.Sealed, err = keys[q.Slot.Node].Seal(key.Reveal())
		key.Destroy()
		if err != nil {
			return err
		}
		if _, _, err := s.proposeEstate(ctx, estate{Reseal: &q}); err != nil {
			return err
		}
	}
	return nil
}

// dayKeeping is what keepDays remembers; of its goroutine alone.
type dayKeeping struct {
	next     time.Time
	resealed string // the days, members and keys that all settings were sealed to
}
