package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"

	"filippo.io/torchwood"
	"github.com/cockroachdb/pebble/v2"
)

// Log entries that the log's files may not have yet are kept in the state in groups: all that one batch of Raft entries
// left, under the index of the first, in the form of a tlog-tiles entry bundle (each after its length in two bytes). A
// record for each would cost as much again as all else that a command writes.

// maxGroup is where a group ends and another begins, in bytes.
const maxGroup = 1 << 20

func entryKey(dst []byte, index int64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, entryPrefix...), uint64(index))
}

func parseEntryKey(key []byte) (index int64, err error) {
	if len(key) != len(entryPrefix)+8 || string(key[:len(entryPrefix)]) != entryPrefix {
		return 0, errors.New("a key of the log has another form")
	}
	return int64(binary.BigEndian.Uint64(key[len(entryPrefix):])), nil
}

// entryGroup gathers the entries of a batch.
type entryGroup struct {
	first int64
	bytes []byte
	key   []byte
}

// add puts an entry into the group, and the group into the batch when it is full.
func (g *entryGroup) add(b *pebble.Batch, index int64, entry []byte) (err error) {
	if len(g.bytes) == 0 {
		g.first = index
	}
	if g.bytes, err = torchwood.AppendTileEntry(g.bytes, entry); err != nil {
		return fmt.Errorf("entry %d: %w", index, err)
	}
	if len(g.bytes) < maxGroup {
		return nil
	}
	return g.flush(b)
}

// flush puts what was gathered into the batch.
func (g *entryGroup) flush(b *pebble.Batch) error {
	if len(g.bytes) == 0 {
		return nil
	}
	g.key = entryKey(g.key[:0], g.first)
	err := b.Set(g.key, g.bytes, nil)
	g.bytes = g.bytes[:0]
	return err
}

// eachEntry calls fn with each entry of a group, and its index, until fn is false.
func eachEntry(first int64, group []byte, fn func(index int64, entry []byte) bool) error {
	for index := first; len(group) > 0; index++ {
		entry, rest, err := torchwood.ReadTileEntry(group)
		if err != nil {
			return fmt.Errorf("reading log entry %d: %w", index, err)
		}
		if !fn(index, entry) {
			return nil
		}
		group = rest
	}
	return nil
}

// entriesOf reads up to n entries from an index on out of the state, without a gap.
func entriesOf(st *state, from int64, n int) (all [][]byte, err error) {
	it, err := st.db.NewIter(&pebble.IterOptions{LowerBound: []byte(entryPrefix), UpperBound: after([]byte(entryPrefix))})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Error(), it.Close()) }()
	next := from
	for ok := it.SeekLT(entryKey(nil, from+1)) || it.First(); ok && len(all) < n; ok = it.Next() {
		first, err := parseEntryKey(it.Key())
		if err != nil {
			return nil, err
		}
		if first > next {
			break // what is asked for is not here, or not any more
		}
		group, err := it.ValueAndErr()
		if err != nil {
			return nil, err
		}
		err = eachEntry(first, group, func(index int64, entry []byte) bool {
			if index == next {
				all = append(all, append([]byte(nil), entry...))
				next++
			}
			return len(all) < n
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// dropEntries removes the groups all of whose entries are below an index. Groups may be added meanwhile, also below it, when
// Raft applies again what the state lost in a crash: they reach beyond what files have, perhaps, and stay.
func dropEntries(st *state, below int64) error {
	it, err := st.db.NewIter(&pebble.IterOptions{LowerBound: []byte(entryPrefix), UpperBound: after([]byte(entryPrefix))})
	if err != nil {
		return err
	}
	end := int64(0)
	if it.SeekLT(entryKey(nil, below)) {
		// The last group that begins below it may reach beyond it.
		first, kerr := parseEntryKey(it.Key())
		group, verr := it.ValueAndErr()
		if err = errors.Join(kerr, verr); err == nil {
			end = first + 1
			err = eachEntry(first, group, func(index int64, _ []byte) bool {
				if index >= below {
					end = first
				}
				return end > first
			})
		}
	}
	if err = errors.Join(err, it.Error(), it.Close()); err != nil || end == 0 {
		return err
	}
	return st.db.DeleteRange(entryKey(nil, 0), entryKey(nil, end), pebble.NoSync)
}
