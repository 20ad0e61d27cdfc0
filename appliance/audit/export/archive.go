package export

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// An archive is a tar file (POSIX.1-1988 ustar) of the export's files in the order in which they are checked, so that it
// is verified in one pass and without an index of it in memory. Each header is the only one that a file of its name and
// size may have: mode 0644, no owner, no time. So there is nothing in an archive that could be changed unseen, and two
// exports of the same thing are the same bytes.

const tarBlock = 512

const packedElsewhere = "if it was packed by another program, unpack it and verify the directory"

// tarHeader is the one header of a file in an archive.
func tarHeader(path string, size int64) ([]byte, error) {
	var b bytes.Buffer
	err := tar.NewWriter(&b).WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: path, Size: size, Mode: 0o644, Format: tar.FormatUSTAR, ModTime: time.Unix(0, 0),
	})
	return b.Bytes(), err
}

// archiveWriter writes an archive.
type archiveWriter struct{ to *bufio.Writer }

func (w archiveWriter) add(path string, content []byte) error {
	header, err := tarHeader(path, int64(len(content)))
	if err != nil {
		return err
	}
	_, _ = w.to.Write(header) // Flush tells
	_, _ = w.to.Write(content)
	_, err = w.to.Write(make([]byte, padding(int64(len(content)))))
	return err
}

func (w archiveWriter) finish() error {
	_, _ = w.to.Write(make([]byte, 2*tarBlock))
	return w.to.Flush()
}

func padding(size int64) int64 { return -size & (tarBlock - 1) }

// archive reads an archive. A file that is not the next one is not there.
type archive struct {
	from   *bufio.Reader
	header []byte // of the next file, if it was read; empty: the archive's end was
	failed error  // once it has, nothing is read any more
}

func newArchive(r io.Reader) *archive { return &archive{from: bufio.NewReaderSize(r, 1<<20)} }

func (a *archive) begin(tree, path string, limit int) func() ([]byte, error) {
	b, err := a.next(tree, path, limit)
	return func() ([]byte, error) { return b, err }
}

func (a *archive) next(tree, path string, limit int) ([]byte, error) {
	if a.failed != nil {
		return nil, a.failed
	}
	b, err := a.read(tree, path, limit)
	if err != nil {
		a.failed = err
	}
	return b, err
}

// peek reads the next header; nil at the end of the archive.
func (a *archive) peek() ([]byte, error) {
	if a.header == nil {
		a.header = make([]byte, tarBlock)
		if _, err := io.ReadFull(a.from, a.header); err != nil {
			return nil, err
		}
		if bytes.Equal(a.header, make([]byte, tarBlock)) {
			a.header = []byte{}
		}
	}
	return a.header, nil
}

func (a *archive) read(tree, path string, limit int) ([]byte, error) {
	fault := func(format string, args ...any) ([]byte, error) { return nil, faultIn(tree, path, format, args...) }
	header, err := a.peek()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fault("the archive is cut short before it")
	case err != nil:
		return nil, fmt.Errorf("reading the archive: %w", err)
	case len(header) == 0:
		return nil, fs.ErrNotExist
	}
	if name := headerName(header); name != path {
		return fault("the archive has %q in its place; %s", name, packedElsewhere)
	}
	size, err := strconv.ParseInt(strings.TrimRight(string(header[124:136]), "\x00 "), 8, 64)
	if err != nil || size < 0 || size > int64(limit) {
		return fault("the archive gives it a size that it can't have")
	}
	if want, err := tarHeader(path, size); err != nil || !bytes.Equal(want, header) {
		return fault("its header in the archive is not the one that it must have; %s", packedElsewhere)
	}
	a.header = nil
	b := make([]byte, size+padding(size))
	if _, err := io.ReadFull(a.from, b); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fault("the archive is cut short in it")
		}
		return nil, fmt.Errorf("reading the archive: %w", err)
	}
	if len(bytes.Trim(b[size:], "\x00")) > 0 {
		return fault("the archive has something after it that is not zero")
	}
	return b[:size:size], nil
}

// headerName is a ustar header's file name, as far as it is one.
func headerName(h []byte) string {
	text := func(b []byte) string { return string(bytes.TrimRight(b, "\x00")) }
	name := text(h[:100])
	if prefix := text(h[345:500]); prefix != "" {
		name = prefix + "/" + name
	}
	return strings.ToValidUTF8(name, "?")
}

// end wants the second block of zeros and nothing after it.
func (a *archive) end(func(path string) bool) error {
	if a.failed != nil {
		return a.failed
	}
	header, err := a.peek()
	if err == nil && len(header) > 0 {
		return faultIn("", headerName(header), "it does not belong to the export")
	}
	rest := make([]byte, tarBlock+1)
	n, err := io.ReadFull(a.from, rest)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("reading the archive: %w", err)
	}
	if n != tarBlock || len(bytes.Trim(rest[:n], "\x00")) > 0 {
		return faultIn("", "", "the archive does not end as one does: two blocks of zeros and nothing more")
	}
	return nil
}
