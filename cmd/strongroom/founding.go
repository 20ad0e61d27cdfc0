package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"strongroom.internal/appliance"
)

// founding is what a cluster's birth has made and not yet used up: with it on disk, an interrupted init goes on where it
// was. It holds no secret; the keys in the command are sealed.
type founding struct {
	Format   int                `json:"format"`
	Identity appliance.Identity `json:"identity"`
	Command  []byte             `json:"command"` // the first of the engine
}

// readFounding returns nil when there is none.
func readFounding(dir string) (*founding, error) {
	raw, err := os.ReadFile(filepath.Join(dir, foundingFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the interrupted init: %w", err)
	}
	var f founding
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, fmt.Errorf("reading the interrupted init: %w", err)
	}
	if f.Format != 1 {
		return nil, fmt.Errorf("reading the interrupted init: format %d is not known", f.Format)
	}
	return &f, nil
}

func (f *founding) write(dir string) error {
	raw, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encoding what was founded: %w", err)
	}
	return writeDurably(filepath.Join(dir, foundingFile), raw, 0o600)
}
