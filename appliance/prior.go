package appliance

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"strongroom.internal/appliance/account"
	"strongroom.internal/cluster"
	"strongroom.internal/hsm"
)

// Earlier settings are what a front-end wants back should protection be turned off within two weeks, and gone for good
// after that, from every backup too. So their key is in no state: they are sealed with AES-256-GCM under a key of their
// own, and that is sealed to each node's key of the day, which its module made and keeps to itself. When the settings of a
// day have run out, each node destroys its key of that day. There is nothing then, in whatever copy of whatever state, that
// opens them.
//
// A node that joins gets keys of the days that are not over, and what is kept is sealed to them too by a node that can
// open it, so that the settings outlive the nodes that were there first.

// priorKeySize is AES-256's.
const priorKeySize = 32

// priorRecord is one account's earlier settings, sealed.
type priorRecord struct {
	Box   []byte      `cbor:"1,keyasint"` // nonce, then ciphertext and tag
	Slots []priorSlot `cbor:"2,keyasint"`
}

// priorSlot is the settings' key, sealed to one node.
type priorSlot struct {
	Node   string `cbor:"1,keyasint"`
	Sealed []byte `cbor:"2,keyasint"`
}

const (
	dayKeyPrefix = "h/key/"   // h/key/<day>/<node>
	priorPrefix  = "h/prior/" // h/prior/<day>/<tenant>\x00<account>
)

func dayKeyKey(day uint32, node string) string {
	return fmt.Sprintf("%s%08x/%s", dayKeyPrefix, day, node)
}

func priorPrefixOf(day uint32) string { return fmt.Sprintf("%s%08x/", priorPrefix, day) }

func priorKey(day uint32, tenant, name string) []byte {
	return []byte(priorPrefixOf(day) + tenant + "\x00" + name)
}

// keptPriors is for how many days back an account's earlier settings are looked for when it is erased. They can't be opened
// after WayBack, and the records go when a node next sweeps.
const keptPriors = 60

// priorsOf are the records of earlier settings of the command's account: the newest, which its state names, and those of
// earlier times that it was protected.
func priorsOf(tx cluster.Tx, cmd *account.Command) (keys [][]byte, err error) {
	today := account.DayOf(cmd.Time)
	for day := max(today, keptPriors) - keptPriors; day <= today+1; day++ {
		key := priorKey(day, cmd.Tenant, cmd.Account)
		raw, err := tx.Get(key)
		if err != nil {
			return nil, fmt.Errorf("looking for earlier settings: %w", err)
		}
		if raw != nil {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// priorContext is what a box is bound to: GCM's associated data.
func priorContext(day uint32, tenant, name string) []byte {
	var b []byte
	for _, part := range []string{"strongroom/earlier-settings/v1", tenant, name} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	return binary.BigEndian.AppendUint32(b, day)
}

func priorCipher(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// sealPrior seals earlier settings to the nodes that have published a key of the day. Less than a majority of them is
// refused: one node's end must not be the settings'.
func (s *Service) sealPrior(day uint32, tenant, name string, settings *hsm.Secret) ([]byte, error) {
	keys, members, err := s.dayKeysOf(day)
	if err != nil {
		return nil, err
	}
	fresh := make([]byte, priorKeySize+12)
	if _, err := io.ReadFull(s.rand, fresh); err != nil {
		return nil, fmt.Errorf("drawing a key: %w", err)
	}
	key, nonce := fresh[:priorKeySize], fresh[priorKeySize:]
	defer clear(key)
	aead, err := priorCipher(key)
	if err != nil {
		return nil, err
	}
	r := priorRecord{Box: aead.Seal(slices.Clone(nonce), nonce, settings.Reveal(), priorContext(day, tenant, name))}
	for _, id := range members {
		if k, ok := keys[id]; ok {
			sealed, err := k.Seal(key)
			if err != nil {
				return nil, err
			}
			r.Slots = append(r.Slots, priorSlot{Node: id, Sealed: sealed})
		}
	}
	if len(r.Slots) <= len(members)/2 {
		return nil, fmt.Errorf("earlier settings: %d of %d nodes have a key of the day: %w", len(r.Slots), len(members), ErrUnavailable)
	}
	return mustEncode(r), nil
}

// dayKeysOf are the published keys of a day, by node, and the members that should have one.
func (s *Service) dayKeysOf(day uint32) (keys map[string]hsm.DayKey, members []string, err error) {
	keys = map[string]hsm.DayKey{}
	err = s.engine.View(func(r cluster.Reader) error {
		prefix := dayKeyKey(day, "")
		if err := scanRecords(r, prefix, func(key string, k hsm.DayKey) { keys[strings.TrimPrefix(key, prefix)] = k }); err != nil {
			return err
		}
		return scanRecords(r, memberPrefix, func(_ string, m member) {
			if !m.Retired {
				members = append(members, m.ID)
			}
		})
	})
	return keys, members, err
}

// openPrior opens an account's earlier settings; nil when there are none. A node that holds no key of theirs is
// ErrUnavailable: another one does.
func (s *Service) openPrior(ctx context.Context, tenant, name string, state *account.State) (*hsm.Secret, error) {
	day := state.Enrolment.PriorDay
	if day == 0 {
		return nil, nil
	}
	var record priorRecord
	var known bool
	err := s.engine.View(func(r cluster.Reader) (err error) {
		record, known, err = readRecord[priorRecord](r, string(priorKey(day, tenant, name)))
		return err
	})
	if err != nil || !known {
		return nil, err
	}
	key, err := s.openSlot(ctx, day, record)
	if err != nil {
		return nil, err
	}
	defer key.Destroy()
	aead, err := priorCipher(key.Reveal())
	if err != nil || len(record.Box) < aead.NonceSize() {
		return nil, errors.Join(err, errors.New("opening earlier settings: the record is damaged"))
	}
	opened, err := aead.Open(nil, record.Box[:aead.NonceSize()], record.Box[aead.NonceSize():], priorContext(day, tenant, name))
	if err != nil {
		return nil, fmt.Errorf("opening earlier settings: %w", err)
	}
	return hsm.NewSecret(opened), nil
}

// openSlot opens the record's key with this node's key of the day.
func (s *Service) openSlot(ctx context.Context, day uint32, r priorRecord) (*hsm.Secret, error) {
	for _, slot := range r.Slots {
		if slot.Node != s.nodeID {
			continue
		}
		key, err := s.pool.OpenDay(ctx, day, slot.Sealed)
		if errors.Is(err, hsm.ErrNoKey) {
			break
		}
		if err != nil {
			return nil, moduleError("opening earlier settings", err)
		}
		return key, nil
	}
	return nil, fmt.Errorf("earlier settings: this node has no key of them: %w", ErrUnavailable)
}
