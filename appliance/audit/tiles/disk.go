package tiles

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
)

// disk is what a store does to its file system. The tests put a failing one here. Errors say what failed on which path.
type disk interface {
	// create makes a file for writing, or empties the one that is there.
	create(path string) (file, error)
	rename(from, to string) error
	// remove removes a file or an empty directory.
	remove(path string) error
	// mkdir answers fs.ErrExist when there is something of that name.
	mkdir(path string) error
	// syncDir makes durable what was made, renamed and removed in a directory.
	syncDir(path string) error
}

type file interface {
	io.WriteCloser
	Sync() error
}

// osDisk is the operating system's.
type osDisk struct{}

func (osDisk) create(path string) (file, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
}
func (osDisk) rename(from, to string) error { return os.Rename(from, to) }
func (osDisk) remove(path string) error     { return os.Remove(path) }
func (osDisk) mkdir(path string) error      { return os.Mkdir(path, 0o700) }

func (osDisk) syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

const tmpDir = "tmp"

// output is a file that is to be, with its path in the tree's directory.
type output struct {
	path    string
	content []byte
}

func (s *Store) path(rel string) string { return filepath.Join(s.dir, filepath.FromSlash(rel)) }

// put writes files durably. If it fails, each of them may be as it was or as it should be, and calling it again does all
// of it again. s.write is held.
func (s *Store) put(outputs ...output) (err error) {
	tmp := func(i int) string { return s.path(tmpDir + "/" + strconv.Itoa(i)) }
	defer func() {
		if err == nil {
			return
		}
		// A torn file on a full disk is room for the next attempt.
		for i := range outputs {
			_ = s.disk.remove(tmp(i))
		}
		clear(s.durable)
	}()
	if err := s.makeDir(tmpDir); err != nil {
		return err
	}
	for i, o := range outputs {
		if err := s.makeDir(path.Dir(o.path)); err != nil {
			return err
		}
		if err := s.writeSynced(tmp(i), o.content); err != nil {
			return fmt.Errorf("for %s: %w", o.path, err)
		}
	}
	for i, o := range outputs {
		if err := s.disk.rename(tmp(i), s.path(o.path)); err != nil {
			return err
		}
	}
	synced := make(map[string]bool, len(outputs))
	for _, o := range outputs {
		d := path.Dir(o.path)
		if synced[d] {
			continue
		}
		if err := s.disk.syncDir(s.path(d)); err != nil {
			return err
		}
		synced[d] = true
	}
	return nil
}

func (s *Store) writeSynced(path string, b []byte) error {
	f, err := s.disk.create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// makeDir sees to it that a directory of the tree is there and durable. That it was made is not enough: a process that
// ended before the sync leaves one that a power cut takes away, with all that was synced in it.
func (s *Store) makeDir(rel string) error {
	if rel == "." || s.durable[rel] {
		return nil
	}
	parent := path.Dir(rel)
	if err := s.makeDir(parent); err != nil {
		return err
	}
	if err := s.disk.mkdir(s.path(rel)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := s.disk.syncDir(s.path(parent)); err != nil {
		return err
	}
	s.durable[rel] = true
	return nil
}

// makeRoot is makeDir for the tree's directory itself, whose parents may be missing too.
func makeRoot(d disk, dir string) error {
	parent := filepath.Dir(dir)
	if parent == dir {
		return nil
	}
	if _, err := os.Stat(parent); errors.Is(err, fs.ErrNotExist) {
		if err := makeRoot(d, parent); err != nil {
			return err
		}
	}
	if err := d.mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.syncDir(parent)
}

// readFile reads a file of at most that many bytes.
func readFile(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("%w: it is no regular file", errSize)}
	case info.Size() > most:
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("%w: %d bytes", errSize, info.Size())}
	}
	b := make([]byte, info.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return b, nil
}

// errSize: what is at a file's place can't be that file.
var errSize = errors.New("the wrong size")

// changed is the error of a file that has not what was written to it.
func (s *Store) changed(level int, n int64, width int) error {
	return fmt.Errorf("%w: %s, or a tile above it, is not what was written", ErrDamaged, s.path(tilePath(level, n, width)))
}

// readTile reads the file of a tile, which must be there.
func (s *Store) readTile(level int, n int64, width int) ([]byte, error) {
	p := s.path(tilePath(level, n, width))
	b, err := readFile(p, tileSize)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if len(b) != width*hashSize {
		return nil, fmt.Errorf("%w: %s has %d bytes and must have %d", ErrDamaged, p, len(b), width*hashSize)
	}
	return b, nil
}

// readBundle reads the file of a bundle, which must be there.
func (s *Store) readBundle(n int64, width int) ([][]byte, error) {
	p := s.path(tilePath(entriesLevel, n, width))
	b, err := readFile(p, maxBundle)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	entries, err := splitBundle(b, width)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, p, err)
	}
	return entries, nil
}
