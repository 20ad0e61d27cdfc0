package appliance

import "sync"

// bell wakes everyone who waits for it.
type bell struct {
	mu   sync.Mutex
	rung chan struct{} // closed by the next tell; nil while nobody waits
}

// wait returns a channel that the next tell closes.
func (b *bell) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.rung
}

func (b *bell) tell() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung != nil {
		close(b.rung)
		b.rung = nil
	}
}
