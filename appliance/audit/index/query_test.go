package index

import (
	"errors"
	"strings"
	"testing"
	"time"

	"strongroom.internal/appliance/audit"
)

func msec(n int64) time.Time { return time.UnixMilli(n) }

func TestQueryValidate(t *testing.T) {
	for name, q := range map[string]Query{
		"everything": {},
		"longest":    {Actor: strings.Repeat("x", maxValue)},
		"one moment": {From: msec(5), To: msec(5).Add(1)},
		"open":       {To: msec(0)},
		"year 9999":  {To: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)},
	} {
		if err := q.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, q := range map[string]Query{
		"too long":   {Actor: strings.Repeat("x", maxValue+1)},
		"not UTF-8":  {Node: "n\xff"},
		"no time":    {From: msec(5), To: msec(5)},
		"backwards":  {From: msec(6), To: msec(5)},
		"year 10000": {From: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"year 0":     {To: time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		if err := q.Validate(); !errors.Is(err, ErrQuery) {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := Query{Tenant: "secret\xff", Key: "\xff", From: msec(6), To: msec(5)}.Validate()
	for _, part := range []string{"tenant", "key", "from"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s is missing in %v", part, err)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("a value is in %v", err)
	}
}

func TestQueryMatch(t *testing.T) {
	entry := audit.Entry{
		Tenant: "t", Account: "a", Key: "k", Subject: "s", Actor: "c", Operation: "p", Outcome: "o", Request: "r", Node: "n", Time: 1000,
	}
	whole := Query{
		Tenant: "t", Account: "a", Key: "k", Subject: "s", Actor: "c", Operation: "p", Outcome: "o", Request: "r", Node: "n",
		From: msec(1000), To: msec(1001),
	}
	if !whole.Match(&entry) || !(Query{}).Match(&entry) {
		t.Error("what matches does not")
	}
	for name, change := range map[string]func(*audit.Entry){
		"tenant": func(e *audit.Entry) { e.Tenant = "x" }, "account": func(e *audit.Entry) { e.Account = "" },
		"key": func(e *audit.Entry) { e.Key = "K" }, "subject": func(e *audit.Entry) { e.Subject = "x" },
		"actor": func(e *audit.Entry) { e.Actor = "x" }, "operation": func(e *audit.Entry) { e.Operation = "x" },
		"outcome": func(e *audit.Entry) { e.Outcome = "x" }, "request": func(e *audit.Entry) { e.Request = "x" },
		"node": func(e *audit.Entry) { e.Node = "x" }, "early": func(e *audit.Entry) { e.Time-- }, "late": func(e *audit.Entry) { e.Time++ },
	} {
		e := entry
		change(&e)
		if whole.Match(&e) {
			t.Errorf("%s: what does not match does", name)
		}
	}
	for _, c := range []struct {
		from, to time.Duration // since the entry
		want     bool
	}{
		{0, 1, true}, {-1, 1, true}, {1, time.Hour, false}, {-time.Hour, 0, false}, {-time.Hour, -1, false}, {-time.Millisecond, 1, true},
	} {
		if got := (Query{From: msec(1000).Add(c.from), To: msec(1000).Add(c.to)}).Match(&entry); got != c.want {
			t.Errorf("from %v to %v: %t", c.from, c.to, got)
		}
	}
	if (Query{To: msec(-1)}).Match(&audit.Entry{}) {
		t.Error("before 1970")
	}
}
