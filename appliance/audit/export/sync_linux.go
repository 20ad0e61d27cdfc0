package export

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncAll has everything that was written on the directory's file system on its disk: one call for any number of files.
func syncAll(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}
