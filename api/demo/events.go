package demo

import (
	"fmt"
	"net/http"
	"time"
)

// eventBeat is how often a stream says that it lives.
const eventBeat = 15 * time.Second

// events tells a page which of the home's panes have changed (server-sent events, WHATWG HTML, Section 9.2). What changed
// is not in it: the page is loaded again, and a stream that was interrupted has lost nothing.
func (s *Site) events(w http.ResponseWriter, r *http.Request, h *home) {
	changes, end, ok := h.watch()
	if !ok {
		http.Error(w, "There are too many pages open.", http.StatusServiceUnavailable)
		return
	}
	defer end()
	control := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	write := func(text string) bool {
		_ = control.SetWriteDeadline(time.Now().Add(eventBeat))
		_, err := w.Write([]byte(text))
		return err == nil && control.Flush() == nil
	}
	if !write("retry: 1000\nevent: begun\ndata: \n\n") {
		return
	}
	beat := time.NewTicker(eventBeat)
	defer beat.Stop()
	for {
		select {
		case p := <-changes:
			if !write(fmt.Sprintf("event: changed\ndata: %s\n\n", p)) {
				return
			}
		case <-beat.C:
			if !write(": still here\n\n") {
				return
			}
		case <-r.Context().Done():
			return
		case <-s.closing.Done():
			return
		}
	}
}
