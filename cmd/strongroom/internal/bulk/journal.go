package bulk

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Journal is what an import remembers on disk: lines of JSON, each durable when the call that writes it returns.
//
//	{"strongroom_import":1,"file":"…","target":"…"}      once, at the beginning
//	{"run":"spiffe://…","at":"…"}                        each time that the import is run
//	{"sent":7,"account":"ann","at":"…"}                  the token of row 7 is about to be sent
//	{"done":7,"account":"ann","credential":"…"}          it was added
//	{"free":7}                                           it was not: nothing was done
//
// A last line that is cut off was never acted on, and is dropped. There is no secret in a journal, but names of accounts.
type Journal struct {
	f        *os.File
	identity string

	mu     sync.Mutex // guards what follows
	runs   string     // the identity of the run that is being read
	done   map[int]entry
	sent   map[int]entry
	tries  map[int]int                // how often a row was sent
	ids    map[string]map[string]bool // of an account: the authenticators that are of this import
	lines  int64
	broken error

	syncing sync.Mutex // held by the one caller that syncs for all
	synced  int64      // lines that are durable
}

// entry is what is known of a row.
type entry struct {
	account, credential string
	identity            string // who sent it
	at                  time.Time
	try                 int
}

// journalLine is every kind of line; exactly one of the first five is set.
type journalLine struct {
	Version int    `json:"strongroom_import,omitempty"`
	Run     string `json:"run,omitempty"`
	Sent    int    `json:"sent,omitempty"`
	Done    int    `json:"done,omitempty"`
	Free    int    `json:"free,omitempty"`

	File       string     `json:"file,omitempty"`
	Target     string     `json:"target,omitempty"`
	Account    string     `json:"account,omitempty"`
	Credential string     `json:"credential,omitempty"`
	At         *time.Time `json:"at,omitempty"`
}

const (
	journalVersion = 1
	maxJournal     = 256 << 20 // bytes: a million rows
	maxJournalLine = 8 << 10
)

var (
	// ErrJournal: the file is there and is not the journal of this import.
	ErrJournal = errors.New("not the journal of this import")
	// ErrBusy: another process has the journal, and imports the same file.
	ErrBusy = errors.New("another import is at work with this journal")
)

// OpenJournal opens or makes the journal of an import, and keeps others away from it until it is closed: ErrBusy. A file
// that is another's is ErrJournal.
func OpenJournal(path, file, target, identity string, now time.Time) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	j := &Journal{f: f, identity: identity}
	if err := j.begin(path, file, target, now); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the journal %s: %w", path, err), f.Close())
	}
	return j, nil
}

func (j *Journal) begin(path, file, target string, now time.Time) error {
	if err := unix.Flock(int(j.f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return ErrBusy
		}
		return fmt.Errorf("locking it: %w", err)
	}
	// The one who had the lock may have removed the file: what is written into this one would be lost.
	mine, err := j.f.Stat()
	if err != nil {
		return err
	}
	if there, err := os.Stat(path); err != nil || !os.SameFile(mine, there) {
		return ErrBusy
	}
	end, err := j.read(j.f, file, target)
	if err != nil {
		return err
	}
	// What is cut off goes, so that the next line doesn't stick to it.
	if err := j.f.Truncate(end); err != nil {
		return err
	}
	if _, err := j.f.Seek(end, io.SeekStart); err != nil {
		return err
	}
	if end == 0 {
		if err := j.append(journalLine{Version: journalVersion, File: file, Target: target}); err != nil {
			return err
		}
	}
	if err := j.append(journalLine{Run: j.identity, At: &now}); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// ReadJournal reads a journal for a dry run: nothing is locked or written, and one that isn't there is an empty one.
func ReadJournal(path, file, target string) (*Journal, error) {
	j := &Journal{}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return j, nil // recall finds nothing in it
	}
	if err != nil {
		return nil, fmt.Errorf("reading the journal: %w", err)
	}
	defer f.Close()
	if _, err := j.read(f, file, target); err != nil {
		return nil, fmt.Errorf("reading the journal %s: %w", path, err)
	}
	return j, nil
}

// read reads what there is, and says where the last whole line ends.
func (j *Journal) read(f io.Reader, file, target string) (end int64, err error) {
	j.done, j.sent, j.tries = make(map[int]entry), make(map[int]entry), make(map[int]int)
	j.ids = make(map[string]map[string]bool)
	r := bufio.NewReaderSize(f, maxJournalLine)
	for {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return end, nil // with a line that was cut off, perhaps
		}
		if err != nil || end+int64(len(line)) > maxJournal {
			return 0, ErrJournal
		}
		l, err := parseJournalLine(line)
		if err != nil {
			return 0, err
		}
		if end == 0 && (l.Version != journalVersion || l.File != file || l.Target != target) {
			return 0, fmt.Errorf("%w: it is of another file, tenant or cluster", ErrJournal)
		}
		if end > 0 && l.Version != 0 {
			return 0, ErrJournal
		}
		end += int64(len(line))
		j.apply(l)
	}
}

func parseJournalLine(line []byte) (l journalLine, err error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if d.Decode(&l) != nil || l.Sent < 0 || l.Done < 0 || l.Free < 0 {
		return l, ErrJournal
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return l, ErrJournal
	}
	return l, nil
}

func (j *Journal) apply(l journalLine) {
	switch {
	case l.Run != "":
		j.runs = l.Run
	case l.Sent != 0:
		j.tries[l.Sent]++
		e := entry{account: l.Account, identity: j.runs, try: j.tries[l.Sent]}
		if l.At != nil {
			e.at = *l.At
		}
		j.sent[l.Sent] = e
	case l.Done != 0:
		delete(j.sent, l.Done)
		j.done[l.Done] = entry{account: l.Account, credential: l.Credential}
		if j.ids[l.Account] == nil {
			j.ids[l.Account] = make(map[string]bool)
		}
		j.ids[l.Account][l.Credential] = true
	case l.Free != 0:
		delete(j.sent, l.Free)
	}
}

// recall settles a row that an earlier run has imported. j may be nil.
func (j *Journal) recall(r *Row) {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	done, isDone := j.done[r.Row]
	sent, isSent := j.sent[r.Row]
	switch {
	case isDone && done.account == r.Account:
		r.Credential = done.credential
		r.settle(Before, "")
	case isDone:
		r.Credential = done.credential
		r.settle(Bad, fmt.Sprintf("an earlier run imported it into account %s: one seed must not be in two", done.account))
	case isSent && sent.account != r.Account:
		r.settle(Unknown, fmt.Sprintf("an earlier run may have imported it into account %s", sent.account))
	}
}

// pending says whether an earlier run sent a row and never learnt what came of it.
func (j *Journal) pending(row int) (e entry, pending bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e, pending = j.sent[row]
	return e, pending
}

// accounts says whether an authenticator of an account is known to be of this import.
func (j *Journal) accounts(account, credential string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.ids[account][credential]
}

// Empty says that nothing is remembered.
func (j *Journal) Empty() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.done)+len(j.tries) == 0
}

// append writes a line and returns when it is durable. After a failure nothing can be written any more.
func (j *Journal) append(l journalLine) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	j.mu.Lock()
	if j.broken == nil {
		if _, j.broken = j.f.Write(append(b, '\n')); j.broken == nil {
			j.lines++
			j.apply(l)
		}
	}
	mine, err := j.lines, j.broken
	j.mu.Unlock()
	if err == nil {
		err = j.sync(mine)
	}
	if err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	return nil
}

// sync makes the first so many lines durable. Those who come while a sync is under way wait for it, and one of them then
// syncs for all.
func (j *Journal) sync(lines int64) error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	if j.synced >= lines {
		return nil
	}
	j.mu.Lock()
	upTo, err := j.lines, j.broken
	j.mu.Unlock()
	if err != nil {
		return err
	}
	if err := j.f.Sync(); err != nil {
		j.mu.Lock()
		j.broken = err
		j.mu.Unlock()
		return err
	}
	j.synced = upTo
	return nil
}

// Close lets others have the journal. One in which there is nothing is removed.
func (j *Journal) Close() error {
	if j.Empty() {
		_ = os.Remove(j.f.Name()) // before the lock goes
	}
	return j.f.Close()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
