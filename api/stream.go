package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"strongroom.internal/appliance"
)

// The stream of the log: server-sent events (HTML Living Standard, Section 9.2).
//
//	event: entry           id is the entry's index, data its line of JSON, the exact bytes
//	event: checkpoint      data is a signed note; all entries that it covers, from where the stream began, came before it
//	: a comment            every 15 s without news, so that both ends know that the other is there
//
// Who comes again with Last-Event-ID goes on after that entry.

func (a *API) registerStream(h huma.API) {
	op := answering(operation(streamRoute, "follow-log", "log", "Follow the log",
		"Server-sent events: entry (id is its index, data its JSON line) and checkpoint (data is the signed note, after the entries that it covers). Last-Event-ID goes on after that entry. A comment comes every 15 s without news. The node ends a stream when it shuts down, and one whose client doesn't read.",
		http.StatusOK), "text/event-stream", "Events without end.", &huma.Schema{Type: huma.TypeString})
	least, zero := 0.0, &huma.Schema{Type: huma.TypeInteger, Format: "int64"}
	zero.Minimum = &least
	op.Parameters = []*huma.Param{
		{Name: "from", In: "query", Description: "Index of the first entry. Absent: the next one that is logged.", Schema: zero},
		{Name: "Last-Event-ID", In: "header", Description: "Index of the last entry that was seen; it counts more than from.", Schema: zero},
	}
	op.Responses["default"] = problemResponse
	h.OpenAPI().AddOperation(&op)
	a.handle(streamRoute, http.HandlerFunc(a.serveStream))
}

func (a *API) serveStream(w http.ResponseWriter, r *http.Request) {
	if a.streams.Add(1) > maxLogStreams {
		a.streams.Add(-1)
		a.fail(w, r, errOverloaded)
		return
	}
	defer a.streams.Add(-1)
	ctx, cancel := streamContext(r)
	defer cancel()
	defer context.AfterFunc(a.ending, cancel)()
	from, err := a.streamFrom(ctx, r)
	if err == nil {
		_, err = a.service.LogEntries(ctx, from, 1) // what can't be had at all is said before the answer begins
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // of nginx, which would keep events back
	if r.Method == http.MethodHead {
		return
	}
	s := &stream{service: a.service, w: w, control: http.NewResponseController(w), heartbeat: a.heartbeat, patience: a.patience, next: from}
	if err := s.run(ctx); err != nil && ctx.Err() == nil {
		a.log.Debug("a stream of the log ended", "request", exchangeOf(r.Context()).requestID, "entry", s.next, "error", err)
	}
}

// streamContext ends with the request, and with the certificate that it was allowed by.
func streamContext(r *http.Request) (context.Context, context.CancelFunc) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return context.WithCancel(r.Context())
	}
	return context.WithDeadline(r.Context(), r.TLS.PeerCertificates[0].NotAfter)
}

// streamFrom is the index of the first entry that is wanted.
func (a *API) streamFrom(ctx context.Context, r *http.Request) (int64, error) {
	query := r.URL.Query()
	for name, values := range query {
		if name != "from" || len(values) != 1 {
			return 0, invalid("query", "must be from alone, and once")
		}
	}
	if seen := r.Header.Values("Last-Event-ID"); len(seen) > 0 {
		n, err := parseIndex(seen[0])
		if err != nil || len(seen) > 1 {
			return 0, invalid("Last-Event-ID", indexRule)
		}
		return n + 1, nil
	}
	if query.Has("from") {
		n, err := parseIndex(query.Get("from"))
		if err != nil {
			return 0, invalid("from", indexRule)
		}
		return n, nil
	}
	trees, err := a.service.LogTrees(ctx)
	if err != nil {
		return 0, err
	}
	t := trees[len(trees)-1]
	return t.First + t.Size, nil
}

const indexRule = "must be the index of an entry"

// maxIndex bounds an index that is asked for; no log gets there.
const maxIndex = 1 << 62

func parseIndex(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n >= maxIndex || strconv.FormatInt(n, 10) != s {
		return 0, errors.New("not an index")
	}
	return n, nil
}

// stream is one that is under way.
type stream struct {
	service Service
	w       http.ResponseWriter
	control *http.ResponseController
	buffer  bytes.Buffer

	heartbeat time.Duration
	patience  time.Duration
	next      int64 // the entry to send next
	signed    int64 // entries of the whole log that the last checkpoint sent covers
}

// run sends what there is and what comes, until ctx ends or the client doesn't take it.
func (s *stream) run(ctx context.Context) error {
	// The server's deadlines are for answers that end.
	if err := s.control.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("lifting the deadline of reading: %w", err)
	}
	s.buffer.WriteString(": the log\n\n") // so that the headers go out
	for {
		full, err := s.gather(ctx)
		if err != nil {
			return err
		}
		if err := s.send(); err != nil {
			return err
		}
		if full {
			continue
		}
		// What comes within a moment goes together.
		if !pause(ctx, streamPause) {
			return nil
		}
		wait, cancel := context.WithTimeout(ctx, s.heartbeat)
		err = s.service.LogNews(wait, s.next, s.signed)
		silent := wait.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case silent:
			s.buffer.WriteString(":\n\n")
		case err != nil:
			return err
		}
	}
}

// gather puts the next entries into the buffer, and the checkpoints that cover nothing beyond them. It says whether there
// may be more entries at once.
func (s *stream) gather(ctx context.Context) (full bool, err error) {
	entries, err := s.service.LogEntries(ctx, s.next, streamBatch)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		fmt.Fprintf(&s.buffer, "event: entry\nid: %d\ndata: %s\n\n", s.next, e)
		s.next++
	}
	if len(entries) == streamBatch {
		return true, nil
	}
	trees, err := s.service.LogTrees(ctx)
	if err != nil {
		return false, err
	}
	for _, t := range trees {
		if t.Signed == 0 || t.First+t.Signed <= s.signed || t.First+t.Signed > s.next {
			continue
		}
		if err := s.checkpoint(ctx, t); err != nil {
			return false, err
		}
	}
	return false, nil
}

// checkpoint puts a tree's checkpoint into the buffer, unless it has become one that covers more than was sent.
func (s *stream) checkpoint(ctx context.Context, t appliance.LogTree) error {
	note, err := s.service.LogCheckpoint(ctx, t.Tree)
	if err != nil {
		return err
	}
	lines := strings.Split(string(note), "\n")
	if len(lines) < 3 {
		return errors.New("reading a checkpoint: it is none")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return fmt.Errorf("reading a checkpoint: %w", err)
	}
	if t.First+size > s.next {
		return nil
	}
	s.buffer.WriteString("event: checkpoint\n")
	for _, line := range lines {
		s.buffer.WriteString("data: " + line + "\n")
	}
	s.buffer.WriteByte('\n')
	s.signed = t.First + size
	return nil
}

// send sends the buffer, within a time.
func (s *stream) send() error {
	if err := s.control.SetWriteDeadline(time.Now().Add(s.patience)); err != nil {
		return fmt.Errorf("setting a deadline of writing: %w", err)
	}
	defer s.buffer.Reset()
	if _, err := s.w.Write(s.buffer.Bytes()); err != nil {
		return err
	}
	if err := s.control.Flush(); err != nil {
		return err
	}
	return s.control.SetWriteDeadline(time.Time{}) // over HTTP/2 it would end a stream that has nothing to say
}

// pause is false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
