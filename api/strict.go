package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// maxDepth bounds how deep a body may be nested; ours are two deep.
const maxDepth = 8

// strictJSON decodes one JSON value and nothing after it. A name that stands twice in an object is refused, because two
// parsers that keep different ones disagree about what was asked (RFC 8259, Section 4). Its errors never quote the body.
// Names that no field has are refused by the schema before.
func strictJSON(data []byte, v any) error {
	if err := checkNames(data); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return errMalformed // not the cause: it quotes what was sent
	}
	return nil
}

// checkNames walks through the tokens of the one value that data must be.
func checkNames(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	var open []map[string]struct{} // one for each open object or array; nil for arrays
	name := false                  // the next token is a name of the innermost object
	for {
		t, err := d.Token()
		if err != nil {
			return errMalformed
		}
		if delim, ok := t.(json.Delim); ok {
			switch delim {
			case '{':
				open = append(open, make(map[string]struct{}))
			case '[':
				open = append(open, nil)
			default:
				open = open[:len(open)-1]
			}
			if len(open) > maxDepth {
				return errMalformed
			}
		} else if name {
			names, text := open[len(open)-1], t.(string)
			if _, twice := names[text]; twice {
				return errMalformed
			}
			names[text] = struct{}{}
			name = false
			continue
		}
		if len(open) == 0 {
			break
		}
		name = open[len(open)-1] != nil
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errMalformed
	}
	return nil
}
