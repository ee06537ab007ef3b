//go:build unix

package tailer

import (
	"fmt"
	"os"
	"syscall"
)

// lookPath asks about the file that a path leads to.
func lookPath(path string) (node, error) {
	info, err := os.Stat(path)
	if err != nil {
		return node{}, fmt.Errorf("look for the log: %w", err)
	}
	return nodeOf(info, nil)
}

func nodeOf(info os.FileInfo, _ *os.File) (node, error) {
	n := node{size: info.Size(), mtime: stamp(info.ModTime()), regular: info.Mode().IsRegular()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		n.dev, n.inode = uint64(st.Dev), uint64(st.Ino) //nolint:unconvert // their types differ between systems
	}
	return n, nil
}

// openShared opens a log so that its writer may rename and delete it. It doesn't wait for the writer of a named pipe.
func openShared(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}
