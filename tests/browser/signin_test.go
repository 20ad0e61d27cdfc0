package browser

import (
	"fmt"
	"testing"
)

// TestU1_SignIn is the main story: the notice with its place, Allow, the code, typed, trusted; and again without a code.
func TestU1_SignIn(t *testing.T) {
	r := power(t)
	stage, password := r.visitor(t)
	stage.see("h1", "Strongroom")
	phone, mac := stage.another("phone"), stage.another("mac")
	phone.see("#requests", "Nobody asks")
	mac.fill("#password", password)
	mac.shoot("password", light)
	mac.send("#continue")
	mac.see("h1", "Two-factor")
	phone.see("#requests", "near Zürich, Switzerland")
	phone.see("figcaption", "Approximate place, within about 20 km")
	// The split view has all of it live, in frames.
	for frame, words := range map[string]string{"mac": "Two-factor", "phone": "Sign-in requested", "messages": "confirms your phone number"} {
		stage.until(words+" in the frame "+frame, fmt.Sprintf(
			`document.querySelector("iframe[name=%s]").contentDocument.body.innerText.includes(%q)`, frame, words))
	}
	mac.shoot("code", light, dark, narrow)
	phone.shoot("notice", narrow)
	stage.shoot("stage", light, dark, narrow)
	phone.click("button.main")
	phone.see("#requests", "Verification code")
	code := phone.attribute("#requests .digits", "data-code")
	mac.see("#news", "It was allowed")
	phone.shoot("allowed", narrow)
	mac.fill("#code", code)
	mac.until("the boxes where they were", `document.querySelector(".six").scrollLeft === 0`)
	mac.shoot("typed", light, narrow)
	mac.send("#enter")
	mac.see("h1", "Hello, Ada")
	mac.see("#trust", "This Mac is trusted")
	mac.shoot("in", light)
	phone.see("#past", "Signed in")
	mac.click("#to-account")
	mac.see("#devices", "MacBook Air")
	mac.shoot("account", light, dark, narrow)
	mac.open("mac")
	mac.click("#sign-out")
	stage.until("the other window signed out too", `document.querySelector("iframe[name=mac]").contentDocument.querySelector("#password") !== null`)
	mac.fill("#password", password)
	mac.send("#continue")
	mac.see(".said", "No code was needed")
	mac.click("#forget") // signed out completely: a code is needed again
	begin(phone, mac, password)
}

// TestALookThatFailedIsTakenAgain: what a page heard of while the site didn't answer, it shows when the site does.
func TestALookThatFailedIsTakenAgain(t *testing.T) {
	r := power(t)
	stage, password := r.visitor(t)
	phone, mac := stage.at("phone"), stage.another("mac")
	phone.eval(`void(() => {
		const real = fetch;
		let looks = 0;
		fetch = (...which) => looks++ < 2 ? Promise.resolve(new Response("", {status: 503})) : real(...which);
	})()`, nil)
	begin(phone, mac, password)
}
