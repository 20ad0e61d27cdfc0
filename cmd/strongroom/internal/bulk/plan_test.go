package bulk

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"strongroom.internal/appliance/otp"
)

func TestReadMapping(t *testing.T) {
	m, err := ReadMapping(strings.NewReader("\ufeffSerial,account\r\nS1,ann\nS2,\"ben, the second\"\n"))
	if err != nil || m.By != BySerial {
		t.Fatal(m, err)
	}
	if diff := cmp.Diff(map[string]string{"S1": "ann", "S2": "ben, the second"}, m.To); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{
		"", "S1,ann\n", "serial\nS1\n", "serial,account,more\n", "account,serial\n", "colour,account\nred,ann\n", "serial,account\nS1,ann\nS1,ben\n",
		"serial,account\n,ann\n", "serial,account\nS1,\n", "serial,account\nS1\n", "serial,account\nS1,a\x1bnn\n", "serial,account\nS1,..\n", "serial,account\nS1, \"ann\" \n",
		"serial,account\nS1," + strings.Repeat("a", 129) + "\n",
	} {
		if m, err := ReadMapping(strings.NewReader(text)); err == nil {
			t.Errorf("%q was read: %v", text, m.To)
		}
	}
}

func TestPlan(t *testing.T) {
	seed := func(s string) otp.URI {
		return otp.URI{Params: otp.Params{Mode: otp.TOTP, Hash: otp.SHA1, Digits: 6, Period: 30}, Account: "label", Secret: otp.NewSecret([]byte(s))}
	}
	bad := otp.Record{Row: 2}
	bad.Fail("it is bad")
	all := func() []otp.Record {
		return []otp.Record{
			{Row: 1, Owner: "ann", Serial: "S1", URI: seed("seed of ann, first"), Drift: -3},
			bad,
			{Row: 3, Serial: "S3", URI: seed("seed of nobody")},
			{Row: 4, Owner: "ann", Serial: "S4", URI: seed("seed of ann, first")},
			{Row: 5, Owner: "ben", Serial: "S5", URI: seed("seed of ann, first")},
			{Row: 6, Owner: "carl", Serial: "S6", URI: seed("seed of carl, 6"), NotAfter: noon.Add(-time.Hour)},
			{Row: 7, Owner: "carl", Serial: "S7", URI: seed("seed of carl, 7"), NotBefore: noon.Add(time.Hour)},
			{Row: 8, Owner: "carl", Serial: "S8", URI: seed("seed of carl, 8"), NotBefore: noon, NotAfter: noon, Drift: 1},
		}
	}
	type row struct {
		Account, Reason string
		Outcome         Outcome
		Notes           []string
	}
	for name, c := range map[string]struct {
		m    *Mapping
		want []row
	}{
		"the file's column": {&Mapping{}, []row{
			{Account: "ann", Notes: []string{"its clock was -3 steps ahead, which can't be imported: resynchronise it"}},
			{Reason: "it is bad", Outcome: Bad},
			{Reason: "it has no column to find its account by", Outcome: Bad},
			{Account: "ann", Reason: "it has the same secret as row 1, for the same account", Outcome: Bad},
			{Account: "ben", Notes: []string{"it has the same secret as row 1, for another account"}},
			{Account: "carl", Reason: "it expired on 2026-05-01", Outcome: Bad},
			{Account: "carl", Reason: "it is not valid before 2026-05-01", Outcome: Bad},
			{Account: "carl", Notes: []string{"it expires on 2026-05-01, which nobody enforces after the import"}},
		}},
		"a mapping": {&Mapping{By: BySerial, To: map[string]string{"S1": "a1", "S8": "a8", "S9": "a9"}}, []row{
			{Account: "a1", Notes: []string{"its clock was -3 steps ahead, which can't be imported: resynchronise it"}},
			{Reason: "it is bad", Outcome: Bad},
			{Reason: "no account is given for its serial", Outcome: Bad},
			{Reason: "no account is given for its serial", Outcome: Bad},
			{Reason: "no account is given for its serial", Outcome: Bad},
			{Reason: "no account is given for its serial", Outcome: Bad},
			{Reason: "no account is given for its serial", Outcome: Bad},
			{Account: "a8", Notes: []string{"it expires on 2026-05-01, which nobody enforces after the import"}},
		}},
	} {
		rows, err := Plan(all(), c.m, nil, noon)
		if err != nil {
			t.Fatal(err)
		}
		var got []row
		for i, r := range rows {
			got = append(got, row{r.Account, r.Reason, r.Outcome, r.Notes})
			if r.Row != i+1 || r.settled() != (r.record.URI.Secret.Reveal() == nil) {
				t.Errorf("%s: row %d: %+v", name, i+1, r)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	one := &Mapping{All: "all"}
	if rows, err := Plan(all(), one, nil, noon); err != nil || rows[0].Account != "all" || rows[4].Outcome != Bad {
		t.Errorf("one account: %+v, %v", rows[0], err)
	}
	m := &Mapping{By: BySerial, To: map[string]string{"S1": "a1", "S9": "a9"}}
	if _, err := Plan(all(), m, nil, noon); err != nil || m.Unused() != 1 {
		t.Errorf("%d lines are unused, %v", m.Unused(), err)
	}
	label := &Mapping{By: ByLabel}
	if rows, _ := Plan(all(), label, nil, noon); rows[0].Account != "label" {
		t.Errorf("by label: %+v", rows[0])
	}
}

// TestPlanRecalls: a seed that an earlier run gave to one account isn't given to another.
func TestPlanRecalls(t *testing.T) {
	j := open(t, t.TempDir()+"/journal")
	write(t, j, journalLine{Done: 1, Account: "user0", Credential: "c1"}, journalLine{Sent: 3, Account: "user1", At: &noon},
		journalLine{Done: 2, Account: "ann", Credential: "c2"}, journalLine{Sent: 4, Account: "ann", At: &noon})
	rows, err := Plan(records(4), &Mapping{}, j, noon)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []Outcome{Before, Bad, "", Unknown} {
		if rows[i].Outcome != want {
			t.Errorf("row %d: %+v", i+1, rows[i])
		}
	}
	if rows[0].Credential != "c1" || rows[1].Credential != "c2" {
		t.Error("the credentials are not named")
	}
}
