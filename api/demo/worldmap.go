package demo

import (
	"fmt"
	"html/template"
	"math"
	"strings"

	"strongroom.internal/api/wire"
)

// The map is coarse on purpose: the place is, too. Land is drawn as dots on a grid, from outlines with a point every few
// hundred kilometres. Coordinates are degrees, in a plate carrée.

const (
	grid       = 1.5 // degrees between dots
	mapWidth   = 84  // degrees shown
	mapHeight  = 42
	northmost  = 84
	southmost  = -55.5
	kmPerDeg   = 111.0
	minHalo    = 1.8 // degrees, so that it can be seen
	maxHalo    = 9
	columns    = int(360 / grid)
	rowsOfLand = int((northmost - southmost) / grid)
)

// land says which dots are on land.
var land = func() (dots [rowsOfLand][columns]bool) {
	for row := range dots {
		for column := range dots[row] {
			dots[row][column] = onLand(longitude(column), latitude(row))
		}
	}
	return dots
}()

func longitude(column int) float64 { return -180 + grid*(float64(column)+0.5) }
func latitude(row int) float64     { return northmost - grid*(float64(row)+0.5) }

func onLand(x, y float64) bool {
	for _, sea := range seas {
		if inside(sea, x, y) {
			return false
		}
	}
	for _, outline := range lands {
		if inside(outline, x, y) {
			return true
		}
	}
	return false
}

// inside says whether a point is in a polygon of longitudes and latitudes, by counting the edges to its right.
func inside(outline []float64, x, y float64) (in bool) {
	n := len(outline)
	for i := 0; i < n; i += 2 {
		x1, y1, x2, y2 := outline[i], outline[i+1], outline[(i+2)%n], outline[(i+3)%n]
		if (y1 > y) != (y2 > y) && x < x1+(y-y1)/(y2-y1)*(x2-x1) {
			in = !in
		}
	}
	return in
}

// drawMap draws the part of the world around a place, with the place marked and a halo for how roughly it is known.
func drawMap(p *wire.Place) template.HTML {
	west := p.Longitude - mapWidth/2
	north := min(max(p.Latitude+mapHeight/2, southmost+mapHeight), northmost)
	var b strings.Builder
	// Names come from a database of the operator's choice.
	fmt.Fprintf(&b, `<svg class="map" viewBox="0 0 %d %d" role="img" aria-label="Map with a pin near %s, approximate">`,
		mapWidth, mapHeight, template.HTMLEscapeString(cmpOr(p.Label, "an unnamed place")))
	b.WriteString(`<path class="land" d="`)
	for row := range land {
		y := north - latitude(row)
		if y < 0 || y > mapHeight {
			continue
		}
		for column := range land[row] {
			if x := math.Mod(longitude(column)-west+720, 360); land[row][column] && x < mapWidth {
				fmt.Fprintf(&b, "M%.1f %.1fh0", x, y)
			}
		}
	}
	x, y := float64(mapWidth)/2, north-p.Latitude
	halo := min(max(float64(p.AccuracyKM)/kmPerDeg, minHalo), maxHalo)
	fmt.Fprintf(&b, `"/><circle class="halo" cx="%.1f" cy="%.1f" r="%.1f"/>`, x, y, halo)
	fmt.Fprintf(&b, `<path class="pin" d="M%.1f %.1fc-2.2 -3.2 -3.2 -4.5 -3.2 -6.2a3.2 3.2 0 0 1 6.4 0c0 1.7 -1 3 -3.2 6.2z"/>`, x, y)
	fmt.Fprintf(&b, `<circle class="hole" cx="%.1f" cy="%.1f" r="1.2"/></svg>`, x, y-6.2)
	return template.HTML(b.String())
}

func cmpOr(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
