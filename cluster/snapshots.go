package cluster

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"
)

// snapshots is Raft's snapshot store. There is no second copy of the state: the database is the newest snapshot.
//
//   - Taking one (Persist) flushes the database beyond the snapshot's index, so that Raft may truncate its log.
//   - Listing and opening one, to send it to a follower, reads the database at this moment: position, configuration and
//     records come from one Pebble snapshot, so they agree whatever is applied meanwhile.
//   - A snapshot that arrives is written to a new database, verified, and then made the current one.
type snapshots struct {
	*fsm
}

const (
	currentID  = "current"
	incomingID = "incoming-"
)

// Snapshot is of raft.FSM. It costs nothing: see Persist.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) { return flusher{}, nil }

// flusher is the snapshot that this node takes of itself.
type flusher struct{}

func (flusher) Release() {}

// Persist makes the state durable at least up to the sink's index.
func (flusher) Persist(s raft.SnapshotSink) error {
	k, ok := s.(*sink)
	if !ok {
		return fmt.Errorf("keeping a snapshot in a %T", s)
	}
	return k.store.keep(k.at)
}

// keep makes the state durable. The floor is kept with it because Raft counts entries without effects: if it truncated
// the log at one of those, and a restart then found only the last position that had effects, this node's log would end
// before an entry that it once acknowledged.
func (s snapshots) keep(at position) error {
	st, err := s.current()
	if err != nil {
		return err
	}
	defer st.release()
	if err := st.db.Set(keyFloor, at.bytes(), pebble.NoSync); err != nil {
		return err
	}
	return st.db.Flush()
}

// List is of raft.SnapshotStore.
func (s snapshots) List() ([]*raft.SnapshotMeta, error) {
	st, err := s.current()
	if err != nil {
		return nil, err
	}
	defer st.release()
	snap := st.db.NewSnapshot()
	defer snap.Close()
	m, err := readMeta(snap)
	if err != nil || m.at.index == 0 {
		return nil, err
	}
	return []*raft.SnapshotMeta{m.raft(currentID)}, nil
}

// raft is the meta in Raft's terms.
func (m *meta) raft(id string) *raft.SnapshotMeta {
	return &raft.SnapshotMeta{
		Version: raft.SnapshotVersionMax, ID: id, Index: m.at.index, Term: m.at.term,
		Configuration: m.config, ConfigurationIndex: m.configIndex,
	}
}

// Open is of raft.SnapshotStore: the state as it is now, or the id of a snapshot that arrived, for Restore.
func (s snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	if strings.HasPrefix(id, incomingID) {
		return &raft.SnapshotMeta{Version: raft.SnapshotVersionMax, ID: id}, io.NopCloser(strings.NewReader(id)), nil
	}
	st, err := s.current()
	if err != nil {
		return nil, nil, err
	}
	st.streams.Add(1)
	snap := st.db.NewSnapshot()
	end := func() error {
		defer st.streams.Add(-1)
		return errors.Join(snap.Close(), st.release())
	}
	fail := func(err error) (*raft.SnapshotMeta, io.ReadCloser, error) { return nil, nil, errors.Join(err, end()) }
	m, err := readMeta(snap)
	if err != nil {
		return fail(err)
	}
	h := streamHeader{s.cfg.TrustDomain, m.at, m.configIndex}
	rm := m.raft(currentID)
	if rm.Size, err = streamSize(snap, h, s.cfg.SnapshotMAC != nil); err != nil {
		return fail(err)
	}
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.CloseWithError(errors.Join(writeStream(w, snap, h, s.cfg.SnapshotMAC), end()))
	}()
	return rm, &outgoing{r, done}, nil
}

// outgoing is a stream to a follower. Close waits until the database is let go.
type outgoing struct {
	*io.PipeReader
	done chan struct{}
}

func (o *outgoing) Close() error {
	err := o.PipeReader.Close()
	<-o.done
	return err
}

// Create is of raft.SnapshotStore, for snapshots that this node takes and for those that arrive.
func (s snapshots) Create(_ raft.SnapshotVersion, index, term uint64, _ raft.Configuration, configIndex uint64,
	_ raft.Transport,
) (raft.SnapshotSink, error) {
	return &sink{store: s, at: position{index, term}, configIndex: configIndex}, nil
}

// sink takes a snapshot. Raft writes to it only when the snapshot comes from another node.
type sink struct {
	store       snapshots
	at          position
	configIndex uint64

	w    *io.PipeWriter // nil until the first Write
	dir  string
	done chan error
}

func (k *sink) ID() string {
	if k.w == nil {
		return currentID
	}
	return fmt.Sprintf("%s%d-%d", incomingID, k.at.term, k.at.index)
}

func (k *sink) Write(b []byte) (int, error) {
	if k.w == nil {
		var err error
		if k.dir, err = nextState(k.store.root); err != nil {
			return 0, err
		}
		var r *io.PipeReader
		r, k.w = io.Pipe()
		k.done = make(chan error, 1)
		go func() {
			err := k.receive(r)
			r.CloseWithError(err)
			k.done <- err
		}()
	}
	return k.w.Write(b)
}

// receive writes the stream to a database of its own and verifies it.
func (k *sink) receive(r io.Reader) error {
	st, err := openState(k.store.cfg, k.dir, true, k.store.fatal)
	if err != nil {
		return err
	}
	h, err := readStream(r, st.db, k.store.cfg.TrustDomain, k.store.cfg.SnapshotMAC)
	if err == nil && (h.at != k.at || h.configIndex != k.configIndex) {
		err = fmt.Errorf("%w: it was announced as of entry %d and is of entry %d", errSnapshot, k.at.index, h.at.index)
	}
	if err != nil {
		st.doom()
	}
	return errors.Join(err, st.release())
}

// Close ends the stream. When it succeeds, the snapshot is verified and durable.
func (k *sink) Close() error {
	if k.w == nil {
		return nil
	}
	k.w.Close()
	if err := <-k.done; err != nil {
		return err
	}
	if err := syncDir(k.store.root); err != nil {
		return err
	}
	k.store.mu.Lock()
	defer k.store.mu.Unlock()
	k.store.incoming[k.ID()] = k.dir
	return nil
}

// Cancel drops what arrived.
func (k *sink) Cancel() error {
	if k.w == nil {
		return nil
	}
	k.w.CloseWithError(errors.New("the snapshot was cut short"))
	<-k.done
	return nil
}
