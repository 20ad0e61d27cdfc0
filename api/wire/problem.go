package wire

import (
	"strconv"
	"strings"
)

// ProblemPrefix begins each problem's type.
const ProblemPrefix = "urn:strongroom:problem:"

// What a refused request may have done. Absent: nothing, and repeating it unchanged gives the same answer.
const (
	EffectNone    = "none"    // nothing was done; try it elsewhere or later
	EffectUnknown = "unknown" // it may have been done; repeat it with the same Idempotency-Key
)

// Problem is an RFC 9457 problem document. As an error of the client it reads like one.
type Problem struct {
	Type      string       `json:"type" doc:"Stable; branch on this." example:"urn:strongroom:problem:not-found"`
	Title     string       `json:"title"`
	Status    int          `json:"status"`
	Detail    string       `json:"detail,omitempty"`
	RequestID string       `json:"request_id,omitempty" doc:"Names the request in the node's log."`
	Effect    string       `json:"effect,omitempty" enum:"none,unknown" doc:"none: nothing was done, try it elsewhere or later. unknown: it may have been done; repeat it with the same Idempotency-Key."`
	Errors    []FieldError `json:"errors,omitempty" nullable:"false" doc:"Which input is wrong. Values are never repeated here."`
}

// FieldError names a wrong input and what it must be.
type FieldError struct {
	Field  string `json:"field" example:"code"`
	Reason string `json:"reason" example:"must be 6 to 8 digits"`
}

// Named reports whether p is of the named type, with or without ProblemPrefix.
func (p *Problem) Named(name string) bool {
	return strings.TrimPrefix(p.Type, ProblemPrefix) == strings.TrimPrefix(name, ProblemPrefix)
}

// Error reads: title (status): detail; field: reason.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Title)
	b.WriteString(" (" + strconv.Itoa(p.Status) + ")")
	if p.Detail != "" {
		b.WriteString(": " + p.Detail)
	}
	for _, e := range p.Errors {
		b.WriteString("; " + e.Field + ": " + e.Reason)
	}
	if p.RequestID != "" {
		b.WriteString(" [request " + p.RequestID + "]")
	}
	return b.String()
}
