package browser

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// begin gives the password on the Mac, and sees the phone told.
func begin(phone, mac tab, password string) {
	mac.t.Helper()
	mac.fill("#password", password)
	mac.send("#continue")
	mac.see("h1", "Two-factor")
	phone.see("#requests", "Sign-in requested")
}

// allow presses Allow and reads the code.
func allow(phone tab) (code string) {
	phone.t.Helper()
	phone.click("#requests button.main")
	phone.see("#requests", "Verification code")
	return phone.attribute("#requests .digits", "data-code")
}

func enter(mac tab, code string) {
	mac.t.Helper()
	mac.fill("#code", code)
	mac.send("#enter")
}

// TestDontAllowKillsASignIn: the right code is known, and opens nothing after Don't Allow.
func TestDontAllowKillsASignIn(t *testing.T) {
	r := power(t)
	stage, password := r.visitor(t)
	phone, mac := stage.another("phone"), stage.another("mac")
	begin(phone, mac, password)
	phone.click("#requests button[value=deny]")
	mac.see(".said.bad", "was not allowed") // by itself
	mac.shoot("refused", light)
	phone.see("#past", "Not allowed")

	stage.do("closing the first window's page, which shows the Mac too", chromedp.Navigate("about:blank"))
	begin(phone, mac, password)
	code := allow(phone)
	mac.fill("#code", code)
	mac.eval(`void(fetch = () => new Promise(() => {}))`, nil) // the page hears of nothing any more
	phone.click("#requests button[value=deny]")
	phone.see("#requests", "Nobody asks")
	mac.send("#enter")
	mac.see(".said.bad", "was not allowed")
	mac.see("h1", "Sign in")
}

// TestWrongAndUsedCodes: a wrong code is said to be wrong, and a used one is worth nothing for the next sign-in.
func TestWrongAndUsedCodes(t *testing.T) {
	r := power(t)
	stage, password := r.visitor(t)
	phone, mac := stage.another("phone"), stage.another("mac")
	mac.fill("#password", password+"x")
	mac.send("#continue")
	mac.see(".said.bad", "don't go together")
	begin(phone, mac, password)
	code := allow(phone)
	enter(mac, other(code))
	mac.see(".said.bad", "not right")
	mac.do("asking that the Mac is not trusted", click("#trust"))
	enter(mac, code[:3]+" "+code[3:]) // as people paste it
	mac.see("h1", "Hello")
	mac.see("#trust", "not trusted")
	mac.click("#sign-out")
	begin(phone, mac, password)
	enter(mac, code)
	mac.see(".said.bad", "not right")
}

// other is a code that isn't code.
func other(code string) string {
	b := []byte(code)
	b[0] = '0' + (b[0]-'0'+1)%10
	return string(b)
}
