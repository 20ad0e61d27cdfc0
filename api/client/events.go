package client

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// serverEvent is one of a stream of server-sent events (HTML Living Standard, Section 9.2).
type serverEvent struct {
	name string
	id   string
	data []byte
}

const (
	// maxEventLine bounds a line of a stream, in bytes: an entry is at most 64 KiB.
	maxEventLine = 128 << 10
	// maxEventData bounds what an event's lines of data come to.
	maxEventData = 256 << 10
)

var errEvent = errors.New("not the events that were expected")

// readEvents calls fn for each event until the stream ends, which is io.EOF, or fn or the stream fails. alive is called
// for each line, comments too. The event's data is fn's to keep.
func readEvents(r io.Reader, alive func(), fn func(serverEvent) error) error {
	lines := bufio.NewReaderSize(r, maxEventLine)
	var e serverEvent
	filled := false // there is a line of data
	for {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("%w: a line of more than %d bytes", errEvent, maxEventLine)
		}
		if err != nil {
			return err // what is not ended by an empty line is no event
		}
		alive()
		line = bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))
		if len(line) == 0 {
			if filled {
				if err := fn(e); err != nil {
					return err
				}
			}
			e, filled = serverEvent{}, false
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			e.name = string(value)
		case "id":
			e.id = string(value)
		case "data":
			if filled {
				e.data = append(e.data, '\n')
			}
			filled = true
			if e.data = append(e.data, value...); len(e.data) > maxEventData {
				return fmt.Errorf("%w: an event of more than %d bytes", errEvent, maxEventData)
			}
		}
	}
}
