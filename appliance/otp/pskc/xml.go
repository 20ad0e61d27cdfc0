package pskc

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

// The namespaces of RFC 6030, Section 1.3. Elements of others are extensions.
const (
	nsPSKC   = "urn:ietf:params:xml:ns:keyprov:pskc"
	nsDS     = "http://www.w3.org/2000/09/xmldsig#"
	nsXenc   = "http://www.w3.org/2001/04/xmlenc#"
	nsXenc11 = "http://www.w3.org/2009/xmlenc11#"
	nsPKCS5  = "http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#"
)

func known(namespace string) bool {
	switch namespace {
	case nsPSKC, nsDS, nsXenc, nsXenc11, nsPKCS5, "": // Figure 7 has elements of PBKDF2-params in none
		return true
	}
	return false
}

// reader gives the elements of a document, within bounds and without what XML can do to a reader.
type reader struct {
	d        *xml.Decoder
	depth    int
	elements int // left of what is being read
	text     int // bytes left of it
}

func newReader(r io.Reader, most int) *reader {
	d := xml.NewDecoder(&limited{r, most + 1})
	d.Entity = nil // XML's own five and numbers alone
	d.CharsetReader = func(string, io.Reader) (io.Reader, error) { return nil, errors.New("not UTF-8") }
	return &reader{d: d}
}

// limited is an io.LimitReader whose end is an error.
type limited struct {
	r    io.Reader
	left int
}

var errTooLarge = errors.New("too large")

func (l *limited) Read(p []byte) (int, error) {
	if len(p) > l.left {
		p = p[:l.left]
	}
	if len(p) == 0 {
		return 0, errTooLarge
	}
	n, err := l.r.Read(p)
	l.left -= n
	return n, err
}

func (x *reader) line() int {
	line, _ := x.d.InputPos()
	return line
}

// budget bounds what is read until the next call.
func (x *reader) budget() { x.elements, x.text = maxElements, maxText }

// next is the next start, end or text. Its bytes are valid until the next call.
func (x *reader) next() (xml.Token, error) {
	for {
		t, err := x.d.Token()
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		if errors.Is(err, errTooLarge) {
			return nil, fileError("it is too large")
		}
		if err != nil { // which may quote the document
			return nil, fileError("line %d is not well-formed XML in UTF-8", x.line())
		}
		switch t := t.(type) {
		case xml.StartElement:
			x.depth++
			x.elements--
			for _, a := range t.Attr {
				x.text -= len(a.Value)
			}
			if x.depth > maxDepth || x.elements < 0 || x.text < 0 {
				return nil, fileError("line %d: elements are too deep, too many or too large", x.line())
			}
			return t, nil
		case xml.EndElement:
			x.depth--
			return t, nil
		case xml.CharData:
			x.text -= len(t)
			if x.text < 0 {
				return nil, fileError("line %d: there is too much text", x.line())
			}
			return t, nil
		case xml.Comment:
			x.text -= len(t)
		case xml.ProcInst:
			if t.Target != "xml" {
				return nil, fileError("line %d has a processing instruction", x.line())
			}
		default: // a directive: a document type, with entities in it
			return nil, fileError("line %d has a document type declaration", x.line())
		}
	}
}

// node is an element with its attributes, text and children. One of a foreign namespace is empty.
type node struct {
	name     string // lower-case; see the package comment
	foreign  bool
	attrs    map[string]string // by lower-case name
	text     []byte            // its own, without that of children
	children []*node
}

// tree reads an element whose start was read.
func (x *reader) tree(start xml.StartElement) (*node, error) {
	if !known(start.Name.Space) {
		return &node{name: strings.ToLower(start.Name.Local), foreign: true}, x.skip()
	}
	n := &node{name: strings.ToLower(start.Name.Local), attrs: make(map[string]string, len(start.Attr))}
	for _, a := range start.Attr {
		if a.Name.Space != "" || a.Name.Local == "xmlns" {
			continue
		}
		name := strings.ToLower(a.Name.Local)
		if _, twice := n.attrs[name]; twice {
			return nil, fileError("line %d has an attribute twice", x.line())
		}
		n.attrs[name] = a.Value
	}
	for {
		t, err := x.next()
		if err != nil {
			n.destroy()
			if errors.Is(err, io.EOF) {
				err = fileError("it ends in the middle")
			}
			return nil, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			child, err := x.tree(t)
			if err != nil {
				n.destroy()
				return nil, err
			}
			n.children = append(n.children, child)
		case xml.CharData:
			n.add(t)
		case xml.EndElement:
			return n, nil
		}
	}
}

// add copies text and overwrites where it was: it may be a seed. Where a copy grows, the old one is overwritten too.
func (n *node) add(text []byte) {
	if len(n.text)+len(text) > cap(n.text) {
		grown := make([]byte, len(n.text), 2*len(n.text)+len(text))
		copy(grown, n.text)
		clear(n.text)
		n.text = grown
	}
	n.text = append(n.text, text...)
	clear(text)
}

// skip reads to the end of an element whose start was read.
func (x *reader) skip() error {
	for depth := x.depth; x.depth >= depth; {
		if _, err := x.next(); err != nil {
			if errors.Is(err, io.EOF) {
				err = fileError("it ends in the middle")
			}
			return err
		}
	}
	return nil
}

// destroy overwrites all text.
func (n *node) destroy() {
	if n == nil {
		return
	}
	clear(n.text)
	for _, c := range n.children {
		c.destroy()
	}
}

func (n *node) trimmed() []byte { return bytes.Trim(n.text, " \t\r\n") }

func (n *node) String() string { return string(n.trimmed()) }

// finder looks into a tree and remembers the first thing that is wrong with it.
type finder struct{ err error }

func (f *finder) fail(why string) {
	if f.err == nil {
		f.err = errors.New(why)
	}
}

// one is the child of that name, of which there may be one; nil when there is none. n may be nil.
func (f *finder) one(n *node, name string) (found *node) {
	if n == nil {
		return nil
	}
	for _, c := range n.children {
		if c.name == strings.ToLower(name) && !c.foreign {
			if found != nil {
				f.fail("it has two elements " + name)
			}
			found = c
		}
	}
	return found
}

// path follows one after the other.
func (f *finder) path(n *node, names ...string) *node {
	for _, name := range names {
		n = f.one(n, name)
	}
	return n
}

// text is a child's text, trimmed; empty when there is none.
func (f *finder) text(n *node, name string) string {
	if c := f.one(n, name); c != nil {
		return c.String()
	}
	return ""
}
