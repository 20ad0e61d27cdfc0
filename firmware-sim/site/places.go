package site

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	firmwaresim "strongroom.internal/firmware-sim"
)

// places are where the addresses for documentation (RFC 5737, RFC 3849) are, as far as the demo goes.
var places = []struct {
	network, city, country string
	latitude, longitude    float64
	accuracy               uint16 // km
}{
	{"203.0.113.0/24", "Zürich", "Switzerland", 47.3769, 8.5417, 20},
	{"198.51.100.0/24", "Nairobi", "Kenya", -1.2864, 36.8172, 50},
	{"192.0.2.0/24", "São Paulo", "Brazil", -23.5505, -46.6333, 100},
	{"2001:db8::/32", "Reykjavík", "Iceland", 64.1466, -21.9426, 20},
}

// WritePlaces puts a database of places where a rack's nodes look for it when they are powered on. One that is there
// stays: it may be the operator's own.
func WritePlaces(r *firmwaresim.Rack) (err error) {
	w, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType: "Strongroom-Demo-City", Description: map[string]string{"en": "addresses for documentation"}, IncludeReservedNetworks: true,
	})
	if err != nil {
		return fmt.Errorf("making a database of places: %w", err)
	}
	names := func(s string) mmdbtype.Map { return mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String(s)}} }
	for _, p := range places {
		_, network, err := net.ParseCIDR(p.network)
		if err != nil {
			return fmt.Errorf("making a database of places: %w", err)
		}
		if err := w.Insert(network, mmdbtype.Map{
			"city": names(p.city), "country": names(p.country),
			"location": mmdbtype.Map{
				"latitude": mmdbtype.Float64(p.latitude), "longitude": mmdbtype.Float64(p.longitude), "accuracy_radius": mmdbtype.Uint16(p.accuracy),
			},
		}); err != nil {
			return fmt.Errorf("making a database of places: %w", err)
		}
	}
	f, err := os.OpenFile(r.PlacesFile(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("writing a database of places: %w", err)
	}
	_, err = w.WriteTo(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("writing a database of places: %w", err), os.Remove(f.Name()))
	}
	return nil
}
