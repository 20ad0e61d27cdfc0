package hsm

import (
	"bytes"
	"container/list"
	"sync"
)

// resident is the seeds that stay unsealed in the module because they are in use: at most limit, the least recently
// used first to go. It never calls the module under its lock.
type resident struct {
	limit    int
	counters *counters

	mu      sync.Mutex
	entries map[residentKey]*list.Element // of *residentSeed
	recent  list.List                     // most recently used first
	// generation counts clearings: a handle of an older one died with its session.
	generation uint64
}

// residentKey is where a sealed record is, and its tag. The tag was made over all of the record, but only the module can
// tell: what is found by it is compared with what was loaded.
type residentKey struct {
	binding Binding
	tag     [32]byte
}

type residentSeed struct {
	key    residentKey
	sealed SealedSeed // as it was when the module checked its tag
	handle Handle
	users  int
	gone   bool // no longer in entries: the last user unloads it
	born   uint64
}

func newResident(limit int, c *counters) *resident {
	return &resident{limit: limit, counters: c, entries: make(map[residentKey]*list.Element)}
}

func (r *resident) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.entries)
}

// use gives the seed of a record, loading it if it is not resident, and the function that must be called after its use.
func (r *resident) use(s Session, e Evaluation) (Handle, func(), error) {
	key := residentKey{binding: e.Binding}
	if copy(key.tag[:], e.Seed.Tag) != len(key.tag) || len(e.Seed.Tag) != len(key.tag) {
		return 0, nil, ErrTag
	}
	r.mu.Lock()
	if at, ok := r.entries[key]; ok && at.Value.(*residentSeed).sealed.equal(e.Seed) {
		seed := at.Value.(*residentSeed)
		seed.users++
		r.recent.MoveToFront(at)
		r.mu.Unlock()
		r.counters.hits.Add(1)
		return seed.handle, func() { r.release(s, seed) }, nil
	}
	generation := r.generation
	r.mu.Unlock()
	r.counters.misses.Add(1)
	handle, err := s.Load(e.Binding, e.Seed)
	if err != nil {
		return 0, nil, err
	}
	seed := &residentSeed{key: key, sealed: e.Seed.clone(), handle: handle, users: 1, born: generation}
	for _, dead := range r.keep(seed) {
		_ = s.Unload(dead)
	}
	return handle, func() { r.release(s, seed) }, nil
}

// keep enters a loaded seed and returns what has to be unloaded for it.
func (r *resident) keep(seed *residentSeed) (unload []Handle) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, raced := r.entries[seed.key]; raced || seed.born != r.generation {
		seed.gone = true // for this use only
		return nil
	}
	r.entries[seed.key] = r.recent.PushFront(seed)
	for len(r.entries) > r.limit {
		oldest := r.recent.Back()
		r.remove(oldest)
		r.counters.evictions.Add(1)
		if old := oldest.Value.(*residentSeed); old.users == 0 {
			unload = append(unload, old.handle)
		}
	}
	return unload
}

// release ends one use.
func (r *resident) release(s Session, seed *residentSeed) {
	r.mu.Lock()
	seed.users--
	unload := seed.gone && seed.users == 0 && seed.born == r.generation
	r.mu.Unlock()
	if unload {
		_ = s.Unload(seed.handle)
	}
}

// forget takes out the seeds that match and returns those that nobody uses now.
func (r *resident) forget(match func(Binding) bool) (unload []Handle) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, at := range r.entries {
		if !match(key.binding) {
			continue
		}
		r.remove(at)
		if seed := at.Value.(*residentSeed); seed.users == 0 {
			unload = append(unload, seed.handle)
		}
	}
	return unload
}

// clear forgets all without unloading: their sessions are dead.
func (r *resident) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, at := range r.entries {
		at.Value.(*residentSeed).gone = true
	}
	clear(r.entries)
	r.recent.Init()
	r.generation++
}

// equal compares all but the tag.
func (s SealedSeed) equal(o SealedSeed) bool {
	return s.KeyVersion == o.KeyVersion && s.Hash == o.Hash && bytes.Equal(s.Blob, o.Blob)
}

func (s SealedSeed) clone() SealedSeed {
	s.Blob, s.Tag = bytes.Clone(s.Blob), bytes.Clone(s.Tag)
	return s
}

func (r *resident) remove(at *list.Element) {
	seed := at.Value.(*residentSeed)
	seed.gone = true
	delete(r.entries, seed.key)
	r.recent.Remove(at)
}
