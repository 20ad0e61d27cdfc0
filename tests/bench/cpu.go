package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// cpuClocks names processes whose CPU time is measured.
type cpuClocks map[string]int // name to pid

// tick is Linux's USER_HZ, which /proc counts in.
const tick = 10 * time.Millisecond

// read returns user and system time of each process, from /proc/<pid>/stat (proc(5): fields 14 and 15).
func (c cpuClocks) read() (map[string]time.Duration, error) {
	times := make(map[string]time.Duration, len(c))
	for name, pid := range c {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return nil, fmt.Errorf("reading the CPU time of %s: %w", name, err)
		}
		// The command's name, in parentheses, may hold spaces; what follows it doesn't.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 13 {
			return nil, fmt.Errorf("reading the CPU time of %s: %d fields", name, len(fields))
		}
		var ticks int64
		for _, field := range fields[11:13] {
			n, err := strconv.ParseInt(string(field), 10, 64)
			if err != nil {
				return nil, fmt.Errorf("reading the CPU time of %s: %w", name, err)
			}
			ticks += n
		}
		times[name] = time.Duration(ticks) * tick
	}
	return times, nil
}
