package demo

import (
	"slices"
	"sync"
	"time"

	"strongroom.internal/api/demo/app"
	"strongroom.internal/api/wire"
)

// pane is a part of the page that hears when it has to look again.
type pane string

const (
	paneMac      pane = "mac"
	paneBrowser  pane = "browser"
	panePhone    pane = "phone"
	paneMessages pane = "messages"
	paneAccount  pane = "account"
)

// home is one visitor's person and what is around them.
type home struct {
	id     string // of the visitor's cookie, hashed
	person person // its password is guarded by mu
	number string // of the SIM in the phone, E.164

	mu       sync.Mutex // guards what follows
	phone    *app.Device
	mac      *app.Device
	macAt    string // IP address that the Mac has
	messages []message
	news     []news
	mails    []mail
	said     map[pane]saying
	setup    setup
	turns    turningOn
	watchers map[chan pane]bool
}

// Bounds of what a home remembers.
const (
	maxMessages = 20
	maxNews     = 20
	maxWatchers = 32
)

// message is a text, or a call.
type message struct {
	id       int
	job      wire.CodeJob
	at       time.Time
	answered bool // a call
}

// news is a notice, for the account page.
type news struct {
	kind string
	at   time.Time
	data wire.NoticeData
}

// saying is a sentence about what was done last in a pane. Every window that shows the pane says it, until something else
// is done there or a while has passed.
type saying struct {
	Text string
	Bad  bool
	at   time.Time
}

// sayFor is that while.
const sayFor = time.Minute

// devices are what the person holds.
func (h *home) devices() []*app.Device {
	h.mu.Lock()
	defer h.mu.Unlock()
	return []*app.Device{h.phone, h.mac}
}

func (h *home) thePhone() *app.Device {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.phone
}

func (h *home) theMac() (d *app.Device, address string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mac, h.macAt
}

// replace puts other devices in the person's hands; nil leaves one.
func (h *home) replace(phone, mac *app.Device) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if phone != nil {
		h.phone, h.setup, h.turns = phone, setup{}, turningOn{}
	}
	if mac != nil {
		h.mac = mac
	}
}

func (h *home) moveMac(address string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.macAt = address
}

func (h *home) received(job wire.CodeJob) {
	h.mu.Lock()
	defer h.mu.Unlock()
	id := 1
	if len(h.messages) > 0 {
		id = h.messages[len(h.messages)-1].id + 1
	}
	h.messages = append(h.messages, message{id: id, job: job, at: time.Now()})
	h.messages = h.messages[max(0, len(h.messages)-maxMessages):]
}

// inbox is newest first.
func (h *home) inbox() []message {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := slices.Clone(h.messages)
	slices.Reverse(list)
	return list
}

func (h *home) answer(id int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.messages {
		if h.messages[i].id == id {
			h.messages[i].answered = true
		}
	}
}

func (h *home) noted(n wire.Notice, data wire.NoticeData) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.news = append(h.news, news{n.Type, n.Timestamp, data})
	h.news = h.news[max(0, len(h.news)-maxNews):]
}

// recent is the notices, newest first.
func (h *home) recent() []news {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := slices.Clone(h.news)
	slices.Reverse(list)
	return list
}

// say has a pane say what was done.
func (h *home) say(p pane, text string) { h.leave(p, says(text)) }

// complain has it say what went wrong.
func (h *home) complain(p pane, text string) { h.leave(p, complains(text)) }

// says is what say and complain leave.
func says(text string) saying { return saying{Text: text, at: time.Now()} }

func complains(text string) saying { return saying{Text: text, Bad: true, at: time.Now()} }

// leave with the zero saying has it say nothing.
func (h *home) leave(p pane, s saying) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.said == nil {
		h.said = make(map[pane]saying)
	}
	h.said[p] = s
}

func (h *home) hear(p pane) saying {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.said[p]; time.Since(s.at) < sayFor {
		return s
	}
	return saying{}
}

// watch gives the panes that change from now on, until end is called. It is false when there are too many.
func (h *home) watch() (changes <-chan pane, end func(), ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.watchers) >= maxWatchers {
		return nil, nil, false
	}
	c := make(chan pane, 16)
	if h.watchers == nil {
		h.watchers = make(map[chan pane]bool)
	}
	h.watchers[c] = true
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers, c)
	}, true
}

// changed tells who watches. One that doesn't keep up has changes before it that make it look again anyway.
func (h *home) changed(panes ...pane) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.watchers {
		for _, p := range panes {
			select {
			case c <- p:
			default:
			}
		}
	}
}
