package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lockFile keeps two processes from working on one data directory.
const lockFile = "lock"

// lockDataDir makes the directory when it isn't there and locks it until unlock, or until the process ends however it
// ends.
func lockDataDir(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making node.data_dir: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking node.data_dir: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s is in use: another strongroom serves this node or sets it up", dir)
		}
		return nil, fmt.Errorf("locking node.data_dir: %w", err)
	}
	return func() { _ = f.Close() }, nil
}
