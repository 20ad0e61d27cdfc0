package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"strongroom.internal/appliance/audit"
)

// What the commands `audit verify` and `audit receipt` do, wherever they are offered.

// VerifyCommand verifies an export.
type VerifyCommand struct {
	Path   string // of the export: a directory or an archive
	Policy string // path of the policy
	Since  string // path of an earlier export or of a checkpoint; empty: none
	JSON   bool
}

// Run writes a report to out: what the export shows, or, as JSON, where it is wrong. It answers an error for which Refused
// is true when the export must not be believed.
func (v VerifyCommand) Run(ctx context.Context, out io.Writer, progress func(done, total int64)) (err error) {
	defer func() { err = refuse(out, v.JSON, err) }()
	o := Options{Progress: progress}
	if o.Policy, err = ReadPolicy(v.Policy); err != nil {
		return err
	}
	if v.Since != "" {
		h, err := ReadHead(v.Since, o.Policy)
		if err != nil {
			return err
		}
		o.Since = &h
	}
	e, err := Open(v.Path)
	if err != nil {
		return err
	}
	defer e.Close()
	r, err := Verify(ctx, e, o)
	if err != nil {
		return err
	}
	defer r.Close()
	if v.JSON {
		return r.WriteJSON(out)
	}
	return r.WriteText(out)
}

// ReceiptCommand verifies a receipt.
type ReceiptCommand struct {
	Path   string
	Policy string // path of the policy
	JSON   bool
}

// Run writes to out what the receipt proves. Errors are those of VerifyCommand.Run.
func (v ReceiptCommand) Run(out io.Writer) (err error) {
	defer func() { err = refuse(out, v.JSON, err) }()
	p, err := ReadPolicy(v.Policy)
	if err != nil {
		return err
	}
	b, err := readBounded(v.Path, maxReceipt)
	if err != nil {
		return err
	}
	r, err := audit.VerifyReceipt(p, b)
	if err != nil {
		return fmt.Errorf("%s: %w", v.Path, err)
	}
	if v.JSON {
		return writeJSON(out, struct {
			OK       bool            `json:"ok"`
			Entry    json.RawMessage `json:"entry"`
			Position int64           `json:"position"`
			Origin   string          `json:"origin"`
			Size     int64           `json:"size"`
			Root     string          `json:"root"`
			Signed   []string        `json:"signed"`
		}{true, r.Entry.AppendJSON(nil), r.Position, r.Head.Origin, r.Head.Size, fmt.Sprintf("%x", r.Head.Root), r.Head.Signed})
	}
	return writeReceipt(out, r)
}

// maxReceipt bounds a receipt file in bytes; the package audit has a bound of its own below it.
const maxReceipt = 1 << 20

func writeReceipt(out io.Writer, r *audit.Receipt) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	e := r.Entry
	fmt.Fprintf(w, "verified\tthe entry is in the signed log\n")
	fmt.Fprintf(w, "log\t%s, size %d, root %x\n", r.Head.Origin, r.Head.Size, r.Head.Root)
	fmt.Fprintf(w, "signed by\t%s\n", plain(strings.Join(r.Head.Signed, " ")))
	fmt.Fprintf(w, "entry\t%d, position %d\n", e.Index, r.Position)
	fmt.Fprintf(w, "time\t%s\n", momentText(e.Time))
	for _, f := range []struct{ name, value string }{
		{"operation", e.Operation},
		{"outcome", e.Outcome},
		{"tenant", e.Tenant},
		{"account", e.Account},
		{"actor", e.Actor},
		{"request", e.Request},
		{"key", e.Key},
		{"subject", e.Subject},
		{"node", e.Node},
		{"module", e.Module},
		{"detail", e.Detail},
	} {
		if f.value != "" {
			fmt.Fprintf(w, "%s\t%s\n", f.name, plain(f.value))
		}
	}
	fmt.Fprintf(w, "key version\t%d\nMACs\t%d\ncoalesced\t%d\n", e.KeyVersion, e.MACs, e.Coalesced)
	return w.Flush()
}

// Refused says whether an error is about what was verified, and not about reading it.
func Refused(err error) bool {
	var f *Fault
	return errors.As(err, &f) || errors.Is(err, audit.ErrCheckpoint) || errors.Is(err, audit.ErrReceipt) || errors.Is(err, audit.ErrEntry)
}

// refuse writes as JSON why something is refused.
func refuse(out io.Writer, asJSON bool, err error) error {
	if !asJSON || !Refused(err) {
		return err
	}
	answer := struct {
		OK    bool   `json:"ok"`
		Why   string `json:"why"`
		Fault *Fault `json:"fault,omitempty"`
	}{Why: err.Error()}
	errors.As(err, &answer.Fault)
	return errors.Join(err, writeJSON(out, answer))
}

func writeJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// ReadPolicy reads a policy file.
func ReadPolicy(path string) (*audit.Policy, error) {
	b, err := readBounded(path, maxPolicy)
	if err != nil {
		return nil, err
	}
	p, err := audit.ParsePolicy(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// every is how often something that takes long is told of.
const every = 2 * time.Second

// Progress tells of what takes long, with say: entries that are done, of how many, and how fast.
func Progress(say func(format string, args ...any)) func(done, total int64) {
	began := time.Now()
	next := began.Add(every)
	return func(done, total int64) {
		now := time.Now()
		if now.Before(next) {
			return
		}
		next = now.Add(every)
		say("%d of %d entries, %.0f/s", done, total, float64(done)/now.Sub(began).Seconds())
	}
}
