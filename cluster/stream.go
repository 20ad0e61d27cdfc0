package cluster

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"strongroom.internal/appliance/audit"
	"strongroom.internal/appliance/audit/tiles"
)

// A snapshot on the wire is the state at one position, as a stream:
//
//	"strongroom state 2\n"
//	uint16 length, the trust domain
//	uint64 index, uint64 term      of the position
//	uint64 index                   of the configuration in it
//	records, by ascending key:     uint32 length, key, uint32 length, value
//	uint32 0, uint64               the end, and the number of records
//	32 bytes                       SHA-256 of all bytes before
//	1 byte, MAC                    its length (0 or 32) and SnapshotMAC(macDomain || that SHA-256)
//
// Numbers are big-endian. The receiver writes the records to a database of its own while they arrive, and takes the
// database only if everything agrees. Of the log it has the edge of the tree and the entries that the sender's files may
// not have; these must be the log's last ones, reach back to the last full bundle, and hash to the end of the edge. All
// earlier ones are fetched from peers as files, each against the edge (see backfill.go).
const (
	streamMagic = "strongroom state 2\n"
	macDomain   = "strongroom snapshot mac v1\x00"
	macSize     = 32

	maxKey   = 64 << 10
	maxValue = 16 << 20
)

var errSnapshot = errors.New("snapshot refused")

// streamHeader opens a stream.
type streamHeader struct {
	trustDomain string
	at          position
	configIndex uint64
}

func (h *streamHeader) bytes() []byte {
	b := append([]byte(nil), streamMagic...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.trustDomain)))
	b = append(b, h.trustDomain...)
	b = append(b, h.at.bytes()...)
	return binary.BigEndian.AppendUint64(b, h.configIndex)
}

// streamSize computes the length of the stream that writeStream makes of the same snapshot.
func streamSize(snap *pebble.Snapshot, h streamHeader, mac bool) (int64, error) {
	it, err := snap.NewIter(nil)
	if err != nil {
		return 0, err
	}
	size := int64(len(h.bytes()))
	for ok := it.First(); ok; ok = it.Next() {
		v := it.LazyValue()
		size += int64(4 + len(it.Key()) + 4 + v.Len())
	}
	size += 4 + 8 + sha256.Size + 1
	if mac {
		size += macSize
	}
	return size, errors.Join(it.Error(), it.Close())
}

// writeStream writes the state that the snapshot shows.
func writeStream(w io.Writer, snap *pebble.Snapshot, h streamHeader, mac func([]byte) ([]byte, error)) (err error) {
	sum := sha256.New()
	buf := bufio.NewWriterSize(io.MultiWriter(w, sum), 256<<10)
	buf.Write(h.bytes()) // an error stays in buf until Flush
	it, err := snap.NewIter(nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	var n uint64
	var length [4]byte
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		binary.BigEndian.PutUint32(length[:], uint32(len(it.Key())))
		buf.Write(length[:])
		buf.Write(it.Key())
		binary.BigEndian.PutUint32(length[:], uint32(len(v)))
		buf.Write(length[:])
		if _, err := buf.Write(v); err != nil {
			return err
		}
		n++
	}
	if err := it.Error(); err != nil {
		return err
	}
	buf.Write(make([]byte, 4))
	buf.Write(binary.BigEndian.AppendUint64(nil, n))
	if err := buf.Flush(); err != nil {
		return err
	}
	tail, err := streamTail(sum, mac)
	if err != nil {
		return err
	}
	_, err = w.Write(tail)
	return err
}

// streamTail is the end of a stream whose other bytes were hashed.
func streamTail(sum hash.Hash, mac func([]byte) ([]byte, error)) ([]byte, error) {
	digest := sum.Sum(nil)
	if mac == nil {
		return append(digest, 0), nil
	}
	tag, err := mac(append([]byte(macDomain), digest...))
	if err != nil {
		return nil, fmt.Errorf("computing the MAC of a snapshot: %w", err)
	}
	if len(tag) != macSize {
		return nil, fmt.Errorf("computing the MAC of a snapshot: %d bytes", len(tag))
	}
	return append(append(digest, macSize), tag...), nil
}

// readStream checks a stream and puts its records into db, an empty database of which nothing may be used when there is
// an error. It returns the header, and the errors of reading r or of db, or errSnapshot.
func readStream(r io.Reader, db *pebble.DB, trustDomain string, mac func([]byte) ([]byte, error)) (streamHeader, error) {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", errSnapshot, fmt.Sprintf(format, args...))
	}
	var h streamHeader
	sum := sha256.New()
	src := bufio.NewReaderSize(r, 256<<10)
	in := io.TeeReader(src, sum)
	var fixed [24]byte
	read := func(b []byte) error {
		_, err := io.ReadFull(in, b)
		return err
	}

	magic := make([]byte, len(streamMagic)+2)
	if err := read(magic); err != nil {
		return h, err
	}
	if string(magic[:len(streamMagic)]) != streamMagic {
		return h, refuse("its format is not known")
	}
	domain := make([]byte, binary.BigEndian.Uint16(magic[len(streamMagic):]))
	if err := errors.Join(read(domain), read(fixed[:])); err != nil {
		return h, err
	}
	h = streamHeader{
		string(domain),
		position{binary.BigEndian.Uint64(fixed[:]), binary.BigEndian.Uint64(fixed[8:])},
		binary.BigEndian.Uint64(fixed[16:]),
	}
	if h.trustDomain != trustDomain {
		return h, refuse("it is of the cluster %q", h.trustDomain)
	}

	b := db.NewBatch()
	defer func() { b.Close() }()
	var tail logTail
	var n uint64
	var last, key, value []byte
	for ; ; n++ {
		if err := read(fixed[:4]); err != nil {
			return h, err
		}
		size := binary.BigEndian.Uint32(fixed[:])
		if size == 0 {
			break
		}
		if size > maxKey {
			return h, refuse("a key of %d bytes", size)
		}
		key = resize(key, int(size))
		if err := errors.Join(read(key), read(fixed[:4])); err != nil {
			return h, err
		}
		if size = binary.BigEndian.Uint32(fixed[:]); size > maxValue {
			return h, refuse("a value of %d bytes", size)
		}
		value = resize(value, int(size))
		if err := read(value); err != nil {
			return h, err
		}
		if n > 0 && bytes.Compare(key, last) <= 0 {
			return h, refuse("its keys are out of order")
		}
		last = append(last[:0], key...)
		if bytes.HasPrefix(key, []byte(entryPrefix)) {
			if err := tail.add(key, value); err != nil {
				return h, refuse("%v", err)
			}
		}
		if err := b.Set(key, value, nil); err != nil {
			return h, err
		}
		if b.Len() > 4<<20 {
			if err := b.Commit(pebble.NoSync); err != nil {
				return h, err
			}
			b.Close()
			b = db.NewBatch()
		}
	}
	if err := read(fixed[:8]); err != nil {
		return h, err
	}
	if binary.BigEndian.Uint64(fixed[:]) != n {
		return h, refuse("%d records came of %d", n, binary.BigEndian.Uint64(fixed[:]))
	}
	want, err := streamTail(sum, mac)
	if err != nil {
		return h, err
	}
	end := make([]byte, len(want))
	if _, err := io.ReadFull(src, end); err != nil {
		return h, err
	}
	if subtle.ConstantTimeCompare(end, want) != 1 {
		return h, refuse("its hash or its MAC is wrong")
	}
	if _, err := src.ReadByte(); err != io.EOF {
		return h, refuse("more follows it")
	}
	if err := errors.Join(b.Commit(pebble.NoSync), db.Flush()); err != nil {
		return h, err
	}
	m, err := readMeta(db)
	if err != nil {
		return h, refuse("%v", err)
	}
	if m.at != h.at || m.configIndex != h.configIndex {
		return h, refuse("its records are not of the position that it names")
	}
	if err := tail.check(&m.ledger); err != nil {
		return h, refuse("%v", err)
	}
	return h, nil
}

// maxTail bounds the entries of a snapshot. A node that can't write its log's files is not ready long before.
const maxTail = 1 << 20

// logTail gathers the log entries of a snapshot, which come by ascending index and before the tree.
type logTail struct {
	first  int64
	leaves [][audit.HashSize]byte
}

func (t *logTail) add(key, group []byte) error {
	first, err := parseEntryKey(key)
	if err != nil {
		return err
	}
	if len(t.leaves) == 0 {
		t.first = first
	}
	if first != t.first+int64(len(t.leaves)) {
		return fmt.Errorf("log entry %d is missing", t.first+int64(len(t.leaves)))
	}
	err = eachEntry(first, group, func(_ int64, entry []byte) bool {
		t.leaves = append(t.leaves, audit.LeafHash(entry))
		return len(t.leaves) <= maxTail
	})
	if len(t.leaves) > maxTail {
		return fmt.Errorf("more than %d log entries", maxTail)
	}
	return err
}

// check compares the entries with what the state says of the log.
func (t *logTail) check(l *ledger) error {
	need := l.first + l.tree.Size()&^(tiles.BundleSize-1) // of the last bundle that isn't full
	end := l.next()
	if need == end && len(t.leaves) == 0 {
		return nil
	}
	if t.first > need || t.first+int64(len(t.leaves)) != end {
		return fmt.Errorf("its log entries are %d to %d, and %d to %d are needed", t.first, t.first+int64(len(t.leaves)), need, end)
	}
	var rest audit.Tree
	for _, leaf := range t.leaves[need-t.first:] {
		rest.AppendLeaf(leaf)
	}
	if !l.tree.EndsWith(&rest, tiles.BundleSize) {
		return errors.New("its log entries don't give its tree")
	}
	return nil
}

// resize returns a slice of n bytes, b's own memory where it suffices.
func resize(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}
