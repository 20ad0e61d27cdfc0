// Package place says about where an address of the internet is used, by a database of the operator's choice in MaxMind's
// DB format (MMDB), with the members that GeoIP and its like have: city.names, country.names, location.latitude,
// location.longitude, location.accuracy_radius.
//
// What it says is never exact: coordinates are rounded to a tenth of a degree, about 11 km, and an address may be that of
// a network that spans a country. An address that isn't in the database, or a database that is broken or absent, is no
// place, never an error: a sign-in doesn't wait for a map.
package place

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/oschwald/maxminddb-golang/v2"

	"strongroom.internal/appliance/account"
)

// maxAccuracy, in km, is half of the way around the earth: more says nothing.
const maxAccuracy = 20_000

// Database is an open file. Its methods are safe for concurrent use. A nil Database knows no place.
type Database struct{ reader *maxminddb.Reader }

// Open opens a database; the empty path is none, and a nil Database.
func Open(path string) (*Database, error) {
	if path == "" {
		return nil, nil
	}
	r, err := maxminddb.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the database of places %s: %w", path, err)
	}
	return &Database{r}, nil
}

// Close closes the file.
func (d *Database) Close() error {
	if d == nil {
		return nil
	}
	return d.reader.Close()
}

// record is what is read of an address's record.
type record struct {
	City struct {
		Names map[string]string `maxminddb:"names"`
	} `maxminddb:"city"`
	Country struct {
		Names map[string]string `maxminddb:"names"`
	} `maxminddb:"country"`
	Location struct {
		Latitude  *float64 `maxminddb:"latitude"`
		Longitude *float64 `maxminddb:"longitude"`
		Accuracy  uint32   `maxminddb:"accuracy_radius"`
	} `maxminddb:"location"`
}

// Locate looks an address up. The zero Place says that nothing is known.
func (d *Database) Locate(address netip.Addr) account.Place {
	if d == nil || !address.IsValid() {
		return account.Place{}
	}
	var r record
	result := d.reader.Lookup(address.Unmap())
	if !result.Found() || result.Decode(&r) != nil {
		return account.Place{}
	}
	p := account.Place{Label: label(r.City.Names["en"], r.Country.Names["en"])}
	latitude, ok := rounded(r.Location.Latitude, 90)
	longitude, also := rounded(r.Location.Longitude, 180)
	if ok && also {
		p.Latitude, p.Longitude = latitude, longitude
		// Rounding alone is off by up to 8 km.
		p.Accuracy = uint16(min(max(r.Location.Accuracy, 10), maxAccuracy))
	}
	return p
}

// rounded is a coordinate in hundredths of a degree, rounded to a tenth; false when it isn't one.
func rounded(degrees *float64, most float64) (int32, bool) {
	if degrees == nil || math.IsNaN(*degrees) || math.Abs(*degrees) > most {
		return 0, false
	}
	return int32(math.Round(*degrees*10)) * 10, true
}

// label joins what is there, and cuts what is too long or can't be shown.
func label(parts ...string) string {
	var kept []string
	for _, p := range parts {
		p = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) || r == utf8.RuneError {
				return -1
			}
			return r
		}, p)
		if p != "" {
			kept = append(kept, p)
		}
	}
	l := strings.Join(kept, ", ")
	for len(l) > account.MaxText {
		_, size := utf8.DecodeLastRuneInString(l)
		l = l[:len(l)-size]
	}
	return l
}
