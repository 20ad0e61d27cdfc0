package main

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"strongroom.internal/appliance/otp"
	"strongroom.internal/appliance/otp/tokenfile"
	"strongroom.internal/cmd/strongroom/internal/bulk"
)

// tokenFile reads the file that is imported. The caller clears it.
func (t *terminal) tokenFile(path string) ([]byte, error) {
	if path == "-" && isTerminal(t.in) {
		uri, err := t.secret("otpauth URI")
		if err != nil {
			return nil, err
		}
		return uri.Reveal(), nil
	}
	in := t.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("reading the token file: %w", err)
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
			t.say("%s has seeds in it and can be read by others than its owner (mode %04o)", path, info.Mode().Perm())
		}
		in = f
	}
	content, err := io.ReadAll(io.LimitReader(in, tokenfile.MaxFile+1))
	if err == nil && len(content) > tokenfile.MaxFile {
		err = fmt.Errorf("it is larger than %d MiB", tokenfile.MaxFile>>20)
	}
	if err != nil {
		clear(content)
		return nil, fmt.Errorf("reading the token file: %w", err)
	}
	return content, nil
}

// tokenKey is the pre-shared key of a PSKC file: from --key-file, or a person.
func (t *terminal) tokenKey(i *importOptions, name string) (*otp.Secret, error) {
	text, err := t.importSecret(i, i.keyFile, "--key-file", "Key of the token file, in hexadecimal", name)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	key := make([]byte, hex.DecodedLen(len(text)))
	n, err := hex.Decode(key, bytes.TrimSpace(text))
	if err != nil || n != 16 && n != 24 && n != 32 { // AES
		clear(key)
		return nil, errors.New("reading the key of the token file: it is not 32, 48 or 64 hexadecimal digits")
	}
	return otp.NewSecret(key[:n]), nil
}

// tokenPassword is the password of a PSKC file.
func (t *terminal) tokenPassword(i *importOptions, name string) (*otp.Secret, error) {
	text, err := t.importSecret(i, i.password, "--password-file", "Password of the token file", name)
	if err != nil {
		return nil, err
	}
	return otp.NewSecret(text), nil
}

// importSecret is the first line of a file that only its owner can read, or what a person types.
func (t *terminal) importSecret(i *importOptions, path, flag, prompt, name string) ([]byte, error) {
	if path != "" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", flag, err)
		}
		defer f.Close()
		if info, err := f.Stat(); err != nil || info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
			return nil, fmt.Errorf("reading %s: %s can be read by others than its owner; run `chmod 600 %[2]s`", flag, path)
		}
		line, err := readLine(f)
		if err != nil || len(line) == 0 {
			return nil, fmt.Errorf("reading %s: there is nothing in the first line of %s", flag, path)
		}
		return line, nil
	}
	if i.file == "-" {
		return nil, &exitError{exitUsage, fmt.Errorf("the token file is encrypted and comes from stdin: give %s", flag)}
	}
	// The name is the file's, and goes to a terminal.
	if name = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, name); name != "" {
		prompt += fmt.Sprintf(" (%.64s)", name)
	}
	s, err := t.secret(prompt)
	if err != nil {
		return nil, fmt.Errorf("%w; or give %s", err, flag)
	}
	return s.Reveal(), nil
}

// importer is whom a certificate makes of the person who imports.
type importer struct {
	identity, tenant string
	target           string // see bulk.Target
}

// importingAs reads a front-end's certificate.
func importingAs(config *tls.Config) (importer, error) {
	leaf := config.Certificates[0].Leaf
	if leaf == nil || len(leaf.URIs) != 1 {
		return importer{}, errors.New("reading the credentials: the certificate has no identity")
	}
	id := leaf.URIs[0]
	path := strings.Split(strings.TrimPrefix(id.Path, "/"), "/")
	if len(path) < 3 || path[0] != "tenant" || path[2] != "frontend" {
		return importer{}, &exitError{exitUsage, fmt.Errorf("an import takes a front-end's certificate, and this one is of %s", id)}
	}
	return importer{id.String(), path[1], bulk.Target(slices.Concat(leaf.AuthorityKeyId, leaf.RawIssuer), id.Host+"/"+path[1])}, nil
}

// openJournal opens the journal, or reads it for a dry run.
func (i *importOptions) openJournal(im *bulk.Import, identity string) (end func(), err error) {
	path := i.journal
	if path == "" {
		dir := os.Getenv("XDG_STATE_HOME")
		if !filepath.IsAbs(dir) {
			home, err := os.UserHomeDir()
			if err != nil {
				return nil, &exitError{exitUsage, fmt.Errorf("%w; give --journal", err)}
			}
			dir = filepath.Join(home, ".local", "state")
		}
		path = filepath.Join(dir, "strongroom", "import-"+im.File[:12]+"-"+im.Target[:12]+".journal")
	}
	if i.dryRun {
		im.Journal, err = bulk.ReadJournal(path, im.File, im.Target)
		return func() {}, err
	}
	if i.journal == "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, fmt.Errorf("making the journal's directory: %w", err)
		}
	}
	im.Journal, err = bulk.OpenJournal(path, im.File, im.Target, identity, time.Now())
	if err != nil {
		return nil, err
	}
	return func() { _ = im.Journal.Close() }, nil
}

// reportImport writes what became of each token.
func (t *terminal) reportImport(i *importOptions, rows []*bulk.Row) error {
	if i.report == "" {
		return t.print(rows, func(w io.Writer) { importTable(w, rows) })
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	for _, r := range rows {
		if err := e.Encode(r); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
	}
	if err := writeDurably(i.report, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

func importTable(w io.Writer, rows []*bulk.Row) {
	fmt.Fprintln(w, "ROW\tLINE\tACCOUNT\tSERIAL\tOUTCOME\tAUTHENTICATOR\tREASON")
	for _, r := range rows {
		fmt.Fprintf(w, "%d\t%d\t%s\t%s\t%s\t%s\t%s\n", r.Row, r.Line, or(r.Account, "-"), or(r.Serial, "-"), r.Outcome, or(r.Credential, "-"),
			strings.Join(append(nonEmpty(r.Reason), r.Notes...), "; "))
	}
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// watch says how far the work is, now and then: often and in one line to a person, seldom to a file.
func (t *terminal) watch(im *bulk.Import, verb string, rows []*bulk.Row, work func() error) error {
	total := 0
	for _, r := range rows {
		if r.Outcome == "" {
			total++
		}
	}
	every, end := 10*time.Second, "\n"
	if f, ok := t.err.(*os.File); ok && isTerminal(f) {
		every, end = 200*time.Millisecond, "\r"
	}
	tick := time.NewTicker(every)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		defer tick.Stop()
		shown := false
		for {
			select {
			case <-tick.C:
				fmt.Fprintf(t.err, "strongroom: %d of %d %s%s", im.Handled(), total, verb, end)
				shown = true
			case <-stop:
				if shown && end == "\r" {
					fmt.Fprintln(t.err)
				}
				return
			}
		}
	}()
	err := work()
	close(stop)
	<-stopped
	return err
}
