package tailer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	// headMax is how many bytes from the start of a file identify it: several lines of any mail log, so at least one
	// time stamp of the file's own.
	headMax = 1024
	// headMin is the length below which equal heads prove nothing: a first line can be the same in every generation.
	headMin = 64
)

// FileID tells one generation of a log from those before and after it. Device and inode survive a rename but are used
// again after a deletion; the hash of the first bytes survives copying and compression but grows with a young file.
// So two FileIDs of one file differ while it is shorter than 1024 bytes: compare a FileID with a file, by ReadAt, not
// with another FileID. The zero FileID is no file.
type FileID struct {
	Dev     uint64 `json:"dev"`
	Inode   uint64 `json:"inode"` // on Windows the file index
	Head    uint64 `json:"head"`  // FNV-1a of the first HeadLen bytes, decompressed
	HeadLen uint32 `json:"head_len"`
}

// withHead returns the id with the hash of the file's first bytes, of which at most headMax are used.
func (id FileID) withHead(head []byte) FileID {
	head = head[:min(len(head), headMax)]
	id.Head, id.HeadLen = hashHead(head), uint32(len(head))
	return id
}

// matches reports whether a file that begins with head begins as the file of this id did.
func (id FileID) matches(head []byte) bool {
	return len(head) >= int(id.HeadLen) && hashHead(head[:id.HeadLen]) == id.Head
}

// copied reports whether a file that begins with head is surely a copy of the file of this id.
func (id FileID) copied(head []byte) bool { return id.HeadLen >= headMin && id.matches(head) }

// node returns the device and inode.
func (id FileID) node() nodeKey { return nodeKey{id.Dev, id.Inode} }

// hashHead is the 64 bit FNV-1a hash, of nothing 0.
func hashHead(b []byte) uint64 {
	if len(b) == 0 {
		return 0
	}
	h := uint64(0xcbf29ce484222325)
	for _, c := range b {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return h
}

// node is what the file system says of a file.
type node struct {
	dev, inode uint64
	size       int64
	mtime      int64 // nanoseconds since 1970
	regular    bool
}

// nodeKey identifies a file while it exists. The zero nodeKey is none.
type nodeKey struct{ dev, inode uint64 }

func (n node) key() nodeKey { return nodeKey{n.dev, n.inode} }

var errNotRegular = errors.New("not a regular file")

// lookFile asks about an open file.
func lookFile(f *os.File) (node, error) {
	info, err := f.Stat()
	if err != nil {
		return node{}, fmt.Errorf("ask about an open file: %w", err)
	}
	return nodeOf(info, f)
}

// headOf reads the first bytes of a plain file into buf, as many as there are.
func headOf(f io.ReaderAt, buf []byte) ([]byte, error) {
	n, err := f.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the beginning: %w", err)
	}
	return buf[:n], nil
}

// stamp returns a file's modification time in nanoseconds since 1970.
func stamp(t time.Time) int64 { return t.UnixNano() }
