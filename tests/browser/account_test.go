package browser

import (
	"os/exec"
	"strings"
	"testing"
)

// TestTurningOn from the phone, by a call; off again by the link in the mail, and on again from the account page (E1, E3).
func TestTurningOn(t *testing.T) {
	r := power(t)
	stage, password := r.visitorWith(t, "#start-plain")
	phone, mac, messages := stage.at("phone"), stage.another("mac"), stage.another("messages")
	signIn := func() {
		t.Helper()
		mac.fill("#password", password)
		mac.send("#continue")
	}
	signIn()
	mac.see(".said", "No code was asked for")
	mac.click("#to-account")
	mac.see("#protection", "first add a phone number")

	phone.see("#state", "Off")
	phone.fill("#password", password)
	phone.send("#by-call")
	phone.see(".said", "We are calling")
	messages.click("button.main")
	code := messages.attribute(".spoken", "data-code")
	phone.fill("#code", other(code))
	phone.send("#verify")
	phone.see(".said.bad", "not right")
	phone.fill("#code", code)
	phone.shoot("number", narrow)
	phone.send("#verify")
	phone.see("#state", "On")
	phone.see("#state", "the link in the mail")
	mac.see("#protection", "Until") // by itself
	mac.see("#devices", "Ada's iPhone")
	mac.open("mac")
	mac.click("#sign-out")
	signIn()
	mac.see("h1", "Two-factor")
	mac.click("#cancel")

	messages.see(".mail", "Two-factor authentication is on")
	messages.shoot("mail", light)
	messages.click(".mail a")
	messages.see("h1", "off?")
	link := ""
	messages.eval(`location.pathname.slice(1) + location.search`, &link)
	messages.send("#undo")
	messages.see(".said", "is off. Services that ask") // what is given up
	phone.see("#state", "Off")
	messages.open(link)
	messages.send("#undo") // once
	messages.see(".said.bad", "This link does nothing any more")

	signIn()
	mac.click("#to-account")
	mac.click("#protect")
	mac.see(".said", "Two-factor authentication is on")
	mac.see("#devices", "MacBook Air this Mac")
	messages.see("#list", "is off")
	messages.until("a mail for each time", `document.querySelectorAll(".mail").length === 3`)
}

// TestAppPasswords: made once a second factor was shown, shown once, used by a mail program, and dead when it is revoked (A1).
func TestAppPasswords(t *testing.T) {
	r := power(t)
	stage, password := r.visitor(t)
	phone, mac := stage.at("phone/settings"), stage.another("mac")
	mac.fill("#password", password)
	mac.send("#continue")
	mac.see("h1", "Two-factor")
	enter(mac, phone.attribute(".digits", "data-code"))
	mac.see("#trust", "This Mac is trusted")
	mail := phone.at("legacy")
	connect := func(with string) {
		t.Helper()
		mail.fill("#password", with)
		mail.send("button.main")
	}
	create := func(label string) string {
		t.Helper()
		mac.click("#new-app-password summary")
		mac.fill("#app-label", label)
		mac.send("#make-app-password")
		mac.see("h1", "Your app password")
		return mac.text("#app-password")
	}
	mac.click("#to-account")
	first := create("Mail <b>at home</b>")
	mac.readable("the app password")
	mac.shoot("shown", light)
	mac.click("#done")
	mac.see("#app-passwords", "Mail <b>at home</b>")
	mac.see("#app-passwords", "never used")
	var kept bool
	mac.eval(`document.documentElement.outerHTML.includes("`+first+`")`, &kept)
	if kept {
		t.Error("the app password is on the account page")
	}
	connect(first)
	mail.see(".said", "Mail is connected with its app password")
	mac.see("#app-passwords", "last used") // by itself
	mac.see("#app-passwords", "from 203.0.113.7")
	second := create("Mail at work")
	mac.click("#done")
	mac.shoot("account", light, narrow)
	mac.send(`#app-passwords form[action$="/revoke"] button`)
	mac.see(".said", "was revoked")
	connect(first)
	mail.see(".said.bad", "no app password of this account")
	connect(strings.ToUpper(strings.ReplaceAll(second, "-", " ")))
	mail.see(".said", "Mail is connected")
	mac.send("#revoke-all")
	mac.see("#app-passwords", "None yet")
	connect(second)
	mail.see(".said.bad", "no app password of this account")
}

// TestAuthenticatorApp: another maker's app computes codes of the seed that is shown once, and signs in with them (E8).
func TestAuthenticatorApp(t *testing.T) {
	r := power(t)
	stage, password := r.visitor(t)
	phone, mac := stage.at("phone"), stage.another("mac")
	begin(phone, mac, password)
	enter(mac, allow(phone))
	mac.click("#to-account")
	mac.send("#add-authenticator")
	mac.see("h1", "Scan this")
	mac.readable("the QR code")
	mac.shoot("qr", light, dark)
	seed := mac.text("#seed")
	mac.click("#done")
	mac.see("#authenticators", "never used")
	mac.see("#notices", "An authenticator app was added")
	mac.open("mac")
	mac.click("#forget")
	begin(phone, mac, password)
	app := exec.Command("oathtool", "--totp", "--base32", "-")
	app.Stdin = strings.NewReader(seed)
	code, err := app.Output()
	if err != nil {
		t.Fatalf("running oathtool (apt-get install oathtool): %v", err)
	}
	enter(mac, strings.TrimSpace(string(code)))
	mac.see("h1", "Hello")
	mac.click("#to-account")
	mac.see("#authenticators", "last used")
	mac.send("#authenticators form button.danger")
	mac.see("#authenticators", "None yet")
	mac.see("#notices", "An authenticator app was removed")
}
