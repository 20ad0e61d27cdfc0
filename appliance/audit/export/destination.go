package export

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// destination is where an export is made. Until it is done it has a file with the survey, and no export.json: whatever
// happens, a directory with an export.json is a whole export.
type destination struct {
	dir     string // of its files
	archive string // where they are packed to; empty: they are not
}

const (
	partialSuffix = ".partial"
	tempSuffix    = ".tmp"
	stateName     = "export.partial.json"
	maxState      = maxManifest + maxPolicy*2 + maxTrees*maxCheckpoint*2
)

func openDestination(out string) (*destination, error) {
	if out == "" {
		return nil, errors.New("exporting: where to?")
	}
	d := &destination{dir: filepath.Clean(out)}
	if strings.HasSuffix(out, ".tar") {
		d.archive, d.dir = d.dir, d.dir+partialSuffix
		if _, err := os.Lstat(d.archive); err == nil {
			return nil, fmt.Errorf("exporting to %s: %w; give it another name", out, ErrExists)
		}
	}
	if _, err := os.Lstat(filepath.Join(d.dir, manifestName)); err == nil {
		// A run that ended after its last file but one may have left the survey.
		_ = os.Remove(filepath.Join(d.dir, stateName))
		return nil, fmt.Errorf("exporting to %s: %w, a finished export; give it another name", out, ErrExists)
	}
	return d, nil
}

// resume gives the survey of the run before; fs.ErrNotExist: there was none.
func (d *destination) resume(c Config) (*survey, error) {
	b, err := readBounded(filepath.Join(d.dir, stateName), maxState)
	if errors.Is(err, fs.ErrNotExist) {
		entries, err := os.ReadDir(d.dir)
		if err == nil && len(entries) > 0 && entries[0].Name() != stateName+tempSuffix {
			return nil, fmt.Errorf("exporting to %s: %w: %s, and this is no export", d.dir, ErrExists, entries[0].Name())
		}
		if err == nil {
			err = fs.ErrNotExist
		}
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("going on with the export: %w", err)
	}
	v := &survey{}
	err = json.Unmarshal(b, v)
	if err != nil || v.Manifest == nil || v.Manifest.validate() != nil || len(v.Checkpoints) != len(v.Manifest.Trees) {
		return nil, fmt.Errorf("going on with the export: %s is damaged; remove %s and begin anew", stateName, d.dir)
	}
	m := v.Manifest
	var since *Since
	if c.Since != nil {
		since = &Since{c.Since.Tree(), c.Since.Size}
	}
	if m.Asked != c.Asked || (m.Since == nil) != (since == nil) || since != nil && *m.Since != *since {
		return nil, fmt.Errorf("exporting to %s: %w (from %q to %q); remove it or give another name", d.dir, ErrOther,
			m.Asked.From, m.Asked.To)
	}
	return v, nil
}

// begin keeps the survey, so that a later run goes on with the same checkpoint.
func (d *destination) begin(v *survey) error {
	// Who uses which key when is not for everybody.
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return fmt.Errorf("exporting: %w", err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("exporting: %w", err)
	}
	return d.write(stateName, b)
}

func (d *destination) read(f file) ([]byte, error) {
	return folder{os.DirFS(d.dir)}.read(f.name, f.path(), f.maxSize())
}

// write puts a file in place whole. That it is on the disk is seen to in finish: until then a file that is not is only
// fetched again.
func (d *destination) write(path string, content []byte) error {
	name := filepath.Join(d.dir, filepath.FromSlash(path))
	err := os.WriteFile(name+tempSuffix, content, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(name), 0o700); err == nil {
			err = os.WriteFile(name+tempSuffix, content, 0o600)
		}
	}
	if err == nil {
		err = os.Rename(name+tempSuffix, name)
	}
	if err != nil {
		return fmt.Errorf("exporting: %w", err)
	}
	return nil
}

// finish makes an export of the files.
func (d *destination) finish(v *survey) error {
	manifest, err := v.Manifest.encode()
	if err != nil {
		return fmt.Errorf("exporting: %w", err)
	}
	if d.archive != "" {
		return d.pack(v, manifest)
	}
	err = v.heads(d.write)
	if err == nil {
		err = syncAll(d.dir)
	}
	if err == nil {
		err = d.write(manifestName, manifest)
	}
	if err == nil {
		err = os.Remove(filepath.Join(d.dir, stateName))
	}
	if err == nil {
		err = syncAll(d.dir)
	}
	if err != nil {
		return fmt.Errorf("finishing the export: %w", err)
	}
	return nil
}

// heads gives the files that come between the manifest and the tiles, in the order of an archive.
func (v *survey) heads(put func(path string, content []byte) error) error {
	if err := put(policyName, v.Policy); err != nil {
		return err
	}
	for k, t := range v.Manifest.Trees {
		if t.Checkpoint == "" {
			continue
		}
		if err := put(t.Name+"/"+checkpointName, v.Checkpoints[k]); err != nil {
			return err
		}
	}
	return nil
}

// pack makes the archive and removes the directory.
func (d *destination) pack(v *survey, manifest []byte) (err error) {
	f, err := os.OpenFile(d.archive+tempSuffix, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("packing the export: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
			err = fmt.Errorf("packing the export: %w", err)
		}
	}()
	w := archiveWriter{bufio.NewWriterSize(f, 1<<20)}
	if err := w.add(manifestName, manifest); err != nil {
		return err
	}
	if err := v.heads(w.add); err != nil {
		return err
	}
	for file := range allFiles(v.Manifest.plans()) {
		content, err := d.read(file)
		if err != nil {
			return err
		}
		if err := w.add(file.path(), content); err != nil {
			return err
		}
	}
	if err := errors.Join(w.finish(), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), d.archive); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(d.archive)); err != nil {
		return err
	}
	return os.RemoveAll(d.dir)
}

// readBounded reads a file, or a pipe, of at most limit bytes.
func readBounded(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("reading %s: it has more than %d bytes", name, limit)
	}
	return b, err
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
