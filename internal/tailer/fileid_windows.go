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
	f, err := openShared(path)
	if err != nil {
		return node{}, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return nodeOf(info, f)
}

func nodeOf(info os.FileInfo, f *os.File) (node, error) {
	n := node{size: info.Size(), mtime: stamp(info.ModTime()), regular: info.Mode().IsRegular()}
	var h syscall.ByHandleFileInformation
	if err := syscall.GetFileInformationByHandle(syscall.Handle(f.Fd()), &h); err != nil {
		return node{}, fmt.Errorf("ask for the file index: %w", err)
	}
	n.dev = uint64(h.VolumeSerialNumber)
	n.inode = uint64(h.FileIndexHigh)<<32 | uint64(h.FileIndexLow)
	return n, nil
}

// openShared opens a log so that its writer may rename and delete it, which os.Open forbids here. It opens
// folders too, to be asked about.
func openShared(path string) (*os.File, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ,
		syscall.FILE_SHARE_READ|syscall.FILE_SHARE_WRITE|syscall.FILE_SHARE_DELETE, nil, syscall.OPEN_EXISTING,
		syscall.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}
