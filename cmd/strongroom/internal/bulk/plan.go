package bulk

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/otp"
)

// Field is what of a token leads to its account.
type Field string

// The fields.
const (
	ByColumn Field = "column" // whom the file says that it belongs to
	ByLabel  Field = "label"
	BySerial Field = "serial"
)

func (f Field) of(r *otp.Record) string {
	switch f {
	case ByLabel:
		return r.URI.Account
	case BySerial:
		return r.Serial
	}
	return r.Owner
}

// Mapping says which account a token goes to. The zero Mapping takes the file's own column as the account's name.
type Mapping struct {
	By   Field             // empty: ByColumn
	To   map[string]string // account by field; nil: the field is the account's name
	All  string            // if not empty, the one account of all tokens
	used map[string]bool
}

// maxMapping bounds a file of a mapping in lines.
const maxMapping = 1_000_000

// ReadMapping reads a CSV whose first line names its two columns: one of label, serial and column, and account.
func ReadMapping(r io.Reader) (*Mapping, error) {
	c := csv.NewReader(r)
	header, err := c.Read()
	if err != nil || len(header) != 2 || !strings.EqualFold(strings.TrimSpace(header[1]), "account") {
		return nil, errors.New("its first line must be label,account or serial,account or column,account")
	}
	m := &Mapping{To: make(map[string]string)}
	name := strings.TrimPrefix(header[0], "\ufeff")
	switch m.By = Field(strings.ToLower(strings.TrimSpace(name))); m.By {
	case ByColumn, ByLabel, BySerial:
	default:
		return nil, errors.New("its first line must be label,account or serial,account or column,account")
	}
	for {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			return m, nil
		}
		if err != nil {
			return nil, err // which has line and column, and quotes nothing
		}
		line, _ := c.FieldPos(0)
		from, to := strings.TrimSpace(row[0]), strings.TrimSpace(row[1])
		if _, twice := m.To[from]; twice {
			return nil, fmt.Errorf("line %d: %q is there twice", line, from)
		}
		if err := checkAccount(to); from == "" || err != nil {
			return nil, fmt.Errorf("line %d: it needs a %s and the name of an account", line, m.By)
		}
		if m.To[from] = to; len(m.To) > maxMapping {
			return nil, fmt.Errorf("it has more than %d lines", maxMapping)
		}
	}
}

// Unused counts the lines that no token was found for.
func (m *Mapping) Unused() int {
	if m.To == nil {
		return 0
	}
	return len(m.To) - len(m.used)
}

// account finds a token's account.
func (m *Mapping) account(r *otp.Record) (string, error) {
	if m.All != "" {
		return m.All, checkAccount(m.All)
	}
	by := m.By
	if by == "" {
		by = ByColumn
	}
	found := by.of(r)
	if found == "" {
		return "", fmt.Errorf("it has no %s to find its account by", by)
	}
	if m.To == nil {
		return found, checkAccount(found)
	}
	to, ok := m.To[found]
	if !ok {
		return "", fmt.Errorf("no account is given for its %s", by)
	}
	if m.used == nil {
		m.used = make(map[string]bool)
	}
	m.used[found] = true
	return to, nil
}

// checkAccount is the API's rule for names.
func checkAccount(s string) error {
	if len(s) == 0 || len(s) > account.MaxAccount || s == "." || s == ".." || !utf8.ValidString(s) ||
		strings.ContainsFunc(s, unicode.IsControl) {
		return errors.New("its account's name must be 1 to 128 bytes of UTF-8 without control characters")
	}
	return nil
}

// Plan makes rows of records, which it takes over: those that can't be used, belong to nobody, are not valid at the time
// or are there twice are Bad. journal may be nil.
func Plan(records []otp.Record, m *Mapping, j *Journal, now time.Time) ([]*Row, error) {
	// Seeds are compared by a MAC under a key that is forgotten, so that no digest of a seed is kept.
	secret := make([]byte, sha256.Size)
	if _, err := rand.Read(secret); err != nil {
		return nil, fmt.Errorf("drawing a key: %w", err)
	}
	seeds := make(map[[sha256.Size]byte]*Row)
	rows := make([]*Row, len(records))
	for i := range records {
		r := &Row{Row: records[i].Row, Line: records[i].Line, Serial: records[i].Serial, Notes: records[i].Notes, record: records[i]}
		rows[i] = r
		if r.record.Err != nil {
			r.settle(Bad, r.record.Err.Error())
			continue
		}
		r.Label = r.record.URI.Account
		var err error
		if r.Account, err = m.account(&r.record); err != nil {
			r.Account = ""
			r.settle(Bad, err.Error())
			continue
		}
		if why := invalidAt(&r.record, now); why != "" {
			r.settle(Bad, why)
			continue
		}
		r.note()
		h := hmac.New(sha256.New, secret)
		h.Write(r.record.URI.Secret.Reveal())
		sum := [sha256.Size]byte(h.Sum(nil))
		switch same := seeds[sum]; {
		case same == nil:
			seeds[sum] = r
		case same.Account == r.Account:
			r.settle(Bad, fmt.Sprintf("it has the same secret as row %d, for the same account", same.Row))
			continue
		default:
			r.Notes = append(r.Notes, fmt.Sprintf("it has the same secret as row %d, for another account", same.Row))
		}
		j.recall(r)
	}
	return rows, nil
}

// note says what of the token can't be kept.
func (r *Row) note() {
	// One step each way is heard anyway.
	if d := r.record.Drift; d < -1 || d > 1 {
		r.Notes = append(r.Notes, fmt.Sprintf("its clock was %d steps ahead, which can't be imported: resynchronise it", d))
	}
	if !r.record.NotAfter.IsZero() {
		r.Notes = append(r.Notes, "it expires on "+r.record.NotAfter.Format(time.DateOnly)+", which nobody enforces after the import")
	}
}

// invalidAt is RFC 6030, Section 5: a key must not be used outside of its period.
func invalidAt(r *otp.Record, now time.Time) string {
	switch {
	case !r.NotBefore.IsZero() && now.Before(r.NotBefore):
		return "it is not valid before " + r.NotBefore.Format(time.DateOnly)
	case !r.NotAfter.IsZero() && now.After(r.NotAfter):
		return "it expired on " + r.NotAfter.Format(time.DateOnly)
	}
	return ""
}
