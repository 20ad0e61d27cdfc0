package demo

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"strongroom.internal/api/demo/app"
)

// maxHomes bounds what visitors can have made.
const maxHomes = 200

var errTooMany = errors.New("there are too many people in this demo; empty its directory")

// homes are all homes, in memory and each in a file.
type homes struct {
	dir    string
	rounds int // of new passwords

	mu        sync.Mutex // guards what follows, and the files
	byID      map[string]*home
	byAccount map[string]*home
}

// homeRecord is a home on disk.
type homeRecord struct {
	Person person     `json:"person"`
	Number string     `json:"number"`
	Phone  app.Record `json:"phone"`
	Mac    app.Record `json:"mac"`
	MacAt  string     `json:"mac_at"`
	Mails  []mail     `json:"mails,omitempty"`
}

// homeID is what a home is found by: not the cookie itself, which opens it.
func homeID(cookie string) string {
	sum := sha256.Sum256([]byte("strongroom-demo/home/v1\x00" + cookie))
	return hex.EncodeToString(sum[:16])
}

func openHomes(dir string, rounds int, log *slog.Logger) (*homes, error) {
	all := &homes{dir: dir, rounds: rounds, byID: make(map[string]*home), byAccount: make(map[string]*home)}
	files, err := filepath.Glob(filepath.Join(dir, "home-*.json"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		h, err := readHome(file)
		if err != nil {
			log.Warn("a home can't be read and is left alone", "file", filepath.Base(file), "error", err)
			continue
		}
		all.byID[h.id], all.byAccount[h.person.Account] = h, h
	}
	return all, nil
}

func readHome(file string) (*home, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var r homeRecord
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, errors.New("it is not the JSON that was expected") // the cause may quote it
	}
	h := &home{
		id:     strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "home-"), ".json"),
		person: r.Person, number: r.Number, macAt: r.MacAt, mails: r.Mails,
	}
	if h.phone, err = app.Restore(r.Phone); err != nil {
		return nil, err
	}
	if h.mac, err = app.Restore(r.Mac); err != nil {
		return nil, err
	}
	return h, nil
}

func (a *homes) of(cookie string) *home {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byID[homeID(cookie)]
}

func (a *homes) ofAccount(account string) *home {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byAccount[account]
}

// add puts a home in, in the place of one that the visitor had. Its notices can be found from then on.
func (a *homes) add(h *home) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	former := a.byID[h.id]
	if former == nil && len(a.byID) >= maxHomes {
		return errTooMany
	}
	if former != nil {
		delete(a.byAccount, former.person.Account)
	}
	a.byID[h.id], a.byAccount[h.person.Account] = h, h
	return nil
}

// save writes a home to its file, whole or not at all.
func (a *homes) save(h *home) error {
	a.mu.Lock() // before it is looked at, so that what is written last is the newest
	defer a.mu.Unlock()
	phone, mac := h.devices()[0], h.devices()[1]
	_, at := h.theMac()
	r := homeRecord{Person: h.who(), Number: h.number, MacAt: at, Mails: h.letters()}
	var err error
	if r.Phone, err = phone.Record(); err != nil {
		return err
	}
	if r.Mac, err = mac.Record(); err != nil {
		return err
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("writing a home: %w", err)
	}
	if a.byID[h.id] != h {
		return nil // another took its place
	}
	path := filepath.Join(a.dir, "home-"+h.id+".json")
	if err := os.WriteFile(path+".new", raw, 0o600); err != nil {
		return fmt.Errorf("writing a home: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("writing a home: %w", err)
	}
	return nil
}

// drawNumber draws a phone number that is kept for stories: 555-0100 to 555-0199 of some area.
func drawNumber() string {
	areas := [...]string{"202", "212", "303", "312", "415", "503", "617", "702", "808", "907"}
	var b [2]byte
	_, _ = rand.Read(b[:])
	return fmt.Sprintf("+1%s55501%02d", areas[int(b[0])%len(areas)], int(b[1])%100)
}

// serial is a serial number that looks like one.
func serial() string { return "C02" + rand.Text()[:9] }
