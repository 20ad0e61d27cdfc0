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
	phone, mac, messages := stage.at("phone"), stage.another("mac"), stage.another("messages")
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

	// Another person's number, verified by a call, labelled and offered first (E5).
	mac.click("#to-account")
	mac.click("#add-number summary")
	mac.fill("#number", "+1 (415) 555-0133")
	mac.fill("#label", "Mum")
	mac.send("#add-number button[value=voice]")
	messages.click("button.main")
	messages.until("both calls answered", `document.querySelectorAll(".spoken").length === 2`)
	mac.fill("#phones input[name=code]", messages.attribute(".spoken", "data-code"))
	mac.send(`#phones form[action$="/verify"] button`)
	mac.see(".said", "is verified")
	mac.click("#phones li:nth-child(2) summary")
	mac.fill("#phones li:nth-child(2) input[name=label]", "Mother")
	mac.send(`#phones li:nth-child(2) form[action$="/label"] button`)
	mac.click("#phones li:nth-child(2) summary")
	mac.send(`#phones form[action$="/first"] button`)
	mac.see("#phones li:first-child", "33 Mother")
}

// TestRemovedPhone: it shows no codes, and those that it showed are dead. Then it is set up again by a text that it proves
// to have received. Before, it has another name; and a Mac that is lost is worth nothing (E6).
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
	mac.click("#devices li:first-child summary")
	mac.fill("#devices li:first-child input[name=name]", "Red phone")
	mac.send(`#devices li:first-child form[action$="/rename"] button`)
	mac.see("#devices", "Red phone")
	mac.click("#devices li:last-child summary")
	mac.shoot("open", light, narrow)
	mac.send("#devices li:last-child button[value=lost]")
	mac.see("#devices", "MacBook Air Lost")
	mac.see("#devices", "Not trusted, and shows no codes")
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
	phone, mac := stage.at("phone/settings"), stage.another("mac")
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

// TestOlderSoftware: a program that has one field takes the code after the password (S10); a Mac whose system is too old
// for codes is trusted, and the account says why it shows none (S12), until it is updated.
func TestOlderSoftware(t *testing.T) {
	r := power(t)
	stage, password := r.visitor(t)
	phone, mac := stage.at("phone/settings"), stage.another("legacy")
	mac.fill("#password", password+phone.attribute(".digits", "data-code"))
	mac.send("button.main")
	mac.see(".said", "Mail is connected")
	mac.shoot("mail", light)

	stage.open("")
	stage.send("#old-mac")
	mac.open("mac")
	phone.open("phone")
	begin(phone, mac, password)
	enter(mac, allow(phone))
	mac.see("#trust", "too old to show codes")
	mac.click("#to-account")
	mac.see("#devices", "Ada's old MacBook this Mac")
	mac.see("#devices", "Can’t show codes: OS X 10.9.5 is older than 10.11.")
	mac.open("mac")
	mac.send("#update")
	mac.see("#trust", "This Mac is trusted")
	mac.open("account")
	mac.see("#devices", "OS X 10.11.6")
	mac.until("both show codes", `document.querySelector("#devices").innerText.match(/Can show codes/g)?.length === 2`)
}
