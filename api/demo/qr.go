package demo

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"image"
	"image/png"
	"strings"
)

var errSeed = errors.New("the seed of an authenticator app can't be shown")

// maxQR bounds a QR code's width in dots of its picture.
const maxQR = 1024

// drawQR draws the picture of a QR code as markup: a page of ours takes no picture that is not a file of its own, and a
// file would have to be kept.
func drawQR(picture []byte) (template.HTML, error) {
	c, err := png.DecodeConfig(bytes.NewReader(picture))
	if err != nil || c.Width > maxQR || c.Height > maxQR {
		return "", errSeed
	}
	img, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		return "", errSeed
	}
	runs := darkRuns(img)
	unit := c.Width
	for _, r := range runs {
		unit = gcd(unit, gcd(r.x, r.width))
	}
	var path strings.Builder
	for _, r := range runs {
		if r.y%unit == 0 {
			fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", r.x/unit, r.y/unit, r.width/unit, r.width/unit)
		}
	}
	return template.HTML(fmt.Sprintf(`<svg class="qr" viewBox="0 0 %d %d" role="img" aria-label="QR code"><path d="%s"/></svg>`,
		c.Width/unit, c.Height/unit, path.String())), nil
}

type run struct{ x, y, width int }

// darkRuns are the dark parts of each line of dots.
func darkRuns(img image.Image) (runs []run) {
	b := img.Bounds()
	for y := range b.Dy() {
		begun := -1
		for x := range b.Dx() + 1 {
			dark := false
			if x < b.Dx() {
				r, _, _, _ := img.At(b.Min.X+x, b.Min.Y+y).RGBA()
				dark = r < 0x8000
			}
			switch {
			case dark && begun < 0:
				begun = x
			case !dark && begun >= 0:
				runs = append(runs, run{begun, y, x - begun})
				begun = -1
			}
		}
	}
	return runs
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
