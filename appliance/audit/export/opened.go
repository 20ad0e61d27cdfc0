package export

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// Export is an export that was opened to be verified, a directory or an archive. It is verified once, then closed.
type Export struct {
	reader reader
	close  func() error
}

// reader gives an export's files. They are asked for in the one order in which an archive has them.
type reader interface {
	// begin is called in order, and what it returns may be called beside others. fs.ErrNotExist: there is no such file;
	// a *Fault: what is there can't be it.
	begin(tree, path string, limit int) func() ([]byte, error)
	// end says whether there is anything else than the files that known tells of.
	end(known func(path string) bool) error
}

// Open opens an export: a directory, or a file, which has to be a tar archive as Run writes it.
func Open(path string) (*Export, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("opening an export: %w", err)
	}
	if info.IsDir() {
		return OpenFS(os.DirFS(path)), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening an export: %w", err)
	}
	return &Export{newArchive(f), f.Close}, nil
}

// OpenFS opens an export that is a directory.
func OpenFS(dir fs.FS) *Export { return &Export{folder{dir}, func() error { return nil }} }

// OpenArchive opens an export that is a tar archive.
func OpenArchive(r io.Reader) *Export { return &Export{newArchive(r), func() error { return nil }} }

// Close closes what Open opened.
func (e *Export) Close() error { return e.close() }

// folder reads an export from a directory.
type folder struct{ dir fs.FS }

func (d folder) begin(tree, path string, limit int) func() ([]byte, error) {
	return func() ([]byte, error) { return d.read(tree, path, limit) }
}

func (d folder) read(tree, path string, limit int) ([]byte, error) {
	f, err := d.dir.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, faultIn(tree, path, "it is not a plain file")
	}
	if info.Size() > int64(limit) {
		return nil, tooLong(tree, path, limit)
	}
	b := make([]byte, info.Size(), info.Size()+1)
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, err
	}
	if n, _ := f.Read(b[len(b):cap(b)]); n > 0 {
		return nil, faultIn(tree, path, "it grows while it is read")
	}
	return b, nil
}

func tooLong(tree, path string, limit int) *Fault {
	return faultIn(tree, path, "it is larger than the %d bytes that it can have", limit)
}

func (d folder) end(known func(path string) bool) error {
	return fs.WalkDir(d.dir, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if !known(path) {
			tree, _, _ := strings.Cut(path, "/")
			if tree == path {
				tree = ""
			}
			return faultIn(tree, path, "it does not belong to the export")
		}
		return nil
	})
}

// missing makes of a file that isn't there a fault.
func missing(tree, path string, err error) error {
	var fault *Fault
	switch {
	case err == nil || errors.As(err, &fault):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return faultIn(tree, path, "it is missing")
	}
	return fmt.Errorf("reading %s: %w", path, err)
}
