package appliance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// notPrinted has values printed, logged and marshalled in every way, and looks for shapes of the secret that they hold.
func notPrinted(t *testing.T, shapes []string, values ...any) {
	t.Helper()
	var out bytes.Buffer
	for _, v := range values {
		fmt.Fprintf(&out, "%v %+v %#v %s %q %x", v, v, v, v, v, v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
		if b, err := json.Marshal(v); err == nil {
			out.Write(b)
		}
	}
	for _, shape := range shapes {
		if strings.Contains(out.String(), shape) {
			t.Errorf("it is printed: %s", out.String())
		}
	}
}
