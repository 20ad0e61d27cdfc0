package client

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

func readAll(text string) (events []string, lines int, err error) {
	err = readEvents(strings.NewReader(text), func() { lines++ }, func(e serverEvent) error {
		events = append(events, fmt.Sprintf("%s %s %q", e.name, e.id, e.data))
		return nil
	})
	return events, lines, err
}

func TestReadEvents(t *testing.T) {
	for text, want := range map[string][]string{
		"event: a\nid: 1\ndata: x\n\n":                 {`a 1 "x"`},
		"data:x\r\ndata: y\r\ndata:  z\r\n\r\n":        {`  "x\ny\n z"`},
		": comment\n\n:\n\ndata\n\ndata:\ndata\n\n":    {`  ""`, `  "\n"`},
		"event: a\nid: 1\n\ndata: b\n\n":               {`  "b"`}, // what has no data is no event
		"event: a\nevent: b\nretry: 3\nfoo\ndata: c\n": nil,       // and what is cut off neither
		"data: a: b\n\n":                               {`  "a: b"`},
	} {
		got, lines, err := readAll(text)
		if !slices.Equal(got, want) || err != io.EOF || lines != strings.Count(text, "\n") {
			t.Errorf("%q: %q, %v after %d lines", text, got, err, lines)
		}
	}
	if _, _, err := readAll("data: " + strings.Repeat("x", maxEventLine)); !errors.Is(err, errEvent) {
		t.Errorf("a line without end: %v", err)
	}
	if _, _, err := readAll(strings.Repeat("data: "+strings.Repeat("x", maxEventLine/2)+"\n", 5)); !errors.Is(err, errEvent) {
		t.Errorf("an event without end: %v", err)
	}
}

// Events that were read are read again when they are written anew.
func FuzzReadEvents(f *testing.F) {
	f.Add("event: entry\nid: 7\ndata: {}\n\n: \n\ndata: a\ndata: b\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		var again strings.Builder
		var first []serverEvent
		_ = readEvents(strings.NewReader(text), func() {}, func(e serverEvent) error {
			first = append(first, e)
			if e.name != "" {
				again.WriteString("event: " + e.name + "\n")
			}
			if e.id != "" {
				again.WriteString("id: " + e.id + "\n")
			}
			for _, line := range strings.Split(string(e.data), "\n") {
				again.WriteString("data: " + line + "\n")
			}
			again.WriteString("\n")
			return nil
		})
		n := 0
		err := readEvents(strings.NewReader(again.String()), func() {}, func(e serverEvent) error {
			if n >= len(first) || e.name != first[n].name || e.id != first[n].id || string(e.data) != string(first[n].data) {
				t.Fatalf("event %d was %+v, and is %+v", n, first, e)
			}
			n++
			return nil
		})
		if n != len(first) || err != io.EOF {
			t.Fatalf("%d events of %d came again, %v", n, len(first), err)
		}
	})
}
