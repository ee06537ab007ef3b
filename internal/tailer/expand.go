package tailer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Stdin is the name that stands for standard input.
const Stdin = "-"

// maxInputs bounds how many files one call of Expand gives.
const maxInputs = 100_000

// Input is one file to be read from its beginning to its end.
type Input struct {
	Path    string    // as it can be opened; "-" for standard input
	Size    int64     // in bytes, compressed; 0 where it isn't known
	ModTime time.Time // of the last change; zero for standard input
	// Group names the stream that the file is a part of: mail.log, mail.log.1 and mail.log.2.gz of one folder have the
	// same. Within a group the files follow one another in time; their names don't say in which order.
	Group string

	pool *pool // shared by the inputs of one Expand; nil for one of its own
}

type expander struct {
	inputs []Input
	files  map[nodeKey]bool // files already in inputs
	dirs   map[nodeKey]bool // folders already walked
	pool   *pool
	errs   []error
}

// Expand turns arguments into inputs: files, folders (with everything below them, in the order of names, but for hidden
// files), patterns as filepath.Match has them, and "-" for standard input. A file that is named twice, or reached by
// two names, is given once. What can't be found is named in the error, which joins all of them; the inputs that were
// found are returned with it. At most 100,000 are.
func Expand(args []string) ([]Input, error) {
	x := &expander{files: map[nodeKey]bool{}, dirs: map[nodeKey]bool{}, pool: newPool()}
	for _, arg := range args {
		x.argument(arg)
	}
	if len(x.inputs) > maxInputs {
		x.inputs = x.inputs[:maxInputs]
		x.errs = append(x.errs, fmt.Errorf("more than %d files; name fewer folders", maxInputs))
	}
	return x.inputs, errors.Join(x.errs...)
}

func (x *expander) argument(arg string) {
	if arg == Stdin {
		if stdin := (nodeKey{}); !x.files[stdin] {
			x.files[stdin] = true
			x.inputs = append(x.inputs, Input{Path: Stdin, Group: Stdin, pool: x.pool})
		}
		return
	}
	_, err := os.Stat(arg)
	if err == nil || !strings.ContainsAny(arg, `*?[`) {
		x.add(arg, true)
		return
	}
	found, globErr := filepath.Glob(arg)
	if globErr != nil {
		x.errs = append(x.errs, fmt.Errorf("expand %s: %w; see filepath.Match for patterns", arg, globErr))
		return
	}
	if len(found) == 0 {
		x.errs = append(x.errs, fmt.Errorf("expand %s: %w; no file's name is like that, check the folder", arg,
			os.ErrNotExist))
	}
	for _, p := range found {
		x.add(p, true)
	}
}

// add adds a file or a folder. named says that the user named it: then a pipe is welcome and what is missing an error.
func (x *expander) add(path string, named bool) {
	if len(x.inputs) > maxInputs {
		return
	}
	info, err := os.Stat(path)
	if err != nil {
		if named || !errors.Is(err, os.ErrNotExist) { // a link that leads nowhere is nobody's log
			x.errs = append(x.errs, fmt.Errorf("look for input: %w; check its name and who may read it", err))
		}
		return
	}
	if info.IsDir() {
		x.walk(path)
		return
	}
	if !named && !info.Mode().IsRegular() {
		return
	}
	if key, ok := keyOf(path); ok {
		if x.files[key] {
			return
		}
		x.files[key] = true
	}
	in := Input{Path: path, ModTime: info.ModTime(), Group: groupOf(path), pool: x.pool}
	if info.Mode().IsRegular() {
		in.Size = info.Size()
	}
	x.inputs = append(x.inputs, in)
}

// walk adds what is below a folder. A folder that was walked already isn't walked again, so loops of links end.
func (x *expander) walk(dir string) {
	if key, ok := keyOf(dir); ok {
		if x.dirs[key] {
			return
		}
		x.dirs[key] = true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		x.errs = append(x.errs, fmt.Errorf("list folder: %w; check who may read it", err))
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			x.add(filepath.Join(dir, e.Name()), false)
		}
	}
}

// keyOf returns what identifies a file or folder under all its names; false where the system doesn't say.
func keyOf(path string) (nodeKey, bool) {
	n, err := lookPath(path)
	return n.key(), err == nil && n.key() != nodeKey{}
}
