package pskc

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"unicode"

	"strongroom.internal/appliance/otp"
)

// file is one container that is being read.
type file struct {
	x    *reader
	o    Options
	keys decryptor
	rows int
	info Info
}

func (f *file) destroy() { f.keys.destroy() }

func (f *file) read(yield func(otp.Record, error) bool) error {
	f.x.budget()
	if err := f.root(); err != nil {
		return err
	}
	for {
		t, err := f.x.next()
		if errors.Is(err, io.EOF) {
			return fileError("it ends in the middle")
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if err := f.element(t, yield); err != nil {
				return err
			}
			f.x.budget()
		case xml.CharData:
			if !space(t) {
				return fileError("line %d has text between elements", f.x.line())
			}
		case xml.EndElement:
			return f.end()
		}
	}
}

func space(text []byte) bool {
	return strings.TrimLeftFunc(string(text), unicode.IsSpace) == ""
}

// root reads up to and with the start of KeyContainer.
func (f *file) root() error {
	for {
		t, err := f.x.next()
		if errors.Is(err, io.EOF) {
			return fileError("it is empty")
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.CharData:
			if !space([]byte(strings.TrimPrefix(string(t), "\ufeff"))) {
				return fileError("it is not XML")
			}
		case xml.StartElement:
			if !strings.EqualFold(t.Name.Local, "KeyContainer") || t.Name.Space != nsPSKC {
				if strings.HasPrefix(t.Name.Space, nsPSKC) {
					return fileError("it is of a draft before RFC 6030")
				}
				return fileError("its root is not a KeyContainer of RFC 6030")
			}
			version := ""
			for _, a := range t.Attr {
				if a.Name.Space == "" && strings.EqualFold(a.Name.Local, "Version") {
					version = a.Value
				}
			}
			// Section 1.2: a higher minor version is to be read like this one.
			if major, _, _ := strings.Cut(version, "."); major != "1" {
				return fileError("its version is not 1.0")
			}
			return nil
		default:
			return fileError("it is not XML")
		}
	}
}

// end reads what may stand behind the container: nothing.
func (f *file) end() error {
	for {
		t, err := f.x.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if text, ok := t.(xml.CharData); !ok || !space(text) {
			return fileError("something stands behind the container")
		}
	}
	if f.rows == 0 {
		return fileError("it has no KeyPackage")
	}
	if f.o.Info != nil {
		f.o.Info(f.info)
	}
	return nil
}

// element reads a child of the container.
func (f *file) element(start xml.StartElement, yield func(otp.Record, error) bool) error {
	line := f.x.line()
	name := strings.ToLower(start.Name.Local)
	if !known(start.Name.Space) || name == "extensions" {
		return f.x.skip()
	}
	if name == "signature" {
		f.info.Signed = true
		return f.x.skip()
	}
	n, err := f.x.tree(start)
	if err != nil {
		return err
	}
	switch name {
	case "encryptionkey":
		return f.once(&f.keys.encrypt, n, "EncryptionKey")
	case "macmethod":
		return f.once(&f.keys.method, n, "MACMethod")
	case "keypackage":
		defer n.destroy()
	default:
		n.destroy()
		return fileError("line %d has an element that RFC 6030 doesn't have there", line)
	}
	if f.rows++; f.rows > MaxKeys {
		return fileError("it has more than %d keys", MaxKeys)
	}
	r := otp.Record{Row: f.rows, Line: line}
	if err := f.keyPackage(n, &r); err != nil {
		r.Destroy()
		return err
	}
	r.Finish()
	if !yield(r, nil) {
		return errStopped
	}
	return nil
}

// once takes what stands before the first package, one time.
func (f *file) once(to **node, n *node, name string) error {
	if *to != nil || f.rows > 0 {
		n.destroy()
		return fileError("%s is there twice, or after a KeyPackage", name)
	}
	*to = n
	return nil
}
