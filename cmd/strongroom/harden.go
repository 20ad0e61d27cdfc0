package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// harden keeps this process's memory to itself: a PIN, and with a software token seeds as well, are in it. There are no
// core dumps, other processes of the same user can't attach, and files are made for the owner alone.
func harden() error {
	unix.Umask(0o077)
	var errs []error
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		errs = append(errs, fmt.Errorf("turning core dumps off: %w", err))
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		errs = append(errs, fmt.Errorf("keeping debuggers out: %w", err))
	}
	return errors.Join(errs...)
}
