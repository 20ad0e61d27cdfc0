package firmwaresim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// tailSize is how much of the end of a log goes along with an error.
const tailSize = 3 << 10

// Logs is what the node said, over all its lives.
func (c *Chassis) Logs() (string, error) {
	raw, err := os.ReadFile(c.LogFile())
	if err != nil && !os.IsNotExist(err) {
		return "", fmt.Errorf("reading the log of %s: %w", c.slot, err)
	}
	return string(raw), nil
}

// withLog adds the end of the node's log to an error.
func (c *Chassis) withLog(err error) error {
	tail, tailErr := tailOf(c.LogFile())
	if tailErr != nil {
		return errors.Join(err, tailErr)
	}
	return fmt.Errorf("%w\nthe end of %s:\n%s", err, c.LogFile(), tail)
}

// tailOf reads the last whole lines of a file.
func tailOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	from := max(0, info.Size()-tailSize)
	raw, err := io.ReadAll(io.NewSectionReader(f, from, tailSize))
	if err != nil {
		return "", err
	}
	if from > 0 {
		if _, whole, ok := bytes.Cut(raw, []byte("\n")); ok {
			raw = whole
		}
	}
	return "\t" + strings.ReplaceAll(strings.TrimRight(string(raw), "\n"), "\n", "\n\t"), nil
}
