package cluster

// recentValues bounds each half of recent. A value is an account's record, about half a KiB: the whole is some MiB.
const recentValues = 4096

// recent remembers values that the machine read or wrote lately, so that what every command needs, such as a tenant's
// policy, is not looked for on disk each time. It belongs to the goroutine that applies: every write passes through it, so
// it never differs from the state, and decides nothing.
//
// It is two generations of a map: when the young one is full it becomes the old one, and what is then asked for again
// moves over.
type recent struct {
	young, old map[string][]byte // a nil value: the key is known to have none
}

func (r *recent) get(key []byte) (value []byte, known bool) {
	if value, known = r.young[string(key)]; known {
		return value, true
	}
	if value, known = r.old[string(key)]; known {
		r.put(key, value)
	}
	return value, known
}

// put takes ownership of value.
func (r *recent) put(key, value []byte) {
	if r.young == nil || len(r.young) >= recentValues {
		r.young, r.old = make(map[string][]byte, recentValues), r.young
	}
	r.young[string(key)] = value
}

// forget empties it: the state is another one.
func (r *recent) forget() { r.young, r.old = nil, nil }
