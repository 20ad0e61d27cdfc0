package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"strongroom.internal/appliance"
)

// signedFile, in the data directory, says which checkpoint this node signed last.
const signedFile = "signed-checkpoint.json"

// signedMemory is the appliance's Memory in a file.
type signedMemory struct {
	path string
	mu   sync.Mutex
	last *appliance.SignedHead // nil until it was read
}

func newSignedMemory(dataDir string) *signedMemory {
	return &signedMemory{path: filepath.Join(dataDir, signedFile)}
}

type signedRecord struct {
	Tree string `json:"tree"`
	Size int64  `json:"size"`
	Root string `json:"root"` // hex
}

func (m *signedMemory) Last() (appliance.SignedHead, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.last != nil {
		return *m.last, nil
	}
	raw, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		m.last = &appliance.SignedHead{}
		return *m.last, nil
	}
	var r signedRecord
	if err == nil {
		err = json.Unmarshal(raw, &r)
	}
	root, bad := hex.DecodeString(r.Root)
	if err = errors.Join(err, bad); err != nil || len(root) != 32 {
		return appliance.SignedHead{}, fmt.Errorf("reading %s: it is damaged: %w", m.path, err)
	}
	m.last = &appliance.SignedHead{Tree: r.Tree, Size: r.Size, Root: [32]byte(root)}
	return *m.last, nil
}

func (m *signedMemory) Keep(h appliance.SignedHead) error {
	raw, err := json.Marshal(signedRecord{Tree: h.Tree, Size: h.Size, Root: hex.EncodeToString(h.Root[:])})
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := writeDurably(m.path, append(raw, '\n'), 0o600); err != nil {
		return err
	}
	m.last = &h
	return nil
}
