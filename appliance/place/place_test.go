package place

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"strongroom.internal/appliance/account"
)

func located(city, country string, latitude, longitude float64, accuracy uint16) mmdbtype.Map {
	names := func(s string) mmdbtype.Map {
		return mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String(s), "de": mmdbtype.String("anders")}}
	}
	return mmdbtype.Map{
		"city": names(city), "country": names(country),
		"location": mmdbtype.Map{
			"latitude": mmdbtype.Float64(latitude), "longitude": mmdbtype.Float64(longitude), "accuracy_radius": mmdbtype.Uint16(accuracy),
		},
	}
}

func database(t *testing.T, records map[string]mmdbtype.DataType) string {
	t.Helper()
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Test-City", IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	for network, data := range records {
		_, n, err := net.ParseCIDR(network)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Insert(n, data); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "places.mmdb")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteTo(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLocate(t *testing.T) {
	d, err := Open(database(t, map[string]mmdbtype.DataType{
		"203.0.113.0/24":  located("Zürich", "Switzerland", 47.3769, 8.5417, 20),
		"198.51.100.0/24": located("", "Chile", -33.4489, -70.6693, 1),
		"192.0.2.0/25":    mmdbtype.Map{"country": mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String("Nowhere\x00land")}}},
		"192.0.2.128/25":  located("Far", "Off", 4711, 0, 5),
		"192.168.0.0/16":  mmdbtype.Map{"city": mmdbtype.String("of another shape")},
		"2001:db8::/32":   located("Oslo", "Norway", 59.9139, 10.7522, 60000),
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for address, want := range map[string]account.Place{
		"203.0.113.7":        {Label: "Zürich, Switzerland", Latitude: 47_40, Longitude: 8_50, Accuracy: 20},
		"::ffff:203.0.113.7": {Label: "Zürich, Switzerland", Latitude: 47_40, Longitude: 8_50, Accuracy: 20},
		"198.51.100.1":       {Label: "Chile", Latitude: -33_40, Longitude: -70_70, Accuracy: 10},
		"192.0.2.1":          {Label: "Nowhereland"},
		"192.0.2.200":        {Label: "Far, Off"},
		"192.168.1.1":        {},
		"2001:db8::1":        {Label: "Oslo, Norway", Latitude: 59_90, Longitude: 10_80, Accuracy: 20_000},
		"10.0.0.1":           {},
	} {
		if got := d.Locate(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %+v, want %+v", address, got, want)
		}
	}
}

// An absent database, and one that is none, are no place.
func TestAbsent(t *testing.T) {
	d, err := Open("")
	if d != nil || err != nil {
		t.Fatal(d, err)
	}
	if got := d.Locate(netip.MustParseAddr("203.0.113.7")); got != (account.Place{}) || d.Close() != nil {
		t.Errorf("no database knows %+v", got)
	}
	rubbish := filepath.Join(t.TempDir(), "rubbish.mmdb")
	if err := os.WriteFile(rubbish, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{rubbish, rubbish + ".absent"} {
		if d, err := Open(path); err == nil || d.Locate(netip.MustParseAddr("203.0.113.7")) != (account.Place{}) {
			t.Errorf("%s: opened", path)
		}
	}
}

// A database that was damaged gives places or none, and never ends the node.
func FuzzOpen(f *testing.F) {
	f.Add([]byte("rubbish"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "f.mmdb")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := Open(path)
		if err != nil {
			return
		}
		defer d.Close()
		d.Locate(netip.MustParseAddr("203.0.113.7"))
	})
}
