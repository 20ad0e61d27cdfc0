package browser

import (
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// focus walks by Tab until the focus is on an element, which has to be seen to have it.
func (b tab) focus(selector string) {
	b.t.Helper()
	for range 30 {
		var there, seen bool
		b.eval(`document.activeElement?.matches(`+"`"+selector+"`"+`) ?? false`, &there)
		if there {
			b.eval(`document.activeElement.matches(":focus-visible")`, &seen)
			if !seen {
				b.t.Errorf("%s has the focus and does not show it", selector)
			}
			return
		}
		b.key(kb.Tab)
	}
	b.t.Fatalf("%s can't be reached by Tab", selector)
}

// TestKeyboardOnly: no pointer is used from the first page to the account.
func TestKeyboardOnly(t *testing.T) {
	r := power(t)
	stage, password := r.visitor(t)
	phone, mac := stage.at("phone"), stage.another("mac")
	mac.focus("#password")
	mac.key(password + kb.Enter)
	mac.see("h1", "Two-factor")
	phone.see("#requests", "Sign-in requested")
	phone.focus("button[value=deny]") // the careful answer comes first
	phone.focus("button[value=allow]")
	phone.key(kb.Enter)
	phone.see("#requests", "Verification code")
	code := phone.attribute("#requests .digits", "data-code")
	mac.focus("#code")
	mac.key(code)
	mac.focus("#trust")
	mac.key(" ")
	mac.focus("#enter")
	mac.key(kb.Enter)
	mac.see("#trust", "not trusted")
	mac.focus("#to-account")
	mac.key(kb.Enter)
	mac.see("#devices", "Ada's iPhone")
	mac.focus("#devices button")

	// Landmarks and names are what a screen reader has to go by.
	for _, path := range []string{
		"", "mac", "phone", "phone/settings", "phone/protection", "messages", "messages/undo?token=x", "messages/recovery?token=x",
		"account", "legacy", "browser", "mac/forgot", "mac/recovery", "phone/password",
	} {
		mac.open(path)
		var faults []string
		mac.eval(`[
			...[...document.querySelectorAll("input:not([type=hidden]), select")].filter((e) => !e.labels.length).map((e) => "no label: " + e.outerHTML),
			...[...document.querySelectorAll("button, a, iframe")].filter((e) => !(e.textContent || e.title).trim()).map((e) => "no name: " + e.outerHTML),
			...[...document.querySelectorAll("[id]")].filter((e) => document.querySelectorAll("#" + CSS.escape(e.id)).length > 1).map((e) => "twice: " + e.id),
			...(document.querySelectorAll("main").length === 1 ? [] : ["not one main"]),
			...(document.querySelectorAll("h1").length === 1 || location.pathname === "/phone" ? [] : ["not one h1"]),
			...(document.documentElement.lang ? [] : ["no language"]),
		]`, &faults)
		for _, f := range faults {
			t.Errorf("/%s: %s", path, f)
		}
	}
}
