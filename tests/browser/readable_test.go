package browser

import (
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/emulation"
)

// contrasts lists the texts of a page whose contrast is below WCAG 2.2's AA: 4.5, or 3 for large text. Backgrounds are plain
// colours here.
const contrasts = `(() => {
  const channel = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const parse = (c) => c.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0.99) return c; } return [255, 255, 255]; };
  const faults = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement, s = getComputedStyle(e);
    if (!walk.currentNode.textContent.trim() || !e.checkVisibility() || e.closest(".sr, .skip, script, option, svg")) continue;
    const a = luminance(parse(s.color)), b = luminance(behind(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(s.fontSize), large = size >= 24 || size >= 18.66 && s.fontWeight >= 700;
    if (ratio < (large ? 3 : 4.5)) faults.push(walk.currentNode.textContent.trim() + ": " + ratio.toFixed(2));
  }
  return faults;
})()`

// wide says which elements stick out of the window.
const wide = `document.documentElement.scrollWidth > innerWidth ? [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".six")).map((e) => e.outerHTML.slice(0, 80)) : []`

// readable judges the page that is shown.
func (b tab) readable(page string) {
	b.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		var faults []string
		b.do("choosing colours", emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
		b.eval(contrasts, &faults)
		for _, f := range faults {
			b.t.Errorf("%s, %s: contrast of %s", page, scheme, f)
		}
	}
	var out []string
	b.do("narrowing the window", emulation.SetDeviceMetricsOverride(360, 740, 1, true))
	b.eval(wide, &out)
	for _, f := range out {
		b.t.Errorf("%s is too wide for a phone: %s", page, f)
	}
}

// TestReadable: every page has contrast enough, light and dark, and fits a phone's width.
func TestReadable(t *testing.T) {
	r := power(t)
	stage, password := r.visitor(t)
	phone, mac := stage.at("phone"), stage.another("mac")
	pages := func() {
		t.Helper()
		for _, path := range []string{"", "mac", "phone", "phone/settings", "phone/protection", "messages", "messages/undo?token=x", "account", "legacy", "browser", "mac/forgot", "phone/password"} {
			mac.open(path)
			mac.readable("/" + path)
		}
		mac.open("mac")
	}
	mac.fill("#password", password+"x")
	mac.send("#continue")
	mac.see(".said.bad", "don't go together")
	pages()
	begin(phone, mac, password)
	pages()
	enter(mac, allow(phone))
	pages()
}

// TestWithoutJavaScript: forms, and a look again now and then, are enough.
func TestWithoutJavaScript(t *testing.T) {
	r := power(t)
	stage, password := r.visitor(t)
	phone, mac := stage.at("phone"), stage.another("mac")
	for _, b := range []tab{phone, mac} {
		b.do("turning scripts off", emulation.SetScriptExecutionDisabled(true))
	}
	mac.open("mac")
	phone.open("phone")
	mac.fill("#password", password)
	mac.send("#continue")
	mac.see("h1", "Two-factor")
	phone.see("#requests", "near Zürich") // the page is loaded again by itself
	enter(mac, allow(phone))
	mac.see("#trust", "This Mac is trusted")
	mac.send("#to-account")
	mac.see("#devices", "MacBook Air")
	held := mac.attribute("button[data-held]", "id")
	mac.send(fmt.Sprintf(`button[id="%s"]`, held))
	mac.see(".said", "was removed")
	mac.click("#new-app-password summary")
	mac.fill("#app-label", "Mail")
	mac.send("#make-app-password")
	mac.see("h1", "Your app password")
	mac.send("#done")
	mac.see("#app-passwords", "Mail")
	mac.open("browser")
	mac.fill("#password", password)
	mac.send("#continue")
	mac.see("h1", "Two-factor")
	mac.send("#cancel")
	mac.open("mac/forgot")
	mac.click("#no-device summary")
	mac.send("#recover")
	mac.see("#recovery-state", "It can be completed from")
	mac.click("#help-password summary")
	mac.fill("#password", password)
	mac.send("#give-password")
	mac.see("#recovery-state", "Given: the password")
	mac.send("#withdraw")
	mac.see("h1", "The recovery is over")
}
