package demo

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"
)

// TestQRCodeIsDrawn: one path, in modules and not in dots of the picture.
func TestQRCodeIsDrawn(t *testing.T) {
	encode := func(img image.Image) []byte {
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	const scale = 8
	img := image.NewGray(image.Rect(0, 0, 4*scale, 4*scale))
	for i := range img.Pix {
		img.Pix[i] = 255
	}
	for _, dark := range [][2]int{{1, 1}, {2, 1}, {2, 2}} {
		for y := range scale {
			for x := range scale {
				img.SetGray(dark[0]*scale+x, dark[1]*scale+y, color.Gray{})
			}
		}
	}
	drawn, err := drawQR(encode(img))
	if err != nil || !strings.Contains(string(drawn), `viewBox="0 0 4 4"`) || !strings.Contains(string(drawn), `d="M1 1h2v1h-2zM2 2h1v1h-1z"`) {
		t.Errorf("%s, %v", drawn, err)
	}
	for name, bad := range map[string][]byte{
		"nothing": nil, "no picture": []byte("<svg/>"), "cut off": encode(img)[:60], "too large": encode(image.NewGray(image.Rect(0, 0, maxQR+1, 1))),
	} {
		if drawn, err := drawQR(bad); err == nil {
			t.Errorf("%s: %s", name, drawn)
		}
	}
}
