package firmwaresim

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

const (
	pageSize = 4 << 10
	// pageTouched are the bits of /proc/pid/pagemap for a page that is in memory or in swap
	// (Documentation/admin-guide/mm/pagemap.rst).
	pageTouched = 1<<63 | 1<<62
	// hugeMapping is larger than what any node has: the race detector reserves terabytes for its notes on which thread
	// touched which word, in which the words are not.
	hugeMapping = 64 << 30
)

// CoreDump writes the memory of a running node to a file, which must not exist: every page of every mapping that the
// process has touched, in the order of addresses. The node stands still meanwhile and goes on afterwards. It needs the
// right to trace, which root has.
//
// gcore shows the same, but for what it leaves out because the process asked for that, and it writes gigabytes of pages
// that nothing was ever in.
//
// The file's name is path and the process's id; it is returned.
func (c *Chassis) CoreDump(ctx context.Context, path string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.on() {
		return "", fmt.Errorf("dumping the memory of %s: %w", c.ID(), ErrOff)
	}
	path = fmt.Sprintf("%s.%d", path, c.running.cmd.Process.Pid)
	if err := c.dumpTo(ctx, path); err != nil {
		return "", fmt.Errorf("dumping the memory of %s: %w", c.ID(), err)
	}
	return path, nil
}

func (c *Chassis) dumpTo(ctx context.Context, path string) (err error) {
	if !c.running.paused {
		if err := c.running.signal(syscall.SIGSTOP); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.running.signal(syscall.SIGCONT)) }()
	}
	to, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	return dump(ctx, c.running.cmd.Process.Pid, to)
}

// dump copies the touched pages of a process.
func dump(ctx context.Context, pid int, to io.Writer) error {
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return err
	}
	defer maps.Close()
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return err
	}
	defer memory.Close()
	pagemap, err := os.Open(fmt.Sprintf("/proc/%d/pagemap", pid))
	if err != nil {
		return err
	}
	defer pagemap.Close()
	out := bufio.NewWriterSize(to, 1<<20)
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		var from, end uint64
		var mode string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &end, &mode); err != nil {
			return fmt.Errorf("reading maps: %w", err)
		}
		// [vvar] is the kernel's own and can't be read this way.
		if mode[0] != 'r' || end-from > hugeMapping || strings.HasSuffix(lines.Text(), "[vvar]") || strings.HasSuffix(lines.Text(), "[vsyscall]") {
			continue
		}
		if err := dumpMapping(ctx, from, end, memory, pagemap, out); err != nil {
			return fmt.Errorf("reading the mapping %s: %w", lines.Text(), err)
		}
	}
	return errors.Join(lines.Err(), out.Flush())
}

// dumpMapping goes through a mapping in pieces.
func dumpMapping(ctx context.Context, from, end uint64, memory, pagemap io.ReaderAt, out io.Writer) error {
	const piece = 64 << 10 // pages
	entries := make([]byte, 8*piece)
	page := make([]byte, pageSize)
	for at := from; at < end; at += piece * pageSize {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		pages := min(piece, (end-at)/pageSize)
		if _, err := pagemap.ReadAt(entries[:8*pages], int64(at/pageSize*8)); err != nil {
			return err
		}
		for i := range pages {
			if binary.NativeEndian.Uint64(entries[8*i:])&pageTouched == 0 {
				continue
			}
			if _, err := memory.ReadAt(page, int64(at+i*pageSize)); err != nil {
				return err
			}
			if _, err := out.Write(page); err != nil {
				return err
			}
		}
	}
	return nil
}
