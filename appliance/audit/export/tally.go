package export

import (
	"bufio"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"
)

// Total is what was counted under one name.
type Total struct {
	Name    string
	Entries int64
	MACs    int64
}

// tally counts under names, in memory that does not grow with their number: when there are most of them, they are written
// to a temporary file in order and counting begins anew; at the end the files are merged. The names of a log are of its
// making, so nothing else bounds them.
type tally struct {
	most   int
	counts map[string]*Total
	runs   []*os.File
}

// maxRuns bounds the files of a tally. When there are more they are merged to one.
const maxRuns = 16

func newTally(most int) *tally { return &tally{most: most, counts: map[string]*Total{}} }

func (t *tally) add(name string, macs int64) error {
	c := t.counts[name]
	if c == nil {
		if len(t.counts) == t.most {
			if err := t.spill(); err != nil {
				return err
			}
		}
		c = &Total{Name: strings.Clone(name)} // a name that was cut out of an entry would keep all of it
		t.counts[c.Name] = c
	}
	c.Entries++
	c.MACs += macs
	return nil
}

// spill writes what is in memory to a file.
func (t *tally) spill() error {
	if len(t.runs) == maxRuns {
		run, err := writeRun(t.all())
		if err != nil {
			return err
		}
		t.close()
		t.runs = []*os.File{run}
		clear(t.counts)
		return nil
	}
	run, err := writeRun(t.counted())
	if err != nil {
		return err
	}
	t.runs = append(t.runs, run)
	clear(t.counts)
	return nil
}

// counted gives what is in memory, by name.
func (t *tally) counted() iter.Seq2[Total, error] {
	return func(yield func(Total, error) bool) {
		for _, name := range slices.Sorted(maps.Keys(t.counts)) {
			if !yield(*t.counts[name], nil) {
				return
			}
		}
	}
}

func writeRun(totals iter.Seq2[Total, error]) (_ *os.File, err error) {
	f, err := os.CreateTemp("", "strongroom-totals-*")
	if err != nil {
		return nil, fmt.Errorf("counting: %w", err)
	}
	// Without a name it goes when the program does. Where the system refuses that it is removed in close.
	_ = os.Remove(f.Name())
	defer func() {
		if err != nil {
			discard(f)
		}
	}()
	w := bufio.NewWriter(f)
	var b []byte
	for total, err := range totals {
		if err != nil {
			return nil, err
		}
		b = binary.AppendUvarint(b[:0], uint64(len(total.Name)))
		b = append(b, total.Name...)
		b = binary.AppendUvarint(b, uint64(total.Entries))
		b = binary.AppendUvarint(b, uint64(total.MACs))
		if _, err := w.Write(b); err != nil {
			return nil, fmt.Errorf("counting: %w", err)
		}
	}
	if err := w.Flush(); err != nil {
		return nil, fmt.Errorf("counting: %w", err)
	}
	return f, nil
}

func readTotal(r *bufio.Reader) (t Total, err error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return t, err // io.EOF: there are no more
	}
	name := make([]byte, n)
	_, err1 := io.ReadFull(r, name)
	entries, err2 := binary.ReadUvarint(r)
	macs, err3 := binary.ReadUvarint(r)
	if err := errors.Join(err1, err2, err3); err != nil {
		return t, fmt.Errorf("counting: reading what was counted: %v", err)
	}
	return Total{string(name), int64(entries), int64(macs)}, nil
}

// all merges what is in memory and in files, by name. It can be asked for again.
func (t *tally) all() iter.Seq2[Total, error] {
	return func(yield func(Total, error) bool) {
		sources := []iter.Seq2[Total, error]{t.counted()}
		for _, run := range t.runs {
			sources = append(sources, readRun(run))
		}
		var h mergeHeap
		defer func() {
			for _, s := range h {
				s.stop()
			}
		}()
		for _, source := range sources {
			next, stop := iter.Pull2(source)
			s := &mergeSource{next: next, stop: stop}
			if more, err := s.advance(); err != nil {
				stop()
				yield(Total{}, err)
				return
			} else if more {
				h = append(h, s)
			}
		}
		heap.Init(&h)
		for len(h) > 0 {
			sum := h[0].head
			sum.Entries, sum.MACs = 0, 0
			for len(h) > 0 && h[0].head.Name == sum.Name {
				sum.Entries += h[0].head.Entries
				sum.MACs += h[0].head.MACs
				more, err := h[0].advance()
				switch {
				case err != nil:
					yield(Total{}, err)
					return
				case more:
					heap.Fix(&h, 0)
				default:
					heap.Pop(&h)
				}
			}
			if !yield(sum, nil) {
				return
			}
		}
	}
}

func readRun(f *os.File) iter.Seq2[Total, error] {
	return func(yield func(Total, error) bool) {
		r := bufio.NewReader(io.NewSectionReader(f, 0, 1<<62))
		for {
			total, err := readTotal(r)
			if errors.Is(err, io.EOF) || !yield(total, err) || err != nil {
				return
			}
		}
	}
}

func (t *tally) close() {
	for _, f := range t.runs {
		discard(f)
	}
	t.runs = nil
}

func discard(f *os.File) {
	_ = f.Close()
	_ = os.Remove(f.Name())
}

// mergeSource is one of those that are merged, with its next total.
type mergeSource struct {
	head Total
	next func() (Total, error, bool)
	stop func()
}

func (s *mergeSource) advance() (more bool, err error) {
	s.head, err, more = s.next()
	return more, err
}

// mergeHeap has the source with the lowest name first.
type mergeHeap []*mergeSource

func (h mergeHeap) Len() int           { return len(h) }
func (h mergeHeap) Less(i, j int) bool { return h[i].head.Name < h[j].head.Name }
func (h mergeHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *mergeHeap) Push(x any)        { *h = append(*h, x.(*mergeSource)) }
func (h *mergeHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
