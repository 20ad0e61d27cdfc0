package export

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
)

// mostRows bounds the rows of a table in text; JSON has all.
const mostRows = 400

// WriteText writes the report for people.
func (r *Report) WriteText(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "verified\tevery entry and tile of the export, up to the signed root\n")
	fmt.Fprintf(w, "log of\t%s\n", r.TrustDomain)
	fmt.Fprintf(w, "range\t%s\n", r.rangeText())
	if r.Entries > 0 {
		fmt.Fprintf(w, "first entry\t%d\t%s\nlast entry\t%d\t%s\n", r.From, r.FirstTime, r.To-1, r.LastTime)
	}
	fmt.Fprintf(w, "entries\t%d\n", r.Entries)
	fmt.Fprintf(w, "MACs\t%d\n", r.MACs)
	if r.Coalesced > 0 {
		fmt.Fprintf(w, "without entries\t%d attempts on accounts that were locked\n", r.Coalesced)
	}
	if r.Since != nil {
		fmt.Fprintf(w, "consistent with\t%s at size %d, root %s\n", r.Since.Origin, r.Since.Size, r.Since.Root)
	}
	fmt.Fprintf(w, "speed\t%d entries in %.1f s, %.0f/s\n", r.Verified, r.Seconds, r.rate())
	fmt.Fprintf(w, "\nTREE\tFROM INDEX\tSIZE\tSIGNED BY\tROOT\n")
	for _, t := range r.Trees {
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\n", t.Name, t.First, t.Size, t.signedText(), t.Root)
	}
	fmt.Fprintf(w, "\nOPERATION\tOUTCOME\tENTRIES\tMACS\n")
	err := rows(w, r.ByOperation(), func(t Total) {
		operation, outcome, _ := strings.Cut(t.Name, "\x00")
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\n", plain(operation), plain(outcome), t.Entries, t.MACs)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\nDAY (UTC)\tENTRIES\tMACS\n")
	err = rows(w, r.ByDay(), func(t Total) { fmt.Fprintf(w, "%s\t%d\t%d\n", t.Name, t.Entries, t.MACs) })
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\nKEY\tENTRIES\tMACS\n")
	for _, t := range r.most {
		fmt.Fprintf(w, "%s\t%d\t%d\n", plain(t.Name), t.Entries, t.MACs)
	}
	if more := r.Keys - int64(len(r.most)); more > 0 {
		fmt.Fprintf(w, "(these are the most used; %d more with --output json)\n", more)
	}
	return w.Flush()
}

func (r *Report) rate() float64 {
	if r.Seconds == 0 {
		return 0
	}
	return float64(r.Verified) / r.Seconds
}

func (r *Report) rangeText() string {
	text := "everything"
	switch a := r.Asked; {
	case a.From != "" && a.To != "":
		text = "from " + a.From + " to " + a.To
	case a.From != "":
		text = "from " + a.From + " on"
	case a.To != "":
		text = "up to " + a.To
	}
	if r.Entries == 0 {
		text += ": no entry is in it"
	} else {
		text += ": all of it is here"
	}
	if r.LogEnds {
		text += fmt.Sprintf(", up to the checkpoint, which is after entry %d: what came later is not", r.To-1)
	}
	return text
}

// signedText says who vouches for a tree.
func (t TreeReport) signedText() string {
	text := strings.Join(t.Signed, " ")
	if t.Chain != "" {
		text = strings.TrimPrefix(text+", tree "+t.Chain, ", ")
	}
	if text == "" {
		text = "a key of the log; the policy wants no cosigners"
	}
	return text
}

// rows writes a table's first rows, and how many there are beyond.
func rows(w io.Writer, all iter.Seq2[Total, error], row func(Total)) error {
	n := 0
	for t, err := range all {
		if err != nil {
			return err
		}
		if n++; n <= mostRows {
			row(t)
		}
	}
	if n > mostRows {
		fmt.Fprintf(w, "(%d more with --output json)\n", n-mostRows)
	}
	return nil
}

// plain is text of the log for a terminal, which must not obey it.
func plain(s string) string {
	if s == "" {
		return "-"
	}
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.QuoteToGraphic(s)
	}
	return s
}

// WriteJSON writes the report with all totals, however many there are, as one JSON object.
func (r *Report) WriteJSON(to io.Writer) error {
	head, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	w := bufio.NewWriter(to)
	fmt.Fprintf(w, "{\n  \"ok\": true,%s", strings.TrimSuffix(strings.TrimPrefix(string(head), "{"), "\n}"))
	type total struct {
		Operation *string `json:"operation,omitempty"`
		Outcome   *string `json:"outcome,omitempty"`
		Day       *string `json:"day,omitempty"`
		Key       *string `json:"key,omitempty"`
		Entries   int64   `json:"entries"`
		MACs      int64   `json:"macs"`
	}
	list := func(name string, all iter.Seq2[Total, error], fill func(*total, string)) error {
		fmt.Fprintf(w, ",\n  %q: [", name)
		between := "\n    "
		for t, err := range all {
			if err != nil {
				return err
			}
			row := total{Entries: t.Entries, MACs: t.MACs}
			fill(&row, t.Name)
			b, err := json.Marshal(row)
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%s%s", between, b)
			between = ",\n    "
		}
		fmt.Fprintf(w, "\n  ]")
		return nil
	}
	if err := list("operations", r.ByOperation(), func(t *total, name string) {
		operation, outcome, _ := strings.Cut(name, "\x00")
		t.Operation, t.Outcome = &operation, &outcome
	}); err != nil {
		return err
	}
	if err := list("days", r.ByDay(), func(t *total, name string) { t.Day = &name }); err != nil {
		return err
	}
	if err := list("keys", r.ByKey(), func(t *total, name string) { t.Key = &name }); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n}\n")
	return w.Flush()
}
