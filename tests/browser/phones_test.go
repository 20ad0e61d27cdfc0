package browser

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

func click(selector string) chromedp.Action {
	return chromedp.Click(selector, chromedp.ByQuery, chromedp.NodeVisible)
}

// TestTextAndCall: "Didn't get a code?", by text with the line that phones fill in by, and by a call that rings.
func TestTextAndCall(t *testing.T) {
	r := power(t)
	stage, password := r.visitor(t)
	phone, mac, messages := stage.another("phone"), stage.another("mac"), stage.another("messages")
	begin(phone, mac, password)
	mac.click("#help")
	mac.see("fieldset", "•••• ••")
	sent := func(button, words string) {
		t.Helper()
		mac.send(button)
		for said := mac.text(".said"); !strings.Contains(said, words); said = mac.text(".said") {
			if !strings.Contains(said, "a moment ago") {
				t.Fatalf("it says %q", said)
			}
			mac.do("waiting as was asked", chromedp.Sleep(500*time.Millisecond))
			mac.click("#help")
			mac.send(button)
		}
	}
	sent("#text", "on its way")
	messages.see(".text", "is your sign-in code")
	messages.see(".autofill", "@example.com #")
	line := messages.text(".autofill")
	mac.click("#help")
	sent("#call", "calling")
	messages.see(".ringing", "ringing")
	messages.shoot("ringing", light)
	messages.click("button.main")
	messages.see(".call", "Your code is")
	messages.shoot("answered", dark)
	spoken := messages.attribute(".spoken", "data-code")
	text := line[strings.Index(line, "#")+1:]
	if text != spoken {
		enter(mac, text) // only the newest of a phone is right
		mac.see(".said.bad", "not right")
	}
	enter(mac, spoken)
	mac.see("h1", "Hello")
}

// TestRemovedPhone: it shows no codes, and those that it showed are dead. Then it is set up again by a text that it proves
// to have received.
func TestRemovedPhone(t *testing.T) {
	r := power(t)
	stage, password := r.visitor(t)
	phone, mac := stage.another("phone"), stage.another("mac")
	begin(phone, mac, password)
	enter(mac, allow(phone))
	mac.see("h1", "Hello")
	phone.click("#to-code")
	phone.see("#vc", "Verification code")
	phone.shoot("settings", narrow)
	shown := phone.attribute(".digits", "data-code")
	mac.click("#to-account")
	mac.see("#devices", "Ada's iPhone")
	mac.click("button[data-held]")
	mac.see(".said", "was removed")
	phone.see("h1", "This phone was removed")
	phone.shoot("removed", narrow)

	stage.open("")
	stage.send(`form[action="/stage/mac"] button`)
	stage.see("#try", "What to try")
	mac.open("mac")
	mac.fill("#password", password)
	mac.send("#continue")
	mac.see("h1", "Two-factor")
	enter(mac, shown)
	mac.see(".said.bad", "not right")

	phone.fill("#password", password)
	phone.send("#setup")
	phone.see(".said", "This phone is trusted now")
	mac.click("#cancel")
	mac.see("h1", "Sign in")
	begin(phone, mac, password)
}

// TestSettingsCode: without a notice, from the settings, which count down; and no second time, in older software.
func TestSettingsCode(t *testing.T) {
	r := power(t)
	stage, password := r.visitor(t)
	phone, mac := stage.another("phone/settings"), stage.another("mac")
	mac.fill("#password", password)
	mac.send("#continue")
	mac.see("h1", "Two-factor")
	code, left := phone.attribute(".digits", "data-code"), phone.text("[data-seconds]")
	enter(mac, code)
	mac.see("h1", "Hello")
	phone.until("another number of seconds", `document.querySelector("[data-seconds]").textContent !== "`+left+`"`)
	mac.open("legacy")
	mac.fill("#password", password+code)
	mac.send("button.main")
	mac.see(".said.bad", "don't go together") // it is spent
}

// TestOlderSoftware has one field: the code stands after the password.
func TestOlderSoftware(t *testing.T) {
	r := power(t)
	stage, password := r.visitor(t)
	phone, mac := stage.another("phone/settings"), stage.another("legacy")
	mac.fill("#password", password+phone.attribute(".digits", "data-code"))
	mac.send("button.main")
	mac.see(".said", "Mail is connected")
	mac.shoot("mail", light)
}
