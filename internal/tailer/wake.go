package tailer

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/fsnotify/fsnotify"
)

// waker tells that something may have happened to a log. It only ever wakes: what happened is found by looking at the
// files, and every tick looks too, so a notification that is lost or late costs time and nothing else.
type waker struct {
	path   string
	failed func(error) // told once that there are no notifications
	w      *fsnotify.Watcher
	events chan fsnotify.Event // nil when polling
	errors chan error
	dirs   map[string]bool        // folders that are watched
	mine   func(base string) bool // whether a name in a watched folder belongs to the log
	linked string                 // how the name begins of what the log is a link to
	told   bool

	stirred bool // files came, went or were renamed since this was last reset
}

// waiting is how many notifications are kept while lines are being given; the kernel keeps thousands more.
const waiting = 64

func newWaker(path string, poll bool, mine func(string) bool, failed func(error)) *waker {
	k := &waker{path: path, failed: failed, dirs: map[string]bool{}, mine: mine, linked: filepath.Base(path)}
	if poll {
		return k
	}
	w, err := fsnotify.NewBufferedWatcher(waiting)
	if err != nil {
		failed(fmt.Errorf("ask for notifications: %w; on Linux see fs.inotify.max_user_instances", err))
		return k
	}
	k.w, k.events, k.errors = w, w.Events, w.Errors
	return k
}

// cover watches the log's folder and that of the file it is a link to, where they aren't watched yet. A folder rather
// than the file is watched: it tells of the file's successor too.
func (k *waker) cover() {
	if k.w == nil {
		return
	}
	want := []string{filepath.Dir(k.path)}
	if p, err := filepath.EvalSymlinks(k.path); err == nil {
		k.linked = filepath.Base(p)
		if dir, err := filepath.EvalSymlinks(want[0]); err != nil || filepath.Dir(p) != dir {
			want = append(want, filepath.Dir(p))
		}
	}
	for _, dir := range want {
		if k.dirs[dir] {
			continue
		}
		if err := k.w.Add(dir); err != nil {
			if !k.told {
				k.told = true
				k.failed(fmt.Errorf("watch folder %s: %w; on Linux see fs.inotify.max_user_watches", dir, err))
			}
			continue
		}
		k.dirs[dir], k.told = true, false
	}
}

// concerns reports whether an event is about the log, a rotated file of it or a watched folder.
func (k *waker) concerns(ev fsnotify.Event) bool {
	if k.dirs[ev.Name] && ev.Op&(fsnotify.Remove|fsnotify.Rename) != 0 {
		delete(k.dirs, ev.Name)
		_ = k.w.Remove(ev.Name) // it is gone already; the next tick watches its successor
		k.stirred = true
		return true
	}
	base := filepath.Base(ev.Name)
	if !k.mine(base) && !strings.HasPrefix(base, k.linked) {
		return false
	}
	k.stirred = k.stirred || ev.Op&^(fsnotify.Write|fsnotify.Chmod) != 0
	return true
}

// flush forgets the events that are already there: one look is enough for all of them.
func (k *waker) flush() {
	for range waiting {
		select {
		case ev := <-k.events:
			k.concerns(ev)
		default:
			return
		}
	}
}

func (k *waker) close() {
	if k.w != nil {
		_ = k.w.Close() // nothing was written
	}
}
