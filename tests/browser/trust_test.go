package browser

import "testing"

// TestTrustedBrowser: a visitor chooses to trust a browser, needs no code in it from then on, and one again when they have
// signed out completely.
func TestTrustedBrowser(t *testing.T) {
	r := power(t)
	stage, password := r.visitor(t)
	phone, mac := stage.another("phone"), stage.another("mac")
	signIn := func() {
		t.Helper()
		mac.click("#web")
		mac.fill("#password", password)
		mac.send("#continue")
	}
	signIn()
	mac.see("h1", "Two-factor")
	phone.see("#requests", "Sign-in requested")
	phone.click("button.main")
	phone.see("#requests", "Verification code")
	code := phone.attribute("#requests .digits", "data-code")
	mac.see("#news", "It was allowed")
	mac.fill("#code", code)
	mac.click("#trust-browser")
	mac.shoot("trust-browser", light)
	mac.send("#enter")
	mac.see("#trust", "This browser is trusted")
	for range 2 { // the second time with the next token
		mac.send("#sign-out")
		signIn()
		mac.see(".said", "this browser is trusted")
	}
	mac.send("#forget")
	signIn()
	mac.see("h1", "Two-factor")
}
