package recipients

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
)

// ErrKept says that a list was read and not taken, because Guard wouldn't have it.
var ErrKept = errors.New("the list of recipients was kept as it was")

// Source is where the recipients come from: a file, a directory, or both together. It keeps the last good list. Fill in
// the fields before the first call and leave them alone. Refresh and Current may be called from several goroutines.
type Source struct {
	File      string     // path of a file as Parse reads it; "": none
	Directory *Directory // nil: none
	Domains   []string   // the domains that are the site's own; addresses of others are left out. See List.Only. None: all that are found
	Delimiter string     // see List.WithDelimiter
	Guard     Guard
	Cache     string // path of a file for the last good list, so that one is there while the directory is down; "": none

	current  atomic.Pointer[List]
	mu       sync.Mutex // one refresh at a time; holds what is below
	restored bool
	stat     fs.FileInfo // of File when it was read
	file     *List       // what was in it
}

// Current returns the list in force, or nil before there is one; a nil List has no opinion on anything.
func (s *Source) Current() *List {
	return s.current.Load()
}

// Refresh reads the file, if it changed, and asks the directory, and puts a new list in force if Guard takes it. On an
// error the old list stays in force, or the saved one after a start; ErrKept says that Guard refused. Where there is both
// a file and a directory one without the other is no list: the missing half would be unknown. An error about the saved
// list doesn't keep a new one from being taken.
func (s *Source) Refresh(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.File == "" && s.Directory == nil {
		return errors.New("no source of recipients is configured: name a file or a directory")
	}
	var trouble error
	if !s.restored {
		s.restored = true
		trouble = s.restore()
	}
	fresh, err := s.load(ctx)
	if err != nil {
		return errors.Join(err, trouble)
	}
	old := s.current.Load()
	use, why := s.Guard.Next(old, fresh)
	s.current.Store(use)
	if why != "" {
		return errors.Join(fmt.Errorf("%w: %s", ErrKept, why), trouble)
	}
	if s.Cache != "" && (!use.equal(old) || trouble != nil) {
		return errors.Join(trouble, use.Save(s.Cache, s.note()))
	}
	return trouble
}

// load reads the file and asks the directory.
func (s *Source) load(ctx context.Context) (*List, error) {
	if err := s.readFile(); err != nil {
		return nil, err
	}
	list := s.file
	if s.Directory != nil {
		found, err := s.Directory.Fetch(ctx)
		if err != nil {
			return nil, err
		}
		if found.Len() == 0 {
			return nil, fmt.Errorf("asking %s for recipients: it found none: check the base, the filter and what the login may read", s.Directory.URL)
		}
		if list, err = Merge(found, s.file); err != nil {
			return nil, err
		}
	}
	ours, err := list.Only(s.Domains...)
	if err != nil {
		return nil, fmt.Errorf("keeping to the site's own domains: %w", err)
	}
	if ours.Len() == 0 && list.Len() > 0 {
		return nil, fmt.Errorf("none of the %d recipients found is of %s: check the domains", list.Len(), strings.Join(s.Domains, ", "))
	}
	return ours.WithDelimiter(s.Delimiter), nil
}

// readFile reads the file if it isn't the one that was read before, by its identity, size and time.
func (s *Source) readFile() error {
	if s.File == "" {
		return nil
	}
	now, err := os.Stat(s.File)
	if err != nil {
		return fmt.Errorf("reading recipients: %w", err)
	}
	if s.stat != nil && os.SameFile(s.stat, now) && s.stat.Size() == now.Size() && s.stat.ModTime().Equal(now.ModTime()) {
		return nil
	}
	l, err := ParseFile(s.File)
	if err != nil {
		return err
	}
	s.stat, s.file = now, l
	return nil
}

// restore puts the saved list in force. One that was saved under other settings is left alone: it would make Guard
// refuse what is now wanted.
func (s *Source) restore() error {
	if s.Cache == "" {
		return nil
	}
	f, err := os.Open(s.Cache)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the saved recipients: %w", err)
	}
	defer f.Close()
	r := bufio.NewReader(f)
	head := "# " + s.note() + "\n"
	if got, _ := r.Peek(len(head)); string(got) != head {
		return nil
	}
	l, err := Parse(s.Cache, r)
	if err != nil {
		return fmt.Errorf("reading the saved recipients, which are not used: %w", err)
	}
	if l.Len() > 0 {
		s.current.Store(l.WithDelimiter(s.Delimiter))
	}
	return nil
}

// note is the first line of a saved list: what it was made from, without anything secret.
func (s *Source) note() string {
	d := Directory{}
	if s.Directory != nil {
		d = *s.Directory
	}
	of, _ := json.Marshal([]any{s.File, s.Domains, d.URL, d.BaseDN, d.filter(), d.attributes()}) // strings only: no error
	sum := sha256.Sum256(of)
	return strings.Join([]string{"Saved by harvestwatch: the last good list of recipients. Settings", hex.EncodeToString(sum[:8])}, " ")
}
