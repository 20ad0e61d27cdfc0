package tokenfile

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"

	"strongroom.internal/appliance/otp"
)

// scanner goes through the lines of a text that say something.
type scanner struct {
	s      *bufio.Scanner
	buffer []byte
	line   int
	left   int // bytes of the file
}

func newScanner(r io.Reader) *scanner {
	s := &scanner{s: bufio.NewScanner(r), buffer: make([]byte, maxLine), left: MaxFile}
	s.s.Buffer(s.buffer, maxLine)
	return s
}

// next is the next line that is not empty, trimmed, and valid until the next call; nil at the end.
func (s *scanner) next() ([]byte, error) {
	for s.s.Scan() {
		s.line++
		text := s.s.Bytes()
		if s.left -= len(text) + 1; s.left < 0 {
			return nil, fileError("it is too large")
		}
		if s.line == 1 {
			text = bytes.TrimPrefix(text, []byte("\ufeff"))
		}
		if text = bytes.TrimSpace(text); len(text) > 0 {
			return text, nil
		}
	}
	if errors.Is(s.s.Err(), bufio.ErrTooLong) {
		return nil, fileError("line %d is longer than %d bytes", s.line+1, maxLine)
	}
	if s.s.Err() != nil {
		return nil, fileError("line %d: %v", s.line+1, s.s.Err())
	}
	return nil, nil
}

// destroy overwrites what was read last. What was read before lay in the same place.
func (s *scanner) destroy() { clear(s.buffer[:cap(s.buffer)]) }

// each calls parse for every line but comments and gives what it makes of it. parse returns false for a line that is no
// token.
func each(r io.Reader, parse func(line []byte, record *otp.Record) bool) iter.Seq2[otp.Record, error] {
	return func(yield func(otp.Record, error) bool) {
		s := newScanner(r)
		defer s.destroy()
		rows := 0
		for {
			text, err := s.next()
			if err != nil {
				yield(otp.Record{}, err)
				return
			}
			if text == nil {
				break
			}
			record := otp.Record{Row: rows + 1, Line: s.line}
			if !parse(text, &record) {
				continue
			}
			if rows++; rows > MaxRecords {
				record.Destroy()
				yield(otp.Record{}, fileError("it has more than %d tokens", MaxRecords))
				return
			}
			record.Finish()
			if !yield(record, nil) {
				return
			}
		}
		if rows == 0 {
			yield(otp.Record{}, fileError("it has no token"))
		}
	}
}
