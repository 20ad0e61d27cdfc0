package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"strongroom.internal/hsm"
)

// Names of systemd credentials (systemd.exec(5), LoadCredentialEncrypted=).
const (
	pinCredential   = "pin"
	soPINCredential = "so-pin"
)

// maxPIN bounds a PIN in bytes.
const maxPIN = 255

// CheckFiles checks the files that the configuration names, and reports everything that is wrong, joined. It reads no
// PIN.
func (c *Config) CheckFiles() error {
	var p problems
	for _, f := range []struct{ key, path string }{
		{"module.path", c.Module.Path}, {"module.softhsm2_conf", c.Module.SoftHSM2Conf},
	} {
		if f.path == "" {
			continue
		}
		if info, err := os.Stat(f.path); err != nil {
			p.add("%s: %v", f.key, err)
		} else if !info.Mode().IsRegular() {
			p.add("%s: %s is not a file", f.key, f.path)
		}
	}
	for _, f := range []struct{ key, path string }{
		{"module.pin_file", c.pinFile()}, {"module.so_pin_file", c.soPINFile()},
	} {
		if f.path == "" {
			continue
		}
		info, err := os.Stat(f.path)
		if err == nil {
			err = onlyOwner(f.path, info)
		}
		if err != nil {
			p.add("%s: %w", f.key, err)
		}
	}
	if info, err := os.Stat(c.Node.DataDir); err == nil && !info.IsDir() {
		p.add("node.data_dir: %s is not a directory", c.Node.DataDir)
	}
	return errors.Join(p...)
}

// PIN reads the user PIN. The caller destroys it.
func (c *Config) PIN() (*hsm.Secret, error) { return readPIN("module.pin_file", c.pinFile()) }

// HasSOPIN says whether this node can admit others.
func (c *Config) HasSOPIN() bool { return c.soPINFile() != "" }

// SOPIN reads the security officer's PIN. The caller destroys it.
func (c *Config) SOPIN() (*hsm.Secret, error) {
	path := c.soPINFile()
	if path == "" {
		return nil, errors.New("module.so_pin_file: is needed for this")
	}
	return readPIN("module.so_pin_file", path)
}

func (c *Config) pinFile() string {
	if c.Module.PINFile == "" && c.credentials != "" {
		return filepath.Join(c.credentials, pinCredential)
	}
	return c.Module.PINFile
}

func (c *Config) soPINFile() string {
	if c.Module.SOPINFile == "" && c.credentials != "" {
		path := filepath.Join(c.credentials, soPINCredential)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return c.Module.SOPINFile
}

func readPIN(key, path string) (*hsm.Secret, error) {
	pin, err := ReadSecret(path, "the PIN", 1, maxPIN)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return pin, nil
}

// ReadSecret reads a secret from a file of one line of least to most bytes, which nobody but its owner may read; what is
// its name in a message. It checks the file that it has open, so that nobody can change it in between. One line end is cut
// off. No message quotes the content.
func ReadSecret(path, what string, least, most int) (*hsm.Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		err = onlyOwner(path, info)
	}
	if err != nil {
		return nil, err
	}
	buffer := make([]byte, most+3)
	n, err := io.ReadFull(f, buffer)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	secret := bytes.TrimSuffix(bytes.TrimSuffix(buffer[:n], []byte("\n")), []byte("\r"))
	if len(secret) < least || len(secret) > most || bytes.ContainsAny(secret, "\r\n\x00") {
		clear(buffer)
		return nil, fmt.Errorf("%s must hold one line of %d to %d bytes, %s", path, least, most, what)
	}
	return hsm.NewSecret(secret), nil
}

// onlyOwner refuses a secret that others can read.
func onlyOwner(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s can be read by others than its owner (mode %04o); run `chmod 600 %s`", path, mode, path)
	}
	return nil
}
