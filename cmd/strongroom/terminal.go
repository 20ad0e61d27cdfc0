package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/sys/unix"

	"strongroom.internal/api/wire"
	"strongroom.internal/hsm"
)

// terminal is where the program talks: data to out, everything else to err, prompts only to a person.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	format   outputFormat
}

// outputFormat is the value of --output.
type outputFormat string

func (f *outputFormat) Set(s string) error {
	if s != "text" && s != "json" {
		return errors.New("must be text or json")
	}
	*f = outputFormat(s)
	return nil
}

func (f *outputFormat) Type() string { return "format" }
func (f *outputFormat) String() string {
	if *f == "" {
		return "text"
	}
	return string(*f)
}

// say writes a message for people.
func (t *terminal) say(format string, args ...any) {
	fmt.Fprintf(t.err, "strongroom: "+format+"\n", args...)
}

// print writes data: as JSON, or with text.
func (t *terminal) print(data any, text func(w io.Writer)) error {
	if t.format == "json" {
		e := json.NewEncoder(t.out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(data)
	}
	w := tabwriter.NewWriter(t.out, 0, 8, 2, ' ', 0)
	text(w)
	return w.Flush()
}

// printSecret is print for data of package wire that holds secrets, which are written in clear: this is what the person
// asked for, and the only place where it is done.
func (t *terminal) printSecret(data any, text func(w io.Writer)) error {
	if t.format != "json" {
		return t.print(nil, text)
	}
	compact, err := wire.Marshal(data)
	if err != nil {
		return err
	}
	defer clear(compact)
	var indented bytes.Buffer
	if err := json.Indent(&indented, compact, "", "  "); err != nil {
		return err
	}
	_, err = indented.WriteTo(t.out)
	return err
}

// isTerminal says whether a person is at the other end of a reader.
func isTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// confirm has a person type the name of what a dangerous command is about to hit.
func (t *terminal) confirm(yes bool, name, consequence string) error {
	if yes {
		return nil
	}
	if !isTerminal(t.in) {
		return &exitError{exitUsage, fmt.Errorf("%s Give --yes to do it without being asked", consequence)}
	}
	t.say("%s", consequence)
	fmt.Fprintf(t.err, "Type %s to go on: ", name)
	line, err := bufio.NewReader(t.in).ReadString('\n')
	if err != nil && line == "" {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if strings.TrimSpace(line) != name {
		return errors.New("that is not the name; nothing was done")
	}
	return nil
}

// maxSecret bounds what is read as a secret, in bytes: an otpauth URI is the longest.
const maxSecret = 4096

// secret reads one line: from a terminal without echo, from a pipe as it comes. The caller destroys it.
func (t *terminal) secret(prompt string) (*hsm.Secret, error) {
	if isTerminal(t.in) {
		fmt.Fprintf(t.err, "%s: ", prompt)
		restore, err := hideInput(t.in.(*os.File))
		if err != nil {
			return nil, err
		}
		defer func() {
			restore()
			fmt.Fprintln(t.err)
		}()
	}
	line, err := readLine(t.in)
	if err != nil {
		return nil, fmt.Errorf("reading the %s: %w", strings.ToLower(prompt), err)
	}
	if len(line) == 0 {
		return nil, fmt.Errorf("reading the %s: there is none on stdin", strings.ToLower(prompt))
	}
	return hsm.NewSecret(line), nil
}

// secretOnWire is secret for one that goes into a request as it is.
func (t *terminal) secretOnWire(prompt string) (wire.Secret, error) {
	s, err := t.secret(prompt)
	if err != nil {
		return wire.Secret{}, err
	}
	defer s.Destroy()
	return wire.NewSecret(string(s.Reveal())), nil
}

// readLine reads byte by byte, so that the next line is left for the next secret.
func readLine(r io.Reader) ([]byte, error) {
	line := make([]byte, 0, maxSecret)
	one := make([]byte, 1)
	for {
		n, err := r.Read(one)
		switch {
		case n == 1 && one[0] == '\n':
			return trimReturn(line), nil
		case n == 1 && len(line) == maxSecret:
			clear(line)
			return nil, fmt.Errorf("it is longer than %d bytes", maxSecret)
		case n == 1:
			line = append(line, one[0])
		}
		if errors.Is(err, io.EOF) {
			return trimReturn(line), nil
		}
		if err != nil {
			clear(line)
			return nil, err
		}
	}
}

func trimReturn(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}

func hideInput(f *os.File) (restore func(), err error) {
	fd := int(f.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("hiding what is typed: %w", err)
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &hidden); err != nil {
		return nil, fmt.Errorf("hiding what is typed: %w", err)
	}
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, before) }, nil
}
