package main

import (
	"strings"
	"testing"
)

// What can't be taken over is refused before anything is asked, with its line and without its number.
func TestReadStepsRefuses(t *testing.T) {
	const head = "account,number,label\n"
	six := ""
	for _, n := range "123456" {
		six += "ann,+1415555016" + string(n) + ",\n"
	}
	for file, want := range map[string]string{
		"":                                  "first line",
		"account,label\nann,x\n":            "must be there",
		"account,number,colour\n":           "each once",
		"account,number,number\n":           "each once",
		head:                                "no account",
		head + "ann,4155550161,\n":          "line 2: the number",
		head + "ann,+141555,\n":             "line 2: the number",
		head + "ann,+1415555016x,\n":        "line 2: the number",
		head + "ann,+141555501611111111,\n": "line 2: the number",
		head + ",+14155550161,\n":           "line 2: the account",
		head + "\xff,+14155550161,\n":       "line 2: the account",
		head + strings.Repeat("a", 129) + ",+14155550161,\n":             "line 2: the account",
		head + "ann,+14155550161," + strings.Repeat("x", 129) + "\n":     "line 2: the label",
		head + "ann,+14155550161\n":                                      "line 2: wrong number of fields",
		head + "ann,+14155550161,\"\n":                                   "line",
		head + "ben,+14155550161,\nann,+14155550161,\nann,+14155550161,": "line 4: the account has this number already, see line 3",
		head + six: "line 7: an account has at most 5 phones",
	} {
		rows, err := readSteps(strings.NewReader(file))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "415555") {
			t.Errorf("%q gives %d accounts, %v; want %q", file, len(rows), err, want)
		}
	}
	rows, err := readSteps(strings.NewReader("Number, ACCOUNT\n+14155550161,\"ann, the first\"\n"))
	if err != nil || len(rows) != 1 || rows[0].Account != "ann, the first" || rows[0].Line != 2 || rows[0].phones[0].Label != "" {
		t.Errorf("other columns: %+v, %v", rows, err)
	}
}

func FuzzReadSteps(f *testing.F) {
	f.Add("account,number,label\nann,+14155550161,mine\n")
	f.Add("number,account\n+14155550161,\"a\n\"\n")
	f.Fuzz(func(t *testing.T, file string) {
		rows, err := readSteps(strings.NewReader(file))
		if err != nil {
			return
		}
		for _, r := range rows {
			if r.Account == "" || len(r.phones) == 0 || len(r.phones) > 5 || r.Line < 2 {
				t.Errorf("%q gives %+v", file, r)
			}
		}
	})
}
