package cluster

import (
	"io"

	"github.com/cockroachdb/pebble/v2"
)

// source is what a batch and a snapshot of Pebble have in common.
type source interface {
	Get(key []byte) ([]byte, io.Closer, error)
	NewIter(*pebble.IterOptions) (*pebble.Iterator, error)
}

// reader reads the machine's keys from a source.
type reader struct {
	src source
	key []byte // of the last Get, kept for reuse
}

func (r *reader) Get(key []byte) ([]byte, error) {
	r.key = append(append(r.key[:0], userPrefix...), key...)
	return get(r.src, r.key)
}

func (r *reader) Scan(prefix, from []byte, fn func(key, value []byte) bool) (err error) {
	lower := append([]byte(userPrefix), prefix...)
	it, err := r.src.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: after(lower)})
	if err != nil {
		return err
	}
	defer func() {
		if cerr := it.Close(); err == nil {
			err = cerr
		}
	}()
	ok := false
	if start := append([]byte(userPrefix), from...); string(start) > string(lower) {
		ok = it.SeekGE(start)
	} else {
		ok = it.First()
	}
	for ; ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		// Copies: the machine may hold what it is given until its Tx or View ends.
		k := append([]byte(nil), it.Key()[len(userPrefix):]...)
		if !fn(k, append(make([]byte, 0, len(v)), v...)) {
			break
		}
	}
	return it.Error()
}

// after returns the first key beyond all keys with the prefix, which begins with a character of userPrefix and so always
// has one.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// tx is the state as one command sees it. Its writes go to an indexed batch, which reads find before the database.
type tx struct {
	reader
	b      *pebble.Batch
	recent *recent
	ledger *ledger
	group  *entryGroup
	buf    []byte
	err    error // the first that a write met; the node stops on it
}

// LogHead is of Tx.
func (t *tx) LogHead() LogHead { return t.ledger.head() }

// keepEntry keeps an entry until the log's files have it.
func (t *tx) keepEntry(index int64, entry []byte) error { return t.group.add(t.b, index, entry) }

// Get finds a value among the recent ones first.
func (t *tx) Get(key []byte) ([]byte, error) {
	if value, known := t.recent.get(key); known {
		return value, nil
	}
	value, err := t.reader.Get(key)
	if err == nil {
		t.recent.put(key, value)
	}
	return value, err
}

func (t *tx) Set(key, value []byte) {
	t.recent.put(key, append(make([]byte, 0, len(value)), value...))
	if value == nil {
		value = []byte{}
	}
	t.ledger.write(key, value)
	t.buf = append(append(t.buf[:0], userPrefix...), key...)
	if err := t.b.Set(t.buf, value, nil); err != nil && t.err == nil {
		t.err = err
	}
}

func (t *tx) Delete(key []byte) {
	t.recent.put(key, nil)
	t.ledger.write(key, nil)
	t.buf = append(append(t.buf[:0], userPrefix...), key...)
	if err := t.b.Delete(t.buf, nil); err != nil && t.err == nil {
		t.err = err
	}
}
