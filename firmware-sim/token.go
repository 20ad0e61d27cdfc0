package firmwaresim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// ErrNoToken: the token is not in the chassis. ErrToken: it is.
var (
	ErrNoToken = errors.New("the token is not in")
	ErrToken   = errors.New("the token is in")
)

// initToken makes the token of a new chassis.
//
// softhsm2-util takes PINs from its command line or from a terminal only, so they can be seen in the list of processes
// for a moment. They open nothing but a directory whose owner can read both.
func (c *Chassis) initToken(ctx context.Context) error {
	if err := os.MkdirAll(c.path(tokenDir), 0o700); err != nil {
		return fmt.Errorf("making the token: %w", err)
	}
	conf := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", c.path(tokenDir))
	if err := os.WriteFile(c.SoftHSMConf(), []byte(conf), 0o600); err != nil {
		return fmt.Errorf("making the token: %w", err)
	}
	pin, err := readLine(c.PINFile())
	if err != nil {
		return fmt.Errorf("making the token: %w", err)
	}
	soPIN, err := readLine(c.SOPINFile())
	if err != nil {
		return fmt.Errorf("making the token: %w", err)
	}
	util := exec.CommandContext(ctx, "softhsm2-util", "--init-token", "--free", "--label", c.TokenLabel(),
		"--pin", pin, "--so-pin", soPIN)
	util.Env = c.ModuleEnv()
	out, err := util.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("making the token: %w (apt-get install softhsm2)", err)
	}
	if err != nil {
		return fmt.Errorf("making the token: softhsm2-util: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

func readLine(path string) (string, error) {
	raw, err := os.ReadFile(path)
	return string(bytes.TrimSpace(raw)), err
}

// ModuleEnv is the environment in which other programs (pkcs11-tool, softhsm2-util) see this chassis's token.
func (c *Chassis) ModuleEnv() []string {
	return append(childEnv(), "SOFTHSM2_CONF="+c.SoftHSMConf())
}

// PullToken takes the token out, under a running node too. It is ErrNoToken when it is out.
//
// The token directory itself stays, as a reader stays when its card is pulled: SoftHSM refuses to start without it.
func (c *Chassis) PullToken() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := move(c.path(tokenDir), c.path(pulledDir)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = ErrNoToken
		}
		return fmt.Errorf("pulling the token of %s: %w", c.ID(), err)
	}
	return nil
}

// InsertToken puts the token back. It is ErrToken when it is in.
func (c *Chassis) InsertToken() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := move(c.path(pulledDir), c.path(tokenDir)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = ErrToken
		}
		return fmt.Errorf("inserting the token of %s: %w", c.ID(), err)
	}
	return nil
}

// TokenIn says whether the token is in.
func (c *Chassis) TokenIn() bool {
	entries, err := os.ReadDir(c.path(tokenDir))
	return err == nil && len(entries) > 0
}

// move renames what is in one directory to another, fs.ErrNotExist when there is nothing.
func move(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return fs.ErrNotExist
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
